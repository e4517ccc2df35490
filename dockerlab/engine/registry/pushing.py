"""Images to a registry: `docker push`.

    push = Push(engine.store, hosts, keychain, "registry.example/app:1")
    for message in push.messages():    sends it; raises EngineError
    push.cancel()                      from another thread

Blobs go as the store has them, three at once: not at all where the repository has them, mounted where another repository of the registry
is known to, uploaded else. The manifest goes last, byte for byte, so that the image has the digest there that it has here.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dockerlab.engine.registry import manifests, progress, transfers
from dockerlab.engine.registry.abort import Abort
from dockerlab.engine.registry.client import Client, Pace
from dockerlab.engine.registry.credentials import Credentials, Keychain
from dockerlab.engine.registry.hosts import Hosts
from dockerlab.engine.registry.manifests import Part
from dockerlab.engine.registry.progress import Feed, Message
from dockerlab.engine.registry.refusals import DENIED, Cancelled, Refused
from dockerlab.engine.registry.source import Source
from dockerlab.engine.store import Image, Store
from dockerlab.engine.store.blobs import digest_of
from dockerlab.engine.store.catalogue import canonical
from dockerlab.engine.store.values import short
from dockerlab.errors import DockerlabError, EngineError, NotFound
from dockerlab.reference import Reference, parse

AT_ONCE: Final = 3


@dataclass
class Push:
    """name: of an image; without a tag, of a repository whose tags are all pushed. notify: told at the end, as by the store."""

    store: Store
    hosts: Hosts
    keychain: Keychain
    name: str
    credentials: Credentials | None = None
    all_tags: bool = False
    notify: Callable[[str, str, Mapping[str, str]], object] | None = None
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        self._reference = parse(canonical(self.name))
        self._abort = Abort()

    def cancel(self) -> None:
        """Ends it at once; twice is fine."""
        self._abort.cancel()

    def messages(self) -> Iterator[Message]:
        """To be asked for once. Raises EngineError, UsageError."""
        name = self._reference
        yield progress.line(f"The push refers to repository [{name.domain}/{name.path}]")
        if name.digest:
            raise EngineError("cannot push a digest reference")
        chosen = self._chosen()
        source = Source(
            *(self.hosts, self.keychain, name, self.credentials, self._abort, self.pace), mirrored=False, actions="pull,push"
        )
        try:
            client = self._connected(source)
            for tag, image in chosen:
                with self.store.adding():
                    yield from _Sending(self.store, client, name, tag, image, source.scopes, self._abort).run()
            if self.notify:
                familiar = name.familiar_name if self.all_tags else name.familiar
                self.notify("push", familiar, {**chosen[0][1].labels, "name": name.familiar_name})
        finally:
            self.cancel()
            source.close()

    def _connected(self, source: Source) -> Client:
        return source.client(len(source.clients) - 1)

    def _chosen(self) -> list[tuple[str, Image]]:
        """The tags to push, and their images. Raises NotFound in Docker's words."""
        name = self._reference
        prefix = f"{name.domain}/{name.path}:"
        tags = {
            one.removeprefix(prefix): image for image in self.store.images() for one in image.references if one.startswith(prefix)
        }
        if not tags:
            raise NotFound(f"An image does not exist locally with the tag: {name.familiar_name}")
        if self.all_tags:
            return sorted(tags.items())
        if name.tag not in tags:
            raise NotFound(f"tag does not exist: {name.familiar}")
        return [(str(name.tag), tags[str(name.tag)])]


class _Sending:
    """One image, under one tag."""

    def __init__(
        self, store: Store, client: Client, name: Reference, tag: str, image: Image, scopes: frozenset[str], abort: Abort
    ) -> None:
        self._store, self._client, self._name, self._tag, self._image = store, client, name, tag, image
        self._scopes, self._abort = scopes, abort
        self._data = store.blobs.read(image.manifest)
        self._manifest = manifests.manifest(manifests.Document(self._data, manifests.media_type(self._data)))
        self._feed = Feed()
        self._waiting: queue.SimpleQueue[tuple[str, Part]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._error: Exception | None = None
        self._at_work = 0

    def run(self) -> Iterator[Message]:
        """Raises EngineError."""
        layers = self._layers()
        for identifier, _ in layers:
            yield progress.step("Preparing", identifier)
        for identifier, _ in layers[AT_ONCE:]:
            yield progress.step("Waiting", identifier)
        yield from self._layers_sent(layers)
        self._blob("", self._manifest.config)
        kind = manifests.media_type(self._data)
        headers = transfers.put_manifest(self._client, self._name.path, self._tag, self._data, kind, self._scopes)
        digest = digest_of(self._data)
        if headers.get("docker-content-digest", digest) != digest:
            raise EngineError(f"the registry has the manifest under another digest: {headers['docker-content-digest'][:80]}")
        self._remember(digest)
        yield progress.line(f"{self._tag}: digest: {digest} size: {len(self._data)}")
        yield {"progressDetail": {}, "aux": {"Tag": self._tag, "Digest": digest, "Size": len(self._data)}}

    def _layers(self) -> list[tuple[str, Part]]:
        """The topmost first, as Docker tells them; by their diff_ids."""
        pairs = zip(self._image.layers, self._manifest.layers, strict=True)
        found = {part.digest: (short(layer.diff_id), part) for layer, part in pairs if not part.is_foreign}
        return list(reversed(found.values()))

    def _layers_sent(self, layers: Sequence[tuple[str, Part]]) -> Iterator[Message]:
        for one in layers:
            self._waiting.put(one)
        threads = [threading.Thread(target=self._work, name="push", daemon=True) for _ in range(min(AT_ONCE, len(layers)))]
        self._at_work = len(threads)
        is_whole = False
        try:
            for thread in threads:
                thread.start()
            yield from self._feed if threads else ()
            is_whole = self._error is None
        finally:
            if not is_whole:
                self._abort.cancel()
            for thread in threads:
                thread.join()
        if self._error:
            raise self._error

    def _work(self) -> None:
        try:
            while self._error is None:
                try:
                    one = self._waiting.get_nowait()
                except queue.Empty:
                    return
                self._blob(*one)
        except Exception as error:  # noqa: BLE001  raised in the thread that answers
            with self._lock:
                self._error = self._error or error
            self._abort.cancel()
        finally:
            with self._lock:
                self._at_work -= 1
                if not self._at_work:
                    self._feed.end()

    def _blob(self, identifier: str, part: Part) -> None:
        """identifier: of a layer; a config is sent without words."""

        def say(status: str) -> None:
            if identifier:
                self._feed.say(progress.step(status, identifier))

        try:
            if transfers.exists(self._client, self._name.path, part, self._scopes):
                say("Layer already exists")
                return
            other = self._other(part) if identifier else ""
            scopes = self._scopes | ({f"repository:{other}:pull"} if other else set())
            location = self._begun(part, other, scopes)
            if location is None:
                say(f"Mounted from {other}")
                return
            self._upload(identifier, part, location)
            say("Pushed")
        except Refused as error:
            raise _told(error) from error

    def _begun(self, part: Part, other: str, scopes: frozenset[str]) -> str | None:
        """Where to upload to, None where it was mounted. Who may not read the other repository uploads."""
        if other:
            try:
                return transfers.mount(self._client, self._name.path, part, other, scopes)
            except Cancelled:
                raise
            except Refused:
                other = ""
        return transfers.mount(self._client, self._name.path, part, "", self._scopes)

    def _upload(self, identifier: str, part: Part, location: str) -> None:
        def told(place: int) -> None:
            if identifier:
                self._feed.amount("Pushing", identifier, place, part.size)

        path = self._store.blobs.path(part.digest)
        if self._store.blobs.size(part.digest) != part.size:
            raise EngineError(f"blob {part.digest} is missing", hint="`dockerlab engine check --repair` says what is wrong.")
        try:
            transfers.upload(self._client, self._name.path, part, path, location, self._scopes, told)
        except Refused as error:
            if error.code == "DIGEST_INVALID":
                self._blame(part)
            raise

    def _blame(self, part: Part) -> None:
        """Raises EngineError where it is our copy that is damaged."""
        for _ in self._store.blobs.chunks(part.digest):
            self._abort.check()

    def _other(self, part: Part) -> str:
        """Another repository of the registry that has the layer, for all that is known; "" for none."""
        for image in self._store.images():
            if any(layer.digest == part.digest for layer in image.layers):
                for name in map(parse, image.references):
                    if name.digest and name.domain == self._name.domain and name.path != self._name.path:
                        return name.path
        return ""

    def _remember(self, digest: str) -> None:
        """The image's name in the registry."""
        config = self._store.blobs.read(self._image.id)
        name = f"{self._name.domain}/{self._name.path}@{digest}"
        try:
            self._store.add(config, self._store.contents_of(self._image), name, manifest=self._data)
        except DockerlabError:
            return  # it was removed a moment ago; what was pushed is there


def _told(error: Refused) -> EngineError:
    """A refusal of a push in Docker's words, which leave out the request."""
    if error.code == "NO_CREDENTIALS":
        return EngineError("no basic auth credentials", status=500)
    if error.code == "DENIED":
        return EngineError(f"denied: {DENIED}", status=403)
    return error
