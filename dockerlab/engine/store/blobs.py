"""Blobs: bytes that go by their digest, in `blobs/sha256/` of an OCI image layout.

Written whole or not at all: to `tmp`, then renamed. Writing what is there already changes nothing. Read back verified: a blob that
was damaged is an error and never data.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dockerlab.engine.store.disk import Budget, Writeback, full_disk_is_an_error
from dockerlab.errors import EngineError
from dockerlab.wire import streams

# Manifests and configs are read into memory.
LONGEST_DOCUMENT = 8 << 20
# Half-written files of the store in the home's `tmp`.
TEMPORARY = "store-"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether it names a blob that we could have; also what makes it safe as a file's name."""
    return _DIGEST.fullmatch(text) is not None


class Draft:
    """A blob that is being written. digest, size: of what was written so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._budget = Budget(path.parent)
        self._file = path.open("xb", buffering=0)
        self._writeback = Writeback(self._file.fileno())

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: bytes) -> int:
        """Adds bytes. Raises EngineError where the disk would be full."""
        self._budget.spend(len(data))
        with full_disk_is_an_error():
            self._file.write(data)
        self._hash.update(data)
        self.size += len(data)
        self._writeback.grown(self.size)
        return len(data)

    def open(self) -> BinaryIO:
        """Reads what was written so far."""
        return self.path.open("rb")

    def settle(self) -> None:
        """What was written so far is on the disk: `Blobs.keep`, which makes sure of that, need not wait for it later."""
        with full_disk_is_an_error():
            os.fdatasync(self._file.fileno())

    def finish(self) -> None:
        """All is written: nothing stays open, so that there may be many."""
        self._file.close()

    def close(self) -> None:
        """Removes what was not kept."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Blobs:
    """folder: of the blobs, one file each. tmp: on the same file system."""

    def __init__(self, folder: Path, tmp: Path) -> None:
        self.folder, self._tmp = folder, tmp

    def path(self, digest: str) -> Path:
        """Where a blob is kept. Raises EngineError for what is not a digest."""
        if not is_digest(digest):
            raise EngineError(f"not a digest that the store could have: {digest[:80]!r}")
        return self.folder / digest.removeprefix("sha256:")

    def size(self, digest: str) -> int | None:
        """Bytes of a blob, or None where it is not there."""
        with suppress(FileNotFoundError):  # which is the answer
            return self.path(digest).stat().st_size
        return None

    def __iter__(self) -> Iterator[str]:
        for name in sorted(os.listdir(self.folder)):
            if is_digest(f"sha256:{name}"):
                yield f"sha256:{name}"

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """A blob to be written. `keep` makes it one; else it is gone at the end."""
        draft = Draft(self._tmp / f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}")
        try:
            yield draft
        finally:
            draft.close()

    def keep(self, draft: Draft) -> str:
        """Makes a blob of a draft; its digest."""
        target = self.path(draft.digest)
        draft.finish()
        if self.size(draft.digest) != draft.size:
            with full_disk_is_an_error():
                _settle(draft.path)
                draft.path.replace(target)
                _settle(self.folder)
        return draft.digest

    def put(self, data: bytes) -> str:
        """Makes a blob of bytes; its digest."""
        with self.draft() as draft:
            draft.write(data)
            return self.keep(draft)

    def read(self, digest: str) -> bytes:
        """A small blob, whole. Raises EngineError where it is not there, damaged, or not small."""
        what = f"blob {digest}"
        try:
            with self.path(digest).open("rb") as file:
                data = file.read(LONGEST_DOCUMENT + 1)
        except FileNotFoundError:
            raise _missing(what) from None
        if len(data) > LONGEST_DOCUMENT:
            raise EngineError(f"{what} is too long to be a manifest or a config")
        return b"".join(streams.verified([data], digest, what))

    def chunks(self, digest: str) -> Iterator[bytes]:
        """A blob in pieces. Raises EngineError where it is not there; at the end where it is damaged."""
        what = f"blob {digest}"
        try:
            file = self.path(digest).open("rb")
        except FileNotFoundError:
            raise _missing(what) from None
        with file:
            yield from streams.verified(streams.chunks(file), digest, what)

    def remove(self, digest: str) -> int:
        """Removes a blob; the bytes that became free. Nothing there is no error."""
        size = self.size(digest)
        self.path(digest).unlink(missing_ok=True)
        return size or 0


def _settle(path: Path) -> None:
    """On the disk, not only in memory. A renamed file is there for good when its directory is."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _missing(what: str) -> EngineError:
    return EngineError(f"{what} is missing", hint="`dockerlab engine check --repair`, then load the image again.")
