"""A layer's tar → its contents, in one pass.

    contents = read(stream)                 to the stream's end; each file's bytes are hashed on the way
    contents, places = listed(window)       of a tar that lies in a file: headers alone
    hashed(contents, window, places, wanted)    and later the bytes of those files whose hashes are wanted

Bounded: so many entries, and such long names, as no image has, are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from dataclasses import replace

from dockerlab.errors import EngineError
from dockerlab.image.files import Contents, File
from dockerlab.wire import streams
from dockerlab.wire.tar import Entry, Readable, Window, entries, listing

_MOST_ENTRIES = 3_000_000
_MOST_NAMES = 1 << 28  # bytes of paths and links, together
_EMPTY = hashlib.sha256().digest()


def read(layer: Readable) -> Contents:
    """What a layer stores, with hashes. Raises EngineError for what is no tar, is cut off, or is not safe."""
    found = _Found()
    for entry, data in entries(layer):
        found.count(entry.path, entry.target)
        if ".wh." in entry.path and found.mark(entry):
            continue
        content = _digest(data) if entry.kind == "file" else None
        found.files.append(File(entry.path, entry.kind, entry.size, entry.mode, entry.uid, entry.gid, entry.target, content))
    return found.contents()


def listed(layer: Window) -> tuple[Contents, dict[str, int]]:
    """What a layer stores, without hashes; and by path where in the window a file's bytes lie. Raises as `read`."""
    found = _Found()
    places: dict[str, int] = {}
    files, count = found.files, found.count
    for path, kind, size, mode, uid, gid, target, start, stored in listing(layer):
        count(path, target)
        if ".wh." in path and found.mark(Entry(path)):
            continue
        content = None if size or kind != "file" else _EMPTY
        files.append(File(path, kind, size, mode, uid, gid, target, content))
        if stored == size and size:
            places[path] = start
    return found.contents(), places


class _Found:
    """What was read of a layer so far."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self._removed: list[str] = []
        self._opaque: list[str] = []
        self._left, self._names = _MOST_ENTRIES, _MOST_NAMES

    def count(self, path: str, target: str) -> None:
        self._left -= 1
        self._names -= len(path) + len(target)
        if self._left < 0 or self._names < 0:
            raise EngineError("the layer has more files than any image's")

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
        return Contents.of(self.files, self._removed, self._opaque)


def hashed(contents: Contents, layer: Window, places: Mapping[str, int], wanted: Container[str]) -> Contents:
    """The contents with the hashes of the files at the paths `wanted`. places: as `listed` says; a file with holes has none."""
    files = list(contents.files)
    for index, file in enumerate(files):
        if file.content is None and file.path in wanted and file.path in places:
            files[index] = file._replace(content=_digest(Window(layer.file, layer.start + places[file.path], file.size)))
    return replace(contents, files=tuple(files))


def opened(member: Window) -> Readable:
    """A layer as it lies in a file: the window itself, or its bytes decompressed."""
    start = member.read(6)
    member.seek(0)
    return streams.readable(streams.decompressed(streams.chunks(member))) if streams.compression(start) else member


def _digest(data: Readable) -> bytes:
    found = hashlib.sha256()
    while chunk := data.read(streams.CHUNK):
        found.update(chunk)
    return found.digest()
