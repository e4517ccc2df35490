"""The place of an error: lines with their numbers, and a caret.

    4 | COPY nofile /
      |      ^

Every line is safe to print: tabs are set as spaces, and what cannot be seen (control characters, foreign spaces, zero-width marks)
is shown as `�`, since such a character is often the error. The caret counts in columns of a terminal, where an East Asian wide
character takes two and a combining mark none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_LINES = 6
_TAB = 4
_WIDTH = 160


def excerpt(source: Sequence[str], line: int, end_line: int | None = None, column: int | None = None) -> tuple[str, ...]:
    """Lines `line` to `end_line` with their numbers, and under the first a caret.

    source: all lines, without their ends. line, end_line: 1-based, end_line included. column: 0-based, in characters of the first
    line; without one, and for one in the indentation, the caret stands under the line's first character that is no space.

    Of a long instruction the first lines are shown, of a long line its beginning. () where `source` has no such line.
    """
    last = min(max(end_line or line, line), len(source))
    shown = source[line - 1 : min(last, line - 1 + _LINES)] if line > 0 else ()
    if not shown:
        return ()
    hidden = last - (line - 1) - len(shown)
    margin = len(str(line - 1 + len(shown)))
    first = shown[0]
    indent = len(first) - len(first.lstrip(" \t"))
    before = _shown(first[: max(column or 0, indent)])
    caret = sum(_cells(character) for character in before)
    # A caret far to the right is still under its character.
    width = max(_WIDTH, len(before) + 20)
    lines = [f"{number:>{margin}} | {_cut(_shown(text), width)}".rstrip() for number, text in enumerate(shown, start=line)]
    lines.insert(1, f"{'':>{margin}} | {' ' * caret}^")
    if hidden:
        lines.append(f"{'':>{margin}} | … {hidden} more line{'s' if hidden > 1 else ''}")
    return tuple(lines)


def _shown(text: str) -> str:
    """`text` with its tabs set as spaces, and a mark for every character that cannot be seen."""
    out, column = "", 0
    for character in text:
        if character == "\t":
            character = " " * (_TAB - column % _TAB)
        elif not character.isprintable():
            character = "\N{REPLACEMENT CHARACTER}"
        out += character
        column += sum(_cells(c) for c in character)
    return out


def _cells(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
