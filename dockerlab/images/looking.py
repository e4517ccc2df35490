"""`remote`: what a registry has under a name, without pulling it: an index or a manifest, and the image's configuration.

Two or three small documents are fetched, no layer. It is this machine that asks, so no engine is needed; credentials are those of
`docker login`. Where a name stands for several platforms one of them is looked into, the others are listed: each that were fetched would
count as a pull where pulls are counted.
"""

from __future__ import annotations

import platform as machines
from typing import TYPE_CHECKING, Final

from dockerlab import reference as references
from dockerlab.errors import EngineError, NotFound
from dockerlab.image import manifest
from dockerlab.image.manifest import ACCEPT, LONGEST, LONGEST_CONFIG, Descriptor, Document, Entry
from dockerlab.images import registries
from dockerlab.images.registry_values import RemoteImage
from dockerlab.reference import Reference

if TYPE_CHECKING:
    from dockerlab.registry.client import Client

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


def remote(reference: str, *, platform: str | None = None, insecure: bool = False) -> RemoteImage:
    """Looks into an image on its registry, without pulling it; without a tag, `latest`.

    platform: "os/arch[/variant]" or "arch", where there are several; without it, this machine's if it is there, else the first.
    insecure: takes a registry without TLS, or with a certificate that nobody vouches for; one on this machine is taken so anyway.

    Raises InvalidReference; NotFound (no such image, or a private one, or not for the platform); RegistryUnreachable; EngineError.
    """
    image = references.parse(reference)
    with registries.asked(image, insecure=insecure, doing=f"look at '{image.familiar}'") as client:
        found = _document(client, image, image.digest or image.tag or "")
        entry = _chosen(image, found, platform) if found.is_index else None
        shown = _document(client, image, entry.manifest.digest) if entry else found
        config = _config(client, image, shown.config) if shown.config and shown.is_image else None
    if platform and not found.is_index and config is not None and not _is_for(config, platform):
        raise _absent(image, platform, [manifest.platform_of(config)])
    return RemoteImage(image.familiar, found, shown, entry, config)


def _document(client: Client, image: Reference, which: str) -> Document:
    """which: a tag or a digest. Raises EngineError where what came has another digest than was asked for."""
    response, data = client.document(
        f"v2/{image.path}/manifests/{which}", LONGEST, scopes=_scopes(image), headers={"Accept": ACCEPT}, what="the manifest"
    )
    if which.startswith("sha256:") and manifest.digest_of(data) != which:
        raise EngineError("the registry sent a manifest that does not have the digest that was asked for")
    return manifest.document(data, response.headers.get("content-type", ""))


def _config(client: Client, image: Reference, blob: Descriptor) -> dict[str, object]:
    if blob.size > LONGEST_CONFIG:
        raise EngineError(f"the image's configuration is too long: {blob.size:,} bytes")
    _, data = client.document(
        f"v2/{image.path}/blobs/{blob.digest}", LONGEST_CONFIG, scopes=_scopes(image), what="the image's configuration"
    )
    if blob.digest.startswith("sha256:") and manifest.digest_of(data) != blob.digest:
        raise EngineError("the registry sent a configuration that does not have the digest that the manifest names")
    return manifest.configuration(data)


def _scopes(image: Reference) -> frozenset[str]:
    return frozenset({f"repository:{image.path}:pull"})


def _chosen(image: Reference, index: Document, platform: str | None) -> Entry | None:
    """The entry of an index to be looked into; None where there is nothing in it. Raises NotFound."""
    if platform:
        if found := index.entry(platform):
            return found
        raise _absent(image, platform, [one.platform for one in index.entries if one.is_image])
    kind = machines.machine().lower()
    here = index.entry(f"linux/{_ARCHITECTURES.get(kind, kind)}")
    return here or next((one for one in index.entries if one.is_image), None) or next(iter(index.entries), None)


def _is_for(config: dict[str, object], platform: str) -> bool:
    wanted = platform.lower().split("/")
    wanted = wanted if len(wanted) > 1 else ["linux", *wanted]
    return manifest.platform_of(config).split("/")[: len(wanted)] == wanted


def _absent(image: Reference, platform: str, there: list[str]) -> NotFound:
    names = ", ".join(one for one in there if one) or "no platform that it names"
    return NotFound(f"'{image.familiar}' is not there for platform {platform}", hint=f"It is for {names}.")
