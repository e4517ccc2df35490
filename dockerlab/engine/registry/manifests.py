"""What a registry gives under a tag or a digest: a manifest, or an index of manifests for several platforms. Pure.

A document is kept byte for byte: its digest is what it goes by. Nothing in it is believed before it was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dockerlab.engine.store import architecture, documents
from dockerlab.engine.store.blobs import LONGEST_DOCUMENT, digest_of, is_digest
from dockerlab.engine.store.records import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, parse_document
from dockerlab.errors import EngineError, UsageError

LONGEST: Final = 4 << 20  # what Docker and registries allow
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
_SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1"
# Old registries gave configs of images other types than theirs.
_CONFIGS: Final = (_DOCKER_CONFIG, documents.OCI_CONFIG, "application/octet-stream", "application/json", "text/html", "")
ACCEPT: Final = ", ".join((OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_INDEX))
_FOREIGN: Final = re.compile(r"application/vnd\.(docker\.image\.rootfs\.foreign|oci\.image\.layer\.nondistributable)\b.*")
_SYSTEMS: Final = ("linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "aix", "plan9", "android", "wasip1")
_MACHINES: Final = ("amd64", "386", "arm", "arm64", "ppc64", "ppc64le", "mips64", "mips64le", "riscv64", "s390x", "loong64", "wasm")
_OTHER_NAMES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm", "armel": "arm"}
_VARIANTS: Final = {"arm64": "v8", "arm": "v7"}
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Platform:
    """variant: "" for any."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def fits(self, value: Mapping[str, Any]) -> bool:
        """Whether the platform of an index's entry, or of a config, is this one."""
        if (value.get("os"), value.get("architecture")) != (self.os, self.architecture):
            return False
        usual = _VARIANTS.get(self.architecture, "")
        return not self.variant or (value.get("variant") or usual) == self.variant


def machine() -> Platform:
    """This machine's."""
    kind = architecture()
    return Platform("linux", kind, _VARIANTS["arm64"] if kind == "arm64" else "")


def platform(text: str) -> Platform:
    """`linux/arm64/v8`, `linux/arm64`, `arm64`, `linux`; "" is this machine's. Raises UsageError in Docker's words."""
    if not text:
        return machine()
    parts = text.split("/")
    if not all(map(_PART.fullmatch, parts)):
        bad = next(part for part in parts if not _PART.fullmatch(part))
        raise UsageError(f'"{bad}" is an invalid component of "{text}": platform specifier component must match "{_PART.pattern}"')
    parts = [part.lower() for part in parts]
    match parts:
        case [one] if one in _SYSTEMS:
            return Platform(one, machine().architecture)
        case [one] if _named(one) in _MACHINES:
            return Platform("linux", _named(one))
        case [one]:
            raise UsageError(f'"{text}": unknown operating system or architecture: invalid argument')
        case [system, kind]:
            return Platform(system, _named(kind))
        case [system, kind, variant]:
            return Platform(system, _named(kind), variant)
    raise UsageError(f'"{text}": cannot parse platform specifier: invalid argument')


def _named(kind: str) -> str:
    return _OTHER_NAMES.get(kind, kind)


@dataclass(frozen=True)
class Document:
    """A manifest or an index as a registry gave it. kind: its media type."""

    data: bytes
    kind: str

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    @property
    def is_index(self) -> bool:
        return self.kind in (OCI_INDEX, DOCKER_INDEX)


@dataclass(frozen=True)
class Part:
    """A descriptor of a manifest: of the config or of a layer. urls: where else its bytes may come from."""

    digest: str
    size: int
    kind: str
    urls: tuple[str, ...] = ()

    @property
    def is_foreign(self) -> bool:
        """Whether registries need not have it."""
        return bool(self.urls) and _FOREIGN.fullmatch(self.kind) is not None


@dataclass(frozen=True)
class Manifest:
    """An image's: config and layers, lowest first."""

    config: Part
    layers: tuple[Part, ...]


def document(data: bytes, header: str) -> Document:
    """header: the Content-Type that it came with. Raises EngineError for what is neither a manifest nor an index."""
    kind = header.partition(";")[0].strip().lower()
    value = parse_document(data, "the manifest that the registry sent")
    said = value.get("mediaType")
    if isinstance(said, str) and said:
        kind = said
    if kind.startswith(_SCHEMA1) or value.get("schemaVersion") == 1:
        raise EngineError(
            "the registry has the image in the format of 2014 only (manifest schema 1), which is not supported: "
            "push it again with a newer Docker",
            status=500,
        )
    if kind not in (OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_INDEX):
        if "manifests" in value:
            kind = OCI_INDEX
        elif "config" in value and "layers" in value:
            kind = OCI_MANIFEST
        else:
            raise EngineError(f"unsupported manifest media type and no default available: {kind[:100] or '(none)'}", status=500)
    return Document(data, kind)


def chosen(index: Document, wanted: Platform) -> Part:
    """The entry of an index for a platform. Raises EngineError in Docker's words where there is none."""
    for entry in _entries(index):
        found = entry.get("platform")
        if isinstance(found, dict) and wanted.fits(found):
            return _part(entry)
    raise EngineError(f"no matching manifest for {wanted} in the manifest list entries", status=404)


def platforms(index: Document) -> list[dict[str, Any]]:
    """The platforms that an index has entries for."""
    found = [entry.get("platform") for entry in _entries(index)]
    return [_shown(value) for value in found if isinstance(value, dict) and value.get("os") != "unknown"]


def _shown(value: Mapping[str, Any]) -> dict[str, Any]:
    names = ("architecture", "os", "os.version", "os.features", "variant")
    return {name: value[name] for name in names if value.get(name)}


def platform_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The platform that an image's config is for."""
    return _shown(config)


def _entries(index: Document) -> list[dict[str, Any]]:
    found = parse_document(index.data, "the index that the registry sent").get("manifests")
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise EngineError("the index that the registry sent is not valid", status=500)
    return found


def manifest(found: Document) -> Manifest:
    """Raises EngineError for what is no manifest of an image."""
    documents.parse_manifest(found.data)
    value = parse_document(found.data, "the manifest that the registry sent")
    config = _part(value["config"])
    if config.kind not in _CONFIGS:
        raise EngineError(f"unsupported media type {config.kind[:100]}", status=500)
    if config.size > LONGEST_DOCUMENT:
        raise EngineError(f"the image's config is too long: {config.size} bytes", status=500)
    return Manifest(config, tuple(_part(layer) for layer in value["layers"]))


def with_layers(data: bytes, found: Mapping[str, Part]) -> bytes:
    """A manifest with other layers in place of some. found: those, by the digests in the manifest."""
    value = parse_document(data, "the image's manifest")
    layers = [_replaced(one, found[one["digest"]]) if one["digest"] in found else one for one in value["layers"]]
    return documents.encoded({**value, "layers": layers})


def _replaced(descriptor: Mapping[str, Any], part: Part) -> dict[str, Any]:
    kept = {name: found for name, found in descriptor.items() if name not in ("data", "urls")}
    return {**kept, "mediaType": part.kind, "digest": part.digest, "size": part.size}


def gzip_kind(kind: str) -> str:
    """The media type that a layer has when it is compressed. kind: that of the layer as it is."""
    return f"{_DOCKER_LAYER}.gzip" if kind.startswith(_DOCKER_LAYER) else f"{documents.OCI_LAYER}+gzip"


def _part(value: Mapping[str, Any]) -> Part:
    digest, size, kind, urls = (value.get(name) for name in ("digest", "size", "mediaType", "urls"))
    if not isinstance(digest, str) or not is_digest(digest) or not isinstance(size, int) or not 0 <= size < 1 << 50:
        raise EngineError("a descriptor that the registry sent is not valid: digest and size", status=500)
    return Part(digest, size, kind if isinstance(kind, str) else "", _texts(urls))


def _texts(value: object) -> tuple[str, ...]:
    found: Sequence[object] = value if isinstance(value, list) else ()
    return tuple(text for text in found if isinstance(text, str) and text.startswith(("http://", "https://")))


def media_type(data: bytes) -> str:
    """The type that a manifest of the store is pushed as."""
    value = parse_document(data, "the image's manifest")
    if isinstance(said := value.get("mediaType"), str) and said:
        return said
    config = value.get("config")
    return DOCKER_MANIFEST if isinstance(config, dict) and config.get("mediaType") == _DOCKER_CONFIG else OCI_MANIFEST
