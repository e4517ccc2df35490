"""Images to a registry: `docker push`.

    push = Push(engine.store, hosts, keychain, "registry.example/app:1")
    for message in push.messages():    sends it; raises EngineError
    push.cancel()                      from another thread

Blobs go three at once: not at all where the repository has them, mounted where another repository of the registry is known to, uploaded
else. The manifest goes last.

A layer that the store keeps uncompressed is compressed first, to a draft, as its digest must be known before it is sent; what it became
is remembered, so that this is done once. The manifest in the registry names what was sent: it is another one than here, while the
config, and with it the image's id, is the same. A manifest whose layers are all compressed, or that came from a registry, goes byte for
byte, so that the image has the digest there that it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dockerlab.engine.registry import manifests, packing, progress, transfers
from dockerlab.engine.registry.abreast import Abreast
from dockerlab.engine.registry.credentials import Keychain
from dockerlab.engine.registry.manifests import Part
from dockerlab.engine.registry.progress import Feed, Message
from dockerlab.engine.registry.source import Source
from dockerlab.engine.store import Image, Store
from dockerlab.engine.store.blobs import Draft, digest_of
from dockerlab.engine.store.catalogue import canonical
from dockerlab.engine.store.values import short
from dockerlab.errors import DockerlabError, EngineError, NotFound
from dockerlab.reference import Reference, parse
from dockerlab.registry.abort import Abort
from dockerlab.registry.auth import Credentials
from dockerlab.registry.client import Client, Pace
from dockerlab.registry.hosts import Hosts
from dockerlab.registry.refusals import DENIED, Cancelled, Refused
from dockerlab.wire import streams

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


@dataclass(frozen=True)
class _Layer:
    """One to send. part: as the store has it. is_plain: whether it is to be compressed. identifier: what it is told as."""

    part: Part
    diff_id: str
    is_plain: bool

    @property
    def identifier(self) -> str:
        return short(self.diff_id)


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
        self._packed: dict[str, Part] = {}  # by the digests that the layers have here

    def run(self) -> Iterator[Message]:
        """Raises EngineError."""
        layers = self._layers()
        for one in layers:
            yield progress.step("Preparing", one.identifier)
        for one in layers[AT_ONCE:]:
            yield progress.step("Waiting", one.identifier)
        with packing.pool() as self._workers:
            yield from Abreast[_Layer]("push", AT_ONCE, self._feed, self._abort).run(layers, self._send)
        with _in_dockers_words():
            config = self._manifest.config
            if (location := self._place("", config, "")) is not None:
                self._upload("", config, self._store.blobs.path(config.digest), location)
        data = manifests.with_layers(self._data, self._packed) if self._packed else self._data
        headers = transfers.put_manifest(self._client, self._name.path, self._tag, data, manifests.media_type(data), self._scopes)
        digest = digest_of(data)
        if headers.get("docker-content-digest", digest) != digest:
            raise EngineError(f"the registry has the manifest under another digest: {headers['docker-content-digest'][:80]}")
        self._remember(digest)
        yield progress.line(f"{self._tag}: digest: {digest} size: {len(data)}")
        yield {"progressDetail": {}, "aux": {"Tag": self._tag, "Digest": digest, "Size": len(data)}}

    def _layers(self) -> list[_Layer]:
        """The topmost first, as Docker tells them."""
        is_of_registry = any(name.endswith(f"@{self._image.manifest}") for name in self._image.references)
        pairs = zip(self._image.layers, self._manifest.layers, strict=True)
        found = {
            part.digest: _Layer(part, layer.diff_id, not is_of_registry and part.digest == layer.diff_id)
            for layer, part in pairs
            if not part.is_foreign
        }
        return list(reversed(found.values()))

    # One layer

    def _send(self, one: _Layer) -> None:
        with _in_dockers_words():
            self._layer(one)

    def _layer(self, one: _Layer) -> None:
        here = one.part.digest
        if not one.is_plain:
            if (location := self._place(one.identifier, one.part, here)) is not None:
                self._upload(one.identifier, one.part, self._store.blobs.path(here), location)
            return
        known = self._known(one)
        place = self._place(one.identifier, known, here) if known else ""
        if known and place is None:
            self._packed[here] = known
            return
        with self._store.blobs.draft() as draft:
            part = self._pack(one, draft)
            if part != known:
                place = self._place(one.identifier, part, here)
            if place is not None:
                self._upload(one.identifier, part, draft.path, place)
        self._packed[here] = part

    def _known(self, one: _Layer) -> Part | None:
        """What a layer was compressed to before."""
        found = self._store.gzip(one.diff_id)
        return Part(*found, manifests.gzip_kind(one.part.kind)) if found else None

    def _pack(self, one: _Layer, draft: Draft) -> Part:
        """Compresses a layer. Raises EngineError where it is damaged, or the disk is full."""

        def pieces() -> Iterator[bytes]:
            place = 0
            for data in self._store.blobs.chunks(one.part.digest):
                self._abort.check()
                yield data
                place += len(data)
                self._feed.amount("Preparing", one.identifier, place, one.part.size)

        for data in packing.gzipped(pieces(), self._workers):
            draft.write(data)
        draft.finish()
        with suppress(DockerlabError, OSError):  # it is compressed again the next time
            self._store.note_gzip(one.diff_id, draft.digest, draft.size)
        return Part(draft.digest, draft.size, manifests.gzip_kind(one.part.kind))

    # One blob

    def _place(self, identifier: str, part: Part, here: str) -> str | None:
        """Where to upload a blob to; None where the repository has it, or was given it by another one.

        identifier: of a layer; a config is sent without words. here: the digest that a layer has in the store.
        """
        if transfers.exists(self._client, self._name.path, part, self._scopes):
            self._say("Layer already exists", identifier)
            return None
        other = self._other(here) if identifier else ""
        scopes = self._scopes | ({f"repository:{other}:pull"} if other else set())
        location = self._begun(part, other, scopes)
        if location is None:
            self._say(f"Mounted from {other}", identifier)
        return location

    def _say(self, status: str, identifier: str) -> None:
        if identifier:
            self._feed.say(progress.step(status, identifier))

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

    def _upload(self, identifier: str, part: Part, path: Path, location: str) -> None:
        """path: of the file with its bytes."""

        def told(place: int) -> None:
            if identifier:
                self._feed.amount("Pushing", identifier, place, part.size)

        try:
            size = path.stat().st_size
        except FileNotFoundError:
            size = -1
        if size != part.size:
            raise EngineError(f"blob {part.digest} is missing", hint="`dockerlab engine check --repair` says what is wrong.")
        try:
            transfers.upload(self._client, self._name.path, part, path, location, self._scopes, told)
        except Refused as error:
            if error.code == "DIGEST_INVALID":
                self._blame(part, path)
            raise
        self._say("Pushed", identifier)

    def _blame(self, part: Part, path: Path) -> None:
        """Raises EngineError where it is our copy that is damaged."""
        with path.open("rb") as file:
            for _ in streams.verified(streams.chunks(file), part.digest, f"blob {part.digest}"):
                self._abort.check()

    def _other(self, here: str) -> str:
        """Another repository of the registry that has the layer, for all that is known; "" for none."""
        for image in self._store.images():
            if any(layer.digest == here for layer in image.layers):
                for name in map(parse, image.references):
                    if name.digest and name.domain == self._name.domain and name.path != self._name.path:
                        return name.path
        return ""

    def _remember(self, digest: str) -> None:
        """The image's name in the registry. Its manifest here stays as it is."""
        config = self._store.blobs.read(self._image.id)
        name = f"{self._name.domain}/{self._name.path}@{digest}"
        with suppress(DockerlabError):  # it was removed a moment ago; what was pushed is there
            self._store.add(config, self._store.contents_of(self._image), name, manifest=self._data)


@contextmanager
def _in_dockers_words() -> Iterator[None]:
    """A refusal of a push as Docker tells it, without the request."""
    try:
        yield
    except Refused as error:
        if error.code == "NO_CREDENTIALS":
            raise EngineError("no basic auth credentials", status=500) from error
        if error.code == "DENIED":
            raise EngineError(f"denied: {DENIED}", status=403) from error
        raise
