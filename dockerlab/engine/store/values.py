"""What the store holds, as frozen values: images and their layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dockerlab import reference
from dockerlab.engine import timestamps
from dockerlab.errors import InvalidReference


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image, which is a tar.

    digest: of the blob as it is kept, maybe compressed. diff_id: of the tar, uncompressed. chain_id: of this layer together with all
    below it; what an unpacked layer goes by. size: bytes of the blob. files_size: bytes of the files in it, which is what Docker calls
    a layer's size.
    """

    diff_id: str
    chain_id: str
    digest: str
    media_type: str
    size: int
    files_size: int


@dataclass(frozen=True)
class Image:
    """An image of the store.

    id: the digest of its config, byte for byte as it came. config: that config, parsed. manifest: the manifest's digest. references:
    canonical, with a tag ("docker.io/library/busybox:latest") or a digest. parent: the id of the image that it was committed on, ""
    where that is not known. tagged: when it last got a name, "" for never. is_cache: a step of a build, and nothing else to anybody
    (see `kinship`). created: from the config, RFC 3339, "" where it does not say.
    """

    id: str
    config: Mapping[str, Any]
    manifest: str
    layers: tuple[Layer, ...]
    references: tuple[str, ...] = ()
    parent: str = ""
    tagged: str = ""
    is_cache: bool = False

    @property
    def created(self) -> str:
        """When it was made, as its config says; "" where it does not, or not as a time."""
        text = str(self.config.get("created") or "")
        try:
            timestamps.nanoseconds(text)
        except ValueError:
            return ""
        return text

    @property
    def size(self) -> int:
        """Bytes of the files of all its layers, as Docker counts."""
        return sum(layer.files_size for layer in self.layers)

    @property
    def run(self) -> Mapping[str, Any]:
        """How a container of it runs: the config's `config`."""
        return self.config.get("config") or {}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its config."""
        return dict(self.run.get("Labels") or {})

    @property
    def tags(self) -> list[str]:
        """Its names as people write them, "busybox:latest"."""
        return [reference.parse(name).familiar for name in self.references if "@" not in name]

    @property
    def digests(self) -> list[str]:
        """Its names in registries: "busybox@sha256:…"."""
        return [reference.parse(name).familiar for name in self.references if "@" in name]


def short(identifier: str) -> str:
    """The twelve digits that people see."""
    return identifier.removeprefix("sha256:")[:12]


def tagged(repository: str, tag: str) -> str:
    """The two that some requests have in place of a reference, as one. Raises InvalidReference."""
    if "@" in tag:
        raise InvalidReference("invalid tag format")
    return f"{repository}:{tag}" if tag else repository


def refused(text: str) -> InvalidReference:
    """Docker's words for a reference that is none."""
    name = text.partition("@")[0]
    if ":" in name.rpartition("/")[2]:
        name, _, tag = name.rpartition(":")
        if _parses(name) and not _parses(f"{name}:{tag}"):
            return InvalidReference("invalid tag format")
    if name != name.lower() and _parses(name.lower()):
        found = reference.parse(name.lower())
        shown = f"library/{name}" if found.path.startswith("library/") and "/" not in name else name[-len(found.path) :]
        return InvalidReference(f"invalid reference format: repository name ({shown}) must be lowercase")
    return InvalidReference("invalid reference format")


def _parses(text: str) -> bool:
    try:
        reference.parse(text)
    except InvalidReference:
        return False
    return True
