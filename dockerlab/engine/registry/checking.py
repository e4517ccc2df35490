"""What is asked of a registry without moving an image: whether it knows somebody, and what it has under a name."""

from __future__ import annotations

from typing import Any

from dockerlab.engine.registry import manifests, refusals, transfers
from dockerlab.engine.registry.abort import Abort
from dockerlab.engine.registry.client import Client, Pace
from dockerlab.engine.registry.credentials import Credentials, Keychain
from dockerlab.engine.registry.hosts import Hosts
from dockerlab.engine.registry.manifests import Document
from dockerlab.engine.registry.refusals import Refused, asked
from dockerlab.engine.registry.source import Source
from dockerlab.engine.store import documents
from dockerlab.engine.store.blobs import digest_of
from dockerlab.engine.store.catalogue import canonical
from dockerlab.errors import EngineError
from dockerlab.reference import parse


def login(hosts: Hosts, domain: str, credentials: Credentials, pace: Pace | None = None) -> str:
    """Makes sure that a registry knows somebody; an identity token where it gives one, else "". Raises Refused."""
    client = Client(hosts.endpoints(domain)[-1], hosts, credentials, Abort(), pace or Pace())
    try:
        client.connect()
        url = f"{client.base}/v2/"
        try:
            client.authorizer.header(frozenset(), asked("GET", url), is_login=True)
            with client.open("GET", url):
                pass
        except Refused as error:
            if error.answered == 401 and error.code == "UNAUTHORIZED" and not error.message.startswith("Get "):
                raise Refused(f"login attempt to {url} failed with status: {refusals.phrase(401)}", status=500) from error
            raise
        return client.authorizer.identity_token
    finally:
        client.close()


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
