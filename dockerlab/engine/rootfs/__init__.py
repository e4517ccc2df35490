"""A container's files: the layers of its image below, what the container wrote above. Two kinds follow one protocol.

- `overlay`: layers unpacked one by one, put together by the kernel's overlayfs; for where mounting is allowed
- `tree`: for where nothing can be mounted

A *layer* is a change (a tar with whiteouts), a *lower* is a directory that a layer, or a stack of them, was unpacked to. An unpacked
layer never changes. Nothing here needs to know what an image is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from dockerlab.engine.finding import Finding
    from dockerlab.engine.store import Layer

Kind = Literal["overlay", "tree"]
# Gives a layer's tar, uncompressed. Reading raises EngineError at its end where the bytes are not the layer's.
OpenLayer = Callable[["Layer"], IO[bytes]]


class ChangeKind(IntEnum):
    """The numbers of the Engine API, `docker diff`'s letters C, A and D."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True)
class Change:
    """What a container did to a path. path: absolute, in the container."""

    path: str
    kind: ChangeKind


@dataclass(frozen=True)
class Root:
    """A container's root file system, not mounted. Absolute paths of the host; lowers: the topmost first.

    upper: takes what the container writes. work: overlayfs's own, on the file system of `upper`; "" where there is none.
    """

    kind: Kind
    lowers: tuple[str, ...]
    upper: str
    work: str = ""


class Snapshots(Protocol):
    """Unpacks layers and gives containers their roots. Safe for several threads and processes at once.

    What half-written work a crash leaves is in the home's `tmp`, never under a name that somebody reads.
    """

    @property
    def kind(self) -> Kind:
        """Which of the two."""

    def prepare(self, layers: Sequence[Layer], open_layer: OpenLayer) -> tuple[str, ...]:
        """Unpacks those of an image's layers (lowest first) that are not yet; the lowers of a root, the topmost first.

        Atomic: a layer is there whole or not at all. Raises EngineError for a layer that cannot be read, is not safe, or does not
        fit on the disk.
        """

    def create(self, container: Path, lowers: Sequence[str]) -> Root:
        """A new, empty place to write to in a container's directory, above `lowers`."""

    def changes(self, root: Root) -> list[Change]:
        """What the container changed, by path. The container may run."""

    def diff(self, root: Root, out: IO[bytes]) -> None:
        """Writes what the container changed as a layer: a tar with whiteouts; the same bytes for the same changes."""

    def adopt(self, root: Root, layers: Sequence[Layer]) -> None:
        """Makes what a container wrote the unpacked layer that its diff is, the last of `layers`, if that can be done.

        The container is gone, has stood on the others, and wrote nothing since. Its root is of no use any more, but to be removed.
        """

    def usage(self, root: Root) -> int:
        """Bytes of the files that the container wrote: the API's SizeRw."""

    def remove(self, container: Path) -> None:
        """Removes a container's directory, whatever modes the container gave what is in it. Nothing there is no error."""

    def collect(self, keep: Collection[str]) -> None:
        """Sets aside unpacked layers whose chain id is not in `keep`, and that no container stands on. It takes no time."""

    def sweep(self) -> int:
        """Removes what was set aside, and what a crash left; the bytes that became free."""

    def check(self, images: Sequence[Sequence[Layer]], open_layer: OpenLayer, *, repair: bool) -> Iterator[Finding]:
        """Compares unpacked layers with those of images (lowest first), file by file; with `repair` what differs is unpacked anew,
        unless a container would be hurt by it."""
