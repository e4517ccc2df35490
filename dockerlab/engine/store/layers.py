"""Layers as they come in: each is read through once, so that what the store holds is a safe tar with a known digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dockerlab.engine.store.blobs import Blobs
from dockerlab.engine.store.documents import OCI_LAYER, descriptor
from dockerlab.wire import streams
from dockerlab.wire.tar import Readable, entries

_SUFFIX = {"gzip": "+gzip", "zstd": "+zstd"}


@dataclass(frozen=True)
class Content:
    """A layer that belongs to no image yet. files_size: bytes of its files. count: of its entries; 0 for a layer that changes nothing."""

    digest: str
    diff_id: str
    media_type: str
    size: int
    files_size: int
    count: int

    def descriptor(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return descriptor(self.digest, self.size, self.media_type)


@dataclass(frozen=True)
class Measured:
    """What reading a layer's tar finds out."""

    diff_id: str
    files_size: int
    count: int


def measure(source: Iterable[bytes]) -> Measured:
    """Reads a layer, compressed or not, to its end. Raises EngineError for one that is damaged or not safe."""
    hash_ = hashlib.sha256()
    with streams.readable(streams.hashed(streams.decompressed(source), hash_)) as tar:
        size, count = survey(tar)
        while tar.read(streams.CHUNK):
            pass
    return Measured(f"sha256:{hash_.hexdigest()}", size, count)


def write(blobs: Blobs, stream: Readable) -> Content:
    """Makes a blob of a layer's tar, compressed or not; it is kept uncompressed. Raises EngineError."""
    with blobs.draft() as draft:
        for chunk in streams.decompressed(streams.chunks(stream)):
            draft.write(chunk)
        with draft.open() as tar:
            size, count = survey(tar)
        digest = blobs.keep(draft)
        return Content(digest, digest, OCI_LAYER, draft.size, size, count)


def survey(tar: Readable) -> tuple[int, int]:
    """Bytes of the files and number of the entries of a tar; of a symbolic link its target counts, as with Docker.

    Raises EngineError for one that is damaged or not safe.
    """
    size = count = 0
    for entry, _ in entries(tar):
        size += len(os.fsencode(entry.target)) if entry.kind == "symlink" else entry.size
        count += 1
        entry.check()
    return size, count


def media_type(start: bytes) -> str:
    """The media type of a layer that begins so."""
    return OCI_LAYER + _SUFFIX.get(streams.compression(start), "")
