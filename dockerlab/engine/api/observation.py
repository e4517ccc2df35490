"""/containers/{id}/top and /containers/{id}/stats: a container's processes, and what it uses.

What reads them is imported when somebody asks: no start of the engine waits for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dockerlab.engine.http.types import Answer, Request, Response, Route, Stream
from dockerlab.errors import UsageError

if TYPE_CHECKING:
    from dockerlab.engine.containers.container import Container
    from dockerlab.engine.core import Engine
    from dockerlab.engine.usage import Usage

_BETWEEN = 1.0  # seconds from one sample to the next


def top(engine: Engine, request: Request) -> Response:
    """GET /containers/{id}/top"""
    from dockerlab.engine import processes, procfs

    container = engine.containers.get(request.params["id"])
    wanted = processes.parse(request.query.text("ps_args"))
    running = container.needs_running()
    machine = procfs.machine()
    found = procfs.processes(running.pids(), machine.boot)
    view = processes.View(procfs.names(), time.time(), machine.memory)
    titles, rows = processes.table(wanted, found, view)
    engine.containers.parts.emit(container, "top")
    return Answer({"Processes": rows or None, "Titles": titles})


def stats(engine: Engine, request: Request) -> Response:
    """GET /containers/{id}/stats"""
    container = engine.containers.get(request.params["id"])
    is_stream, is_single = request.query.flag("stream", True), request.query.flag("one-shot")
    if is_stream and is_single:
        raise UsageError("cannot have stream=true and one-shot=true")
    sampler = _Sampler(engine, container)
    if is_stream:
        return Stream(sampler.samples(), cancel=sampler.cancel)
    with closing(sampler):
        first = sampler.sample()
        if is_single or first is None:
            return Answer(sampler.shown(first))
        sampler.wait()
        return Answer(sampler.shown(sampler.sample(), first))


class _Sampler:
    """The samples of one request. close() it."""

    def __init__(self, engine: Engine, container: Container) -> None:
        self._engine, self._container = engine, container
        self._removed = container.waiter("removed")

    def cancel(self) -> None:
        """Ends the stream; from any thread."""
        self._removed.cancel()

    def close(self) -> None:
        """No more is asked for."""
        self._container.forget(self._removed)

    def wait(self) -> bool:
        """Until the next sample is due: False where there is none, because the container was removed or the client has left."""
        return not self._removed.wait(_BETWEEN)

    def sample(self) -> Usage | None:
        """What it uses now; None where it does not run."""
        from dockerlab.engine.usage import measure

        running = self._container.running
        if running is None:
            return None
        pids, traffic = running.measured()
        found = measure(self._container.id, pids, self._engine.containers.parts.means, time.time_ns())
        return replace(found, traffic=traffic) if self._container.record.address else found

    def shown(self, now: Usage | None, before: Usage | None = None) -> dict[str, Any]:
        """As the API has it. before: the sample that rates are counted from."""
        from dockerlab.engine.usage import stats_json

        return stats_json(self._container.name, self._container.id, now, before)

    def samples(self) -> Iterator[bytes]:
        """One a second, until the container is removed or the client leaves."""
        before = None
        # It may have been removed just before the waiter was there.
        more = self._engine.containers.parts.index.find(self._container.id) is self._container
        try:
            while more:
                now = self.sample()
                yield json.dumps(self.shown(now, before)).encode() + b"\n"
                before = now
                more = self.wait()
        finally:
            self.close()


ROUTES = (
    Route("GET", "/containers/{id}/top", top),
    Route("GET", "/containers/{id}/stats", stats),
)
