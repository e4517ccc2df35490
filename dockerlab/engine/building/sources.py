"""Where a stage takes things from: images of the store or of a registry, other stages, the build context.

sources.base("python:3.10", tell)      the image that FROM or `--from` names, pulled where it is missing
sources.root(image)                    its files; sources.context: those of the build context
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing, suppress
from typing import IO, Any

from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.rootfs import Snapshots
from dockerlab.engine.rootfs.reading import View
from dockerlab.engine.rootfs.views import EMPTY, view_of
from dockerlab.engine.store import Image, Store
from dockerlab.errors import NotFound
from dockerlab.wire.tar import Entry

Message = Mapping[str, Any]
# Brings an image of a registry into the store, and says how it goes on.
Pull = Callable[[str, Cancellation], Generator[Message]]
Tell = Callable[[Message], object]
# Entered while an image is looked for; gives what takes the messages of a pull.
Finding = Callable[[str, Tell], AbstractContextManager[Tell]]


class Sources:
    """Thread-safe. pull: an image by name. always_pull: also what is there. hold: told of images that must not be removed meanwhile."""

    def __init__(
        self,
        store: Store,
        snapshots: Snapshots,
        context: View,
        pull: Pull,
        cancellation: Cancellation,
        hold: Callable[[Image], object],
        finding: Finding,
        *,
        always_pull: bool = False,
    ) -> None:
        self._store, self._snapshots, self.context = store, snapshots, context
        self._pull, self._cancellation, self._hold, self._always_pull = pull, cancellation, hold, always_pull
        self._finding = finding
        self._lock = threading.Lock()
        self._images: dict[str, Image] = {}
        self._locks: dict[str, threading.Lock] = {}

    def base(self, name: str, tell: Tell) -> Image:
        """The image that goes by a name. Raises NotFound, InvalidReference, EngineError, Cancelled."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:  # several stages may need it: it is brought once
            if name not in self._images:
                with self._finding(name, tell) as take:
                    self._images[name] = self._found(name, take)
            return self._images[name]

    def _found(self, name: str, tell: Tell) -> Image:
        image: Image | None = None
        if not self._always_pull:
            with suppress(NotFound):
                image = self._store.held(self._store.get(name), self._hold)
        if image is None:
            with closing(self._pull(name, self._cancellation)) as messages:
                for message in messages:
                    tell(message)
            image = self._store.held(self._store.get(name), self._hold)
            if image is None:
                raise NotFound(f"No such image: {name}: it was removed a moment ago")
        return image

    def root(self, image: Image | None) -> View:
        """An image's files. They are unpacked when somebody looks."""
        return _Root(self._store, self._snapshots, image) if image and image.layers else EMPTY


class Later:
    """A view that is there when somebody looks. load: brings it, once; what it raises is raised to all who look. Thread-safe."""

    def __init__(self, load: Callable[[], View]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._view: View | None = None
        self._error: BaseException | None = None

    def made(self) -> View:
        """The view itself."""
        with self._lock:
            if self._error:
                raise self._error
            if self._view is None:
                try:
                    self._view = self._load()
                except BaseException as error:
                    self._error = error
                    raise
            return self._view

    def lookup(self, path: str) -> Entry | None:
        """See `View`."""
        return self.made().lookup(path)

    def names(self, path: str) -> list[str]:
        """See `View`."""
        return self.made().names(path)

    def open(self, path: str) -> IO[bytes]:
        """See `View`."""
        return self.made().open(path)

    def identity(self, path: str) -> object:
        """See `View`."""
        return self.made().identity(path)

    def is_implied(self, path: str) -> bool:
        """See `Archive`."""
        return bool(getattr(self.made(), "is_implied", lambda _path: False)(path))

    @property
    def content(self) -> Callable[[str], bytes] | None:
        """The digests of its files, where it has them."""
        return getattr(self.made(), "content", None)


class _Root:
    """A view that is made when it is needed: a step that is found in the cache needs none."""

    def __init__(self, store: Store, snapshots: Snapshots, image: Image) -> None:
        self._store, self._snapshots, self._image = store, snapshots, image
        self._view: View | None = None

    def _made(self) -> View:
        if self._view is None:
            lowers = self._snapshots.prepare(self._image.layers, self._store.open_layer)
            self._view = view_of(self._snapshots.kind, lowers)
        return self._view

    def lookup(self, path: str) -> Entry | None:
        """See `View`."""
        return self._made().lookup(path)

    def names(self, path: str) -> list[str]:
        """See `View`."""
        return self._made().names(path)

    def open(self, path: str) -> IO[bytes]:
        """See `View`."""
        return self._made().open(path)

    def identity(self, path: str) -> object:
        """See `View`."""
        return self._made().identity(path)
