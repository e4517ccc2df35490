"""BuildKit's reports of a build: `StatusResponse` ↔ the events of `dockerlab.wire.trace`.

Follows moby/buildkit: api/services/control/control.proto and solver/pb/ops.proto. An engine sends them base64-encoded, as
`{"id": "moby.buildkit.trace", "aux": …}` in the stream of `POST /build?version=2`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from dockerlab.wire import trace
from dockerlab.wire.protobuf import binary, boolean, decode, encode, integer, message, repeated, string

TRACE: Final = "moby.buildkit.trace"
IMAGE: Final = "moby.image.id"
_NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timestamp:
    """google.protobuf.Timestamp: since the epoch."""

    seconds: int = integer(1)
    nanos: int = integer(2)


@dataclass(frozen=True, slots=True)
class Vertex:
    """A step of the build, whole, whenever something about it changes."""

    digest: str = string(1)
    inputs: tuple[str, ...] = repeated(2, str)
    name: str = string(3)
    cached: bool = boolean(4)
    started: Timestamp | None = message(5, Timestamp)
    completed: Timestamp | None = message(6, Timestamp)
    error: str = string(7)


@dataclass(frozen=True, slots=True)
class VertexStatus:
    """A part of a step's work, with its size."""

    id: str = string(1)
    vertex: str = string(2)
    name: str = string(3)
    current: int = integer(4)
    total: int = integer(5)
    timestamp: Timestamp | None = message(6, Timestamp)
    started: Timestamp | None = message(7, Timestamp)
    completed: Timestamp | None = message(8, Timestamp)


@dataclass(frozen=True, slots=True)
class VertexLog:
    """What a step prints. stream: 1 or 2."""

    vertex: str = string(1)
    timestamp: Timestamp | None = message(2, Timestamp)
    stream: int = integer(3)
    msg: bytes = binary(4)


@dataclass(frozen=True, slots=True)
class Position:
    """line: counted from 1. character: from 0."""

    line: int = integer(1)
    character: int = integer(2)


@dataclass(frozen=True, slots=True)
class Range:
    """Of a Dockerfile."""

    start: Position | None = message(1, Position)
    end: Position | None = message(2, Position)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """The Dockerfile that a warning is about."""

    filename: str = string(1)
    data: bytes = binary(2)


@dataclass(frozen=True, slots=True)
class VertexWarning:
    """A rule of the frontend's linter. short: what is wrong. url: where it is explained."""

    vertex: str = string(1)
    level: int = integer(2)
    short: bytes = binary(3)
    detail: tuple[bytes, ...] = repeated(4, bytes)
    url: str = string(5)
    info: SourceInfo | None = message(6, SourceInfo)
    ranges: tuple[Range, ...] = repeated(7, Range)


@dataclass(frozen=True, slots=True)
class StatusResponse:
    """What is new of a build."""

    vertexes: tuple[Vertex, ...] = repeated(1, Vertex)
    statuses: tuple[VertexStatus, ...] = repeated(2, VertexStatus)
    logs: tuple[VertexLog, ...] = repeated(3, VertexLog)
    warnings: tuple[VertexWarning, ...] = repeated(4, VertexWarning)


def events(data: bytes) -> Iterator[trace.Event]:
    """The events of a report. Raises MalformedError."""
    report = decode(StatusResponse, data)
    for v in report.vertexes:
        yield trace.Vertex(v.digest, v.name, v.inputs, _seconds(v.started), _seconds(v.completed), v.cached, v.error)
    for s in report.statuses:
        yield trace.Status(s.id, s.vertex, s.name, s.current, s.total, _seconds(s.started), _seconds(s.completed))
    for log in report.logs:
        yield trace.Log(log.vertex, log.msg, log.stream, _seconds(log.timestamp) or 0.0)
    for w in report.warnings:
        lines = tuple(range_.start.line for range_ in w.ranges if range_.start is not None)
        detail = tuple(_text(line) for line in w.detail)
        yield trace.Lint(w.vertex, _text(w.short), detail, w.url, lines)


def report(found: Iterable[trace.Event]) -> bytes:
    """Events as a report."""
    by_kind: dict[str, list[object]] = {"vertexes": [], "statuses": [], "logs": [], "warnings": []}
    for event in found:
        match event:
            case trace.Vertex():
                started, completed = _timestamp(event.started), _timestamp(event.completed)
                vertex = Vertex(event.digest, event.inputs, event.name, event.cached, started, completed, event.error)
                by_kind["vertexes"].append(vertex)
            case trace.Status():
                times = _timestamp(event.completed or event.started), _timestamp(event.started), _timestamp(event.completed)
                status = VertexStatus(event.id, event.vertex, event.name, event.current, event.total, *times)
                by_kind["statuses"].append(status)
            case trace.Log():
                by_kind["logs"].append(VertexLog(event.vertex, _timestamp(event.timestamp), event.stream, event.data))
            case trace.Lint():
                ranges = tuple(Range(Position(line), Position(line)) for line in event.lines)
                detail = tuple(_bytes(line) for line in event.detail)
                warning = VertexWarning(event.vertex, 1, _bytes(event.text), detail, event.url, None, ranges)
                by_kind["warnings"].append(warning)
    return encode(StatusResponse(**{name: tuple(items) for name, items in by_kind.items()}))  # type: ignore[arg-type]


def _seconds(time: Timestamp | None) -> float | None:
    # Of whole numbers, so that it is the nearest float.
    return None if time is None else (time.seconds * _NANO + time.nanos) / _NANO


def _timestamp(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    whole = math.floor(seconds)
    carried, nanos = divmod(round((seconds - whole) * _NANO), _NANO)
    return Timestamp(whole + carried, nanos)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
