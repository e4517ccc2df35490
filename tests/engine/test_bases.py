"""What stages begin with, on real engines: one base image of several stages, and what it says with ONBUILD."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import dockerlab
from dockerlab.builds import Build
from dockerlab.client import Client
from dockerlab.errors import BuildError
from tests.engine import leftovers

pytestmark = pytest.mark.contract

BASE = "dockerlab-test-onbuild"
TAG = "dockerlab-test-bases"


@pytest.fixture
def unique() -> str:
    """Text that no build before had, so that nothing of this one is in the cache."""
    return str(time.time_ns())


@pytest.fixture(autouse=True)
def state(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield
    for tag in (TAG, BASE):
        leftovers.remove_labelled(client, f"dockerlab-test={tag}")


def built(client: Client, text: str, tag: str = TAG, **files: str) -> Build:
    build = dockerlab.build(text, files=files, tag=tag, label={"dockerlab-test": tag}, client=client).build
    assert build is not None
    return build


def test_stages_of_one_base_share_its_state(client: Client, unique: str) -> None:
    text = (
        f"FROM busybox AS a\nRUN echo {unique} > /a\n"
        f"FROM docker.io/library/busybox AS b\nRUN echo {unique} b > /b\n"
        "FROM busybox:latest\nCOPY --from=a /a /\nCOPY --from=b /b /\n"
    )
    build = built(client, text)
    froms = [step for step in build.steps if step.keyword == "FROM"]
    assert [step.line for step in froms] == [1, 3, 5], "and no stranger's"
    graph = build.graph
    bases = [vertex for vertex in graph.vertices if vertex.kind == "base"]
    edges = {(source, target) for source, target in graph.edges if source.isdigit() and target.isdigit()}
    if build.builder == "classic":
        assert [vertex.stage for vertex in bases] == ["a", "b", "stage-2"]
    else:
        assert len({(step.state, step.vertex.started, step.vertex.completed) for step in froms}) == 1
        assert [(vertex.digest, vertex.stage, vertex.text) for vertex in bases] == [("0", None, "FROM busybox")]
        assert edges == {("0", "1"), ("0", "3"), ("0", "5"), ("1", "5"), ("5", "6"), ("3", "6")}
    again = built(client, text)
    assert {step.state for step in again.steps if step.keyword in ("RUN", "COPY")} == {"cached"}


@pytest.mark.parametrize("builder", ["best", "classic"])
def test_triggers_of_a_base_image_are_rows_under_its_from(
    client: Client, unique: str, builder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if builder == "classic" and client.version().get("Components", [{}])[0].get("Name", "").startswith("Podman"):
        pytest.skip("Podman has no other builder")
    if builder == "classic":
        monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    run, copy, workdir = f"RUN echo trigger {unique}", "COPY x /x", "WORKDIR /w"
    brought = [f"ONBUILD {text}" for text in (run, copy, workdir)]
    built(client, "\n".join(["FROM busybox", *brought]) + "\n", BASE)
    # The last instruction has the text of a trigger.
    text = f"FROM {BASE} AS a\nRUN echo {unique} > /a\nFROM {BASE}\nENV A=1\nCOPY --from=a /a /\n{copy}\n"

    first = built(client, text, x=unique)
    triggers = [step for step in first.steps if step.trigger]
    assert [(step.base_line, step.trigger, step.text) for step in triggers] == [
        (line, place, text) for line in (1, 3) for place, text in enumerate(brought, start=1)
    ]
    assert [step.line or step.base_line for step in first.steps][:12] == [1, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5, 6]
    assert {step.state for step in triggers[:3]} == {"done"}
    assert [line for step in triggers for line in step.output] == [f"trigger {unique}"]
    assert all(step.vertex.started and step.vertex.completed for step in triggers)
    assert all(step.state == "done" for step in first.steps if step.line in (2, 5, 6))
    assert [step.text for step in first.steps if step.line is None and not step.trigger and "ONBUILD" in step.text] == []
    # In the graph they lie between FROM and what follows.
    inputs = {vertex.digest: vertex.inputs for vertex in first.graph.vertices}
    assert [one in inputs[two] for one, two in (("0", "0.1"), ("0.1", "0.2"), ("0.2", "0.3"), ("0.3", "1"))] == [True] * 4
    assert {vertex.text for vertex in first.graph.vertices} >= set(brought)

    assert {reason.kind for reason in first.reasons} == {"first"}
    assert [reason.text for reason in first.reasons if reason.line == 1] == brought
    assert {step.state for step in built(client, text, x=unique).steps if step.trigger} == {"cached"}

    changed = built(client, text, x=f"{unique} changed")
    assert [step.state for step in changed.steps if step.base_line == 1] == ["cached", "done", "done"]
    assert [(reason.text, reason.kind, reason.sentence) for reason in changed.reasons if reason.line < 3] == [
        (brought[1], "files", "1 file changed: x (modified)"),
        (brought[2], "step", f"because the base image's trigger ran: {brought[1]}"),
        (f"RUN echo {unique} > /a", "step", f"because the base image's trigger ran: {brought[2]}"),
    ]


@pytest.mark.parametrize("builder", ["best", "classic"])
@pytest.mark.parametrize("trigger", ["RUN echo oh; exit 3", "COPY missing /x"])
def test_a_trigger_that_fails_is_the_one_that_is_told(
    client: Client, unique: str, builder: str, trigger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if builder == "classic" and client.version().get("Components", [{}])[0].get("Name", "").startswith("Podman"):
        pytest.skip("Podman has no other builder")
    if builder == "classic":
        monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    built(client, f"FROM busybox\nONBUILD RUN echo {unique}\nONBUILD {trigger}\nONBUILD RUN echo later\n", BASE)
    with pytest.raises(BuildError) as caught:
        built(client, f"FROM {BASE}\nRUN echo own\n")
    build = caught.value.build
    assert isinstance(build, Build)
    (failed,) = (step for step in build.steps if step.state == "failed")
    assert (failed.base_line, failed.text) == (1, f"ONBUILD {trigger}")
    assert caught.value.exit_code == (3 if "exit" in trigger else None)
    assert next(step.state for step in build.steps if step.line == 2) == "waiting"
