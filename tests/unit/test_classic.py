"""The classic stream's two dialects, as recorded on Docker Engine 28 and 20.10 and on Podman 4.3, give the same kind of record.

A case is a folder of tests/cases/classic: the Dockerfile, the stream as it came, and the steps that it must fold to.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockerlab.builds.classic import Adapter
from dockerlab.builds.record import Build, Trace
from dockerlab.dockerfile import parse
from dockerlab.wire.trace import Log, Status, Vertex

CASES = sorted((Path(__file__).parent.parent / "cases" / "classic").iterdir())


def replay(dockerfile: str, messages: list[dict[str, Any]]) -> tuple[Adapter, Build]:
    parsed = parse(dockerfile)
    adapter, trace = Adapter(parsed), Trace(parsed, ("app",), "classic", "", 0.0)
    for event in adapter.begin():
        trace.apply(event)
    for second, message in enumerate(messages):
        for event in adapter.feed(message, float(second)):
            trace.apply(event)
    for event in adapter.end(float(len(messages))):
        trace.apply(event)
    return adapter, trace.snapshot(float(len(messages)), "failed" if adapter.error else "done", adapter.image_id)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_recorded_streams(case: Path) -> None:
    messages = [json.loads(line) for line in (case / "stream.jsonl").read_text().splitlines()]
    adapter, build = replay((case / "Dockerfile").read_text(), messages)
    found = {
        "steps": [[step.line, step.text, step.state, list(step.output)] for step in build.steps],
        "image_id": adapter.image_id,
        "exit_code": adapter.exit_code,
        "has_error": adapter.error is not None,
    }
    assert found == json.loads((case / "expected.json").read_text())


def test_every_instruction_waits_before_the_first_message() -> None:
    events = list(Adapter(parse("FROM a AS x\nRUN b\nFROM x\nCOPY . .\n")).begin())
    assert [event.name for event in events if isinstance(event, Vertex)] == [
        "[x 1/2] FROM a AS x",
        "[x 2/2] RUN b",
        "[stage-1 1/2] FROM x",
        "[stage-1 2/2] COPY . .",
    ]


def test_standard_error_is_told_apart_and_layers_are_statuses() -> None:
    adapter = Adapter(parse("FROM a\nRUN b\n"))
    list(adapter.begin())
    list(adapter.feed({"stream": "Step 1/2 : FROM a"}, 0.0))
    pulled = list(adapter.feed({"status": "Downloading", "id": "abc", "progressDetail": {"current": 5, "total": 10}}, 1.0))
    assert pulled == [Status("abc", "0", "Downloading", 5, 10, 1.0, None)]
    list(adapter.feed({"stream": "Step 2/2 : RUN b"}, 2.0))
    assert list(adapter.feed({"stream": "\x1b[91moh no\n\x1b[0m"}, 3.0)) == [Log("1", b"oh no\n", 2, 3.0)]
    assert list(adapter.feed({"stream": "fine\n"}, 4.0)) == [Log("1", b"fine\n", 1, 4.0)]


@pytest.mark.parametrize("step", ["Step 1/{} : RUN b", "STEP {}/2: RUN b", "[{}/1] STEP 1/2: RUN b"])
def test_output_that_looks_like_a_step_of_a_number_that_is_none(step: str) -> None:
    said = step.format("9" * 5000)
    _, build = replay(
        "FROM a\nRUN b\n", [{"stream": text} for text in ("Step 1/2 : FROM a", "\n", "Step 2/2 : RUN b", "\n", f"{said}\n")]
    )
    assert build.steps[1].output == (said,)


def test_output_that_looks_like_a_step_of_another_dockerfile_does_not_derail() -> None:
    _, build = replay(
        "FROM a\nRUN b\nRUN c\n",
        [
            {"stream": s}
            for s in ("Step 1/3 : FROM a", "\n", "Step 2/3 : RUN b", "\n", "\n", "x\n\n", "Step 3/3 : RUN c", "\n", "y")
        ],
    )
    assert [(step.text, step.state, step.output) for step in build.steps] == [
        ("FROM a", "done", ()),
        ("RUN b", "done", ("", "x", "")),
        ("RUN c", "done", ("y",)),
    ]


@pytest.mark.parametrize("base", ["busybox", "other"])
def test_stages_that_are_left_out_are_not_taken_for_those_that_are_built(base: str) -> None:
    told = [f"Step 3/4 : FROM {base}", "\n", "Step 4/4 : RUN b", "\n", "said\n"]
    messages: list[dict[str, Any]] = [*({"stream": text} for text in told), {"error": "no"}]
    _, build = replay(f"FROM busybox\nRUN b\nFROM {base}\nRUN b\n", messages)
    assert [step.state for step in build.steps] == ["waiting", "waiting", "done", "failed"]
    assert build.steps[3].output == ("said",)
