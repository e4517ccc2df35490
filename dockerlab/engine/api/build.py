"""/build: an image of a Dockerfile, by the classic stream that docker-py and `DOCKER_BUILDKIT=0 docker build` read, or with version 2 by
BuildKit's trace; and its caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dockerlab.engine import timestamps
from dockerlab.engine.api.networks import until_of
from dockerlab.engine.filters import parse as parse_filters
from dockerlab.engine.http.types import Answer, Request, Response, Route, Stream
from dockerlab.engine.store import Use
from dockerlab.engine.store.documents import architecture
from dockerlab.errors import UsageError

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

_NONE: Mapping[str, str] = {}
_PRUNED = ("id", "label", "label!", "until")


def build(engine: Engine, request: Request) -> Response:
    """POST /build"""
    from dockerlab.engine.building.request import parse  # the builder is imported by whoever builds

    platform = f"linux/{architecture()}"
    asked = parse(request.query, request.headers, (platform, f"{platform}/v8") if platform.endswith("arm64") else (platform,))
    begun = engine.builder.begin(asked, request.body, request.watched)
    return Stream(begun.messages(), cancel=begun.cancel)


def prune(engine: Engine, request: Request) -> Response:
    """POST /build/prune: what `RUN --mount=type=cache` and contexts have kept, and steps that no image stands on.

    Only steps have labels; `docker system prune` hands its filter on.
    """
    filters = parse_filters(request.query.text("filters"), _PRUNED)
    until, builder = until_of(filters, 500), engine.builder

    def is_wanted(id: str, time: int, labels: Mapping[str, str] = _NONE) -> bool:
        is_named = filters.is_exact("id", id) and filters.has_labels(labels) and filters.lacks_labels(labels)
        return is_named and (until is None or time < until)

    removed, freed = builder.caches.prune({one.name for one in builder.caches.all() if is_wanted(one.name, one.changed)})
    contexts, more = builder.contexts.prune({one.name for one in builder.contexts.all() if is_wanted(one.name, one.used)})
    images = engine.store.images()
    wanted = {
        one.id
        for one in images
        if one.is_cache and is_wanted(_hex(one.id), timestamps.nanoseconds(one.created or timestamps.ZERO), one.labels)
    }
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
