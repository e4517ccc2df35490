"""Text → nodes, one an instruction, each with its lines. Reads as BuildKit's parser does (frontend/dockerfile/parser).

    # syntax=…, # escape=…, # check=…    parser directives: comments at the top, until the first line that is none
    RUN a \\                              a continuation; comments and blank lines inside it are skipped, indentation is kept
        && b
    COPY <<EOF /x                        heredocs, of RUN, COPY and ADD, also behind ONBUILD

Lines end at a newline, with or without a carriage return; a byte order mark does not count. An unknown keyword is a node like any
other: the engine judges. An error is only what no engine can take: no instruction, a wrong escape directive, a heredoc without end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from dockerlab.dockerfile.excerpt import excerpt
from dockerlab.dockerfile.heredoc import Heredoc, openings
from dockerlab.dockerfile.words import SPACE
from dockerlab.errors import DockerfileError

DIRECTIVES = ("syntax", "escape", "check")
ESCAPES = ("\\", "`")

_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*")
_KEYWORD_END = re.compile(r"[\t\v\f\r ]+")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_JSON_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
_EXEC_FORM = re.compile(rf"\[[ \t\r\n]*(?:{_JSON_STRING}[ \t\r\n]*(?:,[ \t\r\n]*{_JSON_STRING}[ \t\r\n]*)*)?\]")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class Node:
    """An instruction.

    keyword: in upper case. line, end_line: 1-based, heredocs included. text: the instruction with its continuations joined, without
    the content of heredocs. flags: `--from=build`, quotes gone. arguments: what follows the keyword and its flags. comments: the
    comment lines above it, without their mark.
    """

    keyword: str
    line: int
    end_line: int
    text: str
    flags: tuple[str, ...]
    arguments: str
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """source: the lines of the text, without their ends. escape: `\\` or a backtick. directives: name → value."""

    nodes: tuple[Node, ...]
    source: tuple[str, ...]
    escape: str = "\\"
    directives: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)


def parse(text: str) -> Dockerfile:
    """The instructions of a Dockerfile.

    Raises DockerfileError: no instruction, an escape directive that is wrong or repeated, a heredoc without its end.
    """
    return _Parser(_LINE.findall(text.removeprefix("\ufeff"))).parse()


class _Parser:
    """Goes through the lines once. lines: with their ends."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._source = tuple(line.rstrip("\r\n") for line in lines)
        self._read = 0
        self._escape = "\\"

    def parse(self) -> Dockerfile:
        directives = self._directives()
        self._escape = directives.get("escape", self._escape)
        nodes, comments = [], list[str]()
        while self._read < len(self._lines):
            line = self._next().lstrip(SPACE)
            if line.startswith("#"):
                comment = line[1:].strip(SPACE)
                comments.append(comment) if comment else comments.clear()
                continue
            start = self._read
            line, is_whole = self._continuation(line)
            if is_whole and not line:
                continue
            while not is_whole and self._read < len(self._lines):
                following = self._next()
                if following.lstrip(SPACE)[:1] not in ("", "#"):
                    following, is_whole = self._continuation(following)
                    line += following
            nodes.append(self._node(line, start, tuple(comments)))
            comments.clear()
        if not nodes:
            raise DockerfileError(
                "the Dockerfile is empty: it has no instruction", hint="A Dockerfile starts from an image: FROM python:3.10"
            )
        return Dockerfile(tuple(nodes), self._source, self._escape, MappingProxyType(directives))

    def _next(self) -> str:
        self._read += 1
        return self._source[self._read - 1]

    def _directives(self) -> dict[str, str]:
        """The parser directives; the lines up to the last of them are read then."""
        found: dict[str, str] = {}
        while self._read < len(self._source):
            line = self._source[self._read].lstrip(SPACE)
            match = _DIRECTIVE.fullmatch(line[1:].lstrip(SPACE)) if line.startswith("#") else None
            if not match or match[1].lower() not in DIRECTIVES:
                break
            self._read += 1
            name, value = match[1].lower(), match[2]
            if name == "escape" and name in found:
                raise self._error("the escape directive stands here twice", self._read, "Leave one of them out.")
            if name == "escape" and value not in ESCAPES:
                raise self._error(
                    f"the escape directive takes \\ or `, not '{value}'", self._read, "Write # escape=` or leave it out."
                )
            found.setdefault(name, value)
        return found

    def _continuation(self, line: str) -> tuple[str, bool]:
        """The line without the escape character that continues it, and whether there was none. A doubled one continues nothing."""
        body = line.rstrip(" \t")
        is_whole = not body.endswith(self._escape) or body.endswith(self._escape * 2)
        return (line, True) if is_whole else (body[:-1], False)

    def _node(self, text: str, start: int, comments: tuple[str, ...]) -> Node:
        keyword, flags, arguments = split(text)
        heredocs = (
            tuple(self._filled(opening, start) for opening in openings(text)) if _may_open_heredocs(keyword, arguments) else ()
        )
        return Node(keyword, start, self._read, text, flags, arguments, heredocs, comments)

    def _filled(self, opening: Heredoc, start: int) -> Heredoc:
        """A heredoc with its content, which begins at the next line."""
        first = self._read
        while self._read < len(self._lines):
            line = self._next()
            if (line.lstrip("\t") if opening.chomp else line) == opening.name:
                content = "".join(self._lines[first : self._read - 1])
                return Heredoc(opening.name, content, opening.chomp, opening.expand, opening.file_descriptor)
        hint = f"Put {opening.name} alone on the line after its last one."
        raise self._error(f"the heredoc {opening.name} has no end", start, hint, "<<")

    def _error(self, message: str, line: int, hint: str, at: str = "") -> DockerfileError:
        place = excerpt(self._source, line, column=max(self._source[line - 1].find(at), 0))
        return DockerfileError(f"line {line}: {message}", line=line, place=place, hint=hint)


def split(text: str) -> tuple[str, tuple[str, ...], str]:
    """Keyword, flags and arguments of an instruction."""
    keyword, *rest = _KEYWORD_END.split(text.strip(SPACE), maxsplit=1)
    flags, arguments = _flags(rest[0]) if rest else ((), "")
    # Only ASCII: upper() makes an I of a dotless one too, and that is no instruction's.
    return keyword.upper() if keyword.isascii() else keyword, flags, arguments


def _may_open_heredocs(keyword: str, arguments: str) -> bool:
    """Whether `<<` means something in an instruction: RUN, COPY and ADD, also behind one ONBUILD, but not in their exec form."""
    if keyword == "ONBUILD":
        keyword, _, arguments = split(arguments)
    return keyword in _WITH_HEREDOCS and not _EXEC_FORM.fullmatch(arguments)


def _flags(text: str) -> tuple[tuple[str, ...], str]:
    """The leading words that start with `--`, and the rest. Quotes and backslashes keep a word together, and stay out of it.

    As in BuildKit, it is always the backslash, and a word `--` ends the flags.
    """
    flags: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at] in SPACE:
            at += 1
        if not text.startswith("--", at):
            return tuple(flags), text[at:].strip(SPACE)
        word, quote = "", ""
        while at < len(text) and (quote or text[at] not in SPACE):
            character = text[at]
            at += 1
            if character == "\\":
                word += text[at : at + 1]
                at += 1
            elif quote and character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote = character
            else:
                word += character
        if word == "--":
            return tuple(flags), text[at:].strip(SPACE)
        flags.append(word)
