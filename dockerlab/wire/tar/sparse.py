"""Where the data of a sparse file is, in the four forms that GNU tar has for it: its manual, "Storing Sparse Files".

Offsets and lengths stand one after the other, until they are checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dockerlab.wire.tar.data import Data, Input
from dockerlab.wire.tar.fields import BLOCK, LONGEST_FILE, broken, decimal, number, within

_MOST_SEGMENTS: Final = 1 << 17


def old_gnu_map(block: bytes, source: Input) -> list[int]:
    """The map of GNU's own format: four segments in the header, 21 in each block that continues it."""
    numbers: list[int] = []
    fields, more = block[386:482], block[482]
    while True:
        for at in range(0, len(fields) - len(fields) % 24, 24):
            if fields[at : at + 12].strip(b"\0"):
                numbers += [number(fields[at : at + 12]), number(fields[at + 12 : at + 24])]
        if not more:
            return numbers
        if len(numbers) > 2 * _MOST_SEGMENTS:
            raise broken("a sparse file in too many pieces")
        following = source.exactly(BLOCK)
        fields, more = following[:504], following[504]


def pax_map(records: Mapping[str, bytes], segments: list[int], data: Data, stored: int) -> tuple[list[int] | None, int]:
    """The sparse map of GNU's formats in PAX: 0.0 (repeated keys), 0.1 (one key), 1.0 (before the data)."""
    version = (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor"))
    real_size = records.get("GNU.sparse.realsize", records.get("GNU.sparse.size"))
    if real_size is None:
        return None, stored
    if version == (b"1", b"0"):
        return _map_before_data(data), decimal(real_size)
    if "GNU.sparse.map" in records:
        text = records["GNU.sparse.map"]
        return [decimal(number) for number in text.split(b",")] if text else [], decimal(real_size)
    return segments, decimal(real_size)


def _map_before_data(data: Data) -> list[int]:
    buffer = bytearray()
    numbers: list[int] = []
    wanted = 1
    while len(numbers) < wanted:
        line, newline, rest = buffer.partition(b"\n")
        if not newline:
            if len(buffer) > BLOCK:
                raise broken("a sparse map that is none")
            buffer += data.exactly(BLOCK)
            continue
        buffer = rest
        numbers.append(decimal(bytes(line)))
        if len(numbers) == 1:
            if numbers[0] > _MOST_SEGMENTS:
                raise broken("a sparse file in too many pieces")
            wanted = 1 + 2 * numbers[0]
    return numbers[1:]


def checked(numbers: Sequence[int], size: int, data: Data) -> tuple[tuple[int, int], ...]:
    """Pairs in order, inside the file, together as long as the data."""
    pairs = [(offset, length) for offset, length in zip(numbers[::2], numbers[1::2], strict=False) if length]
    end = 0
    for offset, length in pairs:
        if offset < end or length < 0:
            raise broken("a sparse map out of order")
        end = offset + length
    if len(numbers) % 2 or end > size or sum(length for _, length in pairs) != data.left:
        raise broken("a sparse map that does not fit its file")
    within(size, LONGEST_FILE)
    return tuple(pairs)
