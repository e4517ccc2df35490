"""The end of a log as it grows, and its colours."""

from __future__ import annotations

import pytest

from dockerlab.containers.following import messages
from dockerlab.containers.tailing import LEFT_OUT, Tail
from dockerlab.faces import ansi
from dockerlab.wire.multiplex import frame


class Clock:
    """Notes how long was waited."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.arrived = 0

    def pause(self, seconds: float) -> None:
        self.waited.append(seconds)

    def arrive(self) -> None:
        self.arrived += 1


def tail(clock: Clock | None = None, *, terminal: bool = False) -> Tail:
    clock = clock or Clock()
    return Tail(terminal=terminal, arrived=clock.arrive, pause=clock.pause)


def said(second: int, text: str, stream: int = 1) -> bytes:
    return frame(stream, f"2026-01-01T00:00:{second:02d}.000000001Z {text}\n".encode())


def test_lines_come_without_their_time_however_they_are_cut() -> None:
    clock = Clock()
    log = tail(clock)
    for byte in said(1, "one") + said(2, "two", stream=2):
        log.feed(bytes((byte,)))
    assert log.take() == ["one", "two"]
    assert log.take() == []
    assert clock.arrived == 1
    log.feed(said(3, "three")[:-1])
    log.end()
    assert log.take() == ["three"]
    assert log.lines == ("one", "two", "three")


def test_a_terminal_has_no_frames() -> None:
    log = tail(terminal=True)
    log.feed(b"2026-01-01T00:00:01.5Z \x1b[31mred\x1b[0m\x1b[2K\r\n2026-01-01T00:00:02.5Z 10 %\r20 %\r\n")
    assert log.lines == ("\x1b[31mred\x1b[0m", "20 %")


def test_a_line_that_is_known_does_not_come_again() -> None:
    log = tail()
    log.feed(said(1, "one") + said(2, "two"))
    log.begin()
    log.feed(said(1, "one") + said(2, "two") + said(3, "three"))
    assert log.lines == ("one", "two", "three")


def test_a_time_without_a_fraction_is_that_of_several_lines() -> None:
    """Podman's: of the same second, those that are known come again before those that are new."""
    log = tail()
    old = frame(1, b"2026-01-01T00:00:01Z one\n") + frame(1, b"2026-01-01T00:00:01Z one\n2026-01-01T00:00:01Z two\n")
    log.feed(frame(1, b"2026-01-01T00:00:00Z zero\n") + old)
    for _ in range(2):
        log.begin()
        log.feed(old)
    log.feed(frame(1, b"2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z one\n"))
    assert log.lines == ("zero", "one", "one", "two", "one", "one")


def test_what_comes_too_fast_waits_and_then_skips_to_the_end() -> None:
    clock = Clock()
    log = tail(clock)
    for _ in range(10):
        assert not log.is_behind
        log.feed(b"".join(said(1, str(i)) for i in range(400)))
    assert log.is_behind
    assert len(clock.waited) == 10
    assert max(clock.waited) <= 0.1
    log.begin()
    assert not log.is_behind
    log.feed(said(9, "the end"))
    assert log.lines[-2:] == (LEFT_OUT, "the end")


def test_a_skip_over_nothing_is_none() -> None:
    log = tail()
    for _ in range(10):
        log.feed(b"".join(said(1, str(i)) for i in range(400)))
    log.begin()
    log.feed(said(1, "399") + said(2, "new"))
    assert log.lines[-2:] == ("399", "new")


def test_endless_lines_are_cut() -> None:
    log = tail()
    for _ in range(100):
        log.feed(frame(1, b"x" * 10_000))
    log.feed(frame(1, b"\n"))
    assert log.lines == ("x" * ansi.LONGEST + " …",)


@pytest.mark.parametrize(
    ("line", "html"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("\x1b[31mred\x1b[0m on", '<span style="color:var(--sgr-1)">red</span> on'),
        ("\x1b[1;4mb\x1b[22m under\x1b[24m", '<span class="sgr-bold sgr-underline">b</span><span class="sgr-underline"> under</span>'),
        ("\x1b[97;44mx", '<span style="color:var(--sgr-15);background-color:var(--sgr-4)">x</span>'),
        ("\x1b[42mx\x1b[49my", '<span style="color:var(--sgr-paper);background-color:var(--sgr-2)">x</span>y'),
        ("\x1b[38;5;208mx", '<span style="color:#ff8700">x</span>'),
        ("\x1b[38;5;244mx", '<span style="color:#808080">x</span>'),
        ("\x1b[38;2;1;2;300mx\x1b[39m\"", '<span style="color:#0102ff">x</span>&quot;'),
        ("\x1b[38mx\x1b[38;5mx\x1b[" + "9" * 5000 + "mx", "xxx"),
    ],
)  # fmt: skip
def test_colours_as_markup(line: str, html: str) -> None:
    assert ansi.html(line) == html


def test_of_escape_sequences_only_colours_are_left() -> None:
    assert ansi.lines_of(b"\x1b]0;title\x07a\x1b[2J\x1b[32mb\x00\n\xff\n\nlast") == ["a\x1b[32mb\ufffd", "\ufffd", "", "last"]
    assert ansi.text(["\x1b[32mb\x1b[0m", "c"]) == "b\nc"


def test_messages_come_whole_however_they_are_cut() -> None:
    found: list[object] = []
    take = messages(found.append)
    for byte in b'{"a": 1}\n\n{"b": {"c": 2}}\n{"d": 3}':
        take(bytes((byte,)))
    assert found == [{"a": 1}, {"b": {"c": 2}}, {"d": 3}]
    found.clear()
    take(b'{"a": 1}{"b": 2} {"c"')
    take(b": 3}\n")
    assert found == [{"a": 1}, {"b": 2}, {"c": 3}]
    for wrong in (b"nonsense\n", b"[1]\n", b"x" * ((1 << 20) + 1)):
        with pytest.raises(ValueError, match=r"."):
            messages(found.append)(wrong)
    assert len(found) == 3
