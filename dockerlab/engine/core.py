"""The engine: its parts, put together, and nothing else.

engine = Engine(home)      finds what an earlier engine left, containers that still run included
engine.close()             lets go; running containers go on
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dockerlab.engine import leftovers
from dockerlab.engine.containers import Container, Containers
from dockerlab.engine.events import Events
from dockerlab.engine.finding import Finding
from dockerlab.engine.health import Health
from dockerlab.engine.home import BUILD_FILES, Home
from dockerlab.engine.networks import Networks
from dockerlab.engine.process import holder
from dockerlab.engine.rootfs import Snapshots
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.runtime import Runtime
from dockerlab.engine.runtime.probe import Probing
from dockerlab.engine.store import Store, Use
from dockerlab.engine.volumes import Volumes
from dockerlab.errors import Conflict, DockerlabError

if TYPE_CHECKING:
    from dockerlab.engine.building.builder import Builder
    from dockerlab.engine.sessions.registry import Sessions

_LOG = logging.getLogger(__name__)


class Engine:
    """What handlers are given. home: where it keeps everything; no other engine may have it open. probing: as for `Runtime`."""

    def __init__(self, home: Home, probing: Probing | None = None) -> None:
        self.home = home
        self.events = Events()
        self.runtime = Runtime(home, probing)
        self.snapshots = snapshots_of(home, self.runtime.capabilities.rootfs)
        self.store = Store(home, self.snapshots, lambda action, image, more: self.events.emit("image", action, image, more))
        self.networks = Networks(home, self.events)
        self.volumes = Volumes(home, self.events, lambda name: self.containers.volume_users(name))
        self.containers = Containers(
            home, self.store, self.snapshots, self.runtime, self.networks, self.volumes, self.events
        )  # fmt: skip
        self.execs = self.containers.execs
        self.health = Health(self.containers.parts, self.execs)
        self.events.listen(self.health.hear)
        self.containers.recover()
        self._building = threading.Lock()
        self._builder: Builder | None = None
        self._opening = threading.Lock()
        self._sessions: Sessions | None = None
        self.health.restore()
        # The first container does not wait for them.
        threading.Thread(target=self.runtime.warm, name="launcher", daemon=True).start()
        # No build is going on yet: whatever is of one was left by an engine that was killed.
        left = [container for container in self.containers.all() if container.record.is_step]
        half_made = [*home.tmp.glob(f"{BUILD_FILES}*")]
        self._collector = threading.Thread(target=self._collect, args=(left, half_made), name="collector", daemon=True)
        self._collector.start()

    @property
    def builder(self) -> Builder:
        """Made, and imported, for the first build."""
        with self._building:
            if self._builder is None:
                from dockerlab.engine.building.builder import Builder

                self._builder = Builder(self.containers, lambda: self.sessions)
            return self._builder

    @property
    def sessions(self) -> Sessions:
        """Made, and imported, for the first one."""
        with self._opening:
            if self._sessions is None:
                from dockerlab.engine.sessions.registry import Sessions

                self._sessions = Sessions()
            return self._sessions

    def uses(self) -> list[Use]:
        """What needs which image: containers, and builds."""
        with self._building:
            return [*self.containers.uses(), *(self._builder.uses() if self._builder else ())]

    def running(self) -> int:
        """How many containers run."""
        return len(self.containers.running())

    def stop(self, seconds: float) -> None:
        """Stops all running containers, as the end of a daemon does: the next engine goes on by their restart policies."""
        self.containers.stop_all(int(seconds))

    def _collect(self, left: Sequence[Container], half_made: Sequence[Path]) -> None:
        """What an engine that was killed left, builds most of all, and what was unpacked for images that are gone."""
        try:
            for container in left:
                with suppress(Conflict):  # it has just ended, and removes itself
                    self.containers.remove(container, force=True, volumes=True)
            for path in half_made:
                remove(path)
            from dockerlab.engine.building.secrets import clear

            clear(self.home)
            self.store.collect()
        except (DockerlabError, OSError) as error:
            _LOG.error("what is not needed cannot be removed: %s", error)

    def close(self) -> None:
        """Lets go of everything; running containers go on."""
        self._collector.join()
        if self._builder:
            self._builder.close()
        self.health.close()
        self.containers.close()
        self.networks.close()
        self.runtime.close()


def snapshots_of(home: Home, kind: str) -> Snapshots:
    """The root file systems that this machine can have."""
    if kind == "overlay":
        from dockerlab.engine.rootfs.overlay import OverlaySnapshots

        return OverlaySnapshots(home)
    from dockerlab.engine.rootfs.tree_snapshots import TreeSnapshots

    return TreeSnapshots(home)


def check(home: Home, *, repair: bool = False) -> list[Finding]:
    """What is wrong with what the engine keeps, one line each, and with `repair` mended where that hurts nobody. An engine may run."""
    home.create()
    store = Store(home, snapshots_of(home, Runtime(home).capabilities.rootfs))
    found = store.check(repair=repair)
    if holder(home.root / "engine.lock") is None:
        found += leftovers.find(home, repair=repair)
    return found
