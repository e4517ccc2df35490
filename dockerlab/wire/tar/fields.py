"""The fields of tar's headers: numbers, times and the sum, and the errors for those that are wrong. Pure: bytes in, values out.

Texts of errors are those of Go's archive/tar, which Docker's are.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

from dockerlab.errors import EngineError

BLOCK: Final = 512
LONGEST_FILE: Final = 1 << 60
_LAST_SECOND: Final = 1 << 33


def broken(detail: str) -> EngineError:
    """For a header that is none. detail: what is wrong with it."""
    return EngineError("archive/tar: invalid tar header", evidence=[detail])


def ended() -> EngineError:
    """For an archive that ends too early."""
    return EngineError("unexpected EOF", hint="The archive is not whole.")


def verify_checksum(block: bytes) -> None:
    """Raises EngineError for a header whose sum is wrong."""
    expected = number(block[148:156])
    fields = block[:148] + b"        " + block[156:]
    # Of ASCII alone the sum fits into what Adler-32 sums: a tenth of the time.
    if fields.isascii():
        if (zlib.adler32(fields) & 0xFFFF) - 1 != expected:
            raise broken("a wrong checksum")
        return
    # Old archives summed signed bytes.
    if sum(fields) != expected and sum(byte - 256 if byte > 127 else byte for byte in fields) != expected:
        raise broken("a wrong checksum")


@lru_cache(maxsize=1024)
def number(raw: bytes) -> int:
    """A number of a header: octal text, or GNU's base-256."""
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big")
        bits = len(raw) * 8
        return value - (1 << bits) if raw[0] & 0x40 else value & ((1 << (bits - 1)) - 1)
    text = raw.partition(b"\0")[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise broken(f"{text!r} is not a number") from None


def large(raw: bytes) -> int:
    """A number that seldom comes twice: a size, a time."""
    try:
        return int(raw[:11], 8) if raw[11] in b"\0 " else number(raw)
    except ValueError:
        return number(raw)


def within(number: int, limit: int) -> int:
    """The number, or EngineError for one that is not in `range(limit)`."""
    if not 0 <= number < limit:
        raise broken("a number that is too big, or negative")
    return number


def decimal(text: bytes) -> int:
    """A number of a PAX record."""
    if not text.isdigit() or len(text) > 20:
        raise broken(f"{text[:20]!r} is not a number")
    return int(text)


def seconds(number: int) -> int:
    """A time that every file system's calls take."""
    return max(-_LAST_SECOND, min(number, _LAST_SECOND))


def nanoseconds(text: bytes) -> int:
    """A PAX time: seconds with a decimal fraction, exactly."""
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()) or len(whole) > 12:
        raise broken(f"{text[:20]!r} is not a time")
    value = seconds(int(whole)) * 10**9 + int(fraction[:9].ljust(9, b"0"))
    return -value if text.startswith(b"-") else value
