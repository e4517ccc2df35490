"""Which images there are: `index.json` of the OCI image layout, and beside it `images.json` with what the index cannot hold.

    index.json    a descriptor for each name of an image, with the name as annotation; one without a name for an image without any
    images.json   parents, when an image was last tagged, the step of a build that it is, and whether it is nothing else, the sizes of
                  layers' files, and what layers are in registries; all of it can be lost

Of a change that brings images, images.json is written first: what it says of an image that the index does not have counts for nothing.
Of any other the index is, so that nobody, after a crash neither, sees an image that was only cache and goes, or gets its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dockerlab import reference
from dockerlab.engine.home import read_json, write_json
from dockerlab.errors import EngineError

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
NAME = "io.containerd.image.name"
TAG = "org.opencontainers.image.ref.name"
LAYOUT = {"imageLayoutVersion": "1.0.0"}


@dataclass(frozen=True)
class Manifest:
    """What the index says of a manifest."""

    digest: str
    size: int
    media_type: str = OCI_MANIFEST

    def descriptor(self, name: str | None) -> dict[str, Any]:
        """As it stands in an index. name: canonical."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if name:
            tag = reference.parse(name).tag
            found["annotations"] = {NAME: name} | ({TAG: tag} if tag else {})
        return found


@dataclass(frozen=True)
class Records:
    """manifests: of all images, in the order in which they came. names: canonical reference → digest of the manifest.

    parents, tagged, keys: by image id; a key is what a step of a build is known by. cache: the ids of those that are such a step, and
    nothing else to anybody. sizes: bytes of a layer's files, by diff_id. gzips: what a layer was compressed to for a registry, by
    diff_id: "sha256:… 1234", digest and size.
    """

    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    tagged: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    gzips: Mapping[str, str] = field(default_factory=dict)
    cache: frozenset[str] = frozenset()

    def with_image(self, manifest: Manifest) -> Records:
        """With an image; it has no name yet."""
        return replace(self, manifests={**self.manifests, manifest.digest: manifest})

    def without_image(self, manifest: str) -> Records:
        """Without an image and its names."""
        names = {name: digest for name, digest in self.names.items() if digest != manifest}
        manifests = {digest: found for digest, found in self.manifests.items() if digest != manifest}
        return replace(self, manifests=manifests, names=names)

    def with_name(self, name: str, manifest: str) -> Records:
        """With a name, whatever it named before."""
        return replace(self, names={**self.names, name: manifest})

    def without_name(self, name: str) -> Records:
        """Without a name; the image stays."""
        return replace(self, names={found: digest for found, digest in self.names.items() if found != name})

    def names_of(self, manifest: str) -> tuple[str, ...]:
        """An image's names, sorted."""
        return tuple(sorted(name for name, digest in self.names.items() if digest == manifest))


def stamp(root: Path) -> tuple[tuple[int, int, int], ...]:
    """Changes whenever another process changed the records."""
    found = []
    for name in ("index.json", "images.json"):
        try:
            status = (root / name).stat()
        except FileNotFoundError:
            continue
        found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)


def read(root: Path) -> Records:
    """The records as they are on the disk; empty ones where there are none. Raises EngineError for an index that cannot be read."""
    try:
        index = read_json(root / "index.json")
    except FileNotFoundError:
        return Records()
    except ValueError as error:
        raise damaged("index.json") from error
    return _parsed(_descriptors(index), beside(root))


def beside(root: Path) -> Mapping[str, Any]:
    """images.json; empty where it is not there or cannot be read, as all of it can be found out again."""
    try:
        value = read_json(root / "images.json")
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def damaged(name: str) -> EngineError:
    """A file of the store that cannot be read."""
    return EngineError(f"the image store is damaged: {name} cannot be read", hint="`dockerlab engine check --repair` mends it.")


def _descriptors(index: object) -> list[dict[str, Any]]:
    found = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) and isinstance(entry.get("digest"), str) for entry in found):
        raise damaged("index.json")
    return found


def _parsed(descriptors: Sequence[Mapping[str, Any]], more: Mapping[str, Any]) -> Records:
    manifests: dict[str, Manifest] = {}
    names: dict[str, str] = {}
    for entry in descriptors:
        digest = str(entry["digest"])
        manifests[digest] = Manifest(digest, int(entry.get("size") or 0), str(entry.get("mediaType") or OCI_MANIFEST))
        if name := (entry.get("annotations") or {}).get(NAME):
            names[str(name)] = digest
    texts = {name: _texts(more.get(name)) for name in ("parents", "tagged", "keys", "gzips")}
    return Records(manifests, names, sizes=_sizes(more.get("sizes")), cache=_set(more.get("cache")), **texts)


def _texts(value: object) -> dict[str, str]:
    return {key: found for key, found in value.items() if isinstance(found, str)} if isinstance(value, dict) else {}


def _sizes(value: object) -> dict[str, int]:
    return {key: found for key, found in value.items() if isinstance(found, int)} if isinstance(value, dict) else {}


def _set(value: object) -> frozenset[str]:
    return frozenset(found for found in value if isinstance(found, str)) if isinstance(value, list) else frozenset()


def half_written(root: Path) -> list[Path]:
    """What a process that was killed left of `write`."""
    return [path for name in ("index.json", "images.json") for path in root.glob(f".{name}.*")]


def write(root: Path, records: Records, before: Records | None = None) -> None:
    """Replaces the records. before: what is there; what is the same is not written again."""
    files: list[tuple[str, Any]] = []
    if before is None or _beside(records) != _beside(before):
        files.append(("images.json", _beside(records)))
    if before is None or (records.manifests, records.names) != (before.manifests, before.names):
        files.append(("index.json", index_of(records)))
    if before is not None and records.manifests.keys() <= before.manifests.keys():
        files.reverse()
    for name, value in files:
        write_json(root / name, value)


def index_of(records: Records) -> dict[str, Any]:
    """The records as an OCI index."""
    descriptors = []
    for manifest in records.manifests.values():
        descriptors += [manifest.descriptor(name) for name in records.names_of(manifest.digest) or (None,)]
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}


def _beside(records: Records) -> dict[str, Any]:
    found = {name: dict(getattr(records, name)) for name in ("parents", "tagged", "sizes", "keys", "gzips")}
    return {**found, "cache": sorted(records.cache)}


def parse_json(data: bytes, what: str) -> Any:
    """A document. Raises EngineError for what is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{what} is not JSON") from error


def parse_document(data: bytes, what: str) -> dict[str, Any]:
    """A manifest, an index or a config. Raises EngineError for what is no JSON object."""
    value = parse_json(data, what)
    if not isinstance(value, dict):
        raise EngineError(f"{what} is not a JSON object")
    return value
