"""Volumes: named directories that outlive containers.

    <root>/volumes/<name>/_data/          what is in it
    <root>/volumes/<name>/volume.json     the rest

A volume appears and disappears whole, by a rename. Thread-safe; who uses a volume is asked of the containers without a lock being held.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerlab.engine import timestamps
from dockerlab.engine.events import Events
from dockerlab.engine.filters import Filters
from dockerlab.engine.home import Home, read_json, write_json
from dockerlab.engine.rootfs.removal import remove
from dockerlab.errors import Conflict, EngineError, NotFound, UsageError

ANONYMOUS = "com.docker.volume.anonymous"
_HALF_MADE = "volume-"
_DRIVER = "local"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_LONGEST_NAME = 255
_OPTIONS = ("type", "o", "device", "size")
_NEEDS: Mapping[str, tuple[str, ...]] = {"device": ("type",), "type": ("device",), "o": ("device", "type")}


@dataclass(frozen=True)
class Volume:
    """data: its directory. options: those of the driver. labels, options: None where none were given. created: RFC 3339."""

    name: str
    data: str
    created: str
    labels: Mapping[str, str] | None = None
    options: Mapping[str, str] | None = None
    driver: str = _DRIVER

    @property
    def mountpoint(self) -> str:
        """What is mounted into containers: its directory, or the one that it stands for."""
        return (self.options or {}).get("device") or self.data

    @property
    def is_anonymous(self) -> bool:
        """Whether it was made without a name."""
        return ANONYMOUS in (self.labels or {})

    def to_json(self) -> dict[str, Any]:
        """As the Engine API has it."""
        return {
            "CreatedAt": self.created,
            "Driver": self.driver,
            "Labels": None if self.labels is None else dict(self.labels),
            "Mountpoint": self.mountpoint,
            "Name": self.name,
            "Options": None if self.options is None else dict(self.options),
            "Scope": "local",
        }


class Volumes:
    """The volumes. users: the ids of the containers, running or not, that a volume is part of."""

    def __init__(self, home: Home, events: Events, users: Callable[[str], Sequence[str]]) -> None:
        self._directory = home.root / "volumes"
        self._tmp = home.tmp
        self._events = events
        self._users = users
        self._lock = threading.Lock()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._tmp.glob(f"{_HALF_MADE}*"):
            remove(path)  # left by an engine that was killed
        self._volumes = {path.parent.name: _load(path) for path in self._directory.glob("*/volume.json")}

    def all(self) -> list[Volume]:
        """All volumes, by name."""
        with self._lock:
            return sorted(self._volumes.values(), key=lambda volume: volume.name)

    def chosen(self, filters: Filters) -> list[Volume]:
        """Those that a list's filters want. Raises UsageError."""
        dangling = filters.flag("dangling")
        found = [
            volume
            for volume in self.all()
            if filters.is_exact("driver", volume.driver)
            and filters.is_pattern("name", volume.name)
            and filters.has_labels(volume.labels)
        ]
        return found if dangling is None else [volume for volume in found if (not self._users(volume.name)) == dangling]

    def get(self, name: str) -> Volume:
        """By its name. Raises NotFound."""
        with self._lock:
            if name not in self._volumes:
                raise NotFound(f"get {name}: no such volume")
            return self._volumes[name]

    def create(
        self,
        name: str = "",
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """A new volume, or the one of that name as it is. Without a name an anonymous one. Raises UsageError, NotFound."""
        if not name:
            name = secrets.token_hex(32)
            labels = {**(labels or {}), ANONYMOUS: ""}
        _check(name, driver or _DRIVER, options or {})
        with self._lock:
            if name in self._volumes:
                return self._volumes[name]
            data = str(self._directory / name / "_data")
            created = timestamps.now().partition(".")[0].rstrip("Z") + "Z"
            volume = Volume(name, data, created, labels, options or None)
            self._make(volume)
            self._volumes[name] = volume
        self._events.emit("volume", "create", name, {"driver": _DRIVER})
        return volume

    def remove(self, name: str, force: bool = False) -> None:
        """Removes a volume with what is in it. force: one that is not there is fine. Raises NotFound, Conflict."""
        try:
            self.get(name)
        except NotFound:
            if force:
                return
            raise
        if users := self._users(name):
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        grave = self._tmp / f"{_HALF_MADE}{secrets.token_hex(8)}"
        with self._lock:
            if name not in self._volumes:
                raise NotFound(f"get {name}: no such volume")
            (self._directory / name).rename(grave)
            del self._volumes[name]
        remove(grave)
        self._events.emit("volume", "destroy", name, {"driver": _DRIVER})

    def prune(self, filters: Filters, every: bool) -> tuple[list[str], int]:
        """Removes volumes that no container is with: anonymous ones, or every one. Their names, and the bytes that were freed."""
        removed, freed = [], 0
        for volume in self.all():
            wanted = filters.has_labels(volume.labels) and filters.lacks_labels(volume.labels)
            if not wanted or not (every or volume.is_anonymous) or self._users(volume.name):
                continue
            size = self.size(volume)
            # Somebody else may have taken or removed it meanwhile.
            with suppress(Conflict, NotFound):
                self.remove(volume.name)
                removed.append(volume.name)
                freed += size
        self._events.emit("volume", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    def size(self, volume: Volume) -> int:
        """The bytes of its files; each counts once, however many names it has."""
        return sum(_file_sizes(volume.data).values())

    def users(self, name: str) -> Sequence[str]:
        """The ids of the containers that a volume is part of."""
        return self._users(name)

    def mounted(self, name: str, container: str, destination: str, writable: bool) -> None:
        """Tells that a container with the volume starts."""
        more = {"destination": destination, "propagation": "", "read/write": "true" if writable else "false"}
        self._events.emit("volume", "mount", name, {"driver": _DRIVER, "container": container, **more})

    def unmounted(self, name: str, container: str) -> None:
        """Tells that a container with the volume has ended."""
        self._events.emit("volume", "unmount", name, {"driver": _DRIVER, "container": container})

    def _make(self, volume: Volume) -> None:
        half = self._tmp / f"{_HALF_MADE}{secrets.token_hex(8)}"
        half.mkdir(mode=0o700)
        try:
            (half / "_data").mkdir()
            (half / "_data").chmod(0o755)
            stored = {"created": volume.created, "labels": volume.labels, "options": volume.options}
            write_json(half / "volume.json", stored)
            half.rename(self._directory / volume.name)
        except BaseException:
            remove(half)
            raise


def _check(name: str, driver: str, options: Mapping[str, str]) -> None:
    if len(name) < 2:
        raise UsageError(f"create {name}: volume name is too short, names should be at least two alphanumeric characters")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
            "allowed. If you intended to pass a host directory, use absolute path"
        )
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"create {name}: volume name is too long, names should be at most {_LONGEST_NAME} characters")
    if driver != _DRIVER:
        raise NotFound(
            f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found',
            hint="This engine has the volume driver local.",
        )
    for option in options:
        if option not in _OPTIONS:
            raise UsageError(f'create {name}: invalid option: "{option}"')
    for option, needed in _NEEDS.items():
        for other in needed if option in options else ():
            if other not in options:
                raise UsageError(f'create {name}: missing required option: "{other}"')
    if options:
        _check_bind(name, options)


def _check_bind(name: str, options: Mapping[str, str]) -> None:
    """The one kind of mount that needs no rights of its own: a directory of the host in the volume's place."""
    binds = {"bind", "rbind"} & set(options.get("o", "").split(","))
    if not binds or "size" in options:
        raise EngineError(
            f"create {name}: this engine's volumes are directories: of the driver's options only o=bind works", status=501
        )
    if not os.path.isabs(options["device"]):
        raise UsageError(f"create {name}: the device of a bind must be an absolute path: {options['device']}")


def _load(path: Path) -> Volume:
    stored = read_json(path)
    return Volume(path.parent.name, str(path.parent / "_data"), stored["created"], stored["labels"], stored["options"])


def _file_sizes(directory: str) -> dict[tuple[int, int], int]:
    """By device and inode."""
    found: dict[tuple[int, int], int] = {}
    waiting = [directory]
    while waiting:
        # A container may be removing what is counted, or have closed it to us.
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
                    else:
                        found[status.st_dev, status.st_ino] = status.st_size
    return found
