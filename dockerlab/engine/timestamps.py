"""Points in time as the Engine API writes them: RFC 3339 in UTC, nanoseconds without their trailing zeros. Pure, but for `now`."""

from __future__ import annotations

import calendar
import re
import time

_NANO = 1_000_000_000
_FORM = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))?")

# What stands for "never".
ZERO = "0001-01-01T00:00:00Z"


def text(nanoseconds: int) -> str:
    """Nanoseconds since 1970, as text."""
    seconds, rest = divmod(nanoseconds, _NANO)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"


def now() -> str:
    """This moment, as text."""
    return text(time.time_ns())


def nanoseconds(text: str) -> int:
    """The inverse of `text`; also reads other zones, and none (UTC). Raises ValueError."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"not a point in time: {text}")
    *date, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = (int(part) for part in date)
    seconds = calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0))
    if sign:
        seconds -= (1 if sign == "+" else -1) * (int(hours) * 3600 + int(minutes) * 60)
    return seconds * _NANO + int((fraction or "").ljust(9, "0"))
