"""`.dockerignore`: which paths of a build context stay out. The rules are those of moby/patternmatcher, as a walk applies them.

- one pattern a line; `#` at a line's very start is a comment; white space and slashes around it do not count, `a/../b` is `b`
- `*` and `?` match within a component, `**` any number of them, `[a-z]` and `[^a]` one character; `\\` takes the next as it is
- a pattern that matches a folder matches all that is in it
- `!pattern` takes back; the last pattern that matches decides. It takes back what an earlier line excluded *at that path*: after
  `a/b` and `!a`, `a/b` is still out, because `!a` had nothing to take back when the walk came by `a`

Pure: nothing is read from disk. Separators are `/` on every platform, as for BuildKit in the engine.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from dockerlab.dockerfile.excerpt import excerpt
from dockerlab.errors import ContextError

_WILD = re.compile(r"[*?\[\]\\]")
_TOKEN = re.compile(r"\*\*/?|\\.|.", re.DOTALL)
_MEMBER = r"(?:\\.|[^\]\\-])"
_CLASS = re.compile(rf"\[(?P<negation>\^?)(?P<ranges>(?:{_MEMBER}(?:-{_MEMBER})?)+)\]", re.DOTALL)
_RANGE = re.compile(rf"({_MEMBER})(?:-({_MEMBER}))?", re.DOTALL)
_LONGEST = 4096  # characters of a path


@dataclass(frozen=True, slots=True)
class _Pattern:
    """text: cleaned, without its `!`. regex: matches the whole of a path."""

    text: str
    is_exception: bool
    regex: re.Pattern[str]


class Ignore:
    """A `.dockerignore`, compiled. Paths are relative to the context, with `/`.

    Raises ContextError for a line that is no pattern, as an engine does.
    """

    def __init__(self, text: str) -> None:
        self._take(_patterns(text))

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Ignore:
        """The same rules for patterns that are not lines of a file: no comments, nothing to clean. Raises ContextError."""
        found = cls("")
        found._take(_pattern(text) for text in patterns)
        return found

    def _take(self, patterns: Iterable[_Pattern]) -> None:
        self._patterns = tuple(patterns)
        self._exceptions = tuple(pattern for pattern in self._patterns if pattern.is_exception)
        self._folders: dict[str, tuple[bool, ...]] = {}

    def excludes(self, path: str) -> bool:
        """Whether `path` stays out of the build context."""
        return path not in ("", ".") and self._judge(path, self._folder(path.rpartition("/")[0]))[0]

    def names(self, path: str) -> bool:
        """Whether a path as it is written, or a folder above it, is excluded; `.` is a path like any other, and need not be there."""
        above = posixpath.normpath(posixpath.dirname(path)) if len(path) < _LONGEST else "."
        folders = accumulate(above.split("/"), lambda folder, name: f"{folder}/{name}") if above != "." else ()
        paths, excluded = (path, *folders), False
        for pattern in self._patterns:
            if pattern.is_exception == excluded and any(pattern.regex.fullmatch(one) for one in paths):
                excluded = not pattern.is_exception
        return excluded

    def may_hold_exceptions(self, directory: str) -> bool:
        """Whether something in an excluded folder may be taken back by a `!`: only then must a walk look into it."""
        return any(_may_match_inside(pattern, directory) for pattern in self._exceptions)

    def may_match_inside(self, directory: str) -> bool:
        """Whether something in a folder that does not match may match: only then must a walk that seeks matches look into it."""
        return any(_may_match_inside(pattern, directory) for pattern in self._patterns)

    def _folder(self, directory: str) -> tuple[bool, ...]:
        """For each pattern whether it has matched `directory` or a folder above it; () for the context itself."""
        matched: tuple[bool, ...] = ()
        end = 0 if directory else -1
        while end >= 0:
            end = directory.find("/", end + 1)
            folder = directory if end < 0 else directory[:end]
            if folder not in self._folders:
                self._folders[folder] = self._judge(folder, matched)[1]
            matched = self._folders[folder]
        return matched

    def _judge(self, path: str, parent: tuple[bool, ...]) -> tuple[bool, tuple[bool, ...]]:
        """Whether `path` is excluded, and which patterns match it or a folder above it. parent: those that match its folder."""
        excluded, found = False, []
        for index, pattern in enumerate(self._patterns):
            matches = bool(parent) and parent[index]
            # Where it would not change the answer a pattern is not tried, and so does not count for what is in the folder either.
            if not matches and pattern.is_exception == excluded:
                matches = pattern.regex.fullmatch(path) is not None
            if matches:
                excluded = not pattern.is_exception
            found.append(matches)
        return excluded, tuple(found)


def _may_match_inside(pattern: _Pattern, directory: str) -> bool:
    """Whether a pattern may match a path inside `directory`; yes where it cannot be told: classes and escapes may hold a `/`."""
    wanted, parts = pattern.text.split("/"), directory.split("/")
    for want, part in zip(wanted, parts, strict=False):
        component = _component(want)
        if component is None:
            return True
        if not component.fullmatch(part):
            return False
    return len(wanted) > len(parts)


@lru_cache(1024)
def _component(text: str) -> re.Pattern[str] | None:
    """A pattern for one name; None where it may be for more than that."""
    return None if "**" in text or "[" in text or "\\" in text else re.compile(_regex(text), re.DOTALL)


def _patterns(text: str) -> Iterator[_Pattern]:
    lines = text.removeprefix("\ufeff").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.startswith("#") or not line.strip():
            continue
        try:
            yield _compiled(_clean(line))
        except ValueError as error:
            raise ContextError(
                f"line {number} of .dockerignore is no pattern: {error}",
                place=excerpt([line.rstrip("\r") for line in lines], number),
                hint="Folders are separated by /. A \\ takes one of *?[]\\! as it is.",
            ) from error


def _compiled(text: str) -> _Pattern:
    """Raises ValueError for what is no pattern."""
    is_exception = text.startswith("!")
    if text == "!":
        raise ValueError("a ! without a pattern")
    text = text[1:] if is_exception else text
    return _Pattern(text, is_exception, re.compile(_regex(text), re.DOTALL))


def _pattern(text: str) -> _Pattern:
    try:
        return _compiled(text)
    except ValueError as error:
        raise ContextError(f"'{text}' is no pattern: {error}", hint="Folders are separated by /.") from error


def _clean(line: str) -> str:
    """A pattern as a walk's paths are: relative, without `.`, `..` and needless slashes; a `!` stays in front."""
    pattern = line.strip()
    mark = "!" if pattern.startswith("!") else ""
    pattern = pattern.removeprefix("!").strip()
    if pattern:
        pattern = posixpath.normpath(pattern)
        pattern = pattern.lstrip("/") or "/"
    # Twice, as in moby: first the line by itself, then with its mark.
    return posixpath.normpath((mark + pattern).strip())


def _regex(pattern: str) -> str:
    """The pattern as a regular expression for a whole path. Raises ValueError for what is no pattern."""
    rest = pattern.removeprefix("**")
    if rest != pattern and not _WILD.search(rest):
        # Alone and in front, `**` takes part of a name too: `**file` matches `myfile`, where `**f*le` does not.
        return f".*{re.escape(rest)}" + (f"|{re.escape(rest[1:])}" if rest.startswith("/") else "")
    out, at = "", 0
    while match := _TOKEN.match(pattern, at):
        token, start, at = match[0], at, match.end()
        if token.startswith("**"):
            out += ".*" if at == len(pattern) else "(?:.*/)?"
        elif token == "*":
            out += "[^/]*"
        elif token == "?":
            out += "[^/]"
        elif token == "[":
            regex, at = _class(pattern, start)
            out += regex
        else:
            out += re.escape(_character(token))
    return out


def _class(pattern: str, start: int) -> tuple[str, int]:
    """A character class as a regular expression, and where it ends."""
    match = _CLASS.match(pattern, start)
    if not match:
        raise ValueError("a [ without a class of characters and a ] after it")
    out = ""
    for part in _RANGE.finditer(match["ranges"]):
        low, high = _character(part[1]), _character(part[2] or "")
        if high and low > high:
            raise ValueError(f"the range {low}-{high} is empty")
        out += re.escape(low) + (f"-{re.escape(high)}" if high else "")
    return f"[{match['negation']}{out}]", match.end()


def _character(token: str) -> str:
    """The character that a token stands for: itself, or what a backslash escapes, which is no letter and no digit."""
    if len(token) < 2:
        if token == "\\":
            raise ValueError("a \\ at its end")
        return token
    if token[1].isalnum() or not token.isascii():
        raise ValueError(f"a \\ before '{token[1]}', which needs none")
    return token[1]
