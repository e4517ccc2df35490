"""What is asked of an engine for a pipeline: the image's history, its base where that is not written, and its containers.

`pipeline` asks once and gives a value. `Containers` asks again when something happened to one (the live view).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dockerlab import images
from dockerlab.client import Client, connect, engine_errors
from dockerlab.containers import get
from dockerlab.containers.container import of
from dockerlab.containers.facts import epoch
from dockerlab.containers.panel import RUNNING
from dockerlab.errors import InvalidReference, NotFound
from dockerlab.image.accounting import Line, account, lines
from dockerlab.images import Image
from dockerlab.images.store import Name
from dockerlab.pipelines.joining import Told, historical, joined
from dockerlab.pipelines.model import ImageFacts, Pipeline, Running

if TYPE_CHECKING:
    from dockerlab.builds.record import Build

MOST_CONTAINERS: Final = 20  # that are looked at each; of others the list tells all but when they were started
_MOST_STEPS: Final = 24  # images in between that are asked for how many layers they have
_AT_ONCE: Final = 8  # connections


def pipeline(image: Name, *, build: Build | None = None, client: Client | None = None) -> Pipeline:
    """One picture of an image: its Dockerfile's lines, the steps that carried them out, its layers, and its containers as they are now.

    image: a reference, an id, or an image. build: the record of the build that made it, unless the image carries it (`image.build`, on one
    that `dockerlab.build` returned). Where there is none (it was pulled, or built elsewhere) the instructions are those of its history.

    Returns a value that shows itself. Which instruction made which layer is said where it is certain, and else called unknown.
    Raises NotFound, InvalidReference for a name; EngineError.
    """
    client = client or connect()
    build = build or getattr(image, "build", None)
    found = images.get(image, client=client)
    if build is not None and build.image_id and not _same(build.image_id, str(found.id)):
        build = None  # the name is another image's by now
    told = _told(found, client, build)
    made = joined(build.pipeline, told) if build is not None else historical(told)
    return made.with_containers(running(str(found.id), client), time.time())


def running(image_id: str, client: Client) -> tuple[Running, ...]:
    """The containers that were made from an image, the newest first; those of images that are built on it are not meant."""
    with engine_errors("list the containers"):
        listed = client.api.containers(all=True)
    own = [attrs for attrs in listed if _same(str(attrs.get("ImageID") or ""), image_id)]
    own.sort(key=lambda attrs: epoch(attrs.get("Created")) or 0.0, reverse=True)
    up_first = sorted(own, key=lambda attrs: str(attrs.get("State")) not in RUNNING)
    wanted = {str(attrs["Id"]) for attrs in up_first[:MOST_CONTAINERS]}

    def looked(attrs: dict[str, Any]) -> Running | None:
        if str(attrs["Id"]) not in wanted:
            return Running(of(attrs, client).facts)
        try:
            container = get(str(attrs["Id"]), client=client)
        except NotFound:
            return None  # it went meanwhile
        state = container.attrs.get("State") or {}
        return Running(container.facts, epoch(state.get("StartedAt")))

    if not own:
        return ()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="dockerlab-containers") as pool:
        return tuple(one for one in pool.map(looked, own) if one is not None)


def _same(one: str, other: str) -> bool:
    """Whether two ids mean one image: Podman leaves `sha256:` out."""
    return bool(one) and one.rpartition(":")[2] == other.rpartition(":")[2]


def _told(image: Image, client: Client, build: Build | None) -> Told:
    with engine_errors("read the image's history", f"image '{image.name}'"):
        if "RootFS" not in image.attrs:
            image.reload()
        said = _history(image, client)
    diff_ids = tuple((image.attrs.get("RootFS") or {}).get("Layers") or ())
    facts = ImageFacts(str(image.id), image.name, int(image.attrs.get("Size") or 0), len(diff_ids))
    found = account(said, diff_ids)
    known = _between(said, diff_ids, client) if found and any(made.is_layer is None for made in found.made) else {}
    if build is not None:
        return Told(facts, said, diff_ids, known, base_layers=_written_base(build, diff_ids, client))
    base = _base(image, diff_ids, client)
    if base is None:
        return Told(facts, said, diff_ids, known)
    with engine_errors("read the base image's history", f"image '{base.name}'"):
        own = _history(base, client)
    is_below = [line.instruction for line in own] == [line.instruction for line in said[: len(own)]]
    layers = (base.attrs.get("RootFS") or {}).get("Layers") or ()
    return Told(facts, said, diff_ids, known, base.name, len(own) if is_below else None, len(layers))


def _history(image: Image, client: Client) -> tuple[Line, ...]:
    api: Any = client.api
    return lines(api.history(image.id))


def _between(said: Sequence[Line], diff_ids: Sequence[str], client: Client) -> dict[int, int]:
    """How many layers there are below a line, as far as the engine has the images in between: those of a classic builder, and our own."""
    known: dict[int, int] = {}
    asked = [(index + 1, line.id) for index, line in enumerate(said) if line.id][-_MOST_STEPS:]
    for index, name in asked:
        layers = _layers(name, client)
        if layers and [*layers] == [*diff_ids[: len(layers)]]:
            known[index] = len(layers)
    return known


def _layers(name: str, client: Client) -> Sequence[str]:
    """The diff_ids of an image; none where the engine does not have it, or not by that name."""
    api: Any = client.api
    with suppress(NotFound, InvalidReference), engine_errors(f"look at image '{name}'", f"image '{name}'"):
        found: Sequence[str] = (api.inspect_image(name).get("RootFS") or {}).get("Layers") or ()
        return found
    return ()


def _written_base(build: Build, diff_ids: Sequence[str], client: Client) -> int | None:
    """How many layers the base image has that FROM names, where the engine has it still and it lies under this one."""
    bands = [band for band in build.pipeline.bands if band.part == "image"]
    name = bands[0].base if bands else ""
    if not name or "$" in name:
        return None
    if name.lower() == "scratch":
        return 0
    layers = _layers(name, client)
    return len(layers) if layers and [*layers] == [*diff_ids[: len(layers)]] else None


def _base(image: Image, diff_ids: Sequence[str], client: Client) -> Image | None:
    """Of the images with a name, the one with the most layers that lies under this one."""
    if len(diff_ids) < 2:
        return None
    with engine_errors("list the images"):
        listed = [Image(summary, client) for summary in client.api.images()]
    others = [other for other in listed if other.tags and not _same(str(other.id), str(image.id))]

    def loaded(other: Image) -> Image | None:
        with suppress(NotFound), engine_errors(f"look at image '{other.name}'", f"image '{other.name}'"):
            other.reload()
            below = (other.attrs.get("RootFS") or {}).get("Layers") or ()
            return other if 0 < len(below) < len(diff_ids) and [*below] == [*diff_ids[: len(below)]] else None
        return None

    if not others:
        return None
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="dockerlab-images") as pool:
        below = [other for other in pool.map(loaded, others) if other is not None]
    return max(below, key=lambda other: (len(other.attrs["RootFS"]["Layers"]), other.tags), default=None)
