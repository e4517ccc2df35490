"""What an image carries that nobody sees: files that a later layer stores again or removes; and dive's score of it.

    waste = measure(layers)
    waste.wasted            bytes that the layers store and the image does not show
    waste.efficiency        dive's score, 1.0 is best
    waste.offenders         the paths that cost most, each with the layers that did it

`wasted` is exact: all bytes stored, less those of the image's files. A path's share: of older copies of a file, that of the file; of
what a whiteout, or a file in place of a directory, takes away, that of the path that is taken away.

dive's score (github.com/wagoodman/dive, filetree/efficiency.go), as it counts: in each layer, each *leaf* of that layer's own tree is
met once, which is all but directories that something of the same layer lies in. Its size is that of its tar header; of a whiteout 0 if
a file is removed, and all below it in the layers before if it is a directory. By path, those sizes are added up, and the smallest is
kept: the score is the sum of the smallest by the sum of all, 1 where that is 0. What dive calls wasted (`repeated` here) are the sizes
of all paths that were met twice or more, the copy that is seen included. Two differences: dive forgets the rest of a layer after a
whiteout of what is not there, and has directories that are made opaque keep what they had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockerlab.image.files import Contents, File
from dockerlab.image.stacking import Folder, State, above


@dataclass(frozen=True, slots=True)
class Offender:
    """A path that costs more than it shows.

    wasted: bytes of it that are stored and not seen. size: of all that was stored of it, as dive counts it. layers: the indexes of
    those that stored or removed it.
    """

    path: str
    wasted: int
    size: int
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Waste:
    """stored: bytes of files in all layers. wasted: those of them that nobody sees; layers: the same by layer.

    offenders: the costliest first. The rest is dive's: see above.
    """

    stored: int = 0
    wasted: int = 0
    efficiency: float = 1.0
    repeated: int = 0
    offenders: tuple[Offender, ...] = ()
    layers: tuple[int, ...] = ()


class _Path:
    """What dive keeps of a path that it met."""

    __slots__ = ("least", "met", "size")

    def __init__(self, size: int) -> None:
        self.least, self.met, self.size = size, 1, size

    def meet(self, size: int) -> None:
        self.least, self.met, self.size = min(self.least, size), self.met + 1, self.size + size


def measure(layers: Sequence[Contents], state: State | None = None) -> Waste:
    """The waste of an image of these layers, the lowest first. state: an empty one, on which they are laid meanwhile."""
    wasted: dict[str, int] = {}
    # A file that is met once, as most are, costs an entry of one dict.
    once: dict[str, int] = {}
    again: dict[str, _Path] = {}
    state = state or State()
    stored: list[_Stored] = []
    directories: set[str] = set()
    lost: dict[int, int] = {}

    def hide(path: str, files: list[File]) -> None:
        size = 0
        for file in files:
            if file.size:
                size += file.size
                lost[id(file)] = lost.get(id(file), 0) + 1
        if size:
            wasted[path] = wasted.get(path, 0) + size
            if files[-1].path != path:
                directories.add(path)

    for contents in layers:
        gone = {path: _below(state.find(path)) for path in contents.removed}
        # This also sees to it that paths are not too many for what follows.
        state.apply(contents, hide)
        stored.append(_Stored(contents))
        sizes = stored[-1].leaves()
        for met in (sizes, gone):
            common = met.keys() & once.keys()
            for path in common:
                if path not in again:
                    again[path] = _Path(once[path])
                again[path].meet(met[path])
            once.update({path: size for path, size in met.items() if path not in common} if common else met)
    least = sum(once.values()) + sum([path.least - once[name] for name, path in again.items()])
    every = sum(once.values()) + sum([path.size - once[name] for name, path in again.items()])
    return Waste(
        sum([contents.size for contents in layers]),
        sum(wasted.values()),
        least / every if every else 1.0,
        sum([path.size for path in again.values()]),
        _offenders(stored, wasted, again, directories),
        _by_layer(layers, lost),
    )


class _Stored:
    """What a layer stores. files: by path. above: the directories that they lie in."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.files = {file.path: file for file in contents.files}
        self.above = above(self.files)

    def leaves(self) -> dict[str, int]:
        """dive's leaves of the layer with their sizes, whiteouts apart."""
        sizes = {path: file.size for path, file in self.files.items()}
        opaque = set(self.contents.opaque)
        inner = self.above & (sizes.keys() | opaque)
        for path in self.contents.removed:
            while path := path.rpartition("/")[0]:
                if path in sizes or path in opaque:
                    inner.add(path)
        for path in inner:
            if path in sizes and self.files[path].kind == "directory":
                del sizes[path]
        # dive does not keep the mark itself, but the directory that it lies in.
        return sizes | {path: 0 for path in opaque if path and path not in inner and path not in sizes}


def _by_layer(layers: Sequence[Contents], lost: dict[int, int]) -> tuple[int, ...]:
    """lost: how often a file was hidden, by its id: as often as it was stored, or less."""
    found = []
    for contents in layers:
        size = 0
        for file in contents.files if lost else ():
            if left := lost.get(id(file)):
                lost[id(file)] = left - 1
                size += file.size
        found.append(size)
    return tuple(found)


def _below(entry: File | Folder | None) -> int:
    return sum([file.size for file in entry.below()]) if isinstance(entry, Folder) else 0


def _offenders(
    stored: Sequence[_Stored], wasted: dict[str, int], again: dict[str, _Path], directories: set[str]
) -> tuple[Offender, ...]:
    """directories: those of the paths that hid what lay below them."""
    places: dict[str, list[int]] = {path: [] for path in (*wasted, *(name for name, path in again.items() if path.size))}
    for index, layer in enumerate(stored):
        met = places.keys() & layer.files.keys()
        met |= places.keys() & {*layer.contents.removed, *layer.contents.opaque}
        for path in met | (layer.above & directories - {""}):
            places[path].append(index)
    found = [
        Offender(path, wasted.get(path, 0), again[path].size if path in again else wasted.get(path, 0), tuple(indexes))
        for path, indexes in places.items()
    ]
    return tuple(sorted(found, key=lambda offender: (-offender.wasted, -offender.size, offender.path)))
