"""How a pipeline is shown: as text, as a table, as static and as live HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dockerlab.builds.record import Trace
from dockerlab.containers.container import of
from dockerlab.dockerfile import parse, stages
from dockerlab.faces.container import Facts, PortLink
from dockerlab.faces.markup import END_VOLATILE, VOLATILE
from dockerlab.image.accounting import Line
from dockerlab.pipelines import asking
from dockerlab.pipelines.joining import historical, joined
from dockerlab.pipelines.model import Pipeline, Running
from dockerlab.testing.sanitiser import sanitise
from dockerlab.wire.trace import Vertex
from tests.unit.test_pipeline import BASE, HOSTILE, SINGLE, STAGES, record, stable, told


def whole(*, took: float = 1.0, size: int = 11, box: str = "web1", tip: str = "") -> Pipeline:
    lines = (Line("EXPOSE 5000"), Line("WORKDIR /app"), Line("RUN pip", size), Line("COPY . .", 5), Line("CMD x"))
    found = joined(record(SINGLE + tip, took=took).pipeline, told(*BASE, *lines, ids=4))
    facts = Facts("c" * 64, box, box, "app", "flask run", "running", ports=(PortLink("8080→5000", "http://127.0.0.1:8080/"),))
    return found.with_containers((Running(facts, 90.0),), 100.0)


def test_the_text_has_neither_times_nor_sizes() -> None:
    assert repr(whole()).splitlines() == [
        "pipeline of app:latest",
        "1  FROM python:3.10       → base",
        "2  EXPOSE 5000            ⇢ config  ExposedPorts 5000",
        "3  WORKDIR /app           → layer",
        "4  RUN pip install flask  → layer",
        "5  COPY . .               → layer",
        "6  CMD flask run          ⇢ config  Cmd",
        "container web1 (app): running",
    ]
    assert repr(whole(took=3.0, size=99)) == repr(whole())


def test_the_table_has_them() -> None:
    lines = str(whole(size=11_200_000)).splitlines()
    assert lines[0] == "app:latest   6 of 6 steps   1 m 40 s   1.0 MB (11.2 MB ours)"
    assert lines[4].endswith("● done  1.0 s  → layer                      11.2 MB")
    assert lines[-1] == "container web1: running   8080→5000"


def test_what_differs_between_runs_and_engines_is_marked() -> None:
    one, two = whole()._repr_html_(), whole(took=2.0, size=5000, box="other")._repr_html_()
    assert one != two
    assert stable(one) == stable(two)
    lines = (Line("EXPOSE 5000"), Line("WORKDIR /app"), Line("RUN pip", 5), Line("COPY . .", 5), Line("CMD x"))
    without = joined(record().pipeline, told(*BASE, *lines, ids=3))._repr_html_()
    assert stable(without) == stable(one)
    assert one.count(VOLATILE) == one.count(END_VOLATILE)


def test_hostile_text_is_shown_and_never_run() -> None:
    hostile = f"FROM busybox AS a\nRUN echo '{HOSTILE}'\nFROM busybox\nCOPY --from=a {HOSTILE} /\n"
    found = joined(record(hostile, name=HOSTILE).pipeline, told(*BASE, Line(f"COPY {HOSTILE} /", 5), ids=2, name=HOSTILE))
    box = Facts(f'"{HOSTILE}', HOSTILE, HOSTILE, HOSTILE, HOSTILE, "running", ports=(PortLink(HOSTILE, "javascript:alert(1)"),))
    found = found.with_containers((Running(box),), 100.0)
    for html in (found._repr_html_(), found._live_html(), historical(told(Line(HOSTILE, 5), ids=1, name=HOSTILE))._repr_html_()):
        assert "<img" not in html
        assert html.count(VOLATILE) == html.count(END_VOLATILE)


def test_a_history_is_the_same_on_every_engine_also_beside_a_container_with_a_health_check() -> None:
    def shown(health: str, *lines: Line) -> str:
        box = Running(Facts("c" * 64, "web", "web", "app", "sh", "running", health=health), 1.0)
        return sanitise(historical(told(*lines, ids=1)).with_containers((box,), 5.0)._repr_html_())

    assert shown("starting", *BASE) == shown("healthy", Line("ADD file:6b21 in /", 100), Line("CMD python3"))


def test_how_far_another_stage_came_when_one_failed_differs_from_run_to_run() -> None:
    dockerfile = parse("FROM a AS x\nRUN false\nFROM b AS y\nRUN make\nENV A=1\nFROM c\nCOPY --from=x /x /\nCOPY --from=y /y /\n")

    def failed(other: float | None) -> str:
        trace = Trace(dockerfile, ("app",), "buildkit", "", 0.0, "")
        for index, completed in enumerate((1.0, 2.0, 1.0, other)):
            error = "exit code: 1" if index == 1 else ""
            trace.apply(Vertex(str(index), dockerfile.nodes[index].text, started=0.5, completed=completed, error=error))
        return trace.snapshot(3.0, "failed")._repr_html_()

    assert "interrupted" in failed(None)
    assert sanitise(failed(None)) == sanitise(failed(2.0))
    assert "✕ failed" in sanitise(failed(None))


def test_what_no_message_and_no_terminal_can_take_is_replaced() -> None:
    found = historical(told(Line("RUN \ud800 \x1b[31m\x07", 5), ids=1))
    box = Facts("c" * 64, "web", "web", "app", "\udc80", "running")
    for said in (repr(found), str(found), *found.with_containers((Running(box),), 5.0).bundle().values(), found._live_html()):
        assert said.encode("utf-8")
        assert "\x1b" not in said


def test_a_stage_that_is_not_in_the_image_runs_into_a_lane_to_who_takes() -> None:
    html = record(STAGES).pipeline._repr_html_()
    assert html.count('class="flow start"') == 1
    assert html.count('class="flow end join"') == 1
    assert html.count("flow join") == 1
    assert "files → lines 8, 9" in html
    assert "not built: nothing needs it" in html


def test_only_the_live_face_has_what_needs_a_kernel() -> None:
    assert "<button" not in whole()._repr_html_()
    live = whole()._live_html()
    assert 'data-drawer="row:3"' in live
    assert f'data-drawer="container:{"c" * 64}"' in live
    assert 'data-action="freeze"' in live
    assert "ask again" in whole().with_alert("gone")._live_html()


def test_a_row_lights_the_containers_and_a_container_the_rows_but_no_row_another() -> None:
    words = [set(found.split()) for found in re.findall(r'<tr class="row[^>]*data-lights="([^"]*)"', whole()._live_html())]
    [box] = [set(found.split()) for found in re.findall(r'<div class="box"[^>]*data-lights="([^"]*)"', whole()._live_html())]
    assert len(words) == 6
    assert all(one & box for one in words)
    assert not any(one & other for at, one in enumerate(words) for other in words[:at])


def test_many_containers_are_counted() -> None:
    facts = [Facts(f"{number:064}", f"web{number}", f"web{number}", "app", "x", "exited", 0) for number in range(30)]
    html = whole().with_containers(tuple(Running(one) for one in facts), 100.0)._repr_html_()
    assert html.count('class="box"') == 8
    assert "and 22 more" in html


def test_a_container_that_runs_gives_way_to_none_that_has_ended() -> None:
    facts = [Facts(f"{number:064}", f"once{number}", f"once{number}", "app", "x", "exited", 0) for number in range(30)]
    found = whole().with_containers((*map(Running, facts), Running(replace(facts[0], engine_name="web", state="running"))), 100.0)
    html = found._repr_html_()
    assert html.count('class="box"') == 8
    assert html.index("<b>once6</b>") < html.index("<b>web</b>")
    assert str(found).splitlines()[-2:] == ["container web: running", "and 11 more"]
    assert repr(found).splitlines()[-1] == "and 11 more"


def test_containers_that_are_not_looked_at_each_are_there_as_they_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [
        {"Id": f"{number:064}", "Names": [f"/c{number}"], "Image": "app", "ImageID": "sha256:f", "Created": number,
         "State": "running" if number == 0 else "exited", "Status": "Up" if number == 0 else "Exited (0) 1 minute ago"}
        for number in range(1000)
    ]  # fmt: skip
    client = SimpleNamespace(api=SimpleNamespace(containers=lambda all: listed), containers=None, endpoint=None)
    asked: list[str] = []

    def get(name: str, client: object) -> object:
        asked.append(name)
        return of({"Id": name, "Name": f"/c{int(name)}", "State": {"Status": "exited"}}, client)  # type: ignore[arg-type]

    monkeypatch.setattr(asking, "get", get)
    found = asking.running("sha256:f", client)  # type: ignore[arg-type]
    assert [one.facts.engine_name for one in found] == [f"c{number}" for number in range(999, -1, -1)]
    assert len(asked) == 20
    assert f"{0:064}" in asked


def test_there_are_as_many_cells_as_columns() -> None:
    for found in (whole(), record(STAGES).pipeline, record(STAGES, outcome="running").pipeline):
        html = re.sub(r"<style>.*?</style>", "", found._repr_html_(), flags=re.DOTALL)
        table = html[: html.index("</table>")]
        columns = table.count("<col ")
        spanned = 0
        for line in re.findall(r"<tr[^>]*>(.*?)</tr>", table[table.index("<tbody>") :], re.DOTALL):
            cells = re.findall(r"<td([^>]*)>", line)
            width = sum(int(match[1]) if (match := re.search(r'colspan="(\d+)"', cell)) else 1 for cell in cells)
            assert width + (spanned > 0) == columns
            rows = [int(match[1]) for cell in cells if (match := re.search(r'rowspan="(\d+)"', cell))]
            spanned = rows[0] - 1 if rows else max(0, spanned - 1)


def test_the_shape_of_stages_is_the_dockerfile_s() -> None:
    assert [stage.name for stage in stages(parse(STAGES))] == ["make", "test", None]
