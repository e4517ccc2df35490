"""Manifests and configs: read with suspicion, written canonically. Pure: bytes in, values out.

A config comes from strangers and is asked for its parts everywhere in the engine; so the types of those parts are made sure of here,
once. (Go does the same when Docker reads it.) Image spec of the OCI: manifest.md, config.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dockerlab.engine.store.blobs import is_digest
from dockerlab.engine.store.records import OCI_MANIFEST, parse_document
from dockerlab.engine.store.values import Image, Layer
from dockerlab.errors import EngineError
from dockerlab.image import chain_ids

OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_MOST_LAYERS: Final = 127  # as Docker: what one overlay mount takes


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_text_map(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_health(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_texts(found) if name == "Test" else isinstance(found, int) for name, found in value.items() if found is not None
    )


def _is(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind)


_CONFIG: Final[Mapping[str, Callable[[object], bool]]] = {
    "architecture": _is(str),
    "os": _is(str),
    "variant": _is(str),
    "created": _is(str),
    "author": _is(str),
    "comment": _is(str),
    "docker_version": _is(str),
    "config": _is(dict),
    "history": lambda value: isinstance(value, list) and all(isinstance(line, dict) for line in value),
    "rootfs": _is(dict),
}
_RUN: Final[Mapping[str, Callable[[object], bool]]] = {
    **dict.fromkeys(("Cmd", "Entrypoint", "Env", "OnBuild", "Shell"), _is_texts),
    **dict.fromkeys(("User", "WorkingDir", "StopSignal", "Hostname", "Domainname", "Image"), _is(str)),
    **dict.fromkeys(("Volumes", "ExposedPorts"), _is(dict)),
    "Healthcheck": _is_health,
    "Labels": _is_text_map,
}
_LINE: Final[Mapping[str, Callable[[object], bool]]] = {
    **dict.fromkeys(("created", "created_by", "comment", "author"), _is(str)),
    "empty_layer": _is(bool),
}


def parse_config(data: bytes) -> dict[str, Any]:
    """An image's config. Raises EngineError for one that is none."""
    config = parse_document(data, "the image's config")
    _check(config, _CONFIG)
    _check(config.get("config") or {}, _RUN)
    for line in config.get("history") or ():
        _check(line, _LINE)
    found = diff_ids(config)
    if len(found) > _MOST_LAYERS:
        raise EngineError(f"max depth exceeded: the image has {len(found)} layers, and {_MOST_LAYERS} are the most")
    return config


def _check(values: Mapping[str, Any], table: Mapping[str, Callable[[object], bool]]) -> None:
    for name, value in values.items():
        if value is not None and name in table and not table[name](value):
            raise EngineError(f"the image's config is not valid: {name}")


def diff_ids(config: Mapping[str, Any]) -> list[str]:
    """The layers of a config, lowest first. Raises EngineError for what are no digests."""
    found = (config.get("rootfs") or {}).get("diff_ids") or []
    if not isinstance(found, list) or not all(isinstance(text, str) and is_digest(text) for text in found):
        raise EngineError("the image's config is not valid: rootfs.diff_ids")
    return found


def parse_manifest(data: bytes) -> tuple[str, list[Mapping[str, Any]]]:
    """The digest of the config, and the descriptors of the layers. Raises EngineError for what is no manifest."""
    manifest = parse_document(data, "the image's manifest")
    config, layers = manifest.get("config"), manifest.get("layers")
    if not isinstance(layers, list) or not all(_is_descriptor(value) for value in (config, *layers)):
        raise EngineError("the image's manifest is not valid")
    assert isinstance(config, dict)
    return config["digest"], layers


def _is_descriptor(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("digest"), str)
        and is_digest(value["digest"])
        and isinstance(value.get("size"), int)
        and isinstance(value.get("mediaType", ""), str)
    )


def image(manifest: str, manifest_data: bytes, config_data: bytes, sizes: Mapping[str, int]) -> Image:
    """An image of its two documents; without what the records know of it. sizes: bytes of a layer's files, by diff_id."""
    identifier, descriptors = parse_manifest(manifest_data)
    config = parse_config(config_data)
    ids = diff_ids(config)
    if len(ids) != len(descriptors):
        raise EngineError(f"invalid manifest, layers length mismatch: expected {len(descriptors)}, got {len(ids)}")
    layers = [
        Layer(diff_id, chain_id, d["digest"], d.get("mediaType", OCI_LAYER), d["size"], sizes.get(diff_id, d["size"]))
        for diff_id, chain_id, d in zip(ids, chain_ids(ids), descriptors, strict=True)
    ]
    return Image(identifier, config, manifest, tuple(layers))


def manifest_of(config_digest: str, config_size: int, layers: Sequence[Mapping[str, Any]]) -> bytes:
    """A manifest; layers: descriptors."""
    return encoded(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": config_size},
            "layers": list(layers),
        }
    )


def descriptor(digest: str, size: int, media_type: str = OCI_LAYER) -> dict[str, Any]:
    """A descriptor, as manifests and indexes hold them."""
    return {"mediaType": media_type, "digest": digest, "size": size}


def encoded(value: object) -> bytes:
    """The bytes of a document that we make."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # halves of characters, which an image from elsewhere may have: as escapes they are written
        return json.dumps(value, separators=(",", ":")).encode()


def architecture() -> str:
    """This machine's, as images name it."""
    return _ARCHITECTURES.get(os.uname().machine, os.uname().machine)


def platform(config: Mapping[str, Any], asked: str) -> dict[str, Any]:
    """os, architecture and variant: of another config, as asked ("linux/arm64/v8"), or of this machine."""
    if config.get("architecture"):
        return {key: config[key] for key in ("architecture", "variant", "os") if config.get(key)}
    system, _, rest = asked.partition("/")
    kind, _, variant = rest.partition("/")
    found = {"architecture": kind or architecture(), "os": system or "linux"}
    return found | ({"variant": variant} if variant else {})
