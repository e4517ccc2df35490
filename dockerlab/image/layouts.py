"""Archives of images from one layout to the other as they pass: every engine loads what comes out, and an OCI layout is made of any.

    loadable(chunks, ("linux", "amd64"))     an archive → the same with a manifest.json, which Docker's own image store wants
    oci(chunks, spool)                       what an engine saves → an OCI layout alone

A *docker-archive* is a tar whose manifest.json names configs, layers and tags; an *OCI layout* (image-spec, image-layout.md) is a tar of
blobs by digest with an index.json. Docker 25 and later write both in one; Docker 20.10 and Podman the first alone; what skopeo, BuildKit
and others write is often the second alone. Pure: streams in, streams out. Nothing that an archive says is a path here, and memory is
bounded whatever it claims.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Final

from dockerlab import reference
from dockerlab.errors import ArchiveError, EngineError, InvalidReference
from dockerlab.image.archive import Archive
from dockerlab.wire import streams
from dockerlab.wire.tar import Data, Entry, Flow, Window, entries
from dockerlab.wire.tar import archive as pack

_LONGEST: Final = 4 << 20  # bytes of a document that is kept
_MOST: Final = 64 << 20  # bytes of them all
_DEEPEST: Final = 4  # an index in an index in …
_BLOB: Final = re.compile(r"sha256:[0-9a-f]{64}")
_DOCKERS: Final = ("manifest.json", "repositories")
_LAYOUT: Final = {"imageLayoutVersion": "1.0.0"}
_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_NAME: Final = "io.containerd.image.name"
_TAG: Final = "org.opencontainers.image.ref.name"
_WHOLE: Final = "Is the file whole? Compare its size or its checksum with where it came from, and copy it again."
_KNOWN: Final = "It takes what `%image save`, `docker save`, `podman save`, `skopeo copy` and BuildKit's `--output type=oci` write."

Platform = tuple[str, str]  # os, architecture
Members = Iterator[tuple[Entry, Iterable[bytes]]]


# Loading


@dataclass
class _Seen:
    """What passed of an archive. names: those at its top. documents: its small members that begin as JSON. last: the one at hand."""

    names: set[str] = field(default_factory=set)
    documents: dict[str, bytes] = field(default_factory=dict)
    kept: int = 0
    last: str = ""


def loadable(chunks: Iterable[bytes], platform: Platform, what: str = "the archive") -> Iterator[bytes]:
    """An archive, compressed or not, as every engine loads it. platform: of an image for several, the one to name in manifest.json.

    Raises ArchiveError, with what is wrong, after which member, and what to do: for what is no tar, cut off, damaged, not safe, or holds
    no image. What the source of the chunks raises is passed on.
    """
    seen = _Seen()
    try:
        flow = Flow(streams.decompressed(_foreign(chunks)))
        yield from pack(_loadable(seen, flow, platform, what))
        while flow.read(streams.CHUNK):
            pass
    except _ForeignError as error:
        raise error.error from None
    except EngineError as error:
        raise _refused(error, what, seen.last) from error


class _ForeignError(Exception):
    """What the source raises: not of the archive."""

    def __init__(self, error: EngineError) -> None:
        self.error = error


def _foreign(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except EngineError as error:
        raise _ForeignError(error) from error


def _loadable(seen: _Seen, flow: Flow, platform: Platform, what: str) -> Members:
    for entry, data in entries(flow):
        seen.last = entry.path
        if "/" not in entry.path:
            seen.names.add(entry.path)
        if entry.path in ("index.json", "manifest.json") and entry.kind == "file" and entry.size <= _LONGEST:
            content = seen.documents[entry.path] = _with_whole_names(data.read())
            yield replace(entry, size=len(content), sparse=None), [content]
        else:
            yield entry, _kept(seen, entry, data)
    if seen.names.isdisjoint((*_DOCKERS, "index.json")):
        raise ArchiveError(f"{what} holds no image: it has neither manifest.json nor index.json", hint=_KNOWN)
    if seen.names.isdisjoint(_DOCKERS):
        yield _document("manifest.json", docker_manifest(seen.documents, platform, what))


def _kept(seen: _Seen, entry: Entry, data: Data) -> Iterator[bytes]:
    if entry.kind == "file" and entry.size <= _LONGEST and entry.size + seen.kept <= _MOST:
        content = data.read()
        if content.lstrip()[:1] == b"{":
            seen.documents[entry.path] = content
            seen.kept += len(content)
        yield content
        return
    while chunk := data.read(streams.CHUNK):
        yield chunk


def _with_whole_names(content: bytes) -> bytes:
    """An index.json or a manifest.json whose names are whole ones: of a short one containerd makes a name that nobody can ask for, and
    Podman one of its own. What is not as it should be stays so, for the engine to judge."""
    try:
        document = json.loads(content)
        if isinstance(document, list):
            for image in document:
                image["RepoTags"] = [reference.parse(tag).canonical for tag in image["RepoTags"] or ()] or None
        else:
            for descriptor in document["manifests"]:
                if names := _names(descriptor):
                    descriptor["annotations"][_NAME] = reference.parse(names[0]).canonical
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return content
    return _encoded(document)


def _refused(error: EngineError, what: str, last: str) -> ArchiveError:
    """What a reader of tars says, as an error of the archive. last: the member at which it happened, "" before the first."""
    place = [f"after {last!r} in it"] if last else ["at its beginning"]
    if "not safe" in error.message:
        hint = "Nothing of it was loaded. Who made it? No tool writes such a name into an archive of images."
        return ArchiveError(f"{what} is not safe to load", place=place, evidence=[error.message], hint=hint)
    if not last and "invalid tar header" in error.message:
        return ArchiveError(
            f"{what} is no archive of images: it is not a tar", evidence=[error.message, *error.evidence], hint=_KNOWN
        )
    return ArchiveError(f"{what} is damaged or not whole", place=place, evidence=[error.message, *error.evidence], hint=_WHOLE)


def docker_manifest(documents: Mapping[str, bytes], platform: Platform, what: str) -> list[dict[str, Any]]:
    """A manifest.json for an OCI layout. documents: its index.json, manifests and configs. Raises ArchiveError where none fits."""
    found: list[dict[str, Any]] = []
    offered: list[str] = []
    for descriptor in _descriptors(_parsed(documents, "index.json")):
        manifests = list(_manifests(documents, descriptor, _DEEPEST))
        offered += ["/".join(filter(None, has)) for has, _ in manifests]
        fitting = [one for has, one in manifests if has == platform] or [one for _, one in manifests if len(manifests) == 1]
        for manifest in fitting[:1]:
            config, layers = manifest.get("config"), manifest.get("layers")
            paths = [_blob(one) for one in (config, *(layers if isinstance(layers, list) else ()))]
            if not all(paths):
                raise ArchiveError(f"{what} is damaged: a manifest in it names what is no blob", hint=_WHOLE)
            found.append({"Config": paths[0], "RepoTags": _names(descriptor) or None, "Layers": paths[1:]})
    if not found:
        told = (
            [f"it holds images for: {', '.join(sorted(set(offered)))}"]
            if offered
            else ["its index names no manifest that is in it"]
        )
        raise ArchiveError(f"{what} holds no image for {'/'.join(platform)}, which the engine runs", evidence=told,
                           hint="Build or save it for that platform.")  # fmt: skip
    return found


def _manifests(
    documents: Mapping[str, bytes], descriptor: Mapping[str, Any], depth: int
) -> Iterator[tuple[Platform, dict[str, Any]]]:
    """The manifests that a descriptor leads to and that are there, with what each is for."""
    document = _parsed(documents, _blob(descriptor))
    if "manifests" in document and depth:
        for one in _descriptors(document):
            yield from _manifests(documents, one, depth - 1)
    elif "config" in document:
        config = _parsed(documents, _blob(document["config"]))
        if config and "vnd.docker.reference.type" not in (descriptor.get("annotations") or {}):
            yield (str(config.get("os") or ""), str(config.get("architecture") or "")), document


def _parsed(documents: Mapping[str, bytes], path: str) -> dict[str, Any]:
    try:
        found = json.loads(documents.get(path, b"{}"))
    except (ValueError, RecursionError):
        return {}  # a layer may begin as a document does
    return found if isinstance(found, dict) else {}


def _descriptors(index: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = index.get("manifests")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _blob(descriptor: object) -> str:
    digest = str(descriptor.get("digest")) if isinstance(descriptor, dict) else ""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}" if _BLOB.fullmatch(digest) else ""


def _names(descriptor: Mapping[str, Any]) -> list[str]:
    """containerd and BuildKit write the whole name; others write it, or only a tag, where the tag belongs."""
    notes = descriptor.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    tag = str(notes.get(_TAG) or "")
    name = str(notes.get(_NAME) or "") or (tag if ":" in tag or "/" in tag else "")
    try:
        return [reference.parse(name).familiar] if name else []
    except InvalidReference:
        return []


# Saving


def oci(chunks: Iterable[bytes], spool: Callable[[], BinaryIO]) -> Iterator[bytes]:
    """What an engine saves, as an OCI layout alone. spool: a new file, in which a docker-archive waits for its last member.

    Raises EngineError, ArchiveError for what is no archive of images.
    """
    whole = iter(chunks)
    start = b""
    while len(start) < 100 and (chunk := next(whole, None)) is not None:
        start += chunk
    flow = Flow(_chained(start, whole))
    if start.startswith((b"blobs/", b"oci-layout", b"index.json")):
        yield from pack(_without_dockers(flow))
        while flow.read(streams.CHUNK):
            pass
        return
    with spool() as file:
        while chunk := flow.read(streams.CHUNK):
            file.write(chunk)
        yield from pack(_converted(Archive.lying(file)))


def _chained(start: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield start
    yield from rest


def _without_dockers(flow: Flow) -> Members:
    for entry, data in entries(flow):
        if entry.path not in _DOCKERS:
            yield entry, streams.chunks(data)


def _converted(archive: Archive) -> Members:
    """A docker-archive's members as an OCI layout's."""
    described = json.loads(archive.documents.get(archive.path("manifest.json"), b"null"))
    if not isinstance(described, list):
        raise ArchiveError(f"{archive.what} has no manifest.json", hint=_KNOWN)
    index: list[dict[str, Any]] = []
    there: set[str] = set()
    yield _document("oci-layout", _LAYOUT)
    for image in described:
        config = archive.documents.get(archive.path(str(image["Config"])), b"{}")
        parsed = json.loads(config)
        layers = [_layer(archive, name) for name in image["Layers"]]
        described_config = _descriptor(_CONFIG, hashlib.sha256(config).hexdigest(), len(config))
        manifest = _encoded(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": described_config,
                "layers": [descriptor for descriptor, _ in layers],
            }
        )
        digest = hashlib.sha256(manifest).hexdigest()
        documents = ((described_config["digest"], config), (f"sha256:{digest}", manifest))
        for name, content in documents:
            if name not in there:
                there.add(name)
                yield Entry(_blob({"digest": name}), size=len(content)), [content]
        for descriptor, window in layers:
            if descriptor["digest"] not in there:
                there.add(descriptor["digest"])
                window.seek(0)
                yield Entry(_blob(descriptor), size=descriptor["size"]), streams.chunks(window)
        for tag in image.get("RepoTags") or [None]:
            platform = {"architecture": parsed.get("architecture", ""), "os": parsed.get("os", "")}
            notes = {"annotations": _annotations(tag)} if tag else {}
            index.append({**_descriptor(_MANIFEST, digest, len(manifest)), **notes, "platform": platform})
    yield _document("index.json", {"schemaVersion": 2, "mediaType": _INDEX, "manifests": index})


def _layer(archive: Archive, name: str) -> tuple[dict[str, Any], Window]:
    window = archive.windows.get(archive.path(name))
    if window is None:
        raise ArchiveError(f"{archive.what} is not whole: its layer {name!r} is missing", hint=_WHOLE)
    window.seek(0)
    hash_, size, kind = hashlib.sha256(), 0, ""
    for chunk in streams.chunks(window):
        kind = kind if size else streams.compression(chunk)
        hash_.update(chunk)
        size += len(chunk)
    return _descriptor(f"{_LAYER}+{kind}" if kind else _LAYER, hash_.hexdigest(), size), window


def _annotations(tag: str) -> dict[str, str]:
    name = reference.parse(tag)
    return {_NAME: name.canonical, _TAG: name.tag or ""}


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def _document(name: str, value: object) -> tuple[Entry, Iterable[bytes]]:
    data = _encoded(value)
    return Entry(name, size=len(data)), [data]


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
