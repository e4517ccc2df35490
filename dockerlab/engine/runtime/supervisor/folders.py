"""Directories of a container, as the supervisor finds them: where each is on the host, and what is remembered of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from dockerlab.engine.rootfs import recorded
from dockerlab.engine.rootfs.tree import Origin


@dataclass(frozen=True)
class Area:
    """What a mount is: kind "tree", "bind" (also tmpfs and /dev), "proc" or "sys". guest, host: its root on either side."""

    kind: str
    guest: bytes
    host: bytes
    readonly: bool = False


class Folder:
    """A directory of the container. host: where its entries are looked up, ends in a slash. owned: they may be changed there.

    A file that is mounted is one too (`is_file`), with the host's path as it is.
    """

    __slots__ = ("area", "entries", "guest", "host", "is_file", "mounts", "origin", "owned", "records", "shown", "status")

    def __init__(self, guest: bytes, host: bytes, area: Area, owned: bool, origin: Origin | None = None) -> None:
        self.guest, self.host, self.area, self.owned, self.origin = guest, host, area, owned, origin
        self.mounts: dict[bytes, Folder] | None = None
        # What was found in a directory of a lower tree stays true, and so does what was not.
        self.entries: dict[bytes, os.stat_result | None] | None = None if owned else {}
        self.records: dict[bytes, recorded.Recorded | None] = {}
        self.status: os.stat_result | None = None
        self.shown: recorded.Recorded | None = None
        self.is_file = False

    def lstat(self) -> os.stat_result:
        """Of the directory itself."""
        if self.entries is None:
            return os.lstat(self.host)
        if self.status is None:
            self.status = os.lstat(self.host)
        return self.status

    @property
    def path(self) -> bytes:
        """The host's path of the directory itself."""
        return self.host if self.is_file else self.host[:-1]


class Unmade(Folder):
    """A directory that is made on the host once something looks into it: most containers never do, and it costs time to make files."""

    __slots__ = ("_host", "_make")

    def __init__(self, guest: bytes, host: bytes, area: Area, make: Callable[[], object]) -> None:
        self._make: Callable[[], object] | None = make
        super().__init__(guest, host, area, True)

    @property
    def host(self) -> bytes:  # an attribute of the others
        """As of every folder."""
        if self._make is not None:
            make, self._make = self._make, None
            make()
        return self._host

    @host.setter
    def host(self, value: bytes) -> None:
        self._host = value


# The folder that an entry is in, its name ("" for the folder itself), the host's path, and its lstat: None where there is no such entry.
Place = tuple[Folder, bytes, bytes, os.stat_result | None]
