"""A new volume begins with what the image has at its place, as Docker does it: files, modes and owners.

Both ends of the copying are jobs inside the container's root, one without its mounts and one with the volume, so that owners come out
right on every kind of root, and no link of the image leads outside.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable
from dataclasses import replace

from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.containers.record import MountPoint
from dockerlab.engine.runtime.plan import Mount
from dockerlab.errors import EngineError

_NOTHING_THERE = (400, 404)


def fill(parts: Parts, container: Container) -> None:
    """Fills those of a new container's volumes that are empty. Raises EngineError."""
    for point in container.record.mounts:
        if point.copies and _is_empty(point.source) and may_have(container.record.root.lowers, point.destination):
            _copy(parts, container, point)


def may_have(lowers: Iterable[str], path: str) -> bool:
    """Whether one of an image's directories may have something at `path`. A look that costs little: it may be mistaken, but never by
    a no."""
    return any(_leads(lower, path) for lower in lowers)


def _leads(lower: str, path: str) -> bool:
    place = lower
    for name in path.strip("/").split("/"):
        place = posixpath.join(place, name)
        try:
            mode = os.lstat(place).st_mode
        except OSError:
            return False
        if stat.S_ISLNK(mode):
            return True
    return True


def _is_empty(directory: str) -> bool:
    with os.scandir(directory) as entries:
        return next(entries, None) is None


def _copy(parts: Parts, container: Container, point: MountPoint) -> None:
    bare = replace(parts.rest_plan(container), mounts=())
    with_volume = replace(bare, mounts=(Mount("bind", point.source, point.destination),))
    source = parts.runtime.job(bare, "archive_get", {"path": f"{point.destination}/."})
    try:
        target = parts.runtime.job(with_volume, "archive_put", {"path": point.destination, "owned": True})
        try:
            for chunk in source.chunks():
                target.stdin.sendall(chunk)
            try:
                source.wait()
            except EngineError as error:
                if error.status not in _NOTHING_THERE:
                    raise
                return  # the image has nothing there after all
            target.wait()
        finally:
            target.close()
    finally:
        source.close()
