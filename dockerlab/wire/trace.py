"""What a build reports while it runs, shaped like BuildKit's `StatusResponse` (api/services/control/control.proto).

The one event type for builds: BuildKit's trace decodes to it, the classic stream is adapted to it (`dockerlab.builds.classic`), and
every engine's build is shown by the same view. A build is a graph of *vertexes*; a *status* is a part of a vertex's work with a size
(a layer that is pulled); a *log* is a piece of what a vertex's command prints; a *lint* is what the linter says of a line.

A vertex is reported again whenever something about it changes; the later report replaces the earlier one. Times are seconds since the
epoch. `digest` identifies a vertex within one build.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vertex:
    """A step of a build. name: as BuildKit names it, `[stage 2/6] RUN make`. error: why it failed, or ''."""

    digest: str
    name: str
    inputs: tuple[str, ...] = ()
    started: float | None = None
    completed: float | None = None
    cached: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Progress of a part of a vertex's work, in bytes. id: identifies it within the vertex. total: 0 where it is not known."""

    id: str
    vertex: str
    name: str
    current: int = 0
    total: int = 0
    started: float | None = None
    completed: float | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """A piece of a vertex's output, cut anywhere. stream: 1 for standard output, 2 for standard error."""

    vertex: str
    data: bytes
    stream: int = 1
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True)
class Lint:
    """What a builder's linter has against a Dockerfile. text: in a sentence. lines: 1-based. url: where it is explained, or ''."""

    vertex: str
    text: str
    detail: tuple[str, ...] = ()
    url: str = ""
    lines: tuple[int, ...] = ()


Event = Vertex | Status | Log | Lint
