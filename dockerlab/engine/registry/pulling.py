"""Images from a registry: `docker pull`.

    pull = Pull(engine.store, hosts, keychain, "python:3.13", platform="linux/amd64")
    pull.begin()                       asks what there is; raises what the API answers with a status
    for message in pull.messages():    fetches it; raises EngineError, having left nothing behind
    pull.cancel()                      from another thread

`begin(seconds)` waits no longer than that, so that a client that leaves is noticed: what is asked is asked on, and `messages` begins
with waiting for it.

The image is there, under its names, when all of it is, and not before: each layer verified by its digest, and by the diff_id that the
config gives it. Manifest and config are kept byte for byte, so that the image has the digests here that it has there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from dockerlab.engine.registry import manifests, progress, transfers
from dockerlab.engine.registry.credentials import Keychain
from dockerlab.engine.registry.fetching import AT_ONCE, TRIES, Fetching, layers_by_digest, unique, unknown
from dockerlab.engine.registry.manifests import Document, Manifest, Part, Platform
from dockerlab.engine.registry.progress import Message
from dockerlab.engine.registry.source import Source
from dockerlab.engine.store import Content, Image, Store, documents
from dockerlab.engine.store.blobs import digest_of
from dockerlab.engine.store.catalogue import canonical
from dockerlab.engine.store.values import short
from dockerlab.errors import EngineError, NotFound, UsageError
from dockerlab.reference import Reference, parse
from dockerlab.registry.abort import Abort
from dockerlab.registry.auth import Credentials
from dockerlab.registry.client import Pace
from dockerlab.registry.hosts import Hosts
from dockerlab.registry.refusals import Refused


@dataclass(frozen=True)
class _Found:
    """What a registry has under a reference. document: None where the store has what it is. source: which of the clients told."""

    reference: Reference
    digest: str
    document: Document | None
    source: int


@dataclass
class Pull:
    """name: of an image; without tag and digest, of a repository whose tags are all pulled. platform: as the API has it.

    notify: told at the end, as by the store. credentials: of the request.
    """

    store: Store
    hosts: Hosts
    keychain: Keychain
    name: str
    platform: str = ""
    credentials: Credentials | None = None
    all_tags: bool = False
    notify: Callable[[str, str, Mapping[str, str]], object] | None = None
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        self._reference = parse(canonical(self.name))
        self._wanted: Platform = manifests.platform(self.platform)
        self._abort = Abort()
        self._source = Source(self.hosts, self.keychain, self._reference, self.credentials, self._abort, self.pace)
        self._tags: list[str] = []
        self._found: _Found | None = None
        self._asking: threading.Thread | None = None
        self._refusal: BaseException | None = None

    def cancel(self) -> None:
        """Ends it at once; twice is fine."""
        self._abort.cancel()

    def begin(self, patience: float | None = None) -> None:
        """Asks the registry what it has. Raises what it answers, within so many seconds; later, `messages` does."""
        self._asking = threading.Thread(target=self._ask, name="pull", daemon=True)
        self._asking.start()
        self._asking.join(patience)
        if not self._asking.is_alive():
            self._begun()

    def _begun(self) -> None:
        """Waits until the registry has said what it has. Raises what it answered."""
        if self._asking:
            self._asking.join()
        if self._refusal:
            raise self._refusal

    def _ask(self) -> None:
        try:
            if self.all_tags:
                self._tags = [self._tag(tag) for tag in self._source.first(self._source.tags)[0]]
            else:
                self._tags = [self._reference.digest or self._reference.tag or ""]
            if self._tags:
                self._found = self._resolve(self._tags[0])
        except BaseException as error:  # noqa: BLE001  raised in the thread that answers
            self._refusal = error
            self._source.close()

    def _tag(self, text: str) -> str:
        """A tag that the registry lists. Raises UsageError for what is none: it would be another name."""
        try:
            found = parse(f"{self._reference.domain}/{self._reference.path}:{text}")
        except UsageError as error:
            raise EngineError(f"the registry lists a tag that is none: {text[:150]!r}", status=500) from error
        return found.tag or ""

    def _resolve(self, tag: str) -> _Found:
        name = replace(self._reference, tag=None, digest=tag) if ":" in tag else replace(self._reference, tag=tag, digest=None)
        digest, source = self._source.first(lambda client: self._source.digest(client, tag))
        if digest and self._named(digest):
            return _Found(name, digest, None, source)
        document, source = self._source.first(lambda client: self._source.document(client, tag))
        return _Found(name, document.digest, document, source)

    def _named(self, digest: str) -> Image | None:
        """The image that has this digest in the registry, if it is there, and for the platform."""
        name = f"{self._reference.domain}/{self._reference.path}@{digest}"
        return next((one for one in self.store.images() if name in one.references and self._wanted.fits(one.config)), None)

    def messages(self) -> Iterator[Message]:
        """To be asked for once, after `begin`. Raises EngineError."""
        try:
            self._begun()
            is_new = False
            for number, tag in enumerate(self._tags):
                found = self._found if not number and self._found else self._resolve(tag)
                is_new |= yield from self._one(found)
            familiar = self._reference.familiar_name if self.all_tags else self._reference.familiar
            if self._reference.digest:
                familiar = f"{self._reference.familiar_name}@{self._reference.digest}"
            what = "Downloaded newer image for" if is_new else "Image is up to date for"
            yield progress.line(f"Status: {what} {familiar}")
            yield from self._warnings(familiar)
            if self.notify:
                labels = self._labels(familiar)
                self.notify("pull", familiar, {**labels, "name": self._reference.familiar_name})
        finally:
            self.cancel()
            self._source.close()

    def _labels(self, familiar: str) -> dict[str, str]:
        with suppress(NotFound):  # it was removed a moment ago, or all tags of a repository are meant
            return self.store.get(familiar).labels
        return {}

    def _warnings(self, familiar: str) -> Iterator[Message]:
        """The image of a tag may be for one platform only, and that another one."""
        if not self.platform or self.all_tags:
            return
        with suppress(NotFound):
            config = self.store.get(familiar).config
            if not self._wanted.fits(config):
                is_ = Platform(*(str(config.get(name) or "") for name in ("os", "architecture", "variant")))
                yield progress.line(
                    f"WARNING: image with reference {familiar} was found but its platform ({is_}) does not match the specified "
                    f"platform ({self._wanted})"
                )

    # One image

    def _one(self, found: _Found) -> Generator[Message, None, bool]:
        """Whether it brought anything new is what the generator returns."""
        name = found.reference
        tag = f"{name.domain}/{name.path}@{name.digest}" if name.digest else name.tag or ""
        yield progress.line(f"Pulling from {name.path}", tag)
        names = [f"{name.domain}/{name.path}@{found.digest}"]
        names = names if name.digest else [f"{name.domain}/{name.path}:{name.tag}", *names]
        if found.document is None and (known := self._named(found.digest)):
            is_new = yield from self._there(known, names)
        else:
            document = found.document or self._source.document(self._source.client(found.source), found.digest)
            is_new = yield from self._brought(document, names, found.source)
        yield progress.line(f"Digest: {found.digest}")
        return is_new

    def _brought(self, document: Document, names: Sequence[str], source: int) -> Generator[Message, None, bool]:
        if document.is_index:
            entry = manifests.chosen(document, self._wanted)
            document = self._source.document(self._source.client(source), entry.digest)
            if document.is_index:
                raise EngineError(f"the registry has an index in an index under {entry.digest}: not supported")
        manifest = manifests.manifest(document)
        if known := next((image for image in self.store.images() if image.id == manifest.config.digest), None):
            return (yield from self._there(known, names))
        with self.store.adding():
            yield from self._fetch(manifest, document, names, source)
        return True

    def _there(self, image: Image, names: Sequence[str]) -> Generator[Message, None, bool]:
        """An image that the store has; whether it has got a name."""
        if set(names) <= set(image.references):
            return False
        with self.store.adding():
            self._name(image, names)
        yield from ()
        return True

    def _name(self, image: Image, names: Sequence[str]) -> None:
        """Gives an image names that the store has already."""
        config, manifest = self.store.blobs.read(image.id), self.store.blobs.read(image.manifest)
        for name in names:
            self.store.add(config, self.store.contents_of(image), name, manifest=manifest)

    def _fetch(self, manifest: Manifest, document: Document, names: Sequence[str], source: int) -> Iterator[Message]:
        config = self._config(manifest.config, source)
        diff_ids = documents.diff_ids(documents.parse_config(config))
        if len(diff_ids) != len(manifest.layers):
            raise EngineError(f"invalid manifest, layers length mismatch: expected {len(manifest.layers)}, got {len(diff_ids)}")
        self._refuse_what_is_too_big(manifest)
        known = layers_by_digest(self.store)
        contents: dict[str, Content] = {part.digest: known[part.digest] for part in manifest.layers if part.digest in known}
        missing = [part for part in unique(manifest.layers) if part.digest not in contents]
        fetching = Fetching(self.store, self._source, source, missing, self._abort)
        for part in unique(manifest.layers):
            yield progress.step("Already exists" if part.digest in contents else "Pulling fs layer", short(part.digest))
        for part in fetching.parts[AT_ONCE:]:
            yield progress.step("Waiting", short(part.digest))
        contents |= yield from fetching.run(unique(manifest.layers), contents)
        for number, (diff_id, part) in enumerate(zip(diff_ids, manifest.layers, strict=True)):
            if contents[part.digest].diff_id != diff_id:
                raise EngineError(f'invalid diffID for layer {number}: expected "{diff_id}", got "{contents[part.digest].diff_id}"')
        for name in names:
            self.store.add(config, [contents[part.digest] for part in manifest.layers], name, manifest=document.data)

    def _refuse_what_is_too_big(self, manifest: Manifest) -> None:
        """Before hours of download, not after."""
        found = os.statvfs(self.store.home.tmp)
        missing = sum(part.size for part in unique(manifest.layers) if self.store.blobs.size(part.digest) != part.size)
        if missing > found.f_bavail * found.f_frsize:
            raise EngineError(
                f"no space left on device: the image's layers are {progress.size(missing)}, compressed",
                hint="Remove images that nobody needs (`docker image prune -a`).",
            )

    def _config(self, part: Part, source: int) -> bytes:
        for _ in range(TRIES):
            pieces: list[bytes] = []
            try:
                client = self._source.client(source)
                transfers.download(client, self._source.name.path, part, self._source.scopes, pieces.append)
            except Refused as error:
                raise EngineError(f"error pulling image configuration: {unknown(error).message}", status=500) from error
            if digest_of(data := b"".join(pieces)) == part.digest:
                return data
        raise EngineError(
            f"error pulling image configuration: image config verification failed for digest {part.digest}", status=500
        )
