"""The layers of several images as one graph: what is shared, who is whose base, what is drawn of it. No engine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence

import pytest

from dockerlab import drawing
from dockerlab.faces.markup import END_VOLATILE, VOLATILE
from dockerlab.faces.unfolding import boxes
from dockerlab.image import layers
from dockerlab.image.graph import Forest, Stack, forest
from dockerlab.images.layering import LayerGraph

HOSTILE = 'RUN echo "</svg><script>alert(1)</script>" \\N \\" ] ; }} & &lt; <!--/volatile--> \x07 \u202e'

DRAWN = ("svg", "g", "title", "path", "polygon", "text")


def stack(name: str, *lines: str, names: Sequence[str] | None = None) -> Stack:
    """An image of a history: a line with `=` only changes the config, another makes a layer of its own text."""
    history = [{"created_by": line, "empty_layer": "=" in line} for line in lines]
    found = layers(history, [f"sha256:{line}" for line in lines if "=" not in line])
    return Stack(f"sha256:{name}", (f"{name}:latest",) if names is None else tuple(names), found)


def three() -> Forest:
    base = stack("base", "ADD rootfs /", "ENV A=1")
    app = stack("app", "ADD rootfs /", "ENV A=1", "RUN pip", "COPY app /")
    web = stack("web", "ADD rootfs /", "ENV A=1", "RUN pip", "COPY web /", "ENV B=1")
    return forest([web, app, base])


def drawn(graph: LayerGraph) -> list[str]:
    return re.findall(r'^ +n\d+ \[label="(.*?)\\l', graph.dot, re.MULTILINE)


def test_a_layer_that_is_shared_is_there_once() -> None:
    found = three()
    assert [image.id for image in found.images] == ["sha256:app", "sha256:base", "sha256:web"]
    assert [(layer.instruction, len(layer.images)) for layer in found.layers] == [
        ("ADD rootfs /", 3),
        ("RUN pip", 2),
        ("COPY app /", 1),
        ("COPY web /", 1),
    ]
    pip = found.layers[1].chain_id
    assert [layer.below for layer in found.layers] == [None, "sha256:ADD rootfs /", pip, pip]


def test_the_same_content_on_other_layers_is_another_layer() -> None:
    found = forest([stack("a", "ADD a", "COPY x"), stack("b", "ADD b", "COPY x")])
    assert [layer.diff_id for layer in found.layers] == ["sha256:ADD a", "sha256:COPY x", "sha256:ADD b", "sha256:COPY x"]
    assert len({layer.chain_id for layer in found.layers}) == 4


def test_layers_are_the_same_where_a_history_tells_nothing_of_them() -> None:
    told = stack("told", "ADD a", "COPY b")
    silent = Stack("sha256:silent", ("a:1",), layers([], ["sha256:ADD a", "sha256:COPY b"]))
    found = forest([told, silent])
    assert [(layer.instruction, len(layer.images)) for layer in found.layers] == [("ADD a", 2), ("COPY b", 2)]


def test_bases_are_what_others_are_built_on() -> None:
    found = three()
    assert found.bases == {"sha256:base": ("sha256:app", "sha256:web")}
    assert found.base_layers == {"sha256:ADD rootfs /"}


def test_of_images_with_the_same_layers_the_history_tells_the_base() -> None:
    base, child = stack("base", "ADD a", "ENV A=1"), stack("child", "ADD a", "ENV A=1", "ENV B=2")
    other, on_child = stack("other", "ADD a", "ENV C=3"), stack("top", "ADD a", "ENV A=1", "ENV B=2", "RUN x")
    found = forest([base, child, other, on_child])
    assert found.bases == {"sha256:base": ("sha256:child", "sha256:top"), "sha256:child": ("sha256:top",)}


def test_runs_end_where_an_image_ends_or_a_branch_begins() -> None:
    found = three()
    shape = [([layer.instruction for layer in run.layers], run.ends, run.above, run.images) for run in found.runs]
    assert shape == [
        (["ADD rootfs /"], ("sha256:base",), (1,), 3),
        (["RUN pip"], (), (2, 3), 2),
        (["COPY app /"], ("sha256:app",), (), 1),
        (["COPY web /"], ("sha256:web",), (), 1),
    ]
    assert found.roots == (0,)


def test_an_image_without_layers_is_in_the_graph() -> None:
    found = forest([stack("empty", "ENV A=1")])
    assert [(run.layers, run.ends) for run in found.runs] == [((), ("sha256:empty",))]
    assert repr(LayerGraph(found)) == "layers of all images\n▣ empty:latest"


def test_the_tree_has_the_base_first() -> None:
    tree = """
layers of all images   3 images, 4 layers, 2 shared   0 B
ADD rootfs /                                    0 B   3 images
▣ base:latest, base of app:latest, web:latest   0 B
└─ RUN pip                                      0 B   2 images
   ├─ COPY app /                                0 B
   │  ▣ app:latest                              0 B
   └─ COPY web /                                0 B
      ▣ web:latest                              0 B
"""
    assert str(LayerGraph(three())) == tree.strip()


def test_the_stable_text_has_only_what_was_asked_for() -> None:
    graph = LayerGraph(three(), {"sha256:app": ("app:1",)})
    assert repr(graph).splitlines() == ["layers of app:1", "ADD rootfs /", "RUN pip", "COPY app /", "▣ app:1"]
    unnamed = forest([*three().images, stack("x", "ADD rootfs /", "RUN other", names=())])
    assert repr(LayerGraph(unnamed)) == repr(LayerGraph(three()))
    assert "no name (x)" in str(LayerGraph(unnamed))


def test_html_holds_the_picture_and_what_varies_between_marks() -> None:
    html = LayerGraph(three(), {"sha256:app": ("app:1",)})._repr_html_()
    assert 'role="img" aria-label="layers of app:1"' in html
    stable = re.sub(f"{VOLATILE}.*?{END_VOLATILE}", "", html, flags=re.DOTALL)
    assert "layers of app:1" in stable
    assert "base:latest" not in stable
    assert "0 B" not in stable
    assert "base:latest" in html


def test_the_base_is_below_and_edges_go_up() -> None:
    graph = LayerGraph(three())
    labels = drawn(graph)
    edges = {(labels[int(low)], labels[int(high)]) for low, high in re.findall(r"n(\d+) -> n(\d+);", graph.dot)}
    assert edges == {
        ("ADD rootfs /", "base:latest"),
        ("ADD rootfs /", "RUN pip"),
        ("RUN pip", "COPY app /"),
        ("RUN pip", "COPY web /"),
        ("COPY app /", "app:latest"),
        ("COPY web /", "web:latest"),
    }
    assert "rankdir=BT" in graph.dot
    heights = dict(re.findall(r'<text [^>]*y="(-[\d.]+)"[^>]*>(ADD rootfs /|app:latest)</text>', graph.picture or ""))
    low, high = sorted((float(y), text) for y, text in heights.items())[::-1]
    assert (low[1], high[1]) == ("ADD rootfs /", "app:latest")


@pytest.mark.parametrize("shared", [0, 4, 9])
def test_500_images_of_10_layers_fold_to_what_a_page_can_hold(shared: int) -> None:
    stacks = [stack(f"app{i}", *(f"L{j}" for j in range(shared)), *(f"L{j} {i}" for j in range(shared, 10))) for i in range(500)]
    found = forest(stacks)
    assert len(found.layers) == shared + 500 * (10 - shared)
    shape = boxes(found)
    assert len(shape.boxes) <= 100
    assert shape.columns <= 5
    assert sum(map(len, shape.rows)) <= 12
    assert {name for box in shape.boxes for name in box.images} == {image.id for image in stacks}, "none is lost"
    assert len(str(LayerGraph(found)).splitlines()) == 1 + len(found.layers) + 500


def test_500_images_each_on_the_one_before() -> None:
    found = forest([stack(f"app{i:03}", *(f"L{j}" for j in range(i + 1))) for i in range(500)])
    shape = boxes(found)
    assert len(shape.boxes) <= 100
    assert sum(len(box.layers) for box in shape.boxes) == 500
    assert len(found.bases) == 499
    assert "├─" not in str(LayerGraph(found))


def test_a_long_chain_keeps_its_largest_layers() -> None:
    history = [{"CreatedBy": f"RUN {i}", "Size": 10**9 if i in (3, 60) else 1} for i in reversed(range(120))]
    image = Stack("sha256:a", ("a:1",), layers(history, [f"sha256:{i}" for i in range(120)]))
    labels = drawn(LayerGraph(forest([image])))
    assert {"RUN 3", "RUN 60", "a:1"} <= {*labels}
    assert len(labels) <= 46


def test_hostile_text_is_text() -> None:
    graph = LayerGraph(forest([stack('<b>"x\\', HOSTILE, "COPY b", names=['<b>"]x\\:1'])]), {'sha256:<b>"x\\': ("<b>x",)})
    assert graph.picture is not None
    tags = set(re.findall(r"<(/?[a-z]+)", graph.picture))
    assert tags <= {f"{end}{name}" for name in (*DRAWN, "defs", "pattern", "rect", "line") for end in ("", "/")}
    html = graph._repr_html_()
    assert "<script" not in html
    assert "<b>" not in html
    assert html.count(VOLATILE) == html.count(END_VOLATILE)
    assert "\x07" not in html + str(graph)


def test_without_graphviz_the_tree_stands_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **kinds: None)
    graph = LayerGraph(three())
    assert drawing.program() is None
    assert graph.picture is None
    html = graph._repr_html_()
    assert "<svg" not in html
    assert "▣ base:latest, base of app:latest, web:latest" in html


def test_what_belongs_to_a_base_is_hatched() -> None:
    graph = LayerGraph(three())
    for picture in (graph.picture, graph.svg):
        assert picture is not None
        [name] = re.findall(r'<pattern id="([\w-]+)"', picture)
        assert picture.count(f"fill:url(#{name})") == graph.dot.count('class="base"') > 0
    own = LayerGraph(three()).picture
    assert own == graph.picture, "the same on every run"


def test_no_images_say_what_to_do_next() -> None:
    graph = LayerGraph(forest([]))
    assert "`%image pull busybox`" in repr(graph)
    assert "<svg" not in graph._repr_html_()
