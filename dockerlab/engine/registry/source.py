"""A repository in its registry, and in the mirrors of that one: its tags and its manifests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from dockerlab.engine.registry import manifests
from dockerlab.engine.registry.credentials import Keychain
from dockerlab.engine.registry.manifests import Document
from dockerlab.engine.store.blobs import digest_of, is_digest
from dockerlab.engine.store.records import parse_document
from dockerlab.errors import DockerlabError, EngineError
from dockerlab.reference import Reference
from dockerlab.registry import refusals
from dockerlab.registry.abort import Abort
from dockerlab.registry.auth import Credentials
from dockerlab.registry.client import Broken, Client, Pace
from dockerlab.registry.hosts import Hosts
from dockerlab.registry.refusals import Cancelled, Refused

_Result = TypeVar("_Result")
_MOST_PAGES: Final = 100
_MOST_TAGS: Final = 10_000


class Source:
    """name: of an image in it. credentials: for the registry alone, None: those of the user's configuration; a mirror has its own there."""

    def __init__(
        self,
        hosts: Hosts,
        keychain: Keychain,
        name: Reference,
        credentials: Credentials | None,
        abort: Abort,
        pace: Pace,
        *,
        mirrored: bool = True,
        actions: str = "pull",
    ) -> None:
        self.name = name
        self.scopes = frozenset({f"repository:{name.path}:{actions}"})
        endpoints = hosts.endpoints(name.domain, mirrored=mirrored)
        own = keychain.get(name.domain) if credentials is None else credentials
        self.clients = [Client(one, hosts, keychain.get(one.host), abort, pace) for one in endpoints[:-1]]
        self.clients.append(Client(endpoints[-1], hosts, own, abort, pace))
        self._connected: set[int] = set()

    def client(self, number: int) -> Client:
        """One that is connected. Raises EngineError."""
        if number not in self._connected:
            self.clients[number].connect()
            self._connected.add(number)
        return self.clients[number]

    def first(self, ask: Callable[[Client], _Result]) -> tuple[_Result, int]:
        """What the first says that gives an answer. Raises what the last one says."""
        for number in range(len(self.clients)):
            try:
                return ask(self.client(number)), number
            except Cancelled:
                raise
            except DockerlabError:
                if number == len(self.clients) - 1:
                    raise
        raise AssertionError("there is a registry, always")

    def digest(self, client: Client, tag: str) -> str:
        """What a tag means now, if the registry says so without giving it, which is no pull where pulls are counted; else "".

        Raises Refused where somebody may not ask.
        """
        headers = {"Accept": manifests.ACCEPT}
        try:
            with client.open("HEAD", self._path(tag), scopes=self.scopes, headers=headers, is_retried=False) as response:
                found = str(response.headers.get("docker-content-digest", ""))
        except Refused as error:
            if error.answered in (401, 403):
                raise refusals.pull(error, self.name.familiar_name, "") from error
            return ""
        except Broken:
            return ""
        return found if is_digest(found) else ""

    def _path(self, tag: str) -> str:
        return f"v2/{self.name.path}/manifests/{tag}"

    def document(self, client: Client, tag: str) -> Document:
        """The manifest or index of a tag or a digest; of a digest it is verified. Raises Refused in Docker's words."""
        headers = {"Accept": manifests.ACCEPT}
        path = self._path(tag)
        try:
            response, data = client.document(path, manifests.LONGEST, scopes=self.scopes, headers=headers, what="the manifest")
        except Refused as error:
            raise refusals.pull(error, self.name.familiar_name, f"@{tag}" if ":" in tag else f":{tag}") from error
        if is_digest(tag) and digest_of(data) != tag:
            raise EngineError(f"manifest verification failed for digest {tag}", status=500)
        return manifests.document(data, response.headers.get("content-type", ""))

    def tags(self, client: Client) -> list[str]:
        """All tags of the repository. Raises Refused."""
        found: list[str] = []
        path = f"v2/{self.name.path}/tags/list"
        for _ in range(_MOST_PAGES):
            try:
                response, data = client.document(path, manifests.LONGEST, scopes=self.scopes, what="the list of tags")
            except Refused as error:
                raise refusals.pull(error, self.name.familiar_name, "") from error
            page = parse_document(data, "the list of tags that the registry sent").get("tags") or []
            if not isinstance(page, list) or not all(isinstance(tag, str) for tag in page) or len(found) > _MOST_TAGS:
                raise EngineError("the list of tags that the registry sent is not valid", status=500)
            found += page
            link = response.links.get("next", {}).get("url")
            if not link:
                break
            path = str(response.url.join(link))
            if response.url.join(link).netloc != response.url.netloc:
                raise EngineError("the list of tags that the registry sent goes on elsewhere: refused", status=500)
        return found

    def close(self) -> None:
        """Closes the connections."""
        for client in self.clients:
            client.close()
