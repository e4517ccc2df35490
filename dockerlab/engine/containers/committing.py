"""`docker commit`: what a container wrote becomes a layer, on top of its image, with the container's configuration."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dockerlab import reference
from dockerlab.engine import changes
from dockerlab.engine.containers import configuration
from dockerlab.engine.containers.container import Container
from dockerlab.engine.store.disk import full_disk_is_an_error
from dockerlab.engine.store.values import refused, tagged
from dockerlab.errors import Conflict, EngineError, InvalidReference, UsageError

if TYPE_CHECKING:
    from dockerlab.engine.containers import Containers

# What belongs to one container, not to an image.
_OWN = (
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "MacAddress",
)


@dataclass(frozen=True)
class Asked:
    """repository: "" for an image without a name. changes: Dockerfile instructions. config: takes the place of the container's."""

    repository: str = ""
    tag: str = ""
    author: str = ""
    comment: str = ""
    changes: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    pause: bool = True


def commit(containers: Containers, container: Container, asked: Asked) -> str:
    """Makes the image; its id. Raises UsageError, NotFound, EngineError."""
    parts, record = containers.parts, container.record
    name = _name(asked)
    config = _config(record.config, asked)
    with full_disk_is_an_error(), tempfile.TemporaryFile(dir=parts.home.tmp) as layer:
        with parts.reading(container), _still(containers, container, asked.pause):
            parts.snapshots.diff(record.root, layer)
        layer.seek(0)
        image = parts.store.commit(
            parts.store.get(record.image),
            layer,
            config,
            name,
            author=asked.author,
            comment=asked.comment,
            created_by=" ".join(record.argv),
            container=record.id,
            container_config=configuration.shown(record.config),
        )
    more = {"imageRef": reference.parse(name).familiar} if name else {}
    parts.emit(container, "commit", comment=asked.comment, imageID=image.id, **more)
    return image.id


def _config(own: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """The image's configuration: what the client gives, completed by the container's, with the changes."""
    given, _ = configuration.parse({**(asked.config or own), "HostConfig": {}})
    changed = changes.apply({name: value for name, value in given.items() if value not in (None, "", False, {}, [])}, asked.changes)
    merged = configuration.merged({**dict.fromkeys(own), **changed}, own)
    return {name: value for name, value in merged.items() if name not in _OWN and value not in (None, "", {}, [])}


def _name(asked: Asked) -> str | None:
    if not asked.repository:
        return None
    text = tagged(asked.repository, asked.tag)
    try:
        found = reference.parse(text)
    except InvalidReference as error:
        raise refused(text) from error
    if found.digest:
        raise UsageError("refusing to create a tag with a digest reference")
    return found.canonical


@contextmanager
def _still(containers: Containers, container: Container, pause: bool) -> Iterator[None]:
    """Keeps a running container from writing meanwhile, if asked to."""
    if not pause or container.record.state.status != "running":
        yield
        return
    is_paused = False
    with suppress(Conflict):  # it has just ended, and writes no more
        containers.life.pause(container)
        is_paused = True
    try:
        yield
    finally:
        if is_paused:
            with suppress(Conflict, EngineError):  # it ended before it was stopped for good
                containers.life.unpause(container)
