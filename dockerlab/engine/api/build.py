"""/build: an image of a Dockerfile, by the classic stream that docker-py and `DOCKER_BUILDKIT=0 docker build` read, or with version 2 by
BuildKit's trace; and its caches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dockerlab.engine.api.caching import Wanted
from dockerlab.engine.api.system import build_cache
from dockerlab.engine.http.types import Answer, Request, Response, Route, Stream
from dockerlab.engine.store import Use
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
    """POST /build/prune: what `RUN --mount=type=cache` and contexts have kept, and steps that no image stands on."""
    asked, builder, images = Wanted.of(request.query, time.time_ns()), engine.builder, engine.store.images()
    labels = {_hex(one.id): one.labels for one in images if one.is_cache}
    chosen = {*asked.chosen(build_cache(engine), labels)}
    removed, freed = builder.caches.prune(chosen)
    contexts, more = builder.contexts.prune(chosen)
    wanted = {one.id for one in images if one.is_cache and _hex(one.id) in chosen}
    # No step goes with another one that was not asked for.
    kept = [Use("", one.id, True) for one in images if one.is_cache and one.id not in wanted]
    records, rest = engine.store.prune(
        uses=lambda: [*engine.uses(), *kept], wanted=lambda image: image.is_cache and image.id in wanted
    )
    engine.store.collect()
    # The other records are of layers.
    steps = [_hex(record["Deleted"]) for record in records if record["Deleted"] in wanted]
    return Answer({"CachesDeleted": [*removed, *contexts, *steps] or None, "SpaceReclaimed": freed + more + rest})


def _hex(id: str) -> str:
    return id.removeprefix("sha256:")


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
