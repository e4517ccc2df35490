"""The files of a layer, as values: what its tar stores, and what it says is gone.

    contents = Contents.of(files, removed, opaque)

Paths are relative to the root, without "..": the root itself is "". A path that a tar stores twice counts as it was stored last. A
layer stores a *whiteout* for what it removes (OCI image spec, layer.md): of a path (`removed`), or of all that the layers below have
in a directory (`opaque`); both are about the layers below alone, wherever in the tar they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from dockerlab.wire.tar import Kind

Change = Literal["added", "modified", "removed", "unchanged"]
CHANGES: tuple[Change, ...] = ("added", "modified", "removed", "unchanged")


class File(NamedTuple):
    """A file, a directory, a link or a device, as a layer stores it.

    size: bytes of a regular file; 0 for all else, hard links too ("link", whose target is the path of another file of the layer).
    content: a fingerprint of those bytes (see `wire.tar.fingerprint`); None where it was not asked for.
    """

    path: str
    kind: Kind = "file"
    size: int = 0
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    target: str = ""
    content: int | None = None

    def same(self, other: File) -> bool:
        """Whether nothing that counts differs; contents that were not read count as the same, where sizes are."""
        if self[1:7] != other[1:7]:
            return False
        return self.content == other.content or self.content is None or other.content is None


@dataclass(frozen=True, slots=True)
class Contents:
    """What one layer stores. files: in the order of its tar, each path once. size: bytes of them all."""

    files: tuple[File, ...] = ()
    removed: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    size: int = 0

    @classmethod
    def of(cls, files: Iterable[File], removed: Iterable[str] = (), opaque: Iterable[str] = ()) -> Contents:
        """From what stands in a tar."""
        last = {file.path: file for file in files}
        return cls(
            tuple(last.values()),
            tuple(dict.fromkeys(removed)),
            tuple(dict.fromkeys(opaque)),
            sum([file.size for file in last.values()]),
        )


def repeated(layers: Sequence[Contents]) -> set[str]:
    """The paths of files that a layer stores at the size of the one below: whether they changed, only their bytes say."""
    found: set[str] = set()
    if len(layers) < 2:
        return found
    sizes: dict[str, int] = {}
    for contents in layers:
        for file in contents.files:
            if size := file.size:
                path = file.path
                if sizes.get(path) == size:
                    found.add(path)
                sizes[path] = size
    return found
