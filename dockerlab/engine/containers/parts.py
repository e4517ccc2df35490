"""What the life of containers needs of the rest of the engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.index import Index
from dockerlab.engine.containers.planning import Surroundings, plan
from dockerlab.engine.runtime import StartFailed, limits
from dockerlab.engine.runtime.plan import Isolation, Network, Plan
from dockerlab.errors import Conflict

if TYPE_CHECKING:
    from dockerlab.engine.events import Events
    from dockerlab.engine.home import Home
    from dockerlab.engine.networks import Networks
    from dockerlab.engine.rootfs import Snapshots
    from dockerlab.engine.runtime import Job, Runtime
    from dockerlab.engine.store import Store
    from dockerlab.engine.volumes import Volumes


@dataclass(frozen=True)
class Parts:
    """The engine's parts, and the containers that there are."""

    home: Home
    store: Store
    snapshots: Snapshots
    runtime: Runtime
    networks: Networks
    volumes: Volumes
    events: Events
    index: Index = field(default_factory=Index)

    def emit(self, container: Container, action: str, **attributes: str) -> None:
        """Tells that something happened to a container."""
        self.events.emit("container", action, container.id, container.attributes(attributes))

    @property
    def isolation(self) -> Isolation:
        """How containers are kept apart on this machine."""
        return "supervised" if self.runtime.capabilities.isolation == "supervised" else "namespaces"

    @cached_property
    def means(self) -> limits.Means:
        """What limits can be enforced with."""
        # A supervisor counts its tasks by itself.
        counts = not self.runtime.capabilities.is_root or self.isolation == "supervised"
        return limits.find(counts) if self.isolation == "namespaces" else limits.Means(counts_processes=counts)

    def rest_plan(self, container: Container) -> Plan:
        """The plan of a container that does not run, for a job among its files."""
        has_files = (container.directory / "hosts").exists()
        around = Surroundings(str(container.directory), self.isolation, Network("host"), has_files=has_files)
        found = plan(container.record, around)
        # What was bound may have gone since; a start would make it anew, a job does without.
        return replace(found, mounts=tuple(mount for mount in found.mounts if not mount.source or os.path.lexists(mount.source)))

    def job(self, container: Container, name: str, arguments: dict[str, object]) -> Job:
        """Runs a function of `runtime.jobs` inside a container's root, whether it runs or not. Raises Conflict, EngineError.

        Until the job is closed, the container's files stay, also if it is removed.
        """
        with self.reading(container) as stack:
            job = self._job(container, name, arguments)
            job.afterwards(stack.pop_all().close)
            return job

    @contextmanager
    def reading(self, container: Container) -> Iterator[ExitStack]:
        """As long as its files are read, they stay, also if it is removed. Raises Conflict where that has begun already."""
        with ExitStack() as stack:
            with container.lock:
                if container.record.state.status in ("removing", "dead"):
                    raise Conflict(f"container {container.id} is being removed")
                stack.enter_context(container.readers.reading())
            yield stack

    def _job(self, container: Container, name: str, arguments: dict[str, object]) -> Job:
        with container.lock:
            if container.running is not None:
                # It may end at this moment: its files are there nevertheless.
                with suppress(ConnectionError, FileNotFoundError, StartFailed):
                    return container.running.job(name, arguments)
            return self.runtime.job(self.rest_plan(container), name, arguments)
