"""/build: an image of a Dockerfile, by the classic stream that docker-py and `DOCKER_BUILDKIT=0 docker build` read; and its caches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab.engine.http.types import Answer, Request, Response, Route, Stream
from dockerlab.engine.store.documents import architecture

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine


def build(engine: Engine, request: Request) -> Response:
    """POST /build"""
    from dockerlab.engine.building.request import parse  # the builder is imported by whoever builds

    platform = f"linux/{architecture()}"
    asked = parse(request.query, request.headers, (platform, f"{platform}/v8") if platform.endswith("arm64") else (platform,))
    begun = engine.builder.begin(asked, request.body, request.watched)
    return Stream(begun.messages(), cancel=begun.cancel)


def prune(engine: Engine, request: Request) -> Response:
    """POST /build/prune: what `RUN --mount=type=cache` has kept. The cache of steps is images: `docker image prune`."""
    removed, freed = engine.builder.caches.prune()
    return Answer({"CachesDeleted": removed or None, "SpaceReclaimed": freed})


ROUTES = (
    Route("POST", "/build", build),
    Route("POST", "/build/prune", prune),
)
