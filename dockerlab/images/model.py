"""`Image`: docker-py's image, which shows itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import docker.models.images

from dockerlab import reference
from dockerlab.client import Client, engine_errors
from dockerlab.errors import InvalidReference
from dockerlab.faces import image as faces
from dockerlab.faces.human import short_id
from dockerlab.faces.shown import Shown
from dockerlab.image import Layer, layers

if TYPE_CHECKING:
    from dockerlab.builds import Build
    from dockerlab.images.explored import Exploration, LayerTree


@dataclass(frozen=True, slots=True, repr=False)
class ImageLayer(Layer):
    """A line of an engine's image, and the layer that it made. place: among the lines, from 0."""

    image: Image = field(kw_only=True)
    place: int = field(kw_only=True)

    @property
    def tree(self) -> LayerTree:
        """The image's files up to it, with what it added, modified and removed."""
        return self.image._explored().at(self.place)


class Image(Shown, docker.models.images.Image):
    """An image of an engine.

    build: the record of the build that made it, on an image that `dockerlab.build` returned. called: the reference by which it was
    asked for, in its familiar form. `attrs` is what the engine answers to an inspect; of an image in a list only what the list says
    (`reload()` gets the rest).
    """

    build: Build | None = None

    def __init__(self, attrs: dict[str, Any], client: Client, called: str | None = None) -> None:
        collection: Any = client.images
        super().__init__(attrs=attrs, client=client, collection=collection)
        self.called = called
        self._api: Any = client.api

    @property
    def tags(self) -> list[str]:
        """Its references in their familiar form, in alphabetical order."""
        return familiar_tags(self.attrs)

    @property
    def name(self) -> str:
        """The reference by which it was asked for or built, else its first one, else its short id."""
        tags = self.tags
        wanted = (self.called, *(self.build.tags if self.build else ()))
        return next((name for name in wanted if name in tags), tags[0] if tags else short_id(str(self.id)))

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, by name."""
        return dict((self.attrs.get("Config") or {}).get("Labels") or {})

    @property
    def digests(self) -> list[str]:
        """The digests by which its name's registry knows it; none before it was pushed or pulled. Podman lists its own with them."""
        named = reference.parse(self.name).familiar_name if self.tags else ""
        found = (str(entry).rpartition("@") for entry in self.attrs.get("RepoDigests") or [])
        return [digest for name, _, digest in found if name and reference.parse(name).familiar_name == named]

    @property
    def stand_in(self) -> str | None:
        """What it holds, if it is a stand-in itself (an image that is built on one inherits its labels); else None."""
        made_for = self.labels.get("dockerlab.stand-in.for")
        if not made_for or reference.parse(made_for).familiar not in self.tags:
            return None
        return self.labels.get("dockerlab.stand-in.holds", "")

    @property
    def layers(self) -> tuple[ImageLayer, ...]:
        """The lines of its history, the oldest first, each with the layer that it made. Asks the engine.

        `layers[i].tree`: the image's files up to it, with what it changed; the image is read for that, once.
        """
        with engine_errors("read the image's history", f"image '{self.name}'"):
            if "RootFS" not in self.attrs:
                self.reload()
            found = layers(self._api.history(self.id), (self.attrs.get("RootFS") or {}).get("Layers") or [])
        return tuple(
            ImageLayer(line.diff_id, line.chain_id, line.instruction, line.size, line.created, image=self, place=place)
            for place, line in enumerate(found)
        )

    @property
    def files(self) -> LayerTree:
        """The tree of its files. The image is read for that, once."""
        return self._explored().files

    def _explored(self) -> Exploration:
        from dockerlab.images.exploring import explored

        return explored(self, cast("Client", self.client))

    def _text(self) -> str:
        return faces.image_text(self)

    def _table(self) -> str:
        return faces.image_table(self)

    def _html(self) -> str:
        return faces.image_html(self)


def familiar_tags(attrs: dict[str, Any]) -> list[str]:
    """The references that an engine lists for an image, in their familiar form, sorted."""
    return familiar_names(tag for tag in attrs.get("RepoTags") or [] if tag != "<none>:<none>")


def familiar_names(tags: Iterable[str]) -> list[str]:
    """References in their familiar form, sorted."""
    return sorted({_familiar(tag) for tag in tags})


def _familiar(tag: str) -> str:
    try:
        return reference.parse(tag).familiar
    except InvalidReference:  # an engine may know names that we do not
        return tag
