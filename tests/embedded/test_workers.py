"""Threads that are kept: every task begins at once, and few threads wait."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from functools import partial

import pytest

from dockerlab.engine.workers import KEPT, Workers

_SECONDS = 10.0


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers("tested")
    yield made
    made.close(_SECONDS)
    assert named() == 0


def named() -> int:
    return sum(thread.name == "tested" for thread in threading.enumerate())


def settles(count: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while named() != count:
        assert time.monotonic() < deadline, named()
        time.sleep(0.01)


def test_all_at_once_whatever_the_others_are_at(workers: Workers) -> None:
    together, done = threading.Barrier(50), threading.Barrier(51)

    def task() -> None:
        together.wait(_SECONDS)
        done.wait(_SECONDS)

    for _ in range(50):
        workers.run(task)
    done.wait(_SECONDS)
    settles(KEPT)


def test_one_after_the_other_in_threads_that_are_there(workers: Workers) -> None:
    seen: list[int] = []
    for _ in range(20):
        done = threading.Event()

        def task(done: threading.Event = done) -> None:
            seen.append(threading.get_ident())
            done.set()

        workers.run(task)
        assert done.wait(_SECONDS)
        time.sleep(0.02)  # it goes back to wait
    assert len(set(seen)) < len(seen)
    assert named() <= KEPT + 1


def test_what_runs_is_waited_for_at_the_end() -> None:
    workers, ended = Workers("tested"), threading.Event()

    def task() -> None:
        time.sleep(0.2)
        ended.set()

    workers.run(task)
    workers.close(_SECONDS)
    assert ended.is_set()
    workers.close()
    settles(0)


def test_what_a_task_holds_is_given_up_when_it_is_done(workers: Workers) -> None:
    class Held:
        """Something that a task holds."""

    for _ in range(2):
        held = Held()
        seen = weakref.ref(held)
        workers.run(partial(isinstance, held, Held))
        del held
        deadline = time.monotonic() + _SECONDS
        while seen():
            assert time.monotonic() < deadline, "a thread that waits holds its last task"
            time.sleep(0.01)
    assert named() == 1


def test_after_the_end_a_task_has_a_thread_for_itself(workers: Workers) -> None:
    done = threading.Event()
    workers.close()
    workers.run(done.set)
    assert done.wait(_SECONDS)
    settles(0)
