"""What is asked of a registry without moving an image: whether it knows somebody, and what it has under a name."""

from __future__ import annotations

from typing import Any

from dockerlab.engine.registry import manifests, transfers
from dockerlab.engine.registry.credentials import Keychain
from dockerlab.engine.registry.manifests import Document
from dockerlab.engine.registry.source import Source
from dockerlab.engine.store import documents
from dockerlab.engine.store.blobs import digest_of
from dockerlab.engine.store.catalogue import canonical
from dockerlab.errors import EngineError
from dockerlab.reference import parse
from dockerlab.registry.abort import Abort
from dockerlab.registry.auth import Credentials
from dockerlab.registry.client import Pace
from dockerlab.registry.hosts import Hosts
from dockerlab.registry.refusals import Refused


def distribution(
    hosts: Hosts, keychain: Keychain, name: str, credentials: Credentials | None, pace: Pace | None = None
) -> dict[str, Any]:
    """The descriptor of what a registry has under a name, and the platforms that it is for. Raises EngineError."""
    reference = parse(canonical(name))
    source = Source(hosts, keychain, reference, credentials, Abort(), pace or Pace())
    try:
        tag = reference.digest or reference.tag or ""
        try:
            document, number = source.first(lambda client: source.document(client, tag))
        except Refused as error:
            if error.code in ("MANIFEST_UNKNOWN", "NAME_UNKNOWN") and isinstance(error.__cause__, EngineError):
                raise error.__cause__ from None  # this endpoint does not say what was looked for
            raise
        descriptor = {"mediaType": document.kind, "digest": document.digest, "size": len(document.data)}
        found = manifests.platforms(document) if document.is_index else _platform(source, number, document)
        return {"Descriptor": descriptor, "Platforms": found}
    finally:
        source.close()


def _platform(source: Source, number: int, document: Document) -> list[dict[str, Any]]:
    part = manifests.manifest(document).config
    pieces: list[bytes] = []
    transfers.download(source.client(number), source.name.path, part, source.scopes, pieces.append)
    if digest_of(data := b"".join(pieces)) != part.digest:
        raise EngineError(f"image config verification failed for digest {part.digest}", status=500)
    return [manifests.platform_of(documents.parse_config(data))]
