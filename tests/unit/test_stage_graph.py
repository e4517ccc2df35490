"""A Dockerfile's stages as a graph: `dockerlab.stages`, `%%dockerfile --graph`. Nothing is built, and no engine is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dockerlab
from dockerlab import drawing
from dockerlab.errors import ContextError, DockerfileError, UsageError
from dockerlab.faces.markup import END_VOLATILE, VOLATILE
from dockerlab.testing.shell import Shell

STAGES = """\
ARG VERSION=1.22
ARG BASE=golang:$VERSION
FROM ${BASE} AS build
RUN --mount=type=bind,from=busybox,target=/tools make
FROM build AS Tests
RUN go test
FROM --platform=linux/amd64 alpine:$VERSION as docs
FROM scratch AS web
COPY --from=build /out/app /out/b /bin/
COPY --from=2 /doc /doc
COPY --from=nginx:1.25 /etc/nginx/nginx.conf /etc/
"""


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")


def edges(text: str, **options: object) -> list[tuple[object, object, str, str, int]]:
    graph = dockerlab.stages(text, **options).graph  # type: ignore[arg-type]
    labels = [stage.label for stage in graph.stages]
    return [
        (labels[e.source] if isinstance(e.source, int) else e.source, labels[e.target], e.kind, e.what, e.line) for e in graph.edges
    ]


def test_who_takes_what_from_whom() -> None:
    assert edges(STAGES) == [
        ("golang:1.22", "build", "FROM", "${BASE}", 3),
        ("busybox", "build", "mount", "/tools", 4),
        ("build", "tests", "FROM", "build", 5),
        ("alpine:1.22", "docs", "FROM", "alpine:$VERSION", 7),
        ("build", "web", "COPY", "/out/app /out/b → /bin/", 9),
        ("docs", "web", "COPY", "/doc → /doc", 10),
        ("nginx:1.25", "web", "COPY", "/etc/nginx/nginx.conf → /etc/", 11),
    ]


def test_what_the_target_needs() -> None:
    graph = dockerlab.stages(STAGES).graph
    assert [(stage.label, stage.is_needed) for stage in graph.stages] == [
        ("build", True),
        ("tests", False),
        ("docs", True),
        ("web", True),
    ]
    assert graph.target.label == "web"
    graph = dockerlab.stages(STAGES, target="TESTS").graph
    assert [stage.label for stage in graph.stages if stage.is_needed] == ["build", "tests"]
    assert [image.name for image in graph.images if not image.is_needed] == ["alpine:1.22", "nginx:1.25"]
    assert graph.target.label == "tests"


def test_names_made_of_arguments_say_of_which() -> None:
    graph = dockerlab.stages(STAGES, build_arg={"VERSION": "1.99"}).graph
    made = {image.name: image.made for image in graph.images}
    ((written, (argument,)),) = made["golang:1.99"]
    assert (written, argument.name, argument.value, argument.origin) == ("${BASE}", "BASE", "golang:1.99", "line 2")
    ((_, (version,)),) = made["alpine:1.99"]
    assert (version.name, version.value, version.origin) == ("VERSION", "1.99", "--build-arg")
    assert made["busybox"] == ()
    by_platform = dockerlab.stages("FROM a AS on-linux\nFROM on-$TARGETOS\n").graph
    assert by_platform.edges[1].source == 0
    assert [argument.origin for argument in by_platform.stages[1].arguments] == ["platform"]


def test_triggers_of_a_stage_count_where_it_is_built_upon() -> None:
    text = "FROM a AS one\nONBUILD COPY --from=two /x /y\nFROM b AS two\nFROM one\n"
    assert ("two", "stage-2", "COPY", "/x → /y") in [edge[:4] for edge in edges(text)]


def test_a_named_context_stands_in_the_place_of_an_image_or_a_stage(tmp_path: Path) -> None:
    shown = dockerlab.stages(STAGES, build_contexts={"docs": tmp_path, "nginx:1.25": "docker-image://httpd"})
    assert {image.name: image.context for image in shown.graph.images if image.context} == {
        "docs": "a folder",
        "nginx:1.25": "httpd:latest",
    }
    assert [stage.label for stage in shown.graph.stages if not stage.is_needed] == ["tests", "docs"]
    assert ("docs", "web", "COPY", "/doc → /doc", 10) in edges(STAGES, build_contexts={"docs": tmp_path})
    assert [image.is_needed for image in shown.graph.images if image.name == "alpine:1.22"] == [False]
    assert "build context: httpd:latest" in repr(shown)
    assert str(tmp_path) not in repr(shown)
    told = repr(dockerlab.stages(STAGES, build_contexts=["docs=https://me:secret@host/x.git"]))
    assert "build context: https://…@host/x.git" in told
    assert "◇ build context" in shown.dot


def test_the_text_is_all_there_is_and_always_the_same() -> None:
    shown = dockerlab.stages(STAGES)
    assert str(shown) == repr(shown)
    assert [re.sub("  +", "  ", line) for line in repr(shown).splitlines()] == [
        "stages of the Dockerfile, target web",
        "◇ golang:1.22  ${BASE}, BASE=golang:1.22 (line 2)",
        "◇ busybox",
        "◇ alpine:1.22  alpine:$VERSION, VERSION=1.22 (line 1)",
        "◇ nginx:1.25",
        "● build  line 3  FROM golang:1.22 (${BASE}, BASE=golang:1.22)  1 step",
        "  line 4  mount /tools  from busybox",
        "○ tests  line 5  FROM build  1 step, not needed",
        "● docs  line 7  FROM alpine:1.22 (--platform=linux/amd64 alpine:$VERSION, VERSION=1.22)  0 steps",
        "● web  line 8  FROM scratch  3 steps, target",
        "  line 9  COPY /out/app /out/b → /bin/  from build",
        "  line 10  COPY /doc → /doc  from docs",
        "  line 11  COPY /etc/nginx/nginx.conf → /etc/  from nginx:1.25",
    ]


def test_dot_marks_the_target_and_greys_what_is_not_needed() -> None:
    dot = dockerlab.stages(STAGES).dot
    nodes = dict(re.findall(r'^  (n\d+) \[label="(.*?)\\l', dot, re.MULTILINE))
    names = {name: node for node, name in nodes.items()}
    lines = {node: next(line for line in dot.splitlines() if line.startswith(f"  {node} [")) for node in nodes}
    assert 'class="own critical"' in lines[names["web"]]
    assert "target" in lines[names["web"]]
    assert 'class="more"' in lines[names["tests"]]
    assert "dashed" in lines[names["tests"]]
    assert "not needed" in lines[names["tests"]]
    assert 'class="image"' in lines[names["nginx:1.25"]]
    assert "BASE=golang:1.22 (line 2)" in lines[names["golang:1.22"]]
    drawn = {(nodes[source], nodes[target]) for source, target in re.findall(r"(n\d+) -> (n\d+)", dot)}
    assert drawn == {(source, target) for source, target, *_ in edges(STAGES)}
    labels = re.search(rf"{names['build']} -> {names['web']} \[label=\"(.*?)\"", dot)
    assert labels
    assert "COPY /out/app /out/b → /bin/" in labels[1]


def test_the_page_has_the_picture_its_name_and_a_text() -> None:
    html = dockerlab.stages(STAGES)._repr_html_()
    assert 'role="img" aria-label="stages of the Dockerfile, target web"' in html
    assert "<summary>as text</summary>" in html
    assert "COPY /doc → /doc" in html
    assert html.count(VOLATILE) == html.count(END_VOLATILE)


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"FROM a AS s{i}\nRUN x\n" for i in range(100)),
        "FROM a AS s0\n" + "".join(f"FROM s{i} AS s{i + 1}\nRUN x\n" for i in range(100)),
    ],
)
def test_a_large_graph_folds(text: str) -> None:
    shown = dockerlab.stages(text)
    assert len(re.findall(r"^  n\d+ \[", shown.dot, re.MULTILINE)) <= 4
    assert re.search(r'label="(99|100) stages: s0, s1', shown.dot)
    assert len(repr(shown).splitlines()) >= 101


def test_images_of_one_stage_alone_are_named_in_it_where_there_are_many() -> None:
    text = "".join(f"FROM image{i} AS s{i}\n" for i in range(20)) + "FROM scratch\n"
    dot = dockerlab.stages(text + "".join(f"COPY --from=s{i} /a /a{i}\n" for i in range(20))).dot
    assert len(re.findall(r"^  n\d+ \[", dot, re.MULTILINE)) == 21
    assert "s7\\lFROM image7\\l" in dot


def test_hostile_text_is_text() -> None:
    text = 'FROM <b>\\\\N AS one\nFROM scratch\nCOPY --from=<i> </svg><script>alert(1)</script>\x07" ]&lt; /<!--/volatile-->\n'
    shown = dockerlab.stages(text)
    assert shown.picture is not None
    tags = set(re.findall(r"<(/?[a-z]+)", shown.picture))
    assert tags <= {f"{end}{name}" for name in ("svg", "g", "title", "path", "polygon", "text") for end in ("", "/")}
    html = shown._repr_html_()
    assert not re.search(r"<(script|b|i)>", html)
    assert html.count(VOLATILE) == html.count(END_VOLATILE)
    assert "\x07" not in html + str(shown)


def test_without_graphviz_the_text_stands_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "program", lambda: None)
    shown = dockerlab.stages(STAGES)
    html = shown._repr_html_()
    assert shown.picture is None
    assert "<svg" not in html
    assert "COPY /doc → /doc" in html


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("FROM a\nRUM x\n", "unknown instruction: RUM", 2),
        ("FROM a\nCOPY --frm=b c d\n", "unknown flag: --frm", 2),
        ("FROM $BASE\n", "should not be blank", 1),
        ("FROM a AS x\nCOPY --from=y a b\nFROM b AS y\nCOPY --from=x a b\n", "circular dependency", 2),
    ],
)
def test_what_cannot_be_built_is_an_error_with_its_line_and_a_caret(text: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        dockerlab.stages(text)
    assert caught.value.line == line
    assert any(part.rstrip().endswith("^") for part in caught.value.place)


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(DockerfileError, match='target stage "wep" could not be found') as caught:
        dockerlab.stages(STAGES, target="wep")
    assert "Did you mean web?" in str(caught.value.hint)


def test_the_magic_draws_a_cell_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox AS one\nFROM one\n")
    (tmp_path / "other").write_text("FROM scratch AS two\n")
    with Shell() as shell:
        result = shell.run(f"%%dockerfile --graph --target docs --build-arg VERSION=3\n{STAGES}")
        assert result.value.graph == dockerlab.stages(STAGES, target="docs", build_arg={"VERSION": "3"}).graph
        assert result.displays[-1]["text/plain"] == repr(result.value)
        assert "<svg" in result.displays[-1]["text/html"]
        assert "image/png" in result.displays[-1]
        bound = shell.run("%%dockerfile --graph --var seen\nFROM a AS b\n").value
        assert shell.run("seen").value is bound
        assert [stage.label for stage in shell.run(f"%dockerfile --graph {tmp_path}").value.graph.stages] == ["one", "stage-1"]
        named = shell.run(f"%dockerfile --graph -f {tmp_path}/other {tmp_path}").value.graph
        assert [stage.label for stage in named.stages] == ["two"]
        with pytest.raises(DockerfileError, match="unknown instruction: RUM"):
            shell.run("%%dockerfile --graph\nFROM a\nRUM x\n")
        with pytest.raises(ContextError):
            shell.run(f"%dockerfile --graph {tmp_path}/nowhere")
        with pytest.raises(UsageError, match="--check and --graph"):
            shell.run("%%dockerfile --graph --check\nFROM a\n")
