"""An archive of images, taken apart: its members as drafts of blobs, wherever in the archive they stand.

Archives come in one pass, and what says what they hold (`manifest.json`, `index.json`) often comes last. So every member is written to
the store's `tmp` and hashed on the way; what turns out to be needed is kept, the rest is gone in the end.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from dockerlab.engine.store.blobs import LONGEST_DOCUMENT, Blobs, Draft, is_digest
from dockerlab.errors import EngineError
from dockerlab.wire import streams
from dockerlab.wire.tar import Readable, clean, entries

_MOST_MEMBERS = 20_000
_MOST_LINKS = 10
_BLOBS = "blobs/sha256/"


@dataclass(frozen=True)
class Member:
    """A file of the archive. draft: None for a blob that the store has already."""

    digest: str
    size: int
    draft: Draft | None


def blob_path(digest: str) -> str:
    """Where an OCI layout has a blob."""
    return _BLOBS + digest.removeprefix("sha256:")


class Archive:
    """Use it in a `with`: at its end what was not kept is gone."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._members: dict[str, Member] = {}
        self._links: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def read(self, stream: Readable) -> None:
        """Takes it apart. Raises EngineError for one that is damaged, not safe, or does not fit on the disk."""
        with streams.readable(streams.decompressed(streams.chunks(stream))) as plain:
            for entry, data in entries(plain):
                if len(self._members) + len(self._links) >= _MOST_MEMBERS:
                    raise EngineError(f"the archive holds more than {_MOST_MEMBERS} files: it is not one of images")
                if entry.kind == "symlink":
                    self._links[entry.path] = clean(posixpath.join(entry.parent, entry.target))
                elif entry.kind == "link":
                    self._links[entry.path] = entry.target
                elif entry.kind == "file":
                    if entry.sparse is not None:
                        raise EngineError("the archive holds a sparse file: it is not one of images")
                    self._members[entry.path] = self._known(entry.path, entry.size) or self._written(data)
            while plain.read(streams.CHUNK):
                pass

    def find(self, name: str) -> Member | None:
        """A member by its name, links followed."""
        path = clean(name)
        for _ in range(_MOST_LINKS):
            if path not in self._links:
                return self._members.get(path)
            path = self._links[path]
        return None

    def member(self, name: str) -> Member:
        """A member by its name. Raises EngineError where there is none."""
        found = self.find(name)
        if found is None:
            raise EngineError(f"the archive is not whole: {clean(name)} is missing")
        return found

    def blob(self, digest: str) -> Member | None:
        """A blob of an OCI layout, whose bytes are those of its digest. Raises EngineError where they are not."""
        found = self.find(blob_path(digest)) if is_digest(digest) else None
        if found and found.digest != digest:
            raise EngineError(f"blob {digest} is damaged: its bytes are not those of its digest")
        return found

    def chunks(self, member: Member) -> Iterator[bytes]:
        """The bytes of a member, kept already or not: layers are shared, also within one archive."""
        if member.draft is None or not member.draft.path.exists():
            yield from self._blobs.chunks(member.digest)
            return
        with member.draft.open() as file:
            yield from streams.chunks(file)

    def document(self, member: Member) -> bytes:
        """A small member, whole. Raises EngineError where it is not small."""
        if member.size > LONGEST_DOCUMENT:
            raise EngineError("the archive holds a manifest or a config that is too long")
        return b"".join(self.chunks(member))

    def keep(self, member: Member) -> None:
        """Makes a member a blob of the store."""
        if member.draft is not None and member.draft.path.exists():
            self._blobs.keep(member.draft)

    def _known(self, path: str, size: int) -> Member | None:
        digest = f"sha256:{path.removeprefix(_BLOBS)}"
        if path.startswith(_BLOBS) and is_digest(digest) and self._blobs.size(digest) == size:
            return Member(digest, size, None)
        return None

    def _written(self, data: Readable) -> Member:
        draft = self._stack.enter_context(self._blobs.draft())
        for chunk in streams.chunks(data):
            draft.write(chunk)
        draft.finish()
        return Member(draft.digest, draft.size, draft)
