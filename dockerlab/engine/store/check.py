"""Whether the store is whole: reads all of it, says what is wrong, and mends it by taking away what cannot be right.

What a crash leaves (half-written files, blobs without an image) is only garbage. What a broken disk or a stranger leaves may be a blob
whose bytes are not those of its digest: it goes, and with it the images that need it, as no image is better than a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from dockerlab.engine.finding import Finding
from dockerlab.engine.home import read_json, write_json
from dockerlab.engine.store import documents, layers, records
from dockerlab.engine.store.blobs import TEMPORARY, Blobs
from dockerlab.engine.store.catalogue import Catalogue, Contents
from dockerlab.engine.store.records import Manifest, Records
from dockerlab.engine.store.values import Image, Layer
from dockerlab.errors import EngineError
from dockerlab.wire import streams


def unreferenced(blobs: Blobs, contents: Contents) -> list[str]:
    """Blobs that no image needs."""
    needed = {
        digest
        for image in contents.images.values()
        for digest in (image.id, image.manifest, *(layer.digest for layer in image.layers))
    }
    # Of an image that cannot be read nobody knows what it needs.
    return [] if contents.broken else [digest for digest in blobs if digest not in needed | contents.records.manifests.keys()]


def run(root: Path, blobs: Blobs, catalogue: Catalogue, open_layer: Callable[[Layer], IO[bytes]], *, repair: bool) -> list[Finding]:
    """All findings. Nobody else may write to the store meanwhile."""
    found = [*_files(root, blobs, repair=repair), *_blobs(blobs, repair=repair)]
    catalogue.forget()
    try:
        contents = catalogue.contents()
    except EngineError:
        return found  # reported already
    found += _images(root, contents, repair=repair)
    found += _layers(root, catalogue, blobs, open_layer, repair=repair)
    catalogue.forget()
    found += [Finding(f"blob {digest}", "no image needs it", repair) for digest in unreferenced(blobs, catalogue.contents())]
    found += [Finding(path.name, "left by a crash", repair) for path in sorted((root / "tmp").glob(f"{TEMPORARY}*"))]
    return found


def _files(root: Path, blobs: Blobs, *, repair: bool) -> Iterator[Finding]:
    layout = root / "oci-layout"
    if _json(layout) != records.LAYOUT:
        if repair:
            write_json(layout, records.LAYOUT)
        yield Finding("oci-layout", "not as the image spec has it", repair)
    try:
        records.read(root)
    except EngineError:
        if repair:
            records.write(root, _rebuilt(blobs))
        yield Finding("index.json", "cannot be read; the names of images are lost", repair)
    if (root / "images.json").exists() and not isinstance(_json(root / "images.json"), dict):
        if repair:
            write_json(root / "images.json", {})
        yield Finding("images.json", "cannot be read; what it said can be found out again", repair)


def _json(path: Path) -> object:
    try:
        value: object = read_json(path)
    except (FileNotFoundError, ValueError):
        return None
    return value


def _rebuilt(blobs: Blobs) -> Records:
    """All images whose manifests are among the blobs."""
    found = Records()
    for digest in blobs:
        try:
            data = blobs.read(digest)
            config, _ = documents.parse_manifest(data)
            documents.image(digest, data, blobs.read(config), {})
        except EngineError:
            continue  # a layer, a config, or what `_blobs` reports
        found = found.with_image(Manifest(digest, len(data)))
    return found


def _blobs(blobs: Blobs, *, repair: bool) -> Iterator[Finding]:
    for digest in blobs:
        try:
            for _ in blobs.chunks(digest):
                pass
        except EngineError:
            if repair:
                blobs.remove(digest)
            yield Finding(f"blob {digest}", "its bytes are not those of its digest", repair)


def _images(root: Path, contents: Contents, *, repair: bool) -> Iterator[Finding]:
    changed = contents.records
    for manifest, reason in contents.broken.items():
        names = ", ".join(changed.names_of(manifest)) or manifest
        changed = changed.without_image(manifest)
        yield Finding(f"image {names}", reason, repair)
    if repair and changed != contents.records:
        records.write(root, changed)


def _layers(
    root: Path, catalogue: Catalogue, blobs: Blobs, open_layer: Callable[[Layer], IO[bytes]], *, repair: bool
) -> Iterator[Finding]:
    catalogue.forget()
    contents = catalogue.contents()
    changed = contents.records
    sizes = dict(changed.sizes)
    faults: dict[str, str] = {}
    for layer in {layer.digest + layer.diff_id: layer for image in contents.images.values() for layer in image.layers}.values():
        try:
            with open_layer(layer) as tar:
                if layer.digest == layer.diff_id and blobs.size(layer.digest) is None:
                    raise EngineError(f"blob {layer.digest} is missing")
                size, _ = layers.survey(tar)
                while tar.read(streams.CHUNK):
                    pass
            sizes[layer.diff_id] = size
        except EngineError as error:
            faults[layer.digest + layer.diff_id] = error.message
    for image in contents.images.values():
        if reasons := _faults(image, faults):
            changed = changed.without_image(image.manifest)
            yield Finding(f"image {', '.join(image.tags) or image.id}", "; ".join(reasons), repair)
    if repair:
        left = {layer.diff_id for image in contents.images.values() for layer in image.layers}
        kept = {diff_id: size for diff_id, size in sizes.items() if diff_id in left}
        records.write(root, replace(changed, sizes=kept), contents.records)


def _faults(image: Image, faults: dict[str, str]) -> list[str]:
    return [faults[key] for layer in image.layers if (key := layer.digest + layer.diff_id) in faults]
