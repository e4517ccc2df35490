"""The images that the records name, read and cached: who has which name, and which image a name or an id means.

Documents never change under their digest, so each is read once; the records are read again when another process changed them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dockerlab import reference
from dockerlab.engine.store import documents, records
from dockerlab.engine.store.blobs import Blobs, is_digest
from dockerlab.engine.store.lock import Lock
from dockerlab.engine.store.records import Records
from dockerlab.engine.store.values import Image, refused
from dockerlab.errors import EngineError, InvalidReference, NotFound

_HEX = re.compile(r"[0-9a-f]{1,64}")
_BARE_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Contents:
    """images: by id. broken: what is wrong with those whose documents cannot be read, by their manifests' digests."""

    records: Records
    images: Mapping[str, Image]
    broken: Mapping[str, str]


@dataclass
class Edit:
    """Records that are being changed; `records` is replaced."""

    records: Records
    contents: Contents


class Catalogue:
    """root: of the OCI image layout. Safe for several threads and processes."""

    def __init__(self, root: Path, blobs: Blobs) -> None:
        self._root, self._blobs = root, blobs
        self._lock = Lock(root / "store.lock")
        self._guard = threading.Lock()
        self._cached: tuple[object, Contents] | None = None
        self._documents: dict[str, Image] = {}

    def contents(self) -> Contents:
        """All there is. Raises EngineError for an index that cannot be read."""
        with self._guard:
            stamp = records.stamp(self._root)
            while self._cached is None or self._cached[0] != stamp:
                self._cached = (stamp, self._read(records.read(self._root)))
                # There are two files: one of them may have been changed since the other was read.
                stamp = records.stamp(self._root)
            return self._cached[1]

    @contextmanager
    def changing(self) -> Iterator[Edit]:
        """To change the records, alone among all processes; written at the end, unless an error is raised."""
        with self._lock.exclusive():
            contents = self.contents()
            edit = Edit(contents.records, contents)
            yield edit
            if edit.records != contents.records:
                records.write(self._root, edit.records, contents.records if records.stamp(self._root) else None)

    def sweep(self) -> None:
        """Removes what a process that was killed left of its changes."""
        with self._lock.exclusive():
            for path in records.half_written(self._root):
                path.unlink()

    def forget(self) -> None:
        """Reads everything anew the next time: blobs were removed that documents were read from."""
        with self._guard:
            self._cached = None
            self._documents = {}

    def get(self, name: str) -> Image:
        """The image of a name, an id, or the beginning of an id. Raises NotFound, InvalidReference with Docker's words."""
        return find(name, self.contents())

    def _read(self, found: Records) -> Contents:
        images: dict[str, Image] = {}
        broken: dict[str, str] = {}
        for digest in found.manifests:
            try:
                image = self._documents.get(digest) or self._parsed(digest)
            except EngineError as error:
                broken[digest] = error.message
                continue
            self._documents[digest] = image
            names = found.names_of(digest)
            if image.id in images:
                # Two manifests of one config: another tool wrote into the layout.
                images[image.id] = replace(images[image.id], references=tuple(sorted({*images[image.id].references, *names})))
                continue
            images[image.id] = replace(
                image,
                layers=tuple(replace(layer, files_size=found.sizes.get(layer.diff_id, layer.size)) for layer in image.layers),
                references=names,
                parent=found.parents.get(image.id, ""),
                tagged=found.tagged.get(image.id, ""),
                is_cache=image.id in found.cache and not names,
            )
        self._documents = {digest: image for digest, image in self._documents.items() if digest in found.manifests}
        return Contents(found, images, broken)

    def _parsed(self, digest: str) -> Image:
        data = self._blobs.read(digest)
        config, _ = documents.parse_manifest(data)
        return documents.image(digest, data, self._blobs.read(config), {})


def canonical(text: str) -> str:
    """A name in the form that the records have. Raises InvalidReference with Docker's words."""
    try:
        found = reference.parse(text)
    except InvalidReference as error:
        raise refused(text) from error
    return f"{found.domain}/{found.path}@{found.digest}" if found.digest else found.canonical


def find(name: str, contents: Contents) -> Image:
    """As `Catalogue.get`. A name comes before the beginning of an id."""
    if is_digest(f"sha256:{name}") or is_digest(name):
        identifier = f"sha256:{name.removeprefix('sha256:')}"
        if identifier in contents.images:
            return contents.images[identifier]
        raise NotFound(f"No such image: {identifier}")
    wanted = canonical(name)
    for image in contents.images.values():
        if wanted in image.references:
            return image
    digits = name.removeprefix("sha256:")
    if _HEX.fullmatch(digits):
        matching = [image for image in contents.images.values() if image.id.startswith(f"sha256:{digits}")]
        if len(matching) == 1:
            return matching[0]
    if (manifest := contents.records.names.get(wanted)) in contents.broken:
        raise EngineError(
            f"the image {name} is damaged: {contents.broken[str(manifest)]}",
            hint="`dockerlab engine check --repair` removes it; load it again after that.",
        )
    raise NotFound(f"No such image: {reference.parse(name).familiar}")
