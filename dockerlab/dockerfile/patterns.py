"""The patterns in `${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}`, `${x/p/r}` and `${x//p/r}`, as BuildKit's lexer has them.

`*` stands for any characters, `?` for one, neither for a newline; `\\*`, `\\?` and `\\\\` for themselves, and before `}` and `/` a
backslash does not count. There are no classes. Time is linear in the value, whatever the pattern: all places in the pattern that can
be reached are followed at once, as the bits of a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_LONGEST = 1000
_TEMPLATE = re.compile(r"\$(?:(\$)|\{([0-9A-Za-z_]+)\}|([0-9A-Za-z_]+))")
_ANY, _STAR = "?", "*"

# A wildcard, or a character that stands for itself.
_Token = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class _Automaton:
    """Bit i of a state: the first i tokens are matched. literals: character → the tokens that it matches."""

    literals: dict[str, int] = field(default_factory=dict)
    any_one: int = 0
    stars: int = 0
    end: int = 1

    @staticmethod
    def of(tokens: Sequence[_Token]) -> _Automaton:
        literals: dict[str, int] = {}
        any_one = stars = 0
        for i, (character, is_wild) in enumerate(tokens):
            if not is_wild:
                literals[character] = literals.get(character, 0) | 1 << i
            elif character == _ANY:
                any_one |= 1 << i
            else:
                stars |= 1 << i
        return _Automaton(literals, any_one, stars, 1 << len(tokens))

    def start(self) -> int:
        return 1 | (1 & self.stars) << 1

    def step(self, state: int, character: str) -> int:
        taken = state & self.literals.get(character, 0)
        stays = 0
        if character != "\n":
            taken |= state & self.any_one
            stays = state & self.stars
        state = taken << 1 | stays
        return state | (state & self.stars) << 1


class Pattern:
    """text: the pattern. Raises ValueError for one with an escape that is none, or of more than 1000 characters."""

    def __init__(self, text: str) -> None:
        self._tokens = tuple(_tokens(text))
        if len(self._tokens) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST} characters")

    def without_prefix(self, value: str, *, longest: bool) -> str:
        """`value` without the shortest or the longest beginning that matches."""
        return value[_match(_Automaton.of(self._tokens), value, 0, longest) or 0 :]

    def without_suffix(self, value: str, *, longest: bool) -> str:
        """`value` without the shortest or the longest end that matches."""
        backwards = value[::-1]
        return backwards[_match(_Automaton.of(self._tokens[::-1]), backwards, 0, longest) or 0 :][::-1]

    def replaced(self, value: str, replacement: str, limit: int) -> str:
        """`value` with its first match, the longest from where it starts, replaced. Raises ValueError if it gets longer than limit."""
        for start, end in self._matches(value):
            if len(value) + len(replacement) > limit:
                raise ValueError("the result is too long")
            return value[:start] + replacement + value[end:]
        return value

    def all_replaced(self, value: str, replacement: str, limit: int) -> str:
        """`value` with all matches replaced. As in Go, `$0` and `${0}` in the replacement are the match, and other names are empty.

        Raises ValueError if it gets longer than limit.
        """
        out, at, length = list[str](), 0, len(value)
        for start, end in self._matches(value):
            found = value[start:end]
            new = _filled(replacement, found) if "$" in replacement else replacement
            length += len(new) - len(found)
            if length > limit:
                raise ValueError("the result is too long")
            out += (value[at:start], new)
            at = end
        return "".join([*out, value[at:]])

    def _matches(self, value: str) -> Iterator[tuple[int, int]]:
        """Where it matches, from left to right; an empty match right behind another does not count."""
        automaton = _Automaton.of(self._tokens)
        starts = _starts(_Automaton.of(self._tokens[::-1]), value)
        at, previous = 0, -1
        while at <= len(value):
            end = _match(automaton, value, at, True) if starts[at] else None
            if end is None or end == at == previous:
                at += 1
                continue
            yield at, end
            at, previous = max(end, at + (end == at)), end


def _tokens(text: str) -> Iterator[_Token]:
    """The pattern's tokens; stars in a row are one."""
    characters = iter(range(len(text)))
    was_star = False
    for i in characters:
        character = text[i]
        if character == "\\":
            following = text[i + 1 : i + 2]
            if following not in ("*", "?", "\\", "}", "/"):
                raise ValueError(f"invalid escape '\\{following or chr(0xFFFD)}'")
            next(characters)
            yield following, False
        elif character != _STAR or not was_star:
            yield character, character in (_STAR, _ANY)
        was_star = character == _STAR


def _match(automaton: _Automaton, value: str, start: int, longest: bool) -> int | None:
    """Where a match from `start` ends."""
    state, found = automaton.start(), None
    for at in range(start, len(value) + 1):
        if state & automaton.end:
            found = at
            if not longest:
                break
        if at == len(value) or not (state := automaton.step(state, value[at])):
            break
    return found


def _starts(backwards: _Automaton, value: str) -> bytearray:
    """For each place in `value` whether a match starts there: one pass from its end."""
    found = bytearray(len(value) + 1)
    start = state = backwards.start()
    for at in range(len(value), -1, -1):
        found[at] = bool(state & backwards.end)
        if at:
            state = backwards.step(state, value[at - 1]) | start
    return found


def _filled(template: str, found: str) -> str:
    return _TEMPLATE.sub(lambda m: "$" if m[1] else found if (m[2] or m[3]) == "0" else "", template)
