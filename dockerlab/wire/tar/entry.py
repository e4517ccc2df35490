"""One entry of a tar archive, as a value; and what its name says: a path, or in a layer a *whiteout*.

A whiteout (OCI image spec, layer.md): `a/.wh.b` says that `a/b` of the layers below is gone; `a/.wh..wh..opq` that all of `a` below is
("opaque").
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from dockerlab.errors import EngineError

Kind = Literal["file", "directory", "symlink", "link", "char", "block", "fifo"]

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."  # what AUFS, where whiteouts come from, kept beside them

_TYPES: dict[Kind, int] = {
    "file": stat.S_IFREG,
    "link": stat.S_IFREG,
    "directory": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
}


class Readable(Protocol):
    """All that is asked of a stream: up to `size` bytes, b"" at its end."""

    def read(self, size: int, /) -> bytes: ...


class Writable(Protocol):
    """All that is asked of a stream to write to: it takes all of `data`."""

    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """path: as `clean` gives it. mode: permissions and set-id bits. mtime: nanoseconds since the epoch. size: of the file, holes
    included. target: of a symlink any text, of a (hard) link the path of an earlier entry. device: (major, minor). xattrs: by their
    full names. sparse: the (offset, length) of what is no hole, None for a file without.
    """

    path: str
    kind: Kind = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    sparse: tuple[tuple[int, int], ...] | None = None

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> str:
        """The directory it lies in."""
        return self.path.rpartition("/")[0]

    @property
    def st_mode(self) -> int:
        """Mode with the file type, as stat(2) has it."""
        return _TYPES[self.kind] | self.mode

    @property
    def opaque(self) -> bool:
        """It says that its directory hides all that layers below have there."""
        return self.name == OPAQUE

    @property
    def whiteout(self) -> str | None:
        """The path that this entry says is gone, or None."""
        name = self.name
        if not name.startswith(WHITEOUT) or name.startswith(_AUFS):
            return None
        gone = name.removeprefix(WHITEOUT)
        if gone in ("", ".", ".."):
            raise EngineError(f"the archive is not safe: {self.path!r} would remove what is not its own")
        return f"{self.parent}/{gone}" if self.parent else gone

    def check(self) -> None:
        """Raises EngineError for a whiteout that names nothing of its directory."""
        self.whiteout  # noqa: B018 - it is the property that raises

    @property
    def is_aufs(self) -> bool:
        """AUFS's own record, which says nothing about files."""
        return self.name.startswith(_AUFS) and not self.opaque


def clean(name: str) -> str:
    """A name of an archive as a path below a root: "/usr//./bin/" → "usr/bin". Raises EngineError for one that climbs out."""
    if "/." not in name and "//" not in name and name[:1] != "." and "\0" not in name:
        return name.strip("/")  # as most are
    if "\0" in name:
        raise EngineError("the archive is not safe: a name holds a null byte")
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise EngineError(f"the archive is not safe: {name!r} lies outside its root")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
