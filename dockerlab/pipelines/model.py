"""What the pipeline view shows, as values: Dockerfile line ↔ build step ↔ layer ↔ image ↔ its containers.

    Pipeline
    ├─ bands        Band: a stage of the Dockerfile, or the base image and what lies on it
    ├─ rows         Row: an instruction, the step that carried it out, and what it made
    ├─ image        ImageFacts, None while it is being built
    └─ containers   Running: those that were made from this image, the newest first

A row *adds* a layer, or only configuration; of a FROM it is the base image's layers. Where an engine does not say which instruction made
which layer, it is "unknown": nothing here is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dockerlab.faces import pipeline as faces
from dockerlab.faces.container import Facts
from dockerlab.faces.shown import Shown

if TYPE_CHECKING:
    from dockerlab.builds.record import Build, Step

Adds = Literal["base", "layer", "config", "unknown", ""]
Part = Literal["image", "base", "taken", "unused", "around"]


@dataclass(frozen=True, slots=True)
class MadeLayer:
    """A layer. diff_id, chain_id: None where it is certain that there is one, but not which. size: bytes, as the engine counts them.

    place: of the line among `image.layers`. is_base: whether it is the base image's.
    """

    diff_id: str | None
    chain_id: str | None
    size: int
    place: int
    is_base: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """Rows that belong together. name: of the stage, or of the image that they are; "" before the first. base: what FROM names, as written.

    part: "image" (it is in the image), "base" (the base image's), "taken" (files are taken out of it), "unused" (nothing needs it), or
    "around" (the builder's own steps). taken_by: keys of the rows that take files out of it.
    """

    index: int
    name: str
    base: str
    part: Part
    taken_by: tuple[str, ...] = ()

    @property
    def is_in_image(self) -> bool:
        return self.part in ("image", "base")


@dataclass(frozen=True, slots=True)
class Row:
    """An instruction. key: the same at every moment of a build. text: on one line. line, end_line: of the Dockerfile, None outside of it.

    band: the index of its band. adds: "base", "layer", "config", "unknown", or "" for what the builder does of its own. change: what it
    changes of the configuration, `ExposedPorts 5000`. step: that carried it out, None where no build is known. layers: that it made; empty
    before the image is there. takes: indexes of the bands that it takes files from. is_trigger: whether the base image brought it.
    """

    key: str
    text: str
    band: int
    adds: Adds
    line: int | None = None
    end_line: int | None = None
    change: str = ""
    step: Step | None = None
    layers: tuple[MadeLayer, ...] = ()
    takes: tuple[int, ...] = ()
    is_trigger: bool = False

    @property
    def keyword(self) -> str:
        """Of its instruction; of a trigger's own."""
        text = self.text.removeprefix("ONBUILD ") if self.is_trigger else self.text
        return text.partition(" ")[0].upper()

    @property
    def size(self) -> int:
        """Bytes of its layers."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """id: of the image. size: bytes. layers: how many. own: bytes of the layers that are not the base image's; None where not known."""

    id: str
    name: str
    size: int
    layers: int
    own: int | None = None
    base: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A container of the image. started: seconds since the epoch, None for one that has never run."""

    facts: Facts
    started: float | None = None


@dataclass(frozen=True, repr=False)
class Pipeline(Shown):
    """One picture of an image: where it comes from, and what came of it.

    name: of the image. build: the record of the build, None where only the image's history is known. note: what is to be said of the
    picture, "" for nothing; alert: what went wrong since. moment: seconds since the epoch.
    """

    name: str
    rows: tuple[Row, ...]
    bands: tuple[Band, ...]
    image: ImageFacts | None = None
    containers: tuple[Running, ...] = ()
    build: Build | None = None
    note: str = ""
    alert: str = ""
    moment: float = 0.0

    def with_containers(self, containers: tuple[Running, ...], moment: float) -> Pipeline:
        """The same with the containers that there are now."""
        return replace(self, containers=containers, moment=moment)

    def with_alert(self, alert: str) -> Pipeline:
        """The same, and what went wrong; "" for nothing."""
        return replace(self, alert=alert)

    @property
    def chain(self) -> tuple[Row, ...]:
        """The rows of the stages that the image is made of, in order."""
        return tuple(row for band in self.bands if band.part == "image" for row in self.rows if row.band == band.index)

    def has_head(self, band: Band) -> bool:
        """Whether a band is told from others: one of several stages, or what the builder does of its own."""
        if band.part == "around":
            return bool(band.name)
        return sum(other.part != "around" for other in self.bands) > 1

    def row(self, key: str) -> Row | None:
        """The row of that key."""
        return next((row for row in self.rows if row.key == key), None)

    def _text(self) -> str:
        return faces.text(self)

    def _table(self) -> str:
        return faces.table(self)

    def _html(self) -> str:
        return faces.html(self)

    def _live_html(self) -> str:
        return faces.html(self, is_live=True)
