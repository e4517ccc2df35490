"""`graph`: the layers of images as one graph, from what an engine tells of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import docker.models.images

from dockerlab.client import Client, connect, engine_errors
from dockerlab.drawing import Drawn
from dockerlab.faces import layers as faces
from dockerlab.image import layers
from dockerlab.image.graph import Forest, LayerNode, Stack, forest
from dockerlab.images.asking import answers
from dockerlab.images.model import familiar_tags
from dockerlab.images.store import Name, get

Attributes = dict[str, Any]  # of an image, as an inspect has them


@dataclass(frozen=True, repr=False)
class LayerGraph(Drawn):
    """The layers of images. asked: ids of the images that were asked for → what they were called; None where all are meant.

    forest: those, and the base images that they are built on, as far as the engine has them.
    """

    forest: Forest
    asked: Mapping[str, tuple[str, ...]] | None = None

    @property
    def layers(self) -> tuple[LayerNode, ...]:
        """Each once, after the one that it lies on."""
        return self.forest.layers

    @property
    def images(self) -> tuple[Stack, ...]:
        """Those in the graph, in the order of their names."""
        return self.forest.images

    @property
    def bases(self) -> Mapping[str, tuple[str, ...]]:
        """Ids of base images → of those in the graph that are built on them."""
        return self.forest.bases

    @property
    def dot(self) -> str:
        """The picture as DOT text: `dot -Tpng`."""
        return faces.dot(self.forest)

    @cached_property
    def stable(self) -> Forest:
        """What is the same on every run: images that were asked for, else those with a name."""
        if self.asked is None:
            return self.forest.only(image.id for image in self.forest.images if image.names)
        asked = self.asked
        return forest([Stack(image.id, asked[image.id], image.history) for image in self.forest.images if image.id in asked])

    def _label(self) -> str:
        return faces.title(self)

    def _has_picture(self) -> bool:
        return bool(self.forest.images)

    def _text(self) -> str:
        return faces.text(self)

    def _table(self) -> str:
        return faces.tree(self)

    def _html(self) -> str:
        return faces.html(self, self.picture)


def graph(names: Name | Iterable[Name] = (), *, client: Client | None = None) -> LayerGraph:
    """The layers of these images, and of the base images that they are built on; of all images where none is named.

    Images of one chain of layers share them, whatever their history says. The engine is asked twice for each image, of several at a time.

    Raises NotFound, InvalidReference for a name; EngineError.
    """
    client = client or connect()
    wanted = [names] if isinstance(names, str | docker.models.images.Image) else [*names]
    if not wanted:
        return LayerGraph(forest(_stacks(client, _looked_at(client, _listed(client)))))
    asked = [get(name, client=client) for name in wanted]
    called: dict[str, tuple[str, ...]] = {}
    for image in asked:
        called[str(image.id)] = tuple(dict.fromkeys((*called.get(str(image.id), ()), image.name)))
    chains = [_diff_ids(image.attrs) for image in asked]
    others = _looked_at(client, [identifier for identifier in _listed(client) if identifier not in called])
    below = [attrs for attrs in others if any(_lies_under(_diff_ids(attrs), chain) for chain in chains)]
    found = forest(_stacks(client, [*(image.attrs for image in asked), *below]))
    bases = [base for base, built in found.bases.items() if not called.keys().isdisjoint(built)]
    return LayerGraph(found.only([*called, *bases]), called)


def _listed(client: Client) -> Sequence[str]:
    with engine_errors("list the images"):
        return [str(summary["Id"]) for summary in client.api.images()]


def _looked_at(client: Client, identifiers: Sequence[str]) -> list[Attributes]:
    """What an inspect says of each; not of those that were removed meanwhile."""
    found = answers(client, [("/images/{0}/json", identifier) for identifier in identifiers], "look at the images")
    return [attrs for attrs in found if attrs is not None]


def _stacks(client: Client, looked_at: Sequence[Attributes]) -> list[Stack]:
    questions = [("/images/{0}/history", str(attrs["Id"])) for attrs in looked_at]
    histories = answers(client, questions, "read the images' histories")
    return [
        Stack(str(attrs["Id"]), tuple(familiar_tags(attrs)), layers(history, _diff_ids(attrs)))
        for attrs, history in zip(looked_at, histories, strict=True)
        if history is not None
    ]


def _diff_ids(attrs: Attributes) -> list[Any]:
    return [*((attrs.get("RootFS") or {}).get("Layers") or ())]


def _lies_under(base: Sequence[Any], chain: Sequence[Any]) -> bool:
    return 0 < len(base) <= len(chain) and [*chain[: len(base)]] == [*base]
