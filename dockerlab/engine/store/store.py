"""The store: images by name, layers by digest, and what may be done with them. The face of this room.

Files, all of them in the engine's home: an OCI image layout (`oci-layout`, `index.json`, `blobs/`), and `images.json` beside it. Two
locks: `store.lock` is held while the records change; `blobs.lock` is shared by whoever writes or reads blobs for longer, and garbage
is collected only when nobody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import IO, Any

from dockerlab import reference
from dockerlab.engine import changes as instructions
from dockerlab.engine import timestamps
from dockerlab.engine.finding import Finding
from dockerlab.engine.home import Home, write_json
from dockerlab.engine.rootfs import Snapshots
from dockerlab.engine.store import check, documents, edits, layers, load, records, removal, save
from dockerlab.engine.store.blobs import TEMPORARY, Blobs, is_digest
from dockerlab.engine.store.catalogue import Catalogue, canonical, find
from dockerlab.engine.store.kinship import own_layers
from dockerlab.engine.store.layers import Content
from dockerlab.engine.store.lock import Lock
from dockerlab.engine.store.records import Manifest
from dockerlab.engine.store.removal import Step, Use
from dockerlab.engine.store.values import Image, Layer
from dockerlab.errors import Conflict, DockerlabError, EngineError, NotFound, UsageError
from dockerlab.wire import streams
from dockerlab.wire.tar import Readable

_DIGITS = 16  # of a size that is one

# Told of an image, which is in use from then on.
Hold = Callable[[Image], object]
# Which images are in use: asked while nobody makes or removes images.
Uses = Callable[[], Sequence[Use]]
# Told what happened to an image: the action, the image's id, attributes.
Notify = Callable[[str, str, Mapping[str, str]], object]


class Store:
    """Safe for several threads and processes. snapshots: whose unpacked layers are collected with the images. notify: hears of changes."""

    def __init__(self, home: Home, snapshots: Snapshots | None = None, notify: Notify | None = None) -> None:
        self.home, self.snapshots = home, snapshots
        self._notify = notify
        folder = home.root / "blobs" / "sha256"
        for path in (folder, home.tmp):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.blobs = Blobs(folder, home.tmp)
        self._owes = False  # garbage that could not be collected
        self._blob_lock = Lock(home.root / "blobs.lock")
        self._catalogue = Catalogue(home.root, self.blobs)
        if not (home.root / "oci-layout").exists():
            write_json(home.root / "oci-layout", records.LAYOUT)

    # What is there

    def get(self, name: str) -> Image:
        """The image of a name, an id or the beginning of one. Raises NotFound, InvalidReference; EngineError for a damaged one."""
        return self._catalogue.get(name)

    def images(self) -> list[Image]:
        """All images, the newest first."""
        found = self._catalogue.contents().images.values()
        return sorted(found, key=lambda image: (timestamps.nanoseconds(image.created or timestamps.ZERO), image.id), reverse=True)

    def named(self, text: str) -> list[tuple[Image, str | None]]:
        """What `docker save TEXT` means: an image with a name, one without, or all images of a repository. Raises NotFound."""
        contents = self._catalogue.contents()
        if _is_repository(text):
            repository = f"{canonical(text).rpartition(':')[0]}:"
            tags = [(one, name) for one in contents.images.values() for name in one.references if name.startswith(repository)]
            if tags:
                return list(tags)
        try:
            image = find(text, contents)
        except NotFound as error:
            raise NotFound(f"No such image: {text}" if _is_repository(text) else "reference does not exist") from error
        return [(image, None if removal.is_id(text, image) else canonical(text))]

    def open_layer(self, layer: Layer) -> IO[bytes]:
        """A layer's tar, uncompressed. Raises EngineError; reading does at the end where a byte is not as its digests say."""
        what = f"layer {layer.digest}"
        plain = streams.decompressed(self.blobs.chunks(layer.digest))
        return streams.readable(streams.verified(plain, layer.diff_id, what) if layer.diff_id != layer.digest else plain)

    def built(self, key: str) -> Image | None:
        """The last image that was made by the step of a build that goes by a key."""
        contents = self._catalogue.contents()
        found = (contents.images.get(identifier) for identifier, known in contents.records.keys.items() if known == key)
        return next((image for image in reversed([*found]) if image), None)

    def held(self, image: Image, hold: Hold) -> Image | None:
        """Tells `hold` of an image at a moment when nobody removes any; None if somebody has."""
        with self._catalogue.changing() as edit:
            found = edit.contents.images.get(image.id)
            if found:
                hold(found)
        return found

    # Names

    def tag(self, image: Image | str, name: str) -> Image:
        """Gives an image a name, whatever it named before. Raises NotFound, InvalidReference, UsageError."""
        wanted = canonical(name)
        if "@" in wanted:
            raise UsageError("refusing to create a tag with a digest reference")
        if reference.parse(wanted).familiar_name == "sha256":
            raise UsageError("refusing to create an ambiguous tag using digest algorithm as name")
        with self._catalogue.changing() as edit:
            found = find(image.id if isinstance(image, Image) else image, edit.contents)
            edit.records = edits.tagged(edit.records, found, wanted)
        self._tell("tag", found, reference.parse(wanted).familiar)
        return self._current(found)

    def show(self, image: Image) -> Image:
        """One that was only a build's cache is an image like all others from now on."""
        with self._catalogue.changing() as edit:
            edit.records = edits.shown(edit.records, image)
        return self._current(image)

    def remove(self, name: str, *, force: bool = False, no_prune: bool = False, uses: Uses = list) -> list[dict[str, str]]:
        """Removes a name, and an image with its last name; the API's records of it. uses: of images. Raises NotFound, Conflict."""
        with self._catalogue.changing() as edit:
            image = find(name, edit.contents)
            steps = removal.plan(name, image, edit.contents.images.values(), uses(), force=force, prune=not no_prune)
            edit.records = edits.without(edit.records, steps, edit.contents)
        self._removed(steps)
        return [record for step in steps for record in step.records()]

    def prune(
        self, *, dangling: bool = True, uses: Uses = list, wanted: Callable[[Image], bool] = lambda image: True
    ) -> tuple[list[dict[str, str]], int]:
        """Removes images that no container uses and that have no tag, or all that none uses; the records, and the bytes of files."""
        done: list[Step] = []
        with self._catalogue.changing() as edit:
            images, used = dict(edit.contents.images), uses()
            for image, names in removal.candidates(images, dangling=dangling):
                if not wanted(image):
                    continue
                for name in names:
                    if image.id not in images:
                        break
                    try:
                        steps = removal.plan(name, images[image.id], images.values(), used)
                    except Conflict:
                        continue  # somebody needs it: what pruning leaves
                    images = edits.after(images, steps)
                    done += steps
            edit.records = edits.without(edit.records, done, edit.contents)
        self._removed(done)
        sizes = own_layers(step.image for step in done)
        freed = sum(sizes[chain_id] for step in done for chain_id in step.layers)
        return [record for step in done for record in step.records()], freed

    # New images

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Blobs that are written within, and layers that are unpacked, are not collected, though nobody has them yet. Not to be nested."""
        try:
            with self._blob_lock.shared():
                yield
        except BaseException:
            with suppress(DockerlabError, OSError):  # the first error is the one to tell
                self.collect()
            raise
        if self._owes:
            self.collect()

    def add_layer(self, tar: Readable) -> Content:
        """Writes a layer's tar, compressed or not. To be called within `adding`. Raises EngineError."""
        return layers.write(self.blobs, tar)

    def add(
        self,
        config: Mapping[str, Any] | bytes,
        contents: Sequence[Content],
        name: str | None = None,
        *,
        parent: str = "",
        key: str = "",
        manifest: bytes | None = None,
        is_cache: bool = False,
        hold: Hold | None = None,
    ) -> Image:
        """Makes an image of a config, whose `rootfs` is ours if it is not given as bytes, and of layers, lowest first.

        To be called within `adding`. manifest: to keep as it is, if it came with one. One that is there already keeps its manifest.
        key: of the step of a build that it is; is_cache: and nothing else, if it is new. hold: told of it before anybody could remove it.
        """
        wanted = canonical(name) if name else None
        if not isinstance(config, bytes):
            rootfs = {"type": "layers", "diff_ids": [content.diff_id for content in contents]}
            config = documents.encoded({**config, "rootfs": rootfs})
        documents.parse_config(config)
        for content in contents:
            if self.blobs.size(content.digest) != content.size:
                raise EngineError(f"blob {content.digest} is missing: an image that has it was removed a moment ago")
        digest = self.blobs.put(config)
        data = manifest or documents.manifest_of(digest, len(config), [content.descriptor() for content in contents])
        image = documents.image(self.blobs.put(data), data, config, {})
        with self._catalogue.changing() as edit:
            if hold:
                hold(image)
            known = edit.contents.images.get(image.id)
            sizes = {**edit.records.sizes, **{content.diff_id: content.files_size for content in contents}}
            changed = replace(edit.records, sizes=sizes)
            if known is None:
                changed = changed.with_image(Manifest(image.manifest, len(data)))
            if not is_cache:
                changed = edits.shown(changed, image)
            elif known is None:
                changed = replace(changed, cache=changed.cache | {image.id})
            if parent:
                changed = replace(changed, parents={**changed.parents, image.id: parent})
            if key:
                changed = replace(changed, keys={**changed.keys, image.id: key})
            edit.records = edits.tagged(changed, known or image, wanted) if wanted else changed
        return self._current(image)

    def commit(
        self,
        parent: Image | None,
        layer: Readable,
        config: Mapping[str, Any],
        name: str | None = None,
        *,
        author: str = "",
        comment: str = "",
        created_by: str = "",
        container: str = "",
        container_config: Mapping[str, Any] | None = None,
    ) -> Image:
        """Makes an image of another one and a layer on top of it. config: how containers of it run. A layer without entries is left out.

        container: the id of the one that the layer is from; container_config: how that ran.
        """
        created = timestamps.now()
        with self.adding():
            content = self.add_layer(layer)
            below = self.contents_of(parent) if parent else []
            old: Mapping[str, Any] = parent.config if parent else {}
            line = {"created": created, "created_by": created_by, "author": author, "comment": comment}
            said = {"author": author, "comment": comment, "container": container, "container_config": dict(container_config or {})}
            history = {key: value for key, value in line.items() if value} | ({} if content.count else {"empty_layer": True})
            whole = {
                **documents.platform(old, ""),
                "created": created,
                **{key: value for key, value in said.items() if value},
                "config": dict(config),
                "history": [*(old.get("history") or []), history],
            }
            added = [*below, content] if content.count else below
            image = self.add(whole, added, name, parent=parent.id if parent else "")
        self.tell_made(image)
        if name:
            self._tell("tag", image, reference.parse(name).familiar)
        return image

    def tell_made(self, image: Image) -> None:
        """Lets an event say that the image was made; `commit` does so by itself, `add` does not."""
        self._tell("create", image, image.id)

    def import_(
        self, tar: Readable, name: str | None = None, *, changes: Iterable[str] = (), message: str = "", platform: str = ""
    ) -> Image:
        """Makes an image of one layer, a tar of a whole file system. changes: Dockerfile instructions. Raises UsageError, EngineError."""
        created = timestamps.now()
        config = instructions.apply({}, changes)
        wanted = canonical(name) if name else None
        with self.adding():
            content = self.add_layer(tar)
            line = {"created": created, "comment": message}
            whole = {
                **documents.platform({}, platform),
                "created": created,
                "comment": message,
                "config": config,
                "history": [line],
            }
            image = self.add(whole, [content], wanted)
        self._tell("import", image, image.id)
        if wanted:
            self._tell("tag", image, reference.parse(wanted).familiar)
        return image

    def contents_of(self, image: Image) -> list[Content]:
        """The layers of an image, for an image on top of it."""
        return [Content(one.digest, one.diff_id, one.media_type, one.size, one.files_size, 1) for one in image.layers]

    # Layers that a registry has compressed

    def gzip(self, diff_id: str) -> tuple[str, int] | None:
        """Digest and size of what a layer was compressed to, if it was, and that is known."""
        digest, _, size = self._catalogue.contents().records.gzips.get(diff_id, "").partition(" ")
        return (digest, int(size)) if is_digest(digest) and size.isascii() and size.isdecimal() and len(size) < _DIGITS else None

    def note_gzip(self, diff_id: str, digest: str, size: int) -> None:
        """A layer was compressed; the same bytes each time, so that it need not be again."""
        with self._catalogue.changing() as edit:
            edit.records = replace(edit.records, gzips={**edit.records.gzips, diff_id: f"{digest} {size}"})

    # Archives

    def load(self, stream: Readable) -> Iterator[dict[str, Any]]:
        """Reads images from a docker-archive or an OCI archive, compressed or not; the API's messages as it goes on. Raises EngineError."""
        with self.adding():
            for message in load.load(self, stream):
                if isinstance(message, Image):
                    self._tell("load", message, message.id)
                else:
                    yield message

    def save(self, names: Sequence[str]) -> Iterator[bytes]:
        """An archive of images that `docker load` and OCI tools read, in pieces. Raises NotFound at once, before the first."""
        chosen = [found for name in names for found in self.named(name)]
        return self._saved(chosen)

    def _saved(self, chosen: Sequence[tuple[Image, str | None]]) -> Iterator[bytes]:
        with self._blob_lock.shared():
            yield from save.archive(self.blobs, chosen)
        for image in {image.id: image for image, _ in chosen}.values():
            self._tell("save", image, image.id)

    # Upkeep

    def collect(self) -> int:
        """Removes blobs and unpacked layers that no image needs, and what a crash left; the bytes that became free.

        While somebody adds images, nothing is garbage yet: it is done afterwards.
        """
        freed = 0
        with self._blob_lock.attempt() as alone:
            self._owes = not alone
            if alone:
                contents = self._catalogue.contents()
                for digest in check.unreferenced(self.blobs, contents):
                    freed += self.blobs.remove(digest)
                for path in self.home.tmp.glob(f"{TEMPORARY}*"):
                    freed += path.stat().st_size
                    path.unlink()
                self._catalogue.sweep()
                if self.snapshots:
                    self.snapshots.collect({layer.chain_id for image in contents.images.values() for layer in image.layers})
        freed += self.snapshots.sweep() if self.snapshots else 0
        self.home.keep_reserve()
        return freed

    def check(self, *, repair: bool = False) -> list[Finding]:
        """Reads all of the store and says what is wrong; with `repair` mends it. Waits until nobody adds or reads images."""
        with self._blob_lock.exclusive():
            found = check.run(self.home.root, self.blobs, self._catalogue, self.open_layer, repair=repair)
            if self.snapshots:
                images = sorted(self._catalogue.contents().images.values(), key=lambda image: image.id)
                found += self.snapshots.check([image.layers for image in images], self.open_layer, repair=repair)
        if repair:
            self.collect()
        return found

    def _current(self, image: Image) -> Image:
        """With what the records say of it; as it was, if somebody has removed it meanwhile."""
        return self._catalogue.contents().images.get(image.id, image)

    def _removed(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.name is None and not step.image.is_cache:
                self._tell("delete", step.image, step.image.id, has_labels=False)
            elif step.name and step.is_event:
                self._tell("untag", step.image, step.image.id)
        if any(step.name is None for step in steps):
            self.collect()

    def _tell(self, action: str, image: Image, name: str, *, has_labels: bool = True) -> None:
        """has_labels: not of an image that is gone, as in Docker."""
        if self._notify:
            self._notify(action, image.id, {**(image.labels if has_labels else {}), "name": name})


def _is_repository(text: str) -> bool:
    """Whether it is a name without a tag, for all that one can see."""
    return ":" not in text.rpartition("/")[2] and "@" not in text and not is_digest(f"sha256:{text}")
