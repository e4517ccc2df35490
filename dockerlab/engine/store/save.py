"""Images → an archive that `docker load` reads, and any tool that knows OCI image layouts: one tar holds both, as Docker's own does.

    blobs/sha256/…    configs, manifests and layers, as the store has them
    index.json        OCI: the manifests, each with a name
    manifest.json     docker-archive: config, tags, layers
    repositories      for the oldest readers

The same bytes for the same images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dockerlab import reference
from dockerlab.engine.store import records
from dockerlab.engine.store.blobs import Blobs
from dockerlab.engine.store.documents import descriptor, encoded
from dockerlab.engine.store.records import Manifest
from dockerlab.engine.store.values import Image
from dockerlab.wire.tar import Entry
from dockerlab.wire.tar import archive as pack


def archive(blobs: Blobs, chosen: Sequence[tuple[Image, str | None]]) -> Iterator[bytes]:
    """The archive in pieces. chosen: images, each with the canonical name to save it under. Raises EngineError for damaged ones."""
    images: dict[str, Image] = {}
    names: dict[str, list[str]] = {}
    for image, name in chosen:
        images[image.id] = image
        names.setdefault(image.id, [])
        if name and name not in names[image.id]:
            names[image.id].append(name)
    return pack(_members(blobs, images, names))


def _members(blobs: Blobs, images: dict[str, Image], names: dict[str, list[str]]) -> Iterator[tuple[Entry, Iterable[bytes]]]:
    for folder in ("blobs", "blobs/sha256"):
        yield Entry(folder, "directory", 0o755), ()
    digests = {
        digest for image in images.values() for digest in (image.id, image.manifest, *(layer.digest for layer in image.layers))
    }
    for digest in sorted(digests):
        yield Entry(_path(digest), size=blobs.size(digest) or 0), blobs.chunks(digest)
    index = [
        Manifest(image.manifest, blobs.size(image.manifest) or 0).descriptor(name)
        for image in images.values()
        for name in (*names[image.id],) or (None,)
    ]
    documents: dict[str, Any] = {
        "index.json": {"schemaVersion": 2, "mediaType": records.OCI_INDEX, "manifests": index},
        "manifest.json": [_docker_manifest(image, names[image.id]) for image in images.values()],
        "oci-layout": records.LAYOUT,
    }
    if repositories := _repositories(images, names):
        documents["repositories"] = repositories
    for name, value in documents.items():
        data = encoded(value)
        yield Entry(name, size=len(data)), [data]


def _docker_manifest(image: Image, names: Sequence[str]) -> dict[str, Any]:
    return {
        "Config": _path(image.id),
        "RepoTags": [reference.parse(name).familiar for name in names if "@" not in name] or None,
        "Layers": [_path(layer.digest) for layer in image.layers],
        "LayerSources": {layer.diff_id: descriptor(layer.digest, layer.size, layer.media_type) for layer in image.layers},
    }


def _repositories(images: dict[str, Image], names: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for image in images.values():
        for name in names[image.id]:
            parsed = reference.parse(name)
            if parsed.tag and image.layers:
                found.setdefault(parsed.familiar_name, {})[parsed.tag] = image.layers[-1].digest.removeprefix("sha256:")
    return found


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
