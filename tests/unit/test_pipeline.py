"""The pipeline: a record's rows, joined with an image's history as far as that is certain."""

from __future__ import annotations

import re
from dataclasses import replace
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from dockerlab.builds.record import Build, Trace
from dockerlab.builds.rows import bases
from dockerlab.dockerfile import parse
from dockerlab.dockerfile.program import program
from dockerlab.errors import EngineGone
from dockerlab.faces.markup import END_VOLATILE, VOLATILE
from dockerlab.image.accounting import Line
from dockerlab.pipelines import watching
from dockerlab.pipelines.changes import change
from dockerlab.pipelines.joining import UNFIT, UNKNOWN, Told, historical, joined
from dockerlab.pipelines.model import ImageFacts, Pipeline
from dockerlab.wire.trace import Vertex

hypothesis = pytest.importorskip("hypothesis", reason="the generated cases want hypothesis: pip install hypothesis")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

SINGLE = "FROM python:3.10\nEXPOSE 5000\nWORKDIR /app\nRUN pip install flask\nCOPY . .\nCMD flask run\n"
STAGES = (
    "ARG V=1\nFROM golang AS make\nRUN go build\nENV A=1\nFROM make AS test\nRUN go test\n"
    "FROM busybox\nCOPY --from=make /app /app\nRUN --mount=type=bind,from=make,target=/m true\nCMD app\n"
)
BASE = (Line("ADD rootfs /", 100), Line('CMD ["python3"]'))
HOSTILE = "<img src=x onerror=alert(1)><!--/volatile-->"


def record(text: str = SINGLE, *, target: str = "", took: float = 1.0, name: str = "app:latest", outcome: str = "done") -> Build:
    """A build of it, all of whose steps ran, one after the other."""
    dockerfile = parse(text)
    trace = Trace(dockerfile, (name,), "buildkit", "", 0.0, target)
    for index, node in enumerate(dockerfile.nodes):
        trace.apply(Vertex(str(index), node.text, started=index * took, completed=(index + 1) * took))
    return trace.snapshot(100.0, outcome)


def told(*lines: Line, ids: int, name: str = "app:latest", base_layers: int | None = None) -> Told:
    facts = ImageFacts("sha256:" + "f" * 64, name, 1_000_000, ids)
    return Told(facts, lines, tuple(f"sha256:{number:064}" for number in range(ids)), {}, base_layers=base_layers)


def placed(pipeline: Pipeline) -> dict[str, list[int]]:
    """Of each row the layers that it made, by their places among the image's."""
    return {
        row.text: [int((layer.diff_id or "sha256:-1")[7:]) for layer in row.layers] for row in pipeline.rows if row.layers
    }  # fmt: skip


def stable(html: str) -> str:
    return re.sub(f"{VOLATILE}.*?{END_VOLATILE}", "", html, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("instruction", "said"),
    [
        ("EXPOSE 5000 53/udp", "ExposedPorts 5000 53/udp"),
        ("ENV A=1 B='two words' C=\"x=y\" D=4", "Env A, B, C, 1 more"),
        ("ENV TOKEN secret", "Env TOKEN"),
        ('LABEL "com.example"="x"', "Labels com.example"),
        ("CMD [flask]", "Cmd"),
        ("entrypoint sh", "Entrypoint"),
        ('VOLUME ["/data", "/log"]', "Volumes /data /log"),
        ("WORKDIR /app", "WorkingDir /app"),
        ("USER nobody", "User nobody"),
        ("HEALTHCHECK CMD true", "Healthcheck"),
        ("ARG VERSION", "nothing: for the build alone"),
        ("RUN make", ""),
        ("", ""),
    ],
)
def test_what_an_instruction_changes_of_the_configuration(instruction: str, said: str) -> None:
    assert change(instruction) == said


def test_a_record_has_a_row_for_each_instruction_and_a_band_for_each_stage() -> None:
    found = record(STAGES).pipeline
    assert [(band.name, band.part) for band in found.bands] == [
        ("", "around"), ("make", "taken"), ("test", "unused"), ("stage-2", "image")
    ]  # fmt: skip
    assert [row.line for row in found.rows] == list(range(1, 11))
    assert [(row.line, row.takes) for row in found.rows if row.takes] == [(8, (1,)), (9, (1,))]
    assert [found.row(key).line for key in found.bands[1].taken_by if found.row(key)] == [8, 9]  # type: ignore[union-attr]


def test_what_is_not_built_takes_nothing() -> None:
    text = "FROM busybox AS make\nRUN one\nFROM busybox AS test\nCOPY --from=make /a /a\nFROM busybox\nCOPY --from=make /b /b\n"
    found = record(text).pipeline
    assert [band.taken_by for band in found.bands] == [("5",), (), ()]


def test_the_target_decides_what_is_in_the_image() -> None:
    parts = {band.name: band.part for band in record(STAGES, target="test").pipeline.bands}
    assert parts == {"": "around", "make": "image", "test": "image", "stage-2": "unused"}


def test_a_stage_that_an_argument_names_is_in_the_image() -> None:
    text = "ARG KIND=dev\nFROM busybox AS dev\nRUN one\nFROM busybox AS prod\nRUN two\nFROM ${KIND}\nRUN three\n"
    named = bases(program(parse(text)).plan("", {"KIND": "prod"}))
    build = replace(record(text), bases=named)
    assert [(band.name, band.part) for band in build.pipeline.bands if band.name] == [
        ("dev", "unused"), ("prod", "image"), ("stage-2", "image")
    ]  # fmt: skip
    lines = (Line("RUN two", 2), Line("RUN three", 3))
    found = placed(joined(build.pipeline, told(*BASE, *lines, ids=3)))
    assert found == {"FROM busybox AS prod": [0], "RUN two": [1], "RUN three": [2]}
    assert build.graph.takes["stage-2"] == ("prod",)


def test_what_ended_the_watching_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise EngineGone("cannot watch the engine's events: the engine's connection broke off")

    monkeypatch.setattr(watching, "streaming", gone)
    heard = SimpleQueue[str]()
    watching.Watching(SimpleNamespace(), "sha256:f", lambda _: None, heard.put)  # type: ignore[arg-type]
    assert heard.get(timeout=5).endswith("broke off.")


def test_a_from_that_names_a_stage_says_which() -> None:
    text = "FROM busybox AS make\nRUN one\nFROM make AS final\nRUN two\n"
    html = joined(record(text).pipeline, told(*BASE, Line("RUN one", 1), Line("RUN two", 2), ids=3))._repr_html_()
    assert "the layers of the stage make" in html
    assert "the layers of the stage final" not in html
    lines = (Line("RUN x"), Line("WORKDIR /y"), Line("RUN one", 1))
    uncertain = joined(record("FROM busybox\nRUN one\n").pipeline, told(*lines, ids=2))._repr_html_()
    assert "the layers of the stage" not in uncertain
    assert '<span class="muted">base</span>' in uncertain


# What follows the base in the history of the Dockerfile that `record` has.
OWN = (
    Line("EXPOSE 5000"),
    Line("WORKDIR /app"),
    Line("RUN pip install flask", 11),
    Line("COPY . .", 5),
    Line("CMD flask run"),
)


def test_rows_get_the_layers_of_their_lines() -> None:
    found = joined(record().pipeline, told(*BASE, *OWN, ids=4))
    assert placed(found) == {"FROM python:3.10": [0], "WORKDIR /app": [1], "RUN pip install flask": [2], "COPY . .": [3]}
    assert [layer.is_base for row in found.rows for layer in row.layers] == [True, False, False, False]
    assert found.image is not None
    assert (found.image.own, found.note) == (16, "")
    assert [row.adds for row in found.rows] == ["base", "config", "layer", "layer", "layer", "config"]


def test_a_workdir_without_a_layer_is_configuration() -> None:
    found = joined(record().pipeline, told(*BASE, *OWN, ids=3))
    assert placed(found) == {"FROM python:3.10": [0], "RUN pip install flask": [1], "COPY . .": [2]}
    assert found.rows[2].adds == "config"


def test_labels_of_the_command_line_stand_at_the_end_and_are_nobody_s() -> None:
    lines = (Line("EXPOSE 5000"), Line("WORKDIR /app"), Line("RUN pip", 11), Line("COPY . .", 5), Line("CMD x"), Line("LABEL a=b"))
    assert len(placed(joined(record().pipeline, told(*BASE, *lines, ids=4)))) == 4


def test_an_onbuild_may_leave_no_line() -> None:
    text = "FROM busybox\nRUN make\nONBUILD RUN x\n"
    for more in ((), (Line("ONBUILD RUN x"),)):
        found = joined(record(text).pipeline, told(*BASE, Line("RUN make", 3), *more, ids=2))
        assert placed(found) == {"FROM busybox": [0], "RUN make": [1]}


def test_stages_that_lie_on_each_other_are_one_chain() -> None:
    text = "FROM busybox AS base\nENV A=1\nRUN one\nFROM base\nRUN two\n"
    found = joined(record(text).pipeline, told(*BASE, Line("ENV A=1"), Line("RUN one", 1), Line("RUN two", 2), ids=3))
    assert placed(found) == {"FROM busybox AS base": [0], "RUN one": [1], "RUN two": [2]}
    assert "the layers of the stage base" in found._repr_html_()


def test_what_does_not_follow_the_dockerfile_is_unknown() -> None:
    squashed = joined(record().pipeline, told(*BASE, Line("RUN everything", 16), ids=2))
    assert placed(squashed) == {}
    assert squashed.note == UNKNOWN
    assert [row.adds for row in squashed.rows] == ["unknown", "config", "unknown", "unknown", "unknown", "config"]
    lines = (Line("EXPOSE 5000"), Line("WORKDIR /app"), Line("RUN pip", 11), Line("COPY . .", 5), Line("CMD x"))
    unfit = joined(record().pipeline, told(*BASE, *lines, ids=9))
    assert (placed(unfit), unfit.note) == ({}, UNFIT)
    assert "not known" in unfit._repr_html_()
    assert "? not known" in str(unfit)


def test_a_layer_that_may_be_one_of_two_is_not_guessed() -> None:
    text = "FROM busybox\nRUN one\nRUN two\nRUN three\n"
    lines = (Line("RUN one"), Line("RUN two"), Line("RUN three", 3))
    found = joined(record(text).pipeline, told(*BASE, *lines, ids=3))
    assert [row.adds for row in found.rows] == ["base", "unknown", "unknown", "layer"]
    assert placed(found)["RUN three"] == [2]


def test_an_image_without_a_record_is_shown_from_its_history() -> None:
    lines = (*BASE, Line("RUN make", 3), Line("", 4, comment="Imported from -"))
    base = replace(told(*lines, ids=3), base="python:3.10", base_lines=2, base_layers=1)
    found = historical(base)
    assert [(band.name, band.part) for band in found.bands] == [("python:3.10", "base"), ("app:latest", "image")]
    assert [(row.text, row.band, row.adds) for row in found.rows] == [
        ("ADD rootfs /", 0, "layer"), ('CMD ["python3"]', 0, "config"), ("RUN make", 1, "layer"), ("Imported from -", 1, "layer")
    ]  # fmt: skip
    assert found.image is not None
    assert found.image.own == 7
    assert "There is no Dockerfile" in found._repr_html_()
    alone = historical(told(*lines, ids=3))
    assert len(alone.bands) == 1
    assert alone.image is not None
    assert alone.image.own is None
    assert "in 3 layers" in str(alone)


_INSTRUCTIONS = st.sampled_from(["RUN make", "COPY a /", "ENV A=1", "LABEL a=b", "ONBUILD RUN x", "USER root", "WORKDIR /app"])


@given(st.lists(_INSTRUCTIONS, max_size=10), st.integers(1, 3), st.data())
def test_every_layer_that_is_given_to_a_row_is_its_own(own: list[str], base: int, data: st.DataObject) -> None:
    lines = [Line(f"ADD {number} /", 50) for number in range(base)] + [Line("CMD x")]
    truth: dict[int, int] = {}
    ids = base
    for index, text in enumerate(own, start=1):
        word = text.partition(" ")[0]
        if word == "ONBUILD" and data.draw(st.booleans()):
            continue  # as BuildKit has it
        is_layer = word in ("RUN", "COPY") or (word == "WORKDIR" and data.draw(st.booleans()))
        lines.append(Line(text, data.draw(st.sampled_from([0, 9])) if is_layer else 0))
        if is_layer:
            truth[index] = ids
            ids += 1
    lines += [Line("LABEL own=x")] * data.draw(st.integers(0, 1))
    found = joined(record("\n".join(["FROM busybox", *own])).pipeline, told(*lines, ids=ids, base_layers=base))
    assert not found.note
    for index, row in enumerate(found.rows[1:], start=1):
        for layer in row.layers:
            assert layer.diff_id is None or int(layer.diff_id[7:]) == truth[index]
        assert row.adds in ("unknown", "layer" if index in truth else "config")
    assert [int((layer.diff_id or "")[7:]) for layer in found.rows[0].layers] == [*range(base)]


# Faces
