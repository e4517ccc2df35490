"""An archive of images, as `docker save` writes it or an OCI layout in a tar, and what its layers hold: no engine, nothing unpacked.

    archive = Archive.passing(stream)      all in one pass, however its members are ordered: layers are read as they come by
    archive = Archive.lying(file)          a tar in a file: headers first, and of the layers those that are asked for
    images = archive.images()              what manifest.json, else index.json, names
    archive.layers(images[0])              their contents, the lowest first

Members are told apart by how they begin: `{` or `[` is a document, all else of some size a layer, compressed or not. Archives come
from strangers: no name in them is ever a path on this machine, and documents, members, links and names are bounded. Digests are not
verified: what is shown is what is there.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from dockerlab.errors import ArchiveError, EngineError
from dockerlab.image.files import Contents
from dockerlab.image.layer_reading import Budget, listed, marked, opened, read
from dockerlab.wire import streams
from dockerlab.wire.tar import Data, Entry, Flow, Prefixed, Readable, Window, clean, entries, listing

_MOST_MEMBERS = 20_000
_MOST_LINKS = 10
_LONGEST_DOCUMENT = 8 << 20
_MOST_DOCUMENTS = 64 << 20  # bytes of them all
_MOST_INDEXES = 4  # one in the other
_START = 512
_SHORT = ("VERSION", "repositories", "oci-layout")
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


@dataclass(frozen=True, slots=True)
class Described:
    """An image as its archive describes it. layers: members' names, the lowest first. config: the image's config, parsed."""

    tags: tuple[str, ...]
    config: Mapping[str, Any]
    layers: tuple[str, ...]

    @property
    def history(self) -> list[Mapping[str, Any]]:
        """The lines of its history that are what they should be."""
        lines = self.config.get("history")
        return [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []

    @property
    def diff_ids(self) -> list[str]:
        """Digests of its layers, uncompressed."""
        rootfs = self.config.get("rootfs")
        found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        return [str(digest) for digest in found] if isinstance(found, list) else []


@dataclass
class Archive:
    """See above. what: what it is, for errors. budget: how much of it is read."""

    what: str
    budget: Budget
    documents: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    found: dict[str, Contents] = field(default_factory=dict)
    windows: dict[str, Window] = field(default_factory=dict)
    places: dict[str, dict[str, int]] = field(default_factory=dict)
    broken: dict[str, EngineError] = field(default_factory=dict)

    @classmethod
    def passing(cls, stream: Readable, what: str = "the archive", budget: Budget | None = None) -> Archive:
        """Reads a stream to its end, decompressed if it is compressed. Raises ArchiveError for what is none, cut off or not safe."""
        archive = cls(what, budget or Budget())
        with archive._errors():
            plain = Flow(streams.decompressed(streams.gathered(streams.chunks(stream))))
            for entry, data in entries(plain):
                archive._count()
                if not archive._link(entry.path, entry.kind, entry.target) and entry.kind == "file":
                    archive._pass(entry, data)
            while plain.read(streams.CHUNK):
                pass
        return archive

    @classmethod
    def lying(cls, file: BinaryIO, what: str = "the archive", budget: Budget | None = None) -> Archive:
        """Lists a file, which stays open for as long as layers are asked for. Raises ArchiveError for what is none, or cut off."""
        archive = cls(what, budget or Budget())
        size = file.seek(0, 2)
        with archive._errors():
            for (path, kind, _, _, _, _, target), place, stored in listing(Window(file, 0, size)):
                archive._count()
                if not archive._link(path, kind, target) and kind == "file":
                    window = Window(file, place, stored)
                    start = window.read(_START)
                    window.seek(0)
                    if _is_document(start, path):
                        archive._keep(path, stored, window.read)
                    else:
                        archive.windows[path] = window
        return archive

    def images(self) -> tuple[Described, ...]:
        """The images that it names. Raises ArchiveError where it describes none, or one that is not whole."""
        if (manifests := self._json("manifest.json")) is not None:
            described = manifests if isinstance(manifests, list) else []
            found = tuple(self._docker(entry) for entry in described if isinstance(entry, dict))
        elif (index := self._json("index.json")) is not None:
            found = tuple(self._indexed(index, (), _MOST_INDEXES))
        else:
            hint = "`docker save -o FILE IMAGE` writes one; so does any tool that writes an OCI layout as a tar."
            raise self._wrong("it has neither manifest.json nor index.json", hint)
        if not found:
            raise self._wrong("it names no image")
        return found

    def layers(self, image: Described) -> tuple[Contents, ...]:
        """What the image's layers store. Each is read once. Raises ArchiveError for one that is missing or damaged."""
        if image.diff_ids and len(image.diff_ids) != len(image.layers):
            raise self._wrong(f"its manifest has {len(image.layers)} layers, its config {len(image.diff_ids)}")
        return tuple(self._layer(name) for name in image.layers)

    def mark(self, image: Described, wanted: Collection[str]) -> tuple[Contents, ...]:
        """The layers again, with fingerprints of the files at these paths."""
        for name in {self.path(name) for name in image.layers}:
            if name in self.places and wanted:
                with self._errors():
                    self.found[name] = marked(self.found[name], self.windows[name], self.places[name], wanted)
        return self.layers(image)

    def _layer(self, name: str) -> Contents:
        path = self.path(name)
        if path not in self.found:
            window = self.windows.get(path)
            if path in self.broken:
                error = self.broken[path]
                raise self._wrong(f"layer {path!r}: {error.message}", error.hint, error.evidence)
            if window is None:
                raise self._wrong(f"layer {path!r} is missing")
            with self._errors(f"layer {path!r}: "):
                layer = opened(window)
                if isinstance(layer, Window):
                    self.found[path], self.places[path] = listed(layer, self.budget)
                else:
                    self.found[path] = read(layer, self.budget)
        return self.found[path]

    # members

    def _count(self) -> None:
        if len(self.documents) + len(self.links) + len(self.found) + len(self.windows) + len(self.broken) >= _MOST_MEMBERS:
            raise EngineError(f"it holds more than {_MOST_MEMBERS} files: it is not one of images")

    def _link(self, path: str, kind: str, target: str) -> bool:
        if kind not in ("symlink", "link"):
            return False
        try:
            self.links[path] = clean(posixpath.join(path.rpartition("/")[0], target)) if kind == "symlink" else target
        except EngineError:
            # It leads out of the archive: to nothing, then.
            self.links[path] = path
        return True

    def _pass(self, entry: Entry, data: Data) -> None:
        start = b""
        while len(start) < _START and (chunk := data.read(_START - len(start))):
            start += chunk
        rest = Prefixed(start, data)
        if _is_document(start, entry.path):
            self._keep(entry.path, entry.size, rest.read)
        else:
            try:
                self.found[entry.path] = read(streams.decompressed(streams.chunks(rest)), self.budget)
            except EngineError as error:
                # It may be no layer at all.
                self.broken[entry.path] = error

    def _keep(self, path: str, size: int, read_: Callable[[int], bytes]) -> None:
        if size > _LONGEST_DOCUMENT or size + sum(map(len, self.documents.values())) > _MOST_DOCUMENTS:
            raise EngineError(f"{path!r} is too long for a manifest or a config: {size:,} bytes")
        pieces = []
        while chunk := read_(streams.CHUNK):
            pieces.append(chunk)
        self.documents[path] = b"".join(pieces)

    def path(self, name: str) -> str:
        """The member that a name leads to, over links."""
        try:
            path = clean(name)
        except EngineError as error:
            raise self._wrong(error.message) from error
        for _ in range(_MOST_LINKS):
            if path not in self.links:
                return path
            path = self.links[path]
        raise self._wrong(f"{name!r} is a link that leads nowhere")

    # documents

    def _json(self, name: str) -> Any:
        content = self.documents.get(self.path(name))
        if content is None:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"{name!r} is not JSON") from error

    def _config(self, name: str) -> Mapping[str, Any]:
        config = self._json(name)
        if not isinstance(config, dict):
            raise self._wrong(f"the image's config {name!r} is missing")
        return config

    def _docker(self, entry: Mapping[str, Any]) -> Described:
        tags, names = entry.get("RepoTags") or [], entry.get("Layers") or []
        if not isinstance(names, list) or not isinstance(tags, list):
            raise self._wrong("manifest.json has no list of layers")
        return Described(
            tuple(str(tag) for tag in tags), self._config(str(entry.get("Config") or "")), tuple(str(name) for name in names)
        )

    def _indexed(self, index: Any, tags: tuple[str, ...], depth: int) -> list[Described]:
        """The images of an index; of one for several platforms, those whose manifests are there."""
        found: list[Described] = []
        descriptors = index.get("manifests") if isinstance(index, dict) else None
        for descriptor in descriptors if isinstance(descriptors, list) else []:
            if not isinstance(descriptor, dict):
                continue
            notes = descriptor.get("annotations")
            notes = notes if isinstance(notes, dict) else {}
            if "vnd.docker.reference.type" in notes:
                continue  # an attestation, which is no image
            name = notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name")
            names = (str(name),) if name else tags
            document = self._json(_blob(descriptor))
            if not isinstance(document, dict):
                continue
            if descriptor.get("mediaType") in _INDEXES or "manifests" in document:
                found += self._indexed(document, names, depth - 1) if depth else []
            else:
                found.append(self._manifest(document, names))
        return found

    def _manifest(self, manifest: Mapping[str, Any], tags: tuple[str, ...]) -> Described:
        config, layers = manifest.get("config"), manifest.get("layers")
        if not isinstance(config, dict) or not isinstance(layers, list):
            raise self._wrong("a manifest has no config or no layers")
        return Described(tags, self._config(_blob(config)), tuple(_blob(layer) for layer in layers if isinstance(layer, dict)))

    # errors

    def _wrong(self, detail: str, hint: str | None = None, evidence: Sequence[str] = ()) -> ArchiveError:
        return ArchiveError(f"{self.what} cannot be read: {detail}", hint=hint, evidence=evidence)

    def _errors(self, where: str = "") -> _Errors:
        return _Errors(self, where)


class _Errors:
    """What the tar reader says, as an error of the archive."""

    def __init__(self, archive: Archive, where: str) -> None:
        self._archive, self._where = archive, where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EngineError):
            raise self._archive._wrong(self._where + error.message, error.hint, error.evidence) from error


def _is_document(start: bytes, path: str) -> bool:
    name = path.rpartition("/")[2]
    return start.lstrip()[:1] in (b"{", b"[") or name in _SHORT or name.endswith(".json") or not start


def _blob(descriptor: Mapping[str, Any]) -> str:
    algorithm, _, value = str(descriptor.get("digest") or "").partition(":")
    return f"blobs/{algorithm}/{value}"
