"""Removing containers: one by one, those that are to go by themselves, and all that do not run.

A container's directory is moved out of the way at once, and then emptied. Nobody waits for that if the container wrote next to nothing:
then there is no room on the disk to be freed, and it takes longer than all the rest. Where somebody still reads its files (see
`readers`), the container is gone at once, and its directory when they have been read: its record says until then which layers are needed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from dockerlab.engine import timestamps
from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.execs import Execs
from dockerlab.engine.containers.lifecycle import Lifecycle
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.filters import Filters
from dockerlab.engine.workers import Workers
from dockerlab.errors import Conflict, DockerlabError, EngineError, NotFound

_LOG = logging.getLogger(__name__)
_ASIDE = "container-"  # in `tmp`: a directory that is being emptied
_CLOSE_SECONDS = 10.0
_LITTLE = 1 << 20  # bytes
_IN_THE_WAY = {
    "running": "container is running: stop the container before removing or force remove",
    "restarting": "container is restarting: stop the container before removing or force remove",
    "paused": "container is paused and must be unpaused first",
}


class Removal:
    """lifecycle: what ends a container that runs."""

    def __init__(self, parts: Parts, execs: Execs, lifecycle: Lifecycle) -> None:
        self._parts, self._execs, self._lifecycle = parts, execs, lifecycle
        self._workers = Workers("remover")

    def recover(self) -> None:
        """Empties what an engine that was killed had set aside. To be called once, before the first client."""
        for aside in self._parts.home.tmp.glob(f"{_ASIDE}*"):
            self._empty(aside)

    def close(self) -> None:
        """Waits for what is being emptied."""
        self._workers.close(_CLOSE_SECONDS)

    def remove(self, container: Container, *, force: bool = False, volumes: bool = False, called: str = "") -> None:
        """Removes a container and its files. volumes: its anonymous ones, too. Raises Conflict, EngineError."""
        if force:
            self._lifecycle.end_now(container)
        with container.lock:
            status = container.record.state.status
            if status == "removing":
                raise Conflict(f"removal of container {called or container.name} is already in progress")
            if reason := _IN_THE_WAY.get(status):
                raise Conflict(f'cannot remove container "{called or container.name}": {reason}')
            container.update(status="removing")
        self.finish(container, volumes=volumes)

    def finish(self, container: Container, *, volumes: bool) -> None:
        """Removes what is marked as being removed. Raises EngineError where its files cannot be; it is "dead" then."""
        parts = self._parts
        with container.lock:
            container.end_attachments()
        # A monitor that was killed has left it.
        parts.home.monitor_socket(container.id).unlink(missing_ok=True)
        try:
            if not container.readers.afterwards(partial(self._remove_later, container)):
                self._remove_files(container)
        except OSError as error:
            with container.lock, suppress(FileNotFoundError):
                container.update(status="dead", error=str(error))
            raise EngineError(f"container {container.id}: unable to remove filesystem: {error}", status=500) from error
        parts.networks.forget(container.id)
        parts.index.discard(container)
        self._execs.forget(container)
        if volumes:
            self._remove_volumes(container)
        parts.emit(container, "destroy")
        with container.lock:
            container.tell("removed", "not-running", "next-exit")

    def _remove_files(self, container: Container) -> None:
        """Raises OSError."""
        aside = self._parts.home.tmp / f"{_ASIDE}{container.id}"
        wrote_little = _is_empty(container.record.root.upper) and _has_little(container.directory)
        with suppress(FileNotFoundError):  # nothing is left of it
            container.directory.rename(aside)
        if wrote_little:
            with suppress(RuntimeError):  # the limit of threads is reached
                self._workers.run(lambda: self._empty(aside))
                return
        self._parts.snapshots.remove(aside)

    def _remove_later(self, container: Container) -> None:
        def work() -> None:
            try:
                self._remove_files(container)
            except OSError as error:
                _LOG.error("%s is left for the next engine to remove: %s", container.directory, error)

        try:
            self._workers.run(work)
        except RuntimeError:  # the limit of threads is reached
            work()

    def _empty(self, aside: Path) -> None:
        try:
            self._parts.snapshots.remove(aside)
        except OSError as error:
            _LOG.error("%s is left for the next engine to remove: %s", aside, error)

    def by_itself(self, container: Container) -> None:
        """`--rm`: the container has ended."""
        # Somebody else may be removing it.
        with suppress(Conflict):
            self.remove(container, volumes=True)

    def prune(self, filters: Filters, until: int | None) -> tuple[list[str], int]:
        """Removes all that do not run. until: created before, nanoseconds. The ids, and the bytes that became free."""
        removed, freed = [], 0
        for container in self._parts.index.all():
            record = container.record
            wanted = filters.has_labels(record.labels) and filters.lacks_labels(record.labels)
            # A step of a build has ended, but what it wrote is still to be read: it goes by itself.
            if record.state.is_running or record.is_step or not wanted:
                continue
            if until is not None and timestamps.nanoseconds(record.created) > until:
                continue
            # Another call may have started or removed it meanwhile.
            with suppress(Conflict, NotFound):
                size = self._parts.snapshots.usage(record.root)
                self.remove(container)
                removed.append(container.id)
                freed += size
        self._parts.events.emit("container", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    def _remove_volumes(self, container: Container) -> None:
        for point in container.record.mounts:
            if point.type == "volume" and point.anonymous and not _is_used(self._parts.index.all(), point.name):
                with suppress(DockerlabError):  # removed already
                    self._parts.volumes.remove(point.name)


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False  # its container has closed it to us


def _has_little(folder: Path) -> bool:
    """What lies beside its files, its log most of all."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries) < _LITTLE
    except OSError:
        return False


def _is_used(containers: Iterable[Container], volume: str) -> bool:
    return any(point.name == volume for container in containers for point in container.record.mounts)
