"""The pictures of a graph: for a page, as files of their own, and in what a notebook keeps."""

from __future__ import annotations

import base64
import struct
from xml.etree import ElementTree

import pytest

import dockerlab
from dockerlab import drawing
from dockerlab.drawing import Drawn

STAGES = "FROM golang AS build\nRUN make\nFROM scratch\nCOPY --from=build /app /\n"


class Long(Drawn):
    """A graph of many boxes: beside each other, or one after the other."""

    def __init__(self, count: int, edge: str = "") -> None:
        self._count, self._edge = count, edge

    @property
    def dot(self) -> str:
        nodes = [f"n{number} [label={number}];" for number in range(self._count)]
        edges = [f"n{number} -> n{number + 1};" for number in range(self._count - 1)] if self._edge else []
        return "\n".join(["digraph {", *nodes, *edges, "}"])

    def _label(self) -> str:
        return "numbers"


def size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, as its header says."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return int(width), int(height)


def test_a_graph_has_a_png_as_large_as_its_picture_in_the_page() -> None:
    graph = dockerlab.stages(STAGES)
    assert graph.png is not None
    assert graph.picture is not None
    width, height = size(graph.png)
    assert f'width="{width}"' in graph.picture or f'width="{width - 1}"' in graph.picture or f'width="{width + 1}"' in graph.picture
    assert height > 20
    assert graph._repr_png_() == graph.png


def test_what_a_notebook_keeps_of_a_graph() -> None:
    graph = dockerlab.stages(STAGES)
    bundle = graph.bundle()
    assert list(bundle) == ["text/plain", "text/html", "image/png"]
    assert "<svg" in bundle["text/html"]
    assert base64.b64decode(bundle["image/png"]) == graph.png


def test_an_svg_of_its_own_is_a_document_in_colours_of_its_own() -> None:
    svg = dockerlab.stages(STAGES).svg
    assert svg is not None
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "sans-serif" in str(root.get("font-family"))
    assert {element.get("stroke") for element in root.iter("{http://www.w3.org/2000/svg}path")} >= {"#00735c", "#2f6db3"}


def test_a_png_is_bounded() -> None:
    large = Long(150, "->")
    assert large.picture is not None
    assert large.png is not None
    assert 10_000 < size(large.png)[1] <= 16_010
    assert len(large.png) <= 400_000
    smaller = Long(300, "->").png
    assert smaller is not None
    assert 15_500 <= size(smaller)[1] <= 16_010
    for unreadable in (Long(700, "->"), Long(950)):
        assert unreadable.picture is not None
        assert unreadable.png is None
    assert Long(2100).picture is None, "more than anyone looks at"
    assert Long(2100).png is None


def test_without_graphviz_a_notebook_keeps_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "program", lambda: None)
    graph = dockerlab.stages(STAGES)
    assert (graph.picture, graph.svg, graph.png, graph._repr_png_()) == (None, None, None, None)
    assert list(graph.bundle()) == ["text/plain", "text/html"]
