"""The faces of the layers of several images: DOT text, the base below; a tree as text, the base first; and static HTML without a script.

    layers of app:1, web:1                           4.6 MB in 4 layers, 2 of them shared
    ADD rootfs.tar /                                 4.3 MB    3 images
    ▣ busybox:latest, base of app:1, web:1           4.3 MB
    └─ RUN pip install flask                         300 kB    2 images
       ├─ COPY app.py /                              12 kB
       │  ▣ app:1                                    4.6 MB
       └─ COPY web.py /                              …

A large graph folds before it shrinks: layers of no weight between two forks become one box, then the smallest branches. The stable text
holds the images that were asked for, and instructions; which other images there are, and sizes, is this engine's matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from dockerlab.faces import dot as dots
from dockerlab.faces import markup
from dockerlab.faces.human import shorten, size
from dockerlab.faces.unfolding import Box, boxes

if TYPE_CHECKING:
    from dockerlab.image.graph import Forest, LayerNode
    from dockerlab.images.layering import LayerGraph

_WIDTH: Final = 72
_PAGE: Final = 1050  # points that can be read on a page of 1,000 pixels
_MARGIN: Final = 43  # around a label
_CHARACTER: Final = 7.2  # of the usual ones
_NAMED: Final = 3  # images that a line names


# text


def text(graph: LayerGraph) -> str:
    """Stable."""
    forest = graph.stable
    rows = [row[0] for row in _rows(forest, bare=True)]
    return "\n".join([title(graph), *rows])


def tree(graph: LayerGraph) -> str:
    """All layers, with sizes, and how many images stand on each."""
    return "\n".join([f"{title(graph)}   {'   '.join(_facts(graph.forest))}", *_lines(graph.forest)])


def _lines(forest: Forest) -> list[str]:
    return markup.columns([*_rows(forest)]).splitlines()


def title(graph: LayerGraph) -> str:
    """What it shows, in a line."""
    if graph.asked is None:
        return "layers of all images" if graph.forest.images else "No images. Fetch one: `%image pull busybox`"
    return dots.line(f"layers of {', '.join(name for names in graph.asked.values() for name in names)}")


def _facts(forest: Forest) -> tuple[str, str]:
    shared = [layer for layer in forest.layers if layer.is_shared]
    facts = [f"{_count(len(forest.images), 'image')}", _count(len(forest.layers), "layer")]
    facts += [f"{len(shared)} shared"] if shared else []
    saved = sum(layer.size * (len(layer.images) - 1) for layer in shared)
    kept = size(forest.size) + (f", {size(forest.size + saved)} without sharing" if saved else "")
    return ", ".join(facts), kept


def _rows(forest: Forest, *, bare: bool = False) -> Iterator[tuple[str, str, str]]:
    """(text, size, images) for each layer, and under it the images whose top it is. bare: without what differs from engine to engine."""
    runs = forest.runs
    waiting = [(index, "", "") for index in reversed(forest.roots)]
    while waiting:
        index, first, rest = waiting.pop()
        run = runs[index]
        lead = first
        for layer in run.layers:
            standing = f"{len(layer.images)} images" if layer.is_shared else ""
            yield f"{lead}{_instruction(layer, _WIDTH)}", size(layer.size), standing
            lead = rest
        for name in run.ends:
            said = "" if bare else size(sum(layer.size for layer in forest.by_id[name].layers))
            yield f"{lead}▣ {_called(forest, name)}{_base(forest, name)}", said, ""
            lead = rest
        for place, above in reversed([*enumerate(run.above, start=1)]):
            is_last = place == len(run.above)
            waiting.append((above, f"{rest}{'└─ ' if is_last else '├─ '}", f"{rest}{'   ' if is_last else '│  '}"))


def _base(forest: Forest, name: str) -> str:
    built = forest.bases.get(name)
    return f", base of {_listed(forest, built)}" if built else ""


def _listed(forest: Forest, images: Sequence[str], most: int = _NAMED) -> str:
    """Some of their names, and how many more there are."""
    named = [_called(forest, name) for name in images if forest.by_id[name].names]
    if not named:
        return f"{_count(len(images), 'image')} without a name"
    more = len(images) - len(named[:most])
    return ", ".join(named[:most]) + (f", {more:,} more" if more else "")


def _called(forest: Forest, name: str) -> str:
    """The image's names, or its id."""
    return dots.line(", ".join(forest.by_id[name].names)) or f"no name ({dots.label(name.rpartition(':')[2], 12)})"


def _instruction(layer: LayerNode, width: int | None = None) -> str:
    said = dots.line(layer.instruction) or "(no instruction is recorded)"
    return shorten(said, width) if width else said


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# HTML


def html(graph: LayerGraph, picture: str | None) -> str:
    """The picture, and under it the tree."""
    if not graph.forest.images:
        return markup.page(f'<div class="muted">{markup.text(title(graph))}</div>')
    lines = _lines(graph.forest)
    rest = "print(images.graph())" if graph.asked is None else "print(images.graph(…))"
    shown = dots.picture(picture, lines, rest)
    legend = "The base is below. Hatched: layers of a base image. ▣: an image, on its uppermost layer."
    more = f'<p class="muted">{legend}</p>' if picture else ""
    if picture:
        more += f"<details><summary>as text</summary>{dots.picture(None, lines, rest)}</details>"
    head = markup.head(markup.text(title(graph)), markup.volatile(markup.text(" · ".join(_facts(graph.forest)))))
    return markup.page(head, markup.volatile(dots.STYLE + shown + more))


# DOT


@dataclass(frozen=True)
class _Drawing:
    """label: how many characters a line of a box may have."""

    forest: Forest
    label: int

    def lines(self, box: Box) -> tuple[tuple[str, ...], str, str]:
        """What stands in a box, its classes, and its tooltip."""
        match box.kind:
            case "image":
                return self._images(box.images)
            case "more":
                names = _listed(self.forest, box.images, 30)
                listed = _listed(self.forest, box.images)
                head = listed if listed[0].isdigit() else f"{_count(len(box.images), 'image')}: {listed}"
                return (
                    (
                        dots.label(head, self.label),
                        f"{_count(len(box.layers), 'layer')}, {size(sum(one.size for one in box.layers))}",
                    ),
                    "more",
                    names,
                )
        layers = box.layers
        first = layers[0]
        largest = max(layers, key=lambda layer: layer.size)
        word = size(sum(layer.size for layer in layers)) + (f" · {len(first.images)} images" if first.is_shared else "")
        kind = "base" if all(layer.chain_id in self.forest.base_layers for layer in layers) else "own"
        tip = "; ".join(_instruction(layer) for layer in layers)
        if len(layers) == 1:
            return (dots.label(_instruction(first), self.label), word), kind, tip
        head = dots.label(f"{len(layers)} layers: {_instruction(largest)}", self.label)
        return (head, word), kind, tip

    def _images(self, images: Sequence[str]) -> tuple[tuple[str, ...], str, str]:
        named = [_called(self.forest, name) for name in images]
        whole = size(sum(layer.size for layer in self.forest.by_id[images[0]].layers))
        built = max((len(self.forest.bases.get(name, ())) for name in images), default=0)
        word = f"▣ base of {_count(built, 'image')}, {whole}" if built else f"▣ {whole}"
        if len(images) > _NAMED:
            named = [f"{len(images)} images: {', '.join(named)}"]
        tips = (f"{_called(self.forest, name)}{_base(self.forest, name)}" for name in images)
        return (*(dots.label(name, self.label) for name in named), word), "image", "; ".join(tips)


def dot(forest: Forest) -> str:
    """Boxes for layers and images, the base below; what is shared once; dashed what belongs to a base image."""
    drawn = boxes(forest)
    drawing = _Drawing(forest, min(dots.LABEL, int((_PAGE / max(drawn.columns, 1) - _MARGIN) / _CHARACTER)))
    lines = [*dots.head("layers", "BT"), '  graph [pack=16, packmode="array_1"];', "  edge [dir=none];"]
    for number, box in enumerate(drawn.boxes):
        said, kind, tip = drawing.lines(box)
        more = ', style="rounded,filled,dashed"' if kind == "base" else ", penwidth=2" if kind == "image" else ""
        lines.append(f"  {dots.node(f'n{number}', said, kind, dots.KINDS[kind], tip, more)}")
    lines += [f"  n{below} -> n{above};" for below, above in drawn.edges]
    # What hangs together is packed as one: a row.
    lines += [f"  n{one} -> n{other} [style=invis, constraint=false];" for row in drawn.rows for one, other in pairwise(row)]
    return "\n".join([*lines, "}", ""])
