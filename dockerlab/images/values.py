"""What the verbs on images answer: values that show themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dockerlab import reference as references
from dockerlab.faces import image as faces
from dockerlab.faces import transfer as transfers
from dockerlab.faces.shown import Shown
from dockerlab.image import Layer
from dockerlab.images.model import Image
from dockerlab.wire.trace import Status


class Images(list[Image], Shown):
    """A list of images, the newest first. wanted: the name that was asked for, or None."""

    def __init__(self, images: Iterable[Image] = (), wanted: str | None = None) -> None:
        super().__init__(images)
        self.wanted = wanted

    __repr__ = Shown.__repr__

    def _text(self) -> str:
        return faces.images_text(self)

    def _table(self) -> str:
        return faces.images_table(self)

    def _html(self) -> str:
        return faces.images_html(self)


class Inspection(dict[str, Any], Shown):
    """All that the engine says of one image. name: how it was asked for."""

    def __init__(self, name: str, facts: dict[str, Any]) -> None:
        super().__init__(facts)
        self.name = name

    __repr__ = Shown.__repr__

    def _text(self) -> str:
        return faces.inspection_text(self)

    def _table(self) -> str:
        return faces.inspection_table(self)

    def _html(self) -> str:
        return faces.inspection_html(self)


@dataclass(frozen=True, repr=False)
class History(Shown):
    """The lines of an image's history, the newest first, as `docker history` lists them."""

    name: str
    lines: tuple[Layer, ...]

    def _text(self) -> str:
        return faces.history_text(self)

    def _table(self) -> str:
        return faces.history_table(self)

    def _html(self) -> str:
        return faces.history_html(self)


@dataclass(frozen=True, repr=False)
class ImageView(Shown):
    """An image and what it is made of. layers: its history, the oldest line first, as a Dockerfile is read."""

    image: Image
    layers: tuple[Layer, ...]

    def _text(self) -> str:
        return faces.view_text(self)

    def _table(self) -> str:
        return faces.view_table(self)

    def _html(self) -> str:
        return faces.view_html(self)


@dataclass(frozen=True, repr=False)
class PullProgress(Shown):
    """How far a pull is. layers: one each, in the order in which the engine named them. done: whether the image is there."""

    reference: str
    layers: tuple[Status, ...] = ()
    done: bool = False

    def _text(self) -> str:
        return transfers.transfer_text(self, *self._words)

    def _table(self) -> str:
        return transfers.transfer_table(self, *self._words)

    def _html(self) -> str:
        return transfers.transfer_html(self, *self._words)

    @property
    def _words(self) -> tuple[str, str]:
        return "pulling", "pulled"


@dataclass(frozen=True, repr=False)
class PushProgress(PullProgress):
    """How far a push is, in the same way. done: whether the registry has the image."""

    @property
    def _words(self) -> tuple[str, str]:
        return "pushing", "pushed"


@dataclass(frozen=True, repr=False)
class Pushed(Shown):
    """What `push` did. digest: by which the registry knows the image, and by which anybody gets just this one."""

    reference: str
    digest: str

    @property
    def pinned(self) -> str:
        """The reference by digest: `registry.example/app@sha256:…`."""
        return f"{references.parse(self.reference).familiar_name}@{self.digest}"

    def _text(self) -> str:
        return transfers.pushed_text(self)

    def _table(self) -> str:
        return transfers.pushed_table(self)

    def _html(self) -> str:
        return transfers.pushed_html(self)


@dataclass(frozen=True, repr=False)
class ArchiveProgress(Shown):
    """How far a save, a load or a copy is. file: its name, of a copy those of the images. current, total: bytes; the total of a save and
    of a copy is about what it will be."""

    file: str
    doing: Literal["saving", "loading", "copying"]
    current: int = 0
    total: int = 0
    layers: tuple[Status, ...] = ()

    def _text(self) -> str:
        return transfers.archiving_text(self)

    def _table(self) -> str:
        return transfers.archiving_table(self)

    def _html(self) -> str:
        return transfers.archiving_html(self)


@dataclass(frozen=True, repr=False)
class Saved(Shown):
    """What `save` did. names: of the images, as given. size: bytes of the file."""

    file: Path
    names: tuple[str, ...]
    size: int

    def _text(self) -> str:
        return transfers.saved_text(self)

    def _table(self) -> str:
        return transfers.saved_table(self)

    def _html(self) -> str:
        return transfers.saved_html(self)


@dataclass(frozen=True, repr=False)
class Loaded(Shown):
    """What `load` did. images: those that came, in the order of the archive; with `called`, under the name that they came by."""

    file: Path
    images: tuple[Image, ...]

    def _text(self) -> str:
        return transfers.loaded_text(self)

    def _table(self) -> str:
        return transfers.loaded_table(self)

    def _html(self) -> str:
        return transfers.loaded_html(self)


@dataclass(frozen=True, repr=False)
class Copied(Shown):
    """What `copy` did. images: as the other engine has them. engine: that one's address. size: bytes that were sent; none of what was
    there already. same_ids: whether both engines know the images by the same ids; if not, their layers were compared.
    warnings: of images that are for another platform than that engine.
    """

    images: tuple[Image, ...]
    engine: str
    size: int
    same_ids: bool
    warnings: tuple[str, ...] = ()

    def _text(self) -> str:
        return transfers.copied_text(self)

    def _table(self) -> str:
        return transfers.copied_table(self)

    def _html(self) -> str:
        return transfers.copied_html(self)


@dataclass(frozen=True, repr=False)
class Removed(Shown):
    """What `rm` did. names: as given. untagged: references that are gone; deleted: digests of images and layers that are.

    absent: of the names those that were not there.
    """

    names: tuple[str, ...]
    untagged: tuple[str, ...]
    deleted: tuple[str, ...]
    absent: tuple[str, ...] = ()

    def _text(self) -> str:
        return faces.removed_text(self)

    def _table(self) -> str:
        return faces.removed_table(self)

    def _html(self) -> str:
        return faces.removed_html(self)


@dataclass(frozen=True, repr=False)
class Pruned(Shown):
    """What `prune` did. all: whether images with a tag were meant too. freed: bytes."""

    all: bool
    untagged: tuple[str, ...]
    deleted: tuple[str, ...]
    freed: int

    def _text(self) -> str:
        return faces.pruned_text(self)

    def _table(self) -> str:
        return faces.pruned_table(self)

    def _html(self) -> str:
        return faces.pruned_html(self)
