"""A build told as BuildKit tells it: `{"id": "moby.buildkit.trace", "aux": …}`, as it happens, stages side by side (see `telling`).

    trace = Trace(tape.write)
    trace.start(digest, name, inputs); trace.log(digest, 1, b"…"); trace.complete(digest)
    with trace.working(vertex): …            started, completed, or failed with what is raised
    telling = TraceTelling(trace, graph)     of one build

Texts of errors are BuildKit's.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dockerlab.dockerfile.commands import Command
from dockerlab.engine.building.cancellation import Cancelled
from dockerlab.engine.building.running import CommandFailed
from dockerlab.engine.building.vertices import Graph, canonical, digest, is_counted
from dockerlab.engine.json_lines import line
from dockerlab.errors import DockerlabError, EngineError
from dockerlab.wire import control
from dockerlab.wire.trace import Event, Log, Status, Vertex

if TYPE_CHECKING:
    from dockerlab.dockerfile.planning import Planned
    from dockerlab.engine.building.tape import Tape
    from dockerlab.engine.store import Image

Message = Mapping[str, Any]
_EVERY: Final = 0.1  # seconds, between two reports of how far something is
_MISSING: Final = re.compile(
    r"(?:COPY|ADD) failed: file not found in build context or excluded by \.dockerignore: stat (.+): file does not exist"
)
_CANCELLED: Final = "context canceled"


class Trace:
    """Thread-safe. write: takes lines of the stream."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._vertexes: dict[str, Vertex] = {}
        self._told: dict[tuple[str, str], float] = {}

    def tell(self, events: Iterable[Event]) -> None:
        """Reports events; of a vertex it keeps the last."""
        found = [*events]
        if not found:
            return
        with self._lock:
            self._vertexes |= {event.digest: event for event in found if isinstance(event, Vertex)}
        self._write(told(found))

    def start(self, vertex: str, name: str = "", inputs: tuple[str, ...] | None = None) -> None:
        """A vertex begins; its name and inputs may be known by now."""
        self._change(vertex, name, inputs, started=time.time())

    def complete(
        self, vertex: str, name: str = "", inputs: tuple[str, ...] | None = None, *, cached: bool = False, error: str = ""
    ) -> None:
        """A vertex is at its end."""
        now = time.time()
        self._change(vertex, name, inputs, started=now, completed=now, cached=cached, error=error)

    def _change(self, vertex: str, name: str, inputs: tuple[str, ...] | None, **changes: Any) -> None:
        before = self._vertexes.get(vertex, Vertex(vertex, name))
        if before.started is not None:
            changes["started"] = before.started
        changes |= {"name": name or before.name, "inputs": before.inputs if inputs is None else inputs}
        self.tell([replace(before, **changes)])

    def is_completed(self, vertex: str) -> bool:
        """Whether it has ended."""
        found = self._vertexes.get(vertex)
        return found is not None and found.completed is not None

    def log(self, vertex: str, stream: int, data: bytes) -> None:
        """What it prints."""
        self._write(told([Log(vertex, data, stream, time.time())]))

    def status(self, vertex: str, id: str, name: str, current: int = 0, total: int = 0, *, is_over: bool = False) -> None:
        """How far a part of it is; not more often than anybody can see."""
        now = time.time()
        with self._lock:
            key = vertex, id
            started = self._told.get(key)
            last = self._told.get((vertex, f"{id}\0"), 0.0)
            if started is not None and not is_over and now - last < _EVERY:
                return
            self._told[key] = started = now if started is None else started
            self._told[vertex, f"{id}\0"] = now
        self._write(told([Status(id, vertex, name, current, total, started, now if is_over else None)]))

    @contextmanager
    def working(self, vertex: Vertex) -> Iterator[None]:
        """A vertex that is worked at in the block."""
        self.start(vertex.digest, vertex.name, vertex.inputs)
        try:
            yield
        except BaseException as error:
            self.complete(vertex.digest, error=said(error))
            raise
        self.complete(vertex.digest)


def told(events: Iterable[Event]) -> bytes:
    """Events as a line of the stream."""
    return line({"id": control.TRACE, "aux": base64.b64encode(control.report(events)).decode()})


def said(error: BaseException) -> str:
    """What BuildKit says in the place of an error."""
    match error:
        case CommandFailed():
            return f'process "{" ".join(error.argv)}" did not complete successfully: exit code: {error.code}'
        case Cancelled():
            return _CANCELLED
        case DockerlabError() if found := _MISSING.match(error.message):
            return f'failed to compute cache key: failed to calculate checksum of ref: "/{found[1].lstrip("/")}": not found'
        case DockerlabError():
            return error.message
    return str(error) or type(error).__name__


class TraceTelling:
    """See `telling.Telling`. graph: of the build."""

    def __init__(self, trace: Trace, graph: Graph) -> None:
        self.trace, self.graph = trace, graph

    def before(self) -> Iterator[bytes]:
        """The whole graph."""
        yield from ()

    def stage(self, planned: Planned, tape: Tape) -> TraceTeller:
        """See `Telling`."""
        return TraceTeller(self, planned)

    @contextmanager
    def finding(self, name: str, tell: Callable[[Message], object]) -> Iterator[Callable[[Message], object]]:
        """An image is looked for: the vertex of its metadata, then its own with what is pulled."""
        trace, whole = self.trace, canonical(name)
        metadata, base = digest("metadata", whole), self.graph.base(name)
        is_pulled = False

        def take(message: Message) -> None:
            nonlocal is_pulled
            if not is_pulled:
                is_pulled = True
                trace.complete(metadata)
                trace.start(base, self.graph.base_name(name))
            self._pulling(base, message)

        trace.start(metadata, f"[internal] load metadata for {whole}")
        try:
            yield take
        except BaseException as error:
            trace.complete(base if is_pulled else metadata, error=said(error))
            if isinstance(error, Cancelled) or is_pulled or not isinstance(error, DockerlabError):
                raise
            text = f"{name}: failed to resolve source metadata for {whole}: {error.message}"
            raise EngineError(text, hint=error.hint, status=error.status) from error
        if not is_pulled:
            trace.complete(metadata)
            trace.start(base, self.graph.base_name(name))
        trace.complete(base, cached=not is_pulled)

    def _pulling(self, vertex: str, message: Message) -> None:
        layer, status = str(message.get("id") or ""), str(message.get("status") or "")
        detail = message.get("progressDetail") or {}
        if layer and "progressDetail" in message:
            is_over = status in ("Pull complete", "Already exists")
            self.trace.status(vertex, layer, status.lower(), detail.get("current") or 0, detail.get("total") or 0, is_over=is_over)


class TraceTeller:
    """See `telling.Teller`: of one stage."""

    def __init__(self, telling: TraceTelling, planned: Planned) -> None:
        self._trace, self._graph, self._planned = telling.trace, telling.graph, planned
        self._vertex: str | None = None
        self._name = ""
        self._inputs: tuple[str, ...] = ()

    def begin(self, command: Command, variables: Mapping[str, str]) -> None:
        """See `telling.Teller`."""
        self._vertex = self._graph.of(command) if is_counted(command) else None
        if self._vertex:
            self._name, self._inputs = self._graph.name(command, variables), self._graph.inputs(self._planned, command)

    def triggers(self, commands: Sequence[Command]) -> None:
        """See `telling.Teller`."""
        self._graph.add_triggers(self._planned, commands)
        if commands:
            self._trace.tell(self._graph.stage(self._planned))

    def cached(self) -> None:
        """See `telling.Teller`."""
        if self._vertex:
            self._trace.complete(self._vertex, self._name, self._inputs, cached=True)

    def ran(self) -> None:
        """See `telling.Teller`."""
        if self._vertex:
            self._trace.start(self._vertex, self._name, self._inputs)

    def running(self, container: str) -> None:
        """See `telling.Teller`."""

    def printed(self, stream: int, data: bytes) -> None:
        """See `telling.Teller`."""
        if self._vertex:
            self._trace.log(self._vertex, stream, data)

    def removed(self, container: str) -> None:
        """See `telling.Teller`."""

    def end(self, image: Image | None) -> None:
        """See `telling.Teller`."""
        if self._vertex and not self._trace.is_completed(self._vertex):
            self._trace.complete(self._vertex)

    def failed(self, error: BaseException) -> None:
        """See `telling.Teller`."""
        if self._vertex and not self._trace.is_completed(self._vertex):
            self._trace.complete(self._vertex, self._name, self._inputs, error=said(error))

    def message(self, message: Message) -> None:
        """See `telling.Teller`. Pulls are told by `finding`."""

    def finished(self, image: Image | None) -> None:
        """See `telling.Teller`."""

    def hurrying(self) -> AbstractContextManager[None]:
        """See `telling.Teller`: who reads, reads all stages."""
        return nullcontext()


__all__ = ["Trace", "TraceTeller", "TraceTelling", "said", "told"]
