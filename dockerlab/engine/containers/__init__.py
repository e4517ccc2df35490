"""Containers: what the engine remembers of them, and their life from creation to removal.

    containers.create(body, name)         → Created(container, warnings)
    containers.get("web")                 → Container; its `record` says all there is to know
    containers.life.start(container), .stop, .kill, .restart, .pause, .unpause, .resize
    containers.remove(container, force=True, volumes=True); containers.prune(filters)
    containers.execs.create(container, body), .start(…)

- `record`: the values; `configuration`, `validation`, `resources`, `mounting`, `publishing`, `names`: PURE. what a request asks for
- `linking`: containers that are known to others by a name of theirs
- `planning`: PURE. record → the runtime's plan; `restarting`: PURE. restart policies; `inspection`, `listing`: what is shown
- `container`, `index`: the live ones; `creation`, `filling`, `lifecycle`, `updating`, `execs`, `removal`: what happens to them
- `logs`, `streams`: what they print, and clients that are attached to them
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockerlab.engine import journal
from dockerlab.engine.containers import container as live
from dockerlab.engine.containers import creation, inspection, linking, listing, updating
from dockerlab.engine.containers.body import UPDATE
from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.creation import Created
from dockerlab.engine.containers.execs import Execs
from dockerlab.engine.containers.lifecycle import Lifecycle
from dockerlab.engine.containers.names import check as check_name
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.containers.publishing import ports_json
from dockerlab.engine.containers.removal import Removal
from dockerlab.engine.filters import Filters
from dockerlab.engine.json_shapes import read
from dockerlab.engine.store.removal import Use
from dockerlab.errors import Conflict, EngineError, NotFound, UsageError

if TYPE_CHECKING:
    from dockerlab.engine.events import Events
    from dockerlab.engine.home import Home
    from dockerlab.engine.networks import Networks
    from dockerlab.engine.rootfs import Snapshots
    from dockerlab.engine.runtime import Runtime
    from dockerlab.engine.store import Store
    from dockerlab.engine.volumes import Volumes

_LOG = logging.getLogger(__name__)
_REMOVAL_SECONDS = 10.0


class Containers:
    """All containers of an engine. Thread-safe."""

    def __init__(
        self, home: Home, store: Store, snapshots: Snapshots, runtime: Runtime, networks: Networks, volumes: Volumes, events: Events
    ) -> None:
        self.parts = Parts(home, store, snapshots, runtime, networks, volumes, events)
        self.execs = Execs(self.parts)
        self.life = Lifecycle(self.parts, self.execs, lambda container: self._removal.by_itself(container))
        self._removal = Removal(self.parts, self.execs, self.life)

    # Which there are

    def get(self, name: str) -> Container:
        """By id, name, the beginning of an id, or as one that links to it calls it. Raises NotFound, UsageError."""
        return linking.find(self.parts.index, name) or self.parts.index.get(name)

    def all(self) -> list[Container]:
        """The newest first."""
        return self.parts.index.all()

    def running(self) -> list[Container]:
        """Those that have processes."""
        return [container for container in self.all() if container.record.state.is_alive]

    def images(self) -> dict[str, list[Container]]:
        """The ids of the images that containers are made of, with the containers."""
        found: dict[str, list[Container]] = {}
        for container in self.all():
            found.setdefault(container.record.image, []).append(container)
        return found

    def volume_users(self, volume: str) -> list[str]:
        """The ids of the containers that a volume is part of, or will be."""
        there = [one.id for one in self.all() if any(point.name == volume for point in one.record.mounts)]
        return [*there, *(identifier for identifier, needed in self.parts.index.coming().items() if volume in needed)]

    def uses(self) -> list[Use]:
        """Which container was made of which image, those included that are being made."""
        there = [Use(one.id, one.record.image, one.record.state.is_running) for one in self.all()]
        coming = self.parts.index.coming().items()
        return [*there, *(Use(identifier, needed, False) for identifier, several in coming for needed in several)]

    # What is shown of them

    def inspect(self, container: Container, *, size: bool = False) -> dict[str, Any]:
        """`GET /containers/{id}/json`."""
        record = container.record
        network = self._network(container)
        return inspection.inspected(
            record,
            str(container.directory),
            network,
            execs=self.execs.of(container),
            links=linking.shown(self.parts.index, record),
            health=container.health,
            sizes=self.sizes(container) if size else None,
        )

    def listed(self, filters: Filters, *, all: bool = False, limit: int = 0, size: bool = False) -> list[dict[str, Any]]:
        """`GET /containers/json`. limit: that many of the newest, running or not. Raises UsageError, NotFound."""
        by = listing.wanted(filters, self.parts.index, self._descendants)
        running_only = not (all or limit > 0 or listing.shows_all(filters))
        found = []
        now = time.time_ns()
        there = self.all()
        linked = linking.names(self.parts.index, there)
        for container in there:
            network = self._network(container)
            if listing.is_wanted(container, by, network.get("Networks") or {}, running_only=running_only):
                sizes = self.sizes(container) if size else None
                name = self._image_name(container)
                names, health = linked.get(container.id, ()), container.health
                found.append(inspection.listed(container.record, network, name, now, names=names, health=health, sizes=sizes))
        return found[:limit] if limit > 0 else found

    def sizes(self, container: Container) -> tuple[int, int]:
        """Bytes that it wrote, and bytes of all its files."""
        written = self.parts.snapshots.usage(container.record.root)
        try:
            return written, written + self.parts.store.get(container.record.image).size
        except NotFound:
            return written, written

    def _network(self, container: Container) -> dict[str, Any]:
        try:
            return self.parts.networks.settings(container.id, ports_json(container.record))
        except KeyError:
            return {"Networks": {}, "Ports": {}}  # removed meanwhile

    def _image_name(self, container: Container) -> str:
        """As the client named it, or the image's id where that name belongs to another image by now."""
        record = container.record
        try:
            is_same = self.parts.store.get(record.image_name).id == record.image
        except (NotFound, UsageError):
            is_same = False
        return record.image_name if is_same else record.image

    def _descendants(self, name: str) -> set[str]:
        image = self.parts.store.get(name)
        chain = [layer.chain_id for layer in image.layers]
        top = chain[-1] if chain else ""
        return {image.id, *(one.id for one in self.parts.store.images() if any(layer.chain_id == top for layer in one.layers))}

    # What clients ask for

    def create(self, body: Mapping[str, Any], name: str = "", platform: str = "", run: Mapping[str, Any] | None = None) -> Created:
        """Makes a container. run: in the place of the image's configuration. Raises UsageError, NotFound, Conflict, EngineError."""
        return creation.create(self.parts, body, name, platform, run)

    def remove(self, container: Container, *, force: bool = False, volumes: bool = False, called: str = "") -> None:
        """Removes a container. volumes: its anonymous ones, too. Raises Conflict, EngineError."""
        self._removal.remove(container, force=force, volumes=volumes, called=called)

    def unlink(self, name: str) -> None:
        """Takes a link away: "web/data". Raises NotFound, EngineError."""
        linking.remove(self.parts, name)

    def prune(self, filters: Filters, until: int | None = None) -> tuple[list[str], int]:
        """Removes all that do not run; their ids, and the bytes that became free."""
        return self._removal.prune(filters, until)

    def rename(self, container: Container, name: str) -> None:
        """Gives it another name. Raises UsageError, Conflict."""
        if not name:
            raise UsageError("Neither old nor new names may be empty")
        try:
            new = check_name(name if name.startswith("/") else f"/{name}")
            with container.lock:
                if container.record.state.status in ("removing", "dead"):
                    # Its name is about to be free.
                    raise EngineError('container is marked for removal and cannot be "rename"', status=409)
                old = container.name
                if new == old:
                    raise UsageError("Renaming a container with the same name as its current name")
                self.parts.index.reserve(new, container.id)
                container.update(name=new)
                self.parts.networks.rename(container.id, new)
                self.parts.index.release(old, container.id)
        except Conflict as error:
            raise Conflict(f"Error when allocating new name: {error.message}") from error
        except UsageError as error:
            prefix = "" if error.message.startswith("Renaming") else "Error when allocating new name: "
            raise UsageError(prefix + error.message) from error
        self.parts.emit(container, "rename", oldName=f"/{old}")

    def update(self, container: Container, asked: Mapping[str, Any]) -> list[str]:
        """Changes limits and the restart policy; what of it has no effect. Raises UsageError, Conflict, EngineError."""
        return updating.update(self.parts, container, read(asked, UPDATE))

    # An engine that begins and ends

    def recover(self) -> None:
        """Finds again what an earlier engine left. To be called once, before the first client."""
        self._removal.recover()
        found = []
        for directory in sorted(self.parts.home.containers.iterdir()):
            try:
                found.append(live.load(directory, journal.recover(directory / live.RECORD)))
            except FileNotFoundError:
                self.parts.snapshots.remove(directory)  # an engine that was killed while it made or removed it
            except (ValueError, KeyError, TypeError) as error:
                _LOG.error("%s cannot be read: %s", directory / live.RECORD, error)
        sockets = {self.parts.home.monitor_socket(container.id) for container in found}
        for path in set(self.parts.home.monitors.iterdir()) - sockets:
            path.unlink(missing_ok=True)  # of a container that is gone, or of a job that nobody waits for any more
        # Those that go come last: somebody else may have their name already.
        for container in sorted(found, key=lambda one: one.record.state.status in ("removing", "dead")):
            self._restore(container)
        for container in found:
            state = container.record.state
            if state.status in ("removing", "dead") or (state.status == "exited" and container.record.removes_itself):
                self._finish_removal(container)
            else:
                self.life.recover(container)

    def _restore(self, container: Container) -> None:
        record = container.record
        try:
            self.parts.index.reserve(record.name, record.id)
        except Conflict:
            container.update(name=record.id[:12])
            self.parts.index.reserve(container.name, record.id)
        address = record.address if record.state.is_alive else None
        self.parts.networks.restore(record.id, container.name, record.config, record.host_config, container.directory, address)
        self.parts.index.add(container)

    def _finish_removal(self, container: Container) -> None:
        try:
            self._removal.finish(container, volumes=container.record.removes_itself)
        except EngineError as error:
            _LOG.error("%s", error.message)

    def stop_all(self, seconds: int) -> None:
        """Stops all that run, those that do not end in that time by force; their policies start them when the next engine begins."""
        work = [threading.Thread(target=self._interrupt, args=(container, seconds)) for container in self.running()]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()

    def _interrupt(self, container: Container, seconds: int) -> None:
        removed = container.waiter("removed")
        try:
            self.life.interrupt(container, seconds)
            if container.record.removes_itself:
                removed.wait(_REMOVAL_SECONDS)
        except EngineError as error:
            _LOG.error("%s", error.message)
        finally:
            container.forget(removed)

    def close(self) -> None:
        """The engine ends. Containers go on."""
        self.life.close()
        self._removal.close()


__all__ = ["Container", "Containers", "Created"]
