"""Durations as Go writes them: `1h30m`, `500ms`, `1.5s`. Pure."""

from __future__ import annotations

import re

from dockerlab.dockerfile.refusal import Refused
from dockerlab.dockerfile.words import quoted

_HINT = "A time is a number with a unit: 30s, 1m30s, 500ms."
_NUMBER = re.compile(r"([0-9]*)(?:\.([0-9]*))?")
_UNIT = re.compile(r"[^0-9.]+")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\N{MICRO SIGN}s": 10**3,
    "\N{GREEK SMALL LETTER MU}s": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_LONGEST = (1 << 63) - 1


def duration(text: str) -> int:
    """Nanoseconds. Raises Refused, in the texts of Go's time.ParseDuration."""
    rest = text[text[:1] in ("+", "-") :]
    if rest == "0":
        return 0
    total = 0
    if not rest or len(rest) > 100:
        raise _wrong(f"invalid duration {quoted(text)}", text)
    while rest:
        number = _NUMBER.match(rest)
        assert number  # it matches nothing, too
        whole, part = number[1], number[2] or ""
        if not whole and not part:
            raise _wrong(f"invalid duration {quoted(text)}", text)
        unit = _UNIT.match(rest, number.end())
        if not unit:
            raise _wrong(f"missing unit in duration {quoted(text)}", text)
        if unit[0] not in _NANOSECONDS:
            raise _wrong(f"unknown unit {quoted(unit[0])} in duration {quoted(text)}", text)
        total += int(f"{whole}{part}") * _NANOSECONDS[unit[0]] // 10 ** len(part)
        rest = rest[unit.end() :]
    if total > _LONGEST:
        raise _wrong(f"invalid duration {quoted(text)}", text)
    return -total if text.startswith("-") else total


def _wrong(message: str, text: str) -> Refused:
    return Refused(f"time: {message}", at=text, hint=_HINT)
