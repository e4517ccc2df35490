"""The engine: its parts, put together, and nothing else.

engine = Engine(home)      finds what an earlier engine left, containers that still run included
engine.close()             lets go; running containers go on
"""

from __future__ import annotations

import threading

from dockerlab.engine.containers import Containers
from dockerlab.engine.events import Events
from dockerlab.engine.health import Health
from dockerlab.engine.home import Home
from dockerlab.engine.networks import Networks
from dockerlab.engine.rootfs import Snapshots
from dockerlab.engine.runtime import Runtime
from dockerlab.engine.store import Store
from dockerlab.engine.volumes import Volumes


class Engine:
    """What handlers are given. home: where it keeps everything; no other engine may have it open."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.events = Events()
        self.runtime = Runtime(home)
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
        self.health.restore()
        # The first container does not wait for it.
        threading.Thread(target=self.runtime.warm, name="launcher", daemon=True).start()

    def running(self) -> int:
        """How many containers run."""
        return len(self.containers.running())

    def stop(self, seconds: float) -> None:
        """Stops all running containers, as the end of a daemon does: the next engine goes on by their restart policies."""
        self.containers.stop_all(int(seconds))

    def close(self) -> None:
        """Lets go of everything; running containers go on."""
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


def check(home: Home, *, repair: bool = False) -> list[str]:
    """What a crash left in the store, one line each; with `repair` it is mended. No engine needs to run."""
    home.create()
    store = Store(home, snapshots_of(home, Runtime(home).capabilities.rootfs))
    return [str(finding) for finding in store.check(repair=repair)]
