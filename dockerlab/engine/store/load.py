"""An archive → images in the store. It may be a docker-archive (`docker save`), an OCI layout (`buildx`, skopeo), or both.

Nothing that the archive claims is believed: each layer is read through, and must be a safe tar with the diff_id that the config gives
it; each blob must have its digest. The config is kept byte for byte, so that the image has the id that it had elsewhere; of an OCI
layout the manifest is, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dockerlab import reference
from dockerlab.engine.store import documents, layers
from dockerlab.engine.store.blobs import digest_of
from dockerlab.engine.store.catalogue import canonical
from dockerlab.engine.store.documents import architecture
from dockerlab.engine.store.layers import Content
from dockerlab.engine.store.records import NAME, TAG, parse_document, parse_json
from dockerlab.engine.store.unpacking import Archive, Member, blob_path
from dockerlab.engine.store.values import Image, short
from dockerlab.errors import EngineError, NotFound

if TYPE_CHECKING:
    from dockerlab.engine.store.store import Store

_DEEPEST = 4  # an index in an index in …


@dataclass(frozen=True)
class _Found:
    """An image of the archive. layers: where they are in it, with media types where they are known; one that the store has may be
    missing there. manifest: to keep, or None to make one."""

    config: Member
    layers: Sequence[tuple[str, str | None]]
    names: Sequence[str]
    manifest: bytes | None = None


def load(store: Store, stream: Any) -> Iterator[dict[str, Any] | Image]:
    """Loads all images of an archive: the API's messages, and each image when it is there. Raises EngineError."""
    with Archive(store.blobs) as archive:
        archive.read(stream)
        if manifest := archive.find("manifest.json"):
            found = list(_docker_images(archive, archive.document(manifest)))
        elif index := archive.find("index.json"):
            found = list(_oci_images(archive, _object(archive, index), ("linux", architecture())))
        else:
            raise EngineError(
                "the archive holds neither manifest.json nor index.json: it is not one of images",
                hint="`docker load` reads what `docker save` writes; `docker import` makes an image of a file system's tar.",
            )
        for image in found:
            yield from _add(store, archive, image)


def _object(archive: Archive, member: Member) -> dict[str, Any]:
    return parse_document(archive.document(member), "a document of the archive")


# Which images there are


def _docker_images(archive: Archive, data: bytes) -> Iterator[_Found]:
    items = parse_json(data, "manifest.json")
    if not isinstance(items, list):
        raise EngineError("manifest.json is not a list")
    manifests = _manifests(archive)
    for item in items:
        config, names, paths = (
            (item.get(key) for key in ("Config", "RepoTags", "Layers")) if isinstance(item, dict) else (None,) * 3
        )
        if not isinstance(config, str) or not _is_texts(names or []) or not _is_texts(paths or []):
            raise EngineError("manifest.json is not valid")
        member = archive.member(config)
        oci = manifests.get(member.digest)
        if oci and (found := _with_manifest(archive, oci, names or [])):
            yield found
        else:
            yield _Found(member, [(path, None) for path in paths or []], names or [])


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _manifests(archive: Archive) -> dict[str, bytes]:
    """The manifests of the archive's OCI index, if it has one, by the digests of their configs."""
    found: dict[str, bytes] = {}
    index = archive.find("index.json")
    for entry in (_object(archive, index).get("manifests") or []) if index else []:
        member = archive.blob(str(entry.get("digest"))) if isinstance(entry, dict) else None
        data = archive.document(member) if member else b"{}"
        if "config" in parse_document(data, "a manifest"):
            found[documents.parse_manifest(data)[0]] = data
    return found


def _oci_images(archive: Archive, index: Mapping[str, Any], platform: tuple[str, str]) -> Iterator[_Found]:
    count = 0
    for entry in _entries(index):
        for data in _chosen(archive, entry, platform, _DEEPEST):
            count += 1
            found = _with_manifest(archive, data, _names(entry.get("annotations") or {}))
            if found is None:
                raise EngineError("the archive is not whole: blobs of an image are missing")
            yield found
    if not count:
        raise EngineError(f"the archive holds no image for {'/'.join(platform)}")


def _entries(index: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = index.get("manifests") or []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise EngineError("an index of the archive is not valid")
    return found


def _chosen(archive: Archive, entry: Mapping[str, Any], platform: tuple[str, str], depth: int) -> Iterator[bytes]:
    """The manifest that a descriptor means: itself, or of an index that for the platform."""
    member = archive.blob(str(entry.get("digest")))
    if member is None:
        raise EngineError("the archive is not whole: a manifest is missing")
    data = archive.document(member)
    document = parse_document(data, "a manifest of the archive")
    if "manifests" not in document:
        yield data
        return
    if not depth:
        raise EngineError("the archive holds an index in an index, too deep")
    images = [one for one in _entries(document) if _platform(one) != ("unknown", "unknown")]
    fitting = [one for one in images if _platform(one) == platform] or (images if len(images) == 1 else [])
    for one in fitting[:1]:
        yield from _chosen(archive, one, platform, depth - 1)


def _platform(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    platform = entry.get("platform")
    return (platform.get("os"), platform.get("architecture")) if isinstance(platform, dict) else (None, None)


def _names(annotations: Mapping[str, Any]) -> list[str]:
    """containerd and BuildKit write the whole name; others write it, or only a tag, where the tag belongs."""
    if name := annotations.get(NAME):
        return [str(name)]
    name = str(annotations.get(TAG) or "")
    return [name] if ":" in name or "/" in name else []


def _with_manifest(archive: Archive, data: bytes, names: Sequence[str]) -> _Found | None:
    """None where blobs of the manifest are not in the archive."""
    digest, descriptors = documents.parse_manifest(data)
    config = archive.blob(digest)
    if config is None or not all(archive.blob(one["digest"]) for one in descriptors):
        return None
    return _Found(config, [(blob_path(one["digest"]), one.get("mediaType")) for one in descriptors], names, data)


# Into the store


def _add(store: Store, archive: Archive, found: _Found) -> Iterator[dict[str, Any] | Image]:
    config = archive.document(found.config)
    names: list[str | None] = [canonical(name) for name in found.names]
    diff_ids = documents.diff_ids(documents.parse_config(config))
    if len(diff_ids) != len(found.layers):
        raise EngineError(f"invalid manifest, layers length mismatch: expected {len(found.layers)}, got {len(diff_ids)}")
    known = _known(store)
    contents: list[Content] = []
    for number, (diff_id, (path, kind)) in enumerate(zip(diff_ids, found.layers, strict=True)):
        there = known.get(diff_id)
        if there and (found.manifest is None or blob_path(there.digest) == path):
            contents.append(there)
            continue
        member = archive.member(path)
        content = _layer(archive, member, kind)
        if content.diff_id != diff_id:
            raise EngineError(f'invalid diffID for layer {number}: expected "{diff_id}", got "{content.diff_id}"')
        archive.keep(member)
        contents.append(content)
        yield {
            "status": "Loading layer",
            "progressDetail": {"current": member.size, "total": member.size},
            "id": short(diff_id),
        }
    # With its name at once: one without would be a dangling image, for anybody to prune.
    for name in names or [None]:
        familiar = reference.parse(name).familiar if name else ""
        if name and (old := _named(store, name)) and old.id != digest_of(config):
            text = f"The image {familiar} already exists, renaming the old one with ID {old.id} to empty string\n"
            yield {"stream": text}
        image = store.add(config, contents, name, manifest=found.manifest)
        yield {"stream": f"Loaded image: {familiar}\n" if name else f"Loaded image ID: {image.id}\n"}
    yield image


def _known(store: Store) -> dict[str, Content]:
    """The layers that the store has, by diff_id."""
    found = [content for image in store.images() for content in store.contents_of(image)]
    return {content.diff_id: content for content in found if store.blobs.size(content.digest) == content.size}


def _named(store: Store, name: str) -> Image | None:
    try:
        image = store.get(name)
    except NotFound:
        return None
    return image if name in image.references else None


def _layer(archive: Archive, member: Member, kind: str | None) -> Content:
    start = next(iter(archive.chunks(member)), b"")
    measured = layers.measure(archive.chunks(member))
    return Content(
        member.digest, measured.diff_id, kind or layers.media_type(start), member.size, measured.files_size, measured.count
    )
