"""How long the graph of 500 images with 5,000 layers takes, from what an engine tells of them to the picture in a page.

    .venv/bin/python benchmarks/layer_graph.py [ROUNDS [SOCKET]]

The values are made up, the drawing is real: Graphviz, as it is installed. Shapes: images of ten layers each, of which the lower ones are
shared by some, by all or by none; and images that each stand on the one before, up to 127 layers. Seconds, medians and minima, with the
size of the page. SOCKET: of an engine whose own images are asked for too, one at a time and several.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from dockerlab.drawing import program
from dockerlab.image import Layer
from dockerlab.image.graph import Stack, forest
from dockerlab.images import asking, layering
from dockerlab.images.layering import LayerGraph

IMAGES, LAYERS = 500, 10


def main(rounds: int, socket: str | None) -> None:
    print(f"{IMAGES} images of {LAYERS} layers, drawn by {program()}")
    shapes = {
        "5 bases of 4 layers": lambda image, layer: f"{image % 5}-{layer}" if layer < 4 else f"{image}-{layer}",
        "a tree, halved at each layer": lambda image, layer: f"{layer}-{image >> max(9 - layer, 0)}",
        "nothing shared": lambda image, layer: f"{image}-{layer}",
        "all the same": lambda image, layer: f"{layer}",
    }
    for name, content in shapes.items():
        tell(name, [stack(image, [content(image, layer) for layer in range(LAYERS)]) for image in range(IMAGES)], rounds)
    tell("on each other", [stack(image, [str(layer) for layer in range(min(image + 1, 127))]) for image in range(IMAGES)], rounds)
    if socket:
        ask(socket, rounds)


def stack(image: int, contents: Sequence[str]) -> Stack:
    """An image of layers with these contents on each other."""
    return Stack(f"sha256:{image}", (f"app{image}:latest",), tuple(_layers(contents)))


def _layers(contents: Sequence[str]) -> Iterator[Layer]:
    chain = ""
    for content in contents:
        chain = f"{chain}/{content}"
        yield Layer(content, chain, f"RUN make {content}", hash(content) % 10**7, 0)


def tell(name: str, stacks: Sequence[Stack], rounds: int) -> None:
    """One shape."""
    pages: list[str] = []
    taken = times(lambda: pages.append(LayerGraph(forest(stacks))._repr_html_()), rounds)
    count = len(forest(stacks).layers)
    print(
        f"{name:30}  {count:5} layers  {seconds(taken)}  page {len(pages[0]) / 1000:.0f} kB{'' if '<svg' in pages[0] else ', no picture'}"
    )


def ask(socket: str, rounds: int) -> None:
    """A real engine."""
    from dockerlab import connect

    client = connect(socket)
    count = len(layering.graph(client=client).images)
    for at_once in (1, 2, 4, 6, 12):
        layering.answers = partial(asking.answers, at_once=at_once)
        taken = times(lambda: layering.graph(client=client)._repr_html_(), rounds)
        print(f"{count} images of the engine, with the page, {at_once:2} at a time  {seconds(taken)}")


def times(work: Callable[[], object], rounds: int) -> list[float]:
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found


def seconds(taken: Sequence[float]) -> str:
    return f"{statistics.median(taken):.3f} s, at least {min(taken):.3f} s"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2] if len(sys.argv) > 2 else None)
