"""What a registry has under a name: an index of manifests for several platforms, or the manifest of one image, and that one's config. Pure.

    found = document(data, content_type)
    found.entries                       of an index: a manifest for each platform
    found.config, found.layers          of a manifest: descriptors of blobs
    configuration(blob)                 the config, of which nothing is believed but what has the right type

All of it comes from strangers. A descriptor is what a document says of a blob: kind (its media type), digest, size in bytes, compressed.
Image spec of the OCI: image-index.md, manifest.md, config.md; Docker's manifest schema 2.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dockerlab.errors import EngineError
from dockerlab.image.layer import layers

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPT: Final = ", ".join((OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST))
LONGEST: Final = 4 << 20  # bytes of a document, as Docker and registries have it
LONGEST_CONFIG: Final = 8 << 20

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_CONFIGS: Final = re.compile(
    r"application/vnd\.(oci\.image|docker\.container\.image)\b.*|application/(octet-stream|json)|text/html|"
)
_MOST: Final = 1_000  # entries or layers
_LARGEST: Final = 1 << 50
_REFERENCE_TYPE: Final = "vnd.docker.reference.type"  # BuildKit's mark on what is about an image, and is none


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob as a document names it."""

    kind: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A manifest that an index names. platform: `linux/arm64/v8`, or "" where it names none. is_image: else it is about an image."""

    manifest: Descriptor
    platform: str
    is_image: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """An index has entries, a manifest a config and layers, the lowest first. itself: its own descriptor."""

    itself: Descriptor
    entries: tuple[Entry, ...] = ()
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()

    @property
    def is_index(self) -> bool:
        return self.config is None

    @property
    def is_image(self) -> bool:
        """Whether a manifest is that of an image: registries keep charts and signatures in the same way."""
        return self.config is not None and _CONFIGS.fullmatch(self.config.kind) is not None

    def entry(self, platform: str) -> Entry | None:
        """Of an index that for "os/arch[/variant]", or "arch" alone; without a variant the first that fits."""
        wanted = platform.lower().split("/")
        wanted = wanted if len(wanted) > 1 else ["linux", *wanted]
        return next((one for one in self.entries if one.is_image and one.platform.split("/")[: len(wanted)] == wanted), None)


@dataclass(frozen=True, slots=True)
class RemoteLayer:
    """A line of an image's history and the blob of its layer. blob: None for a line that changed only the config.

    diff_id: the digest of the layer's tar, where the config says it.
    """

    instruction: str
    blob: Descriptor | None
    diff_id: str | None

    @property
    def size(self) -> int:
        """Bytes that travel: compressed."""
        return self.blob.size if self.blob else 0


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def document(data: bytes, header: str = "") -> Document:
    """header: the Content-Type that it came with. Raises EngineError for what is neither an index nor a manifest."""
    value = _object(data, "what the registry has there")
    said = value.get("mediaType")
    kind = said if isinstance(said, str) and said else header.partition(";")[0].strip().lower()
    itself = Descriptor(kind[:100], digest_of(data), len(data))
    if value.get("schemaVersion") == 1:
        raise EngineError(
            "the registry has the image in the format of 2014 only (manifest schema 1)", hint="Who pushed it can push it again."
        )
    if isinstance(listed := value.get("manifests"), list):
        return Document(itself, tuple(map(_entry, listed[:_MOST])))
    if isinstance(listed := value.get("layers"), list) and isinstance(config := value.get("config"), dict):
        return Document(itself, (), _descriptor(config), tuple(map(_descriptor, listed[:_MOST])))
    raise EngineError(f"what the registry has there is no image: its type is '{kind[:100] or 'unknown'}'")


def configuration(data: bytes) -> dict[str, Any]:
    """An image's config: `os`, `architecture`, `variant`, `created`, `config`, `history`, `rootfs`; what has another type is left out."""
    value = _object(data, "the image's configuration")
    found: dict[str, Any] = {name: value[name] for name in _TEXTS if isinstance(value.get(name), str)}
    run = value.get("config")
    found["config"] = {name: run[name] for name, fits in _RUN.items() if fits(run.get(name))} if isinstance(run, dict) else {}
    history, rootfs = value.get("history"), value.get("rootfs")
    lines = history[:_MOST] if isinstance(history, list) else []
    found["history"] = [line for line in lines if isinstance(line, dict)]
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    found["rootfs"] = {"diff_ids": [str(one) for one in ids[:_MOST]] if isinstance(ids, list) else []}
    return found


def remote_layers(config: Mapping[str, Any], blobs: tuple[Descriptor, ...]) -> tuple[RemoteLayer, ...]:
    """Lines of the history, the oldest first, with the blobs of their layers. config: of `configuration`."""
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(blobs):
        return tuple(RemoteLayer("", blob, None) for blob in blobs)  # which is whose is not said
    waiting = iter(blobs)
    return tuple(
        RemoteLayer(line.instruction, None if line.empty else next(waiting), line.diff_id)
        for line in layers(config["history"], diff_ids)
    )


def platform_of(value: Mapping[str, Any]) -> str:
    """`linux/arm64/v8`, of an index's entry or a config; "" where it does not say."""
    parts = [value.get(name) for name in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if isinstance(part, str) and part)


_TEXTS: Final = ("os", "architecture", "variant", "created", "author")


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_text_map(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


_RUN: Final = {
    **dict.fromkeys(("Entrypoint", "Cmd", "Env", "Shell", "OnBuild"), _is_texts),
    **dict.fromkeys(("WorkingDir", "User", "StopSignal"), lambda value: isinstance(value, str)),
    **dict.fromkeys(("ExposedPorts", "Volumes"), lambda value: isinstance(value, dict)),
    "Labels": _is_text_map,
}


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise EngineError(f"{what} cannot be read: it is not a JSON object")
    return value


def _entry(value: object) -> Entry:
    found = value if isinstance(value, dict) else {}
    platform = found.get("platform")
    name = platform_of(platform) if isinstance(platform, dict) else ""
    notes = found.get("annotations")
    is_about = isinstance(notes, dict) and _REFERENCE_TYPE in notes
    return Entry(_descriptor(found), name, is_image=not is_about and not name.startswith("unknown/"))


def _descriptor(value: object) -> Descriptor:
    found = value if isinstance(value, dict) else {}
    kind, digest, size = (found.get(name) for name in ("mediaType", "digest", "size"))
    is_size = isinstance(size, int) and 0 <= size < _LARGEST
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or not isinstance(size, int) or not is_size:
        raise EngineError("a document on the registry is not valid: a descriptor has no digest or no size")
    return Descriptor(kind[:100] if isinstance(kind, str) else "", digest, size)
