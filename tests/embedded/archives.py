"""Images as archives, for tests of the store: made by hand, so that they may lie."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockerlab.engine.home import Home
from dockerlab.engine.store import Store, architecture

File = tuple[str, bytes | str | None, Mapping[str, Any]]


def layer(*files: File) -> bytes:
    """A tar of (name, content, fields): bytes a file, text a symbolic link, None a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, fields in files:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            for key, value in fields.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content if isinstance(content, bytes) else b""))
    return out.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Made:
    """An image that may be packed in different ways. layers: uncompressed. packed: as they stand in the archive."""

    layers: Sequence[bytes]
    tags: Sequence[str] = ("made:1",)
    config: Mapping[str, Any] = field(default_factory=dict)
    packed: Sequence[bytes] | None = None

    @property
    def blobs(self) -> Sequence[bytes]:
        return self.layers if self.packed is None else self.packed

    @property
    def config_bytes(self) -> bytes:
        # Oddly written: it must come through byte for byte.
        whole = {
            "os": "linux",
            "architecture": architecture(),
            "created": "2020-02-02T02:02:02.5Z",
            "config": {"Cmd": ["sh"], "Labels": {"kind": "made"}},
            "history": [{"created_by": f"layer {number}"} for number in range(len(self.layers))],
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in self.layers]},
            **self.config,
        }
        return json.dumps(whole, indent=3).encode()

    @property
    def id(self) -> str:
        return digest(self.config_bytes)

    @property
    def manifest(self) -> bytes:
        kinds = {b"\x1f\x8b": "+gzip", b"\x28\xb5": "+zstd"}
        layers = [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar" + kinds.get(data[:2], ""),
                "digest": digest(data),
                "size": len(data),
                "annotations": {"kept": "byte for byte"},
            }
            for data in self.blobs
        ]
        config = {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": self.id,
            "size": len(self.config_bytes),
        }
        return json.dumps({"schemaVersion": 2, "config": config, "layers": layers}, indent=1).encode()

    def docker(self) -> dict[str, bytes]:
        """The members of a docker-archive."""
        names = [f"{number}/layer.tar" for number in range(len(self.blobs))]
        manifest = [{"Config": "config.json", "RepoTags": list(self.tags) or None, "Layers": names}]
        return {
            **dict(zip(names, self.blobs, strict=True)),
            "config.json": self.config_bytes,
            "manifest.json": json.dumps(manifest).encode(),
        }

    def oci(self, **annotations: str) -> dict[str, bytes]:
        """The members of an OCI image layout."""
        blobs = {blob(data): data for data in (*self.blobs, self.config_bytes, self.manifest)}
        notes = annotations or {"io.containerd.image.name": f"docker.io/library/{self.tags[0]}"}
        return {**blobs, "oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index([self.descriptor(notes)])}

    def descriptor(self, annotations: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"digest": digest(self.manifest), "size": len(self.manifest), **more}
        return found | ({"annotations": dict(annotations)} if annotations else {})


def blob(data: bytes) -> str:
    """Where an OCI layout has it."""
    return f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def index(descriptors: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": list(descriptors)}).encode()


def packed(members: Mapping[str, bytes]) -> bytes:
    """Members as a tar."""
    return layer(*((name, data, {}) for name, data in members.items()))


def unpacked(data: bytes) -> dict[str, bytes]:
    """A tar's files."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zstandard_(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def store(path: Path, notes: list[tuple[str, str]] | None = None) -> Store:
    """A new store, or the one that is there. notes: takes what happens, as (action, name)."""
    home = Home(path / "root", path / "run")
    home.create()
    heard = notes if notes is not None else []
    return Store(home, None, lambda action, image, attributes: heard.append((action, attributes["name"])))


def load(store: Store, data: bytes) -> list[str]:
    """What `docker load` prints of it."""
    return [message["stream"] for message in store.load(io.BytesIO(data)) if "stream" in message]
