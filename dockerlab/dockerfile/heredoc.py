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

from dockerlab.dockerfile.words import Lexer
from dockerlab.errors import DockerfileError

_OPENING = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)")
_RAW = Lexer(raw_quotes=True, raw_escapes=True, skip_unset=True)
_NAME = Lexer(skip_unset=True)


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
        words = _RAW.words(text, {})
    except DockerfileError:
        return ()
    return tuple(found for word in words if (found := opening(word)))


def opening(word: str) -> Heredoc | None:
    """The heredoc that a word opens, if it does."""
    match = _OPENING.fullmatch(word)
    if not match:
        return None
    try:
        name = _NAME.expand(match[3], {})
    except DockerfileError:
        return None
    if len(name.words) != 1 or name.has_operators:
        return None
    descriptor = int(match[1]) if 0 < len(match[1]) < 10 else 0
    return Heredoc(name.words[0], "", match[2] == "-", not name.has_quotes, descriptor)
