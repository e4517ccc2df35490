"""Stages side by side: who waits for whom, what is told in which order, how one that fails ends the others; tapes, caches, cancellation."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab.engine.building import tape as tapes
from dockerlab.engine.building.caches import Caches
from dockerlab.engine.building.cancellation import Cancellation, Cancelled
from dockerlab.engine.building.schedule import Schedule
from dockerlab.engine.building.tape import Tape
from dockerlab.engine.home import Home

SECONDS = 20


def told(schedule: Schedule) -> bytes:
    return b"".join(schedule.messages())


def test_stages_are_told_in_order_though_they_end_in_another(tmp_path: Path) -> None:
    last_is_done = threading.Event()

    def work(index: int, tape: Tape) -> None:
        if index == 0:
            assert last_is_done.wait(SECONDS)
        tape.write(f"{index} ".encode())
        if index == 2:
            last_is_done.set()

    assert told(Schedule({0: (), 2: (), 3: (0, 2)}, work, Cancellation(), tmp_path)) == b"0 2 3 "


def test_a_stage_waits_for_those_that_it_needs(tmp_path: Path) -> None:
    done: list[int] = []

    def work(index: int, tape: Tape) -> None:
        done.append(index)

    told(Schedule({0: (), 1: (0,), 2: (1,), 3: (0, 2)}, work, Cancellation(), tmp_path))
    assert done == [0, 1, 2, 3]


def test_one_whose_reader_waits_goes_on_though_others_take_all_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapes, "_AHEAD", 100)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    begun = threading.Barrier(2)

    def work(index: int, tape: Tape) -> None:
        if index in (1, 2):
            begun.wait(SECONDS)
        for _ in range(50):
            tape.write(b"%d" % index * 10)

    # 1 and 2 are at work and cannot go on before 0, which waits for 3, has been read.
    schedule = Schedule({3: (), 0: (3,), 1: (), 2: ()}, work, Cancellation(), tmp_path)
    assert told(schedule) == b"".join(b"%d" % index * 500 for index in (3, 0, 1, 2))


def test_the_first_failure_ends_the_others_and_is_raised_after_what_led_to_it(tmp_path: Path) -> None:
    cancellation = Cancellation()
    ended = threading.Event()

    def work(index: int, tape: Tape) -> None:
        tape.write(b"%d" % index)
        if index == 1:
            raise ValueError("one")
        with cancellation.calling(ended.set):
            assert ended.wait(SECONDS)
        cancellation.check()

    pieces: list[bytes] = []
    with pytest.raises(ValueError, match="one"):
        pieces.extend(Schedule({0: (), 1: (), 2: (0,)}, work, cancellation, tmp_path).messages())
    assert b"".join(pieces) == b"01"


def test_a_reader_that_leaves_ends_all(tmp_path: Path) -> None:
    cancellation = Cancellation()
    ended: list[int] = []

    def work(index: int, tape: Tape) -> None:
        try:
            while True:
                tape.write(b"x" * 1000)
                cancellation.check()
        except Cancelled:
            ended.append(index)
            raise

    messages = Schedule({0: (), 1: ()}, work, cancellation, tmp_path).messages()
    assert next(messages)
    messages.close()  # type: ignore[attr-defined]
    assert sorted(ended) == [0, 1]


def test_who_cancels_from_outside_is_told_so(tmp_path: Path) -> None:
    cancellation = Cancellation()

    def work(index: int, tape: Tape) -> None:
        cancellation.cancel()
        cancellation.check()

    with pytest.raises(Cancelled):
        told(Schedule({0: (), 1: (0,)}, work, cancellation, tmp_path))


def test_a_tape_keeps_what_is_not_read_and_holds_up_who_writes_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapes, "_AHEAD", 1 << 20)
    tape = Tape(tmp_path)
    whole = os.urandom(3 << 20)

    def write() -> None:
        for start in range(0, len(whole), 1 << 16):
            tape.write(whole[start : start + (1 << 16)])
        tape.close()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()  # it waits for a reader
    assert b"".join(tape.read()) == whole
    thread.join(SECONDS)
    assert not thread.is_alive()
    tape.drop()


def test_who_has_what_the_stage_that_is_read_waits_for_waits_for_no_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapes, "_AHEAD", 100)
    has_it, gives_it = threading.Event(), threading.Event()

    def work(index: int, tape: Tape) -> None:
        if index == 0:
            assert has_it.wait(SECONDS)
            assert gives_it.wait(SECONDS)
        else:
            with tape.hurrying():
                has_it.set()
                tape.write(b"x" * 101)
                tape.write(b"y")
            gives_it.set()

    assert told(Schedule({0: (), 1: ()}, work, Cancellation(), tmp_path)) == b"x" * 101 + b"y"


def test_what_is_written_after_the_reader_left_is_lost(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.drop()
    tape.write(b"x" * (40 << 20))
    assert list(tape.read()) == []


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "root", tmp_path / "run")
    made.create()
    return made


def empty(path: Path) -> None:
    assert not any(path.iterdir())


def in_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def test_a_cache_is_filled_once_and_kept(home: Home) -> None:
    caches, cancellation = Caches(home), Cancellation()
    with caches.using("pip", "shared", lambda path: (path / "first").write_text("1"), cancellation) as one:
        (one / "second").write_text("2")
    with Caches(home).using("pip", "locked", empty, cancellation) as again:
        assert sorted(path.name for path in again.iterdir()) == ["first", "second"]
    with caches.using("other", "shared", empty, cancellation) as other:
        assert other != one
    assert not list(home.tmp.iterdir())


def test_private_ones_are_apart_and_shared_ones_are_not(home: Home) -> None:
    caches, cancellation = Caches(home), Cancellation()
    with caches.using("a", "shared", empty, cancellation) as one, caches.using("a", "shared", empty, cancellation) as two:
        assert one == two
        with caches.using("a", "private", empty, cancellation) as three:
            assert three != one
    with caches.using("a", "private", empty, cancellation) as free:
        assert free == one


def test_a_locked_one_waits_for_its_turn_or_until_nobody_wants_it(home: Home) -> None:
    caches, cancellation = Caches(home), Cancellation()
    taken, refused = threading.Event(), threading.Event()

    def take() -> None:
        with caches.using("a", "locked", empty, Cancellation()):
            taken.set()

    def wait() -> None:
        with pytest.raises(Cancelled), caches.using("a", "locked", empty, cancellation):
            pass
        refused.set()

    with caches.using("a", "locked", empty, Cancellation()):
        threads = [in_thread(take), in_thread(wait)]
        assert not taken.wait(0.3)
        cancellation.cancel()
        assert refused.wait(SECONDS)
        assert not taken.is_set()
    assert taken.wait(SECONDS)
    for thread in threads:
        thread.join(SECONDS)


def test_pruning_leaves_what_is_in_use(home: Home) -> None:
    caches, cancellation = Caches(home), Cancellation()
    with caches.using("gone", "shared", lambda path: (path / "f").write_bytes(bytes(1000)), cancellation) as gone:
        pass
    with caches.using("stays", "shared", lambda path: (path / "f").write_bytes(bytes(500)), cancellation) as stays:
        assert {(one.name, one.size, one.is_used) for one in caches.all()} == {(gone.name, 1000, False), (stays.name, 500, True)}
        assert caches.prune({one.name for one in caches.all()}) == ([gone.name], 1000)
        assert stays.exists()
        assert not gone.exists()
    assert not list(home.tmp.iterdir())


def test_what_cannot_be_filled_leaves_nothing(home: Home) -> None:
    def fail(path: Path) -> None:
        (path / "half").write_text("")
        raise OSError("no")

    caches = Caches(home)
    with pytest.raises(OSError, match="no"), caches.using("a", "locked", fail, Cancellation()):
        pass
    assert not list(home.tmp.iterdir())
    with caches.using("a", "locked", empty, Cancellation()):
        pass


def test_a_callback_is_called_once_and_at_once_if_it_is_too_late() -> None:
    cancellation, called = Cancellation(), list[str]()
    with cancellation.calling(lambda: called.append("before")):
        pass
    with cancellation.calling(lambda: called.append("within")):
        cancellation.cancel()
        cancellation.cancel()
    with cancellation.calling(lambda: called.append("after")):
        pass
    assert called == ["within", "after"]
    with pytest.raises(Cancelled):
        cancellation.check()
