"""The heredocs that an instruction opens: `RUN <<EOF`, `COPY <<-'END' <<"a b" /to/`.

They are found among the instruction's words, cut as BuildKit's lexer (frontend/dockerfile/shell) cuts them: by its own rules for
quotes, escapes and `$`, and with the backslash whatever the escape directive says. The consequences, all seen on Docker Engine 28:

- a quote or a `${` that is not closed, anywhere in the instruction: no heredoc at all (`RUN echo it's <<EOF`)
- white space after `<<` belongs to the word (`<< EOF`), but not after `<<-`
- a quoted part of the name, even an empty one, leaves the content as it is; else variables in it are expanded
- `<<$EOF` ends at a line `$EOF`; a name with `${EOF:-x}` is none
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What Go's unicode.IsSpace takes for a space; Python's isspace() has a few more.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

_OPENING = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)")
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Heredoc:
    """name: its terminator, without quotes. content: the lines up to that, as they stand, with their ends.

    chomp: `<<-`, leading tabs of the content do not count. expand: variables in the content are expanded. file_descriptor: 3 in
    `3<<EOF`, else 0.
    """

    name: str
    content: str
    chomp: bool
    expand: bool
    file_descriptor: int = 0


def openings(text: str) -> tuple[Heredoc, ...]:
    """The heredocs that an instruction opens, their contents still empty. text: the instruction, its continuations joined."""
    if "<<" not in text:
        return ()
    try:
        words = _Lexer(text, is_raw=True).words()
    except _Malformed:
        return ()
    return tuple(opening for word in words if (opening := _opening(word)))


def _opening(word: str) -> Heredoc | None:
    match = _OPENING.fullmatch(word)
    if not match:
        return None
    lexer = _Lexer(match[3], is_raw=False)
    try:
        names = lexer.words()
    except _Malformed:
        return None
    if len(names) != 1 or lexer.has_modifier:
        return None
    descriptor = int(match[1]) if 0 < len(match[1]) < 10 else 0
    return Heredoc(names[0], "", match[2] == "-", not lexer.has_quotes, descriptor)


class _Malformed(Exception):
    """A quote or a `${` without its end, or a substitution that BuildKit does not know."""


class _Lexer:
    """Cuts text into words, variables left as they are. is_raw: quotes and escapes are left too."""

    def __init__(self, text: str, *, is_raw: bool) -> None:
        self._text, self._at, self._is_raw = text, 0, is_raw
        self.has_quotes = self.has_modifier = False

    def words(self) -> list[str]:
        words, word = [], ""
        while self._peek():
            piece, is_one = self._piece(1)
            # A space in a substitution ends a word too, as in `${x:-a b}`; a quoted or an escaped one does not.
            for part in (piece,) if is_one else piece:
                if is_one or part not in SPACE:
                    word += part
                elif word:
                    words.append(word)
                    word = ""
        return [*words, word] if word else words

    def _piece(self, depth: int) -> tuple[str, bool]:
        """What comes next, and whether spaces in it belong to the word."""
        character = self._next()
        if character == "'":
            return self._single_quoted(), True
        if character == '"':
            return self._double_quoted(depth), True
        if character == "$":
            return self._dollar(depth), False
        if character == "\\":
            return ("\\" if self._is_raw else "") + self._next(), True
        if character == "<" and self._peek() == "<":
            start = self._at - 1
            self._at += 1
            while self._peek() and self._peek() in "\t\r ":
                self._at += 1
            return self._text[start : self._at], True
        return character, False

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _quoted(self, mark: str, content: str) -> str:
        self.has_quotes = True
        return f"{mark}{content}{mark}" if self._is_raw else content

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at)
        if end < 0:
            raise _Malformed
        content, self._at = self._text[self._at : end], end + 1
        return self._quoted("'", content)

    def _double_quoted(self, depth: int) -> str:
        content = ""
        while character := self._next():
            if character == '"':
                return self._quoted('"', content)
            if character == "$":
                content += self._dollar(depth)
            elif character == "\\" and self._peek() and self._peek() in '"$\\':
                content += ("\\" if self._is_raw else "") + self._next()
            else:
                content += character
        raise _Malformed

    def _dollar(self, depth: int) -> str:
        """A variable, as written: `$x`, `${x}`, `${x:-word}`."""
        start = self._at - 1
        if self._peek() != "{":
            self._name()
            return self._text[start : self._at]
        self._at += 1
        if depth > _DEEPEST or self._peek() in ("", "{", "}", ":"):
            raise _Malformed
        self._name()
        operator = self._next()
        if operator == ":":
            self._at += 1
        elif operator == "/":
            self._at += self._peek() == "/"
            self._skip_to("/", depth)
        elif operator not in ("}", "+", "-", "?", "#", "%"):
            raise _Malformed
        if operator != "}":
            self.has_modifier = True
            self._skip_to("}", depth)
        return self._text[start : self._at]

    def _skip_to(self, stop: str, depth: int) -> None:
        while self._peek() != stop:
            if not self._peek():
                raise _Malformed
            self._piece(depth + 1)
        self._at += 1

    def _name(self) -> None:
        """Goes past a variable's name: letters, digits and `_`, or only digits, or one special parameter."""
        first = self._peek()
        if first.isdecimal():
            while self._peek().isdecimal():
                self._at += 1
        elif first and first in "@*#?-$!":
            self._at += 1
        else:
            while self._peek().isalpha() or self._peek().isdecimal() or self._peek() == "_":
                self._at += 1
