"""Sizes, times, ids and terminal text, as people read them."""

from __future__ import annotations

import re

# Escape sequences of a terminal (ECMA-48): CSI …, OSC … (ended by BEL or ST), and the two-character ones.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_].*?\x1b\\|[ -/]*[0-~])", re.DOTALL)


def size(count: int) -> str:
    """Bytes in decimal units as Docker prints them: `0 B`, `132 B`, `11.2 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 999.5 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def seconds(duration: float) -> str:
    """A duration: `0.0 s`, `2.4 s`, `1 m 05 s`, `3 h 20 m`, `2 d 4 h`."""
    if duration < 59.95:
        return f"{max(duration, 0):.1f} s"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def short_id(identifier: str) -> str:
    """The first 12 digits of an id or a digest, without its algorithm."""
    return identifier.rpartition(":")[2][:12]


def plain(text: str) -> str:
    """Terminal output as lines of plain text: escape sequences gone, what `\\r` and backspace overwrote gone, other controls shown."""
    lines = []
    for line in _ESCAPES.sub("", text).split("\n"):
        line = line.rstrip("\r")
        if "\r" in line:
            line = next((part for part in reversed(line.split("\r")) if part), "")
        while "\b" in line:
            line = re.sub(r"(?:^|[^\b])\b", "", line, count=1)
        lines.append("".join(c if c == "\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line))
    return "\n".join(lines)


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` characters, its end replaced by `…` where it is longer."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
