"""Points in time as the Engine API writes them: RFC 3339 in UTC, nanoseconds without their trailing zeros. Pure, but for `now`."""

from __future__ import annotations

import calendar
import re
import time
from datetime import datetime

_NANO = 1_000_000_000
_DURATION = re.compile(r"([+-]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": _NANO, "m": 60 * _NANO, "h": 3600 * _NANO}
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
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


def moment(text: str, now: int) -> int:
    """A point in time as people give one to a filter: how long ago ("1h30m"), a date or the beginning of one, local unless it
    names its zone, or seconds since 1970. Raises ValueError."""
    if match := _DURATION.fullmatch(text):
        length = sum(int(float(number) * _UNITS[unit]) for number, unit in _PART.findall(match[2]))
        return now + length if match[1] == "-" else now - length
    if match := _DATE.fullmatch(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        fraction, zone = match[7], match[8]
        local = datetime(year, month, day, hour, minute, second)
        if zone:
            return nanoseconds(f"{match[1]}-{match[2]}-{match[3]}T{hour:02}:{minute:02}:{second:02}.{fraction or 0}{zone}")
        return int(local.timestamp()) * _NANO + int((fraction or "").ljust(9, "0"))
    if match := _SECONDS.fullmatch(text):
        return int(match[1]) * _NANO + int((match[2] or "").ljust(9, "0"))
    raise ValueError(f"not a point in time: {text}")
