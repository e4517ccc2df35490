"""/build: an image of a Dockerfile, by the classic stream that docker-py and `DOCKER_BUILDKIT=0 docker build` read, or with version 2 by
BuildKit's trace; and its caches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab.engine.http.types import Answer, Request, Response, Route, Stream
from dockerlab.engine.store.documents import architecture
from dockerlab.errors import UsageError

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
    """POST /build/prune: what `RUN --mount=type=cache` and contexts have kept. The cache of steps is images: `docker image prune`."""
    removed, freed = engine.builder.caches.prune()
    contexts, more = engine.builder.contexts.prune()
    return Answer({"CachesDeleted": [*removed, *contexts] or None, "SpaceReclaimed": freed + more})


def cancel(engine: Engine, request: Request) -> Response:
    """POST /build/cancel: ends the build of that id. One that is not known has ended, as for Docker."""
    build_id = request.query.text("id")
    if not build_id:
        raise UsageError("build ID not provided")
    engine.builder.cancel(build_id)
    return Answer()


ROUTES = (
    Route("POST", "/build", build),
    Route("POST", "/build/prune", prune),
    Route("POST", "/build/cancel", cancel),
)
