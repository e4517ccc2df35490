"""BuildKit's own API, as far as a build needs it: `Control/Solve`, which builds, and `Control/Status`, which reports of it meanwhile.

    SolveRequest("b1", session="…", frontend=FRONTEND, attributes={"filename": "Dockerfile"}) → SolveResponse, when it is done
    StatusRequest("b1") → a stream of `dockerlab.wire.control.StatusResponse`

Follows moby/buildkit: api/services/control/control.proto. Of an exporter's and of cache options' fields there are an old form and a
new one; the old one is understood by all, and is the one here where there is one exporter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dockerlab.wire.protobuf import mapping, message, repeated, string

SOLVE: Final = "/moby.buildkit.v1.Control/Solve"
STATUS: Final = "/moby.buildkit.v1.Control/Status"
FRONTEND: Final = "dockerfile.v0"
DIGEST: Final = "containerimage.digest"  # in the exporter's response: the image's id, for an engine


@dataclass(frozen=True, slots=True)
class CacheOptionsEntry:
    """A cache besides the engine's own. type: "inline", "registry", …"""

    type: str = string(1)
    attributes: Mapping[str, str] = mapping(2, str)


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """exports: where the cache goes to. imports: where it comes from."""

    exports: tuple[CacheOptionsEntry, ...] = repeated(4, CacheOptionsEntry)
    imports: tuple[CacheOptionsEntry, ...] = repeated(5, CacheOptionsEntry)


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """ref: names the build, chosen by who asks. exporter: what becomes of the result. attributes: for the frontend."""

    ref: str = string(1)
    exporter: str = string(3)
    exporter_attributes: Mapping[str, str] = mapping(4, str)
    session: str = string(5)
    frontend: str = string(6)
    attributes: Mapping[str, str] = mapping(7, str)
    cache: CacheOptions | None = message(8, CacheOptions)


@dataclass(frozen=True, slots=True)
class SolveResponse:
    """exporter: what it has to say."""

    exporter: Mapping[str, str] = mapping(1, str)


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """ref: of a build that is asked for, or will be in the next seconds."""

    ref: str = string(1)
