"""Text → words, variables replaced: BuildKit's lexer (frontend/dockerfile/shell).

    Lexer().word('"$a"/${b:-x y}', {"a": "1"})     "1/x y"
    Lexer().words("$a 'b c'", {"a": "1 2"})        ("1", "2", "b c")

- `'…'` stands as it is; in `"…"` an escape character counts before `"`, `$` and itself; elsewhere it takes the next character as it is
- `$x`, `${x}`; `${x-w}`, `${x+w}`, `${x?w}`, with a colon also for an empty x; `${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}`, `${x/p/r}`,
  `${x//p/r}` (see `patterns`). The words inside are read by the same rules, but keep their escape characters in patterns
- a name is letters, digits and `_`, or digits alone, or one of `@*#?-$!`; unset is empty
- words end at white space outside of quotes, also at that of a variable's value, but not after `<<`

Text from strangers: nesting is limited, and so is what variables add. Errors are DockerfileError, in BuildKit's texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dockerlab.dockerfile.patterns import Pattern
from dockerlab.errors import DockerfileError

# What Go's unicode.IsSpace takes for a space; Python's isspace() has a few more.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

_PLAIN = re.compile(r"[^\s\\`'\"$<}/\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_SPECIAL = re.compile(r"[\\`'\"$]")
_DEEPEST = 50
_MOST_ADDED = 1 << 20
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # what Go writes for the end of a text


@dataclass(frozen=True, slots=True)
class Expansion:
    """text: the whole as one word. words: cut at spaces. matched, unmatched: names of variables that were looked up.

    has_quotes, has_operators: whether there were quotes, or a `${x…}` with more than a name.
    """

    text: str
    words: tuple[str, ...]
    matched: frozenset[str]
    unmatched: frozenset[str]
    has_quotes: bool
    has_operators: bool


@dataclass(frozen=True, slots=True)
class Lexer:
    """escape: the escape character. raw_quotes, raw_escapes: quotes, escape characters stay. skip_quotes: quotes mean nothing.

    skip_unset: an unset variable stays as it is written.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    skip_quotes: bool = False
    skip_unset: bool = False

    def word(self, text: str, variables: Mapping[str, str]) -> str:
        """`text` with its variables replaced, as one word."""
        return self.expand(text, variables).text if _SPECIAL.search(text) else text

    def words(self, text: str, variables: Mapping[str, str]) -> tuple[str, ...]:
        """`text` with its variables replaced, cut into words."""
        return self.expand(text, variables).words

    def expand(self, text: str, variables: Mapping[str, str]) -> Expansion:
        """Both, and which variables it took."""
        reading = _Reading(self, text, variables)
        try:
            whole = reading.until("", self.raw_escapes, 0)
        except (_Malformed, _TooMuch) as error:
            raise DockerfileError(f"failed to process {quoted(text)}: {error}") from None
        names = frozenset(reading.matched), frozenset(reading.unmatched)
        return Expansion(whole, tuple(reading.words.finished()), *names, reading.has_quotes, reading.has_operators)


def quoted(text: str) -> str:
    """`text` in double quotes, as Go's %q writes it; a long one without its end."""
    return json.dumps(text if len(text) < 1000 else text[:1000] + "…", ensure_ascii=False)


class _Malformed(Exception):
    """Text that the lexer does not take."""


class _TooMuch(Exception):
    """Text that would take too much."""


@dataclass(slots=True)
class _Words:
    """Collects words. Spaces that are given one by one end a word; what is given as a whole is part of one."""

    done: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.pieces.append(text)

    def add_split(self, text: str) -> None:
        for piece in re.split(f"([{SPACE}])", text):
            if piece in SPACE and piece:
                self.end()
            else:
                self.pieces.append(piece)

    def end(self) -> None:
        if word := "".join(self.pieces):
            self.done.append(word)
        self.pieces.clear()

    def finished(self) -> list[str]:
        self.end()
        return self.done


class _Reading:
    """Goes through a text once."""

    def __init__(self, lexer: Lexer, text: str, variables: Mapping[str, str]) -> None:
        self._lexer, self._text, self._variables = lexer, text, variables
        self._at = self._added = 0
        self.words = _Words()
        self.matched, self.unmatched = set[str](), set[str]()
        self.has_quotes = self.has_operators = False

    def until(self, stop: str, raw_escapes: bool, depth: int) -> str:
        """Everything up to the character `stop`, which is read too, or to the end if there is none."""
        words = _Words() if stop else self.words
        out = list[str]()
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == stop:
                self._at += 1
                return "".join(out)
            if run := _PLAIN.match(self._text, self._at):
                self._at = run.end()
                piece = run[0]
                words.add(piece)
            elif character == "$":
                piece = self._dollar(raw_escapes, depth)
                words.add_split(piece)
            elif character in "'\"" and not self._lexer.skip_quotes:
                piece = self._single_quoted() if character == "'" else self._double_quoted(raw_escapes, depth)
                words.add(piece)
            elif character == self._lexer.escape:
                piece = (character if raw_escapes else "") + self._text[self._at + 1 : self._at + 2]
                self._at += 2
                words.add(piece)
            elif character == "<":
                piece = self._less_than()
                words.add(piece)
            else:
                self._at += 1
                piece = character
                if character in SPACE:
                    words.end()
                else:
                    words.add(piece)
            out.append(piece)
        if stop:
            raise _Malformed(f"unexpected end of statement while looking for matching {stop}")
        return "".join(out)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _less_than(self) -> str:
        """`<`, or `<<` with the white space after it, which belongs to a heredoc's word."""
        start = self._at
        self._at += 1
        if self._peek() == "<":
            self._at += 1
            while self._peek() and self._peek() in "\t\r ":
                self._at += 1
        return self._text[start : self._at]

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            self._at = len(self._text)
            raise _Malformed("unexpected end of statement while looking for matching single-quote")
        content, self._at = self._text[self._at + 1 : end], end + 1
        return self._quoted("'", content)

    def _double_quoted(self, raw_escapes: bool, depth: int) -> str:
        self._at += 1
        escape, out = self._lexer.escape, list[str]()
        while character := self._peek():
            if character == "$":
                out.append(self._dollar(raw_escapes, depth))
                continue
            self._at += 1
            if character == '"':
                return self._quoted('"', "".join(out))
            if character == escape and self._peek() and self._peek() in ('"', "$", escape):
                character = (escape if raw_escapes else "") + self._next()
            out.append(character)
        raise _Malformed("unexpected end of statement while looking for matching double-quote")

    def _quoted(self, mark: str, content: str) -> str:
        self.has_quotes = True
        return f"{mark}{content}{mark}" if self._lexer.raw_quotes else content

    def _dollar(self, raw_escapes: bool, depth: int) -> str:
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return f"${name}" if value is None and self._lexer.skip_unset else value or ""
        self._at += 1
        if depth >= _DEEPEST:
            raise _TooMuch(f"more than {_DEEPEST} substitutions in one another")
        if not self._peek():
            raise _Malformed("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise _Malformed("syntax error: bad substitution")
        name = self._name()
        operator = self._next()
        if operator == "}":
            value = self._value(name)
            return f"${{{name}}}" if value is None and self._lexer.skip_unset else value or ""
        self.has_operators = True
        if operator == "/":
            return self._replacement(name, depth + 1)
        if operator == ":":
            operator += self._next()
        if not operator or operator[0] not in ":+-?#%" or operator in (":#", ":%", ":/"):
            raise _Malformed(f"unsupported modifier ({operator or _UNKNOWN}) in substitution")
        is_pattern = operator[-1] in "#%"
        word = self._inner("}", is_pattern, depth + 1, "syntax error: missing '}'")
        value = self._value(name)
        if value is None and self._lexer.skip_unset:
            return f"${{{name}{operator}{word}}}"
        return self._operated(name, operator, word, value)

    def _operated(self, name: str, operator: str, word: str, value: str | None) -> str:
        is_missing = value is None or (operator[0] == ":" and not value)
        match operator[-1]:
            case "-":
                return word if is_missing else value or ""
            case "+":
                return "" if is_missing else word
            case "?" if is_missing:
                raise _Malformed(f"{name}: {word or 'is not allowed to be ' + ('unset' if value is None else 'empty')}")
            case "?":
                return value or ""
            case "#" | "%" as side:
                is_longest = word.startswith(side)
                pattern = _pattern(word[is_longest:])
                cut = pattern.without_prefix if side == "#" else pattern.without_suffix
                return cut(value or "", longest=is_longest)
        raise _Malformed(f"unsupported modifier ({operator}) in substitution")

    def _replacement(self, name: str, depth: int) -> str:
        mark = "//" if self._peek() == "/" else "/"
        self._at += len(mark) - 1
        word = self._inner("/", True, depth, "syntax error: missing '/' in ${}")
        new = self._inner("}", True, depth, "syntax error: missing '}'")
        value = self._value(name)
        if value is None and self._lexer.skip_unset:
            return f"${{{name}{mark}{word}/{new}}}"
        pattern = _pattern(word)
        replace = pattern.all_replaced if mark == "//" else pattern.replaced
        value = value or ""
        try:
            result = replace(value, new, max(len(value), _MOST_ADDED))
        except ValueError as error:
            raise _TooMuch(error) from None
        self._add(len(result) - len(value))
        return result

    def _inner(self, stop: str, raw_escapes: bool, depth: int, missing: str) -> str:
        """The word inside of a substitution. missing: the error where the text ends before it does."""
        try:
            return self.until(stop, raw_escapes, depth)
        except _Malformed:
            if self._at < len(self._text):
                raise
            raise _Malformed(missing) from None

    def _name(self) -> str:
        start = self._at
        first = self._peek()
        if first and first in "@*#?-$!":
            self._at += 1
        elif first.isdecimal():
            while self._peek().isdecimal():
                self._at += 1
        else:
            while (character := self._peek()) and (character == "_" or character.isalpha() or character.isdecimal()):
                self._at += 1
        return self._text[start : self._at]

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        self._add(len(value or ""))
        return value

    def _add(self, length: int) -> None:
        self._added += max(length, 0)
        if self._added > _MOST_ADDED:
            raise _TooMuch(f"variables add more than {_MOST_ADDED} characters")


def _pattern(text: str) -> Pattern:
    try:
        return Pattern(text)
    except ValueError as error:
        raise _Malformed(f"invalid pattern ({text}) in substitution: {error}") from None
