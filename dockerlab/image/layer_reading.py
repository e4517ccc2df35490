"""A layer's tar → its contents, in one pass.

contents = read(chunks, budget)             to the tar's end, with fingerprints of the files' bytes
contents, places = listed(window, budget)   of a tar that lies in a file: headers alone
marked(contents, window, places, wanted)    and later the fingerprints of those files that they are wanted of
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from dockerlab.errors import EngineError
from dockerlab.image.files import Contents, File
from dockerlab.wire import streams
from dockerlab.wire.tar import EMPTY, Entry, Fingerprint, Flow, Window, listing, passing

_MOST_ENTRIES = 2_000_000
_MOST_NAMES = 1 << 28  # bytes of paths and links, together
_new = tuple.__new__  # of a named tuple, in a third of the time


@dataclass
class Budget:
    """What all layers of an archive may cost together: more entries, or longer names, than any image has are refused."""

    entries: int = _MOST_ENTRIES
    names: int = _MOST_NAMES


def read(layer: Iterable[bytes], budget: Budget) -> Contents:
    """What a layer stores, with fingerprints. layer: its tar, in chunks.

    Raises EngineError for what is no tar, is cut off, or is not safe.
    """
    found = _Found()
    files = found.files
    left, names = budget.entries, budget.names
    try:
        for (path, kind, size, mode, uid, gid, target), content in passing(Flow(layer)):
            left -= 1
            names -= len(path) + len(target)
            if left < 0 or names < 0:
                raise _too_many()
            if ".wh." not in path or not found.mark(Entry(path)):
                files[path] = _new(File, (path, kind, size, mode, uid, gid, target, content))
    finally:
        # What was read of a broken one has cost as much.
        budget.entries, budget.names = left, names
    return found.contents()


def listed(layer: Window, budget: Budget) -> tuple[Contents, dict[str, int]]:
    """What a layer stores, without fingerprints; and by path where in the window a file's bytes lie, -1 of one
    with holes. Raises as `read`."""
    found = _Found()
    places: dict[str, int] = {}
    files = found.files
    left, names = budget.entries, budget.names
    for (path, kind, size, mode, uid, gid, target), start, stored in listing(layer):
        left -= 1
        names -= len(path) + len(target)
        if left < 0 or names < 0:
            raise _too_many()
        if ".wh." not in path or not found.mark(Entry(path)):
            content = None if size or kind != "file" else EMPTY
            files[path] = _new(File, (path, kind, size, mode, uid, gid, target, content))
            if size:
                places[path] = start if stored == size else -1
    budget.entries, budget.names = left, names
    return found.contents(), places


def _too_many() -> EngineError:
    return EngineError("its layers have more files than any image's")


class _Found:
    """What was read of a layer so far. files: by path, as it was stored last."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self._removed: list[str] = []
        self._opaque: list[str] = []

    def mark(self, entry: Entry) -> bool:
        """Whether an entry is no file, but says what is gone."""
        if entry.opaque:
            self._opaque.append(entry.parent)
            return True
        if (gone := entry.whiteout) is not None:
            self._removed.append(gone)
            return True
        return entry.is_aufs

    def contents(self) -> Contents:
        return Contents.of(self.files.values(), self._removed, self._opaque)


def marked(contents: Contents, layer: Window, places: Mapping[str, int], wanted: Container[str]) -> Contents:
    """The contents with fingerprints of the files at the paths `wanted`. places: as `listed` says."""
    files = list(contents.files)
    for index, file in enumerate(files):
        if file.content is None and file.path in wanted and (place := places.get(file.path, -1)) >= 0:
            data = Window(layer.file, layer.start + place, file.size)
            files[index] = file._replace(content=_content(data))
    return replace(contents, files=tuple(files))


def opened(member: Window) -> Window | Iterable[bytes]:
    """A layer as it lies in a file: the window itself, or its bytes decompressed."""
    start = member.read(6)
    member.seek(0)
    return streams.decompressed(streams.chunks(member)) if streams.compression(start) else member


def _content(data: Window) -> int:
    found = Fingerprint()
    while chunk := data.read(streams.CHUNK):
        found.update(chunk)
    return found.value()
