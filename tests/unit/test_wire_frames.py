"""DATA frames that follow one another on a stream become one; all else stays as it is, however the bytes are cut."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as some

from dockerlab.wire.frames import Joining

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, LARGEST = 0, 1, 64
Frame = tuple[int, int, int, bytes]  # type, flags, stream, content

_FRAMES = some.lists(
    some.tuples(
        some.sampled_from([DATA, DATA, DATA, HEADERS, 4, 9, 255]),
        some.sampled_from([0, 0, 0, 1, 8, 255]),
        some.integers(1, 3),
        some.one_of(some.binary(max_size=12), some.binary(min_size=LARGEST - 2, max_size=LARGEST + 2)),
    ),
    max_size=40,
)


def written(frames: Sequence[Frame]) -> bytes:
    return b"".join(
        len(content).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + content
        for kind, flags, stream, content in frames
    )


def read(data: bytes) -> list[Frame]:
    frames = []
    while data:
        size = int.from_bytes(data[:3], "big")
        assert len(data) >= 9 + size
        frames.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return frames


def merged(frames: Sequence[Frame]) -> list[Frame]:
    """Neighbours that may be one, as one, however long."""
    found: list[Frame] = []
    for kind, flags, stream, content in frames:
        if found and kind == flags == found[-1][0] == found[-1][1] == 0 and stream == found[-1][2]:
            content = found.pop()[3] + content
        found.append((kind, flags, stream, content))
    return found


@given(frames=_FRAMES, cuts=some.lists(some.integers(0, 800), max_size=12), is_server=some.booleans())
def test_the_same_is_said_in_fewer_frames(frames: list[Frame], cuts: list[int], is_server: bool) -> None:
    joining = Joining(LARGEST, is_server=is_server)
    data = (PREFACE if is_server else b"") + written(frames)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    joined = b"".join(joining.joined(data[start:end]) for start, end in itertools.pairwise(edges))
    if is_server:
        assert joined.startswith(PREFACE)
        joined = joined.removeprefix(PREFACE)
    told = read(joined)
    assert merged(told) == merged(frames)
    assert len(told) <= len(frames)
    assert max((len(content) for *_, content in told), default=0) <= max(LARGEST, *(len(frame[3]) for frame in frames), 0)


def test_small_frames_are_one() -> None:
    small = [(DATA, 0, 5, bytes([number])) for number in range(LARGEST)]
    end = (DATA, 1, 5, b"")
    joined = Joining(LARGEST, is_server=False).joined(written([*small, *small, end]))
    assert read(joined) == [(DATA, 0, 5, bytes(range(LARGEST))), (DATA, 0, 5, bytes(range(LARGEST))), end]


def test_what_is_not_whole_waits_and_what_cannot_be_joined_does_not() -> None:
    joining = Joining(LARGEST, is_server=False)
    whole, headers = written([(DATA, 0, 1, b"abc")]), written([(HEADERS, 4, 1, b"x" * 30)])
    assert joining.joined(whole[:-1]) == b""
    assert joining.joined(whole[-1:] + headers[:20]) == whole + headers[:20]
    assert joining.joined(headers[20:]) == headers[20:]
    too_long = written([(DATA, 0, 1, b"y" * (LARGEST + 1))])
    assert joining.joined(too_long[:15]) == too_long[:15]
