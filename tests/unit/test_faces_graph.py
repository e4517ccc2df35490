"""The faces of a build's graph, and of its warnings; hostile text is shown, in DOT and in HTML, and never obeyed."""

from __future__ import annotations

import re
import shutil

import pytest

from dockerlab import drawing
from dockerlab.builds.record import Build, Trace
from dockerlab.dockerfile import parse
from dockerlab.faces.markup import END_VOLATILE, VOLATILE
from dockerlab.wire.trace import Lint, Vertex
from tests.unit.test_build_graph import by_buildkit, by_classic

HOSTILE = 'RUN echo "</svg><script>alert(1)</script>" \\N \\" ] ; }} & &lt; <!--/volatile--> \x07 \u202e'


def stable(html: str) -> str:
    return re.sub(f"{VOLATILE}.*?{END_VOLATILE}", "", html, flags=re.DOTALL)


def linted(*lints: Lint) -> Build:
    trace = Trace(parse("FROM a\nENV A=$B\nRUN one \\\n  two\n"), ("app:latest",), "buildkit", "", 100.0)
    for i in range(3):
        trace.apply(Vertex(str(i), "", started=100.0, completed=101.0))
    for lint in lints:
        trace.apply(lint)
    return trace.snapshot(102.0, "done")


def test_the_text_is_the_same_on_every_engine() -> None:
    text = "\n".join(["graph of build app:latest", "left", "right", "stage-2  takes from left, right"])
    assert repr(by_buildkit().graph) == repr(by_classic().graph) == text


def test_the_tree_has_states_times_and_the_critical_path() -> None:
    lines = str(by_buildkit().graph).splitlines()
    assert lines[0] == "app:latest   critical path 4.0 s of 4.0 s"
    assert "┃ 4  RUN echo right  ● done  3.0 s" in lines
    assert "│ 2  RUN echo left  ● done  2.0 s" in lines
    assert "── stage-2   takes from left, right" in lines
    assert lines[1:3] == ["── shared by several stages", "┃ 1  FROM busybox  ◇ cached"]


def test_the_timeline_has_a_bar_where_the_work_was() -> None:
    lines = by_buildkit().graph.timeline.splitlines()
    left, right = (next(line for line in lines if f"RUN echo {name}" in line) for name in ("left", "right"))
    assert (left.index("▓"), left.count("▓")) == (right.index("█"), 20)
    assert right.count("█") == 30
    assert not any("FROM" in line for line in lines)


def test_where_nothing_took_time_the_timeline_says_so() -> None:
    graph = by_classic(seconds=0.0).graph
    assert graph.timeline == "app:latest   nothing took time"
    assert "Nothing took time" in graph._repr_html_()


def test_dot_has_a_cluster_a_stage_and_a_thick_critical_path() -> None:
    dot = by_buildkit().graph.dot
    assert [line.split('"')[1] for line in dot.splitlines() if line.startswith("    graph [label=")] == ["left", "right", "stage-2"]
    node = next(line for line in dot.splitlines() if "RUN echo right" in line)
    assert 'class="done critical", color="#00735c"' in node
    assert "penwidth=3" in node
    assert "penwidth" not in next(line for line in dot.splitlines() if "RUN echo left" in line)
    assert "load .dockerignore" not in dot
    assert "load metadata" in dot, "half a second is worth a box"
    assert dot.count("penwidth=3") == 6 - 1 + 4, "vertexes but for the definition, and edges between them"


def test_a_large_graph_folds() -> None:
    cached = by_classic("FROM a\n" + "".join(f"RUN {i}\n" for i in range(40)), seconds=0.0).graph.dot
    assert len(re.findall(r"^ +n\d+ \[", cached, re.MULTILINE)) == 1
    assert "41 steps, lines 1 to 41" in cached
    many = "".join(f"FROM a AS s{i}\nRUN x\nRUN y\n" for i in range(200))
    assert len(re.findall(r"^ +n\d+ \[", by_classic(many).graph.dot, re.MULTILINE)) == 200


def test_a_page_of_a_large_build_holds_what_took_longest() -> None:
    graph = by_classic("".join(f"FROM a AS s{i}\nRUN x\n" for i in range(1000))).graph
    html = graph._repr_html_()
    assert graph.picture is None
    assert html.count('class="lane') == 60
    assert "1,940 shorter ones: print(image.build.graph.timeline)" in html
    assert "more lines: print(image.build.graph)" in html
    assert len(html) < 60_000
    assert len(graph.timeline.splitlines()) == 2001


def test_hostile_text_is_text_in_dot_and_in_the_page() -> None:
    build = by_classic(f"FROM a AS <b>x\n{HOSTILE}\nFROM b\nCOPY --from=<b>x /a /\n")
    graph = build.graph
    assert graph.picture is not None
    tags = set(re.findall(r"<(/?[a-z]+)", graph.picture))
    assert tags <= {f"{end}{name}" for name in ("svg", "g", "title", "path", "polygon", "text") for end in ("", "/")}
    shown = re.sub(
        r"&(#x27|quot|lt|gt|amp);", lambda m: {"#x27": "'", "quot": '"', "lt": "<", "gt": ">", "amp": "&"}[m[1]], graph.picture
    )
    assert " ".join(HOSTILE.split())[:39] in shown
    assert '\\N \\" ] ; }} & &lt; <!--/volatile--> \N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}' in shown
    assert "<b>x" in shown
    for html in (graph._repr_html_(), build._repr_html_()):
        assert "<script" not in html
        assert "<b>x" not in html
        assert html.count(VOLATILE) == html.count(END_VOLATILE)


def test_without_graphviz_the_tree_stands_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **kinds: None)
    graph = by_buildkit().graph
    assert graph.picture is None
    assert "<svg" not in graph._repr_html_()
    assert "RUN echo right  ● done" in graph._repr_html_()


def test_a_graphviz_that_fails_is_none() -> None:
    class Broken(drawing.Drawn):
        dot = "this is no graph"

        def _label(self) -> str:
            return "no graph"

    broken = Broken()
    assert (broken.picture, broken.svg, broken.png) == (None, None, None)


def test_what_graphviz_writes_is_rebuilt_from_what_draws() -> None:
    drawn = b"""<svg viewBox="0 0 30 15" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="x()">
    <script>x()</script><g class="node" onclick="x()">
    <a xlink:href="javascript:x()" xlink:title="a &lt;b&gt;"><text x="1">&lt;i&gt;</text></a>
    <image href="x"/></g></svg>"""
    made = drawing.cleaned(drawn)
    assert made is not None
    assert made.endswith('<g class="node"><title>a &lt;b&gt;</title>\n<text x="1">&lt;i&gt;</text></g></svg>')
    assert 'width="40" height="20"' in made
    assert "x()" not in made


def test_a_page_has_the_drawers_once_the_build_is_over_and_no_script() -> None:
    html = by_buildkit()._repr_html_()
    assert re.findall(r"<summary>(\w+)</summary>", html) == ["graph", "timeline"]
    assert html.index("RUN echo right") < html.index("<summary>graph"), "the progress is seen first"
    assert "<script" not in html
    assert "<summary>" not in by_buildkit(outcome="running")._repr_html_()


def test_graph_timeline_and_warnings_are_volatile() -> None:
    lint = Lint("v", "UndefinedVar: Usage of undefined variable '$B' (line 2)", (), "https://example.org/why", (2,))
    assert stable(linted()._repr_html_()) == stable(linted(lint)._repr_html_())
    assert "<summary" not in stable(by_buildkit()._repr_html_())
    assert stable(by_buildkit()._repr_html_()) == stable(by_classic()._repr_html_())


def test_a_warning_stands_under_its_line_in_the_page_and_in_str() -> None:
    build = linted(
        Lint("v", "Casing: said of the last (line 4)", ("Because\n& so",), "https://example.org/why?a=1&b", (4,)),
        Lint("v", "of nothing", (), "javascript:alert(1)"),
        Lint("v", "of <b>no</b> instruction \x1b[31m", (), "", (99,)),
    )
    lines = str(build).splitlines()
    assert lines[4] == "    ⚠ Casing: said of the last   https://example.org/why?a=1&b"
    assert lines[5:] == ["⚠ of nothing   javascript:alert(1)", "⚠ of <b>no</b> instruction"]
    html = build._repr_html_()
    assert '<a href="https://example.org/why?a=1&amp;b" target="_blank" rel="noopener noreferrer">why</a>' in html
    assert html.index("RUN one two") < html.index("⚠ Casing: said of the last") < html.index("</table>")
    assert 'href="javascript' not in html
    assert "<b>no</b>" not in html
    assert "⚠" not in repr(build)
