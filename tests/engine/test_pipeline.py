"""The pipeline of real builds, on every engine: which instruction made which layer, held against the files of the layers."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

import dockerlab
from dockerlab import images
from dockerlab.client import Client, connect
from dockerlab.errors import BuildError, DockerfileError, NotFound
from dockerlab.images import Image
from dockerlab.pipelines import Pipeline
from dockerlab.pipelines.model import Running
from dockerlab.pipelines.watching import Watching
from dockerlab.testing.shell import Shell
from tests.engine.forwarder import forwarding
from tests.engines import Engine

pytestmark = pytest.mark.contract

Build = Callable[..., Image]


@pytest.fixture
def name(client: Client) -> Iterator[str]:
    name = f"dockerlab-test-pipeline-{secrets.token_hex(3)}"
    yield name
    for suffix in ("", "-base"):
        with suppress(NotFound):
            images.rm(f"{name}{suffix}", force=True, client=client)


def files(image: Image, client: Client, found: Pipeline) -> dict[str, set[str]]:
    """Of each row that has a layer: the files that the layer stores."""
    explored = dockerlab.explore(image, client=client)
    by_id = dict(zip(explored.described.diff_ids, explored.layers, strict=True))
    stored: dict[str, set[str]] = {}
    for row in found.rows:
        if row.adds == "base":
            continue
        for layer in row.layers:
            assert layer.diff_id is not None, f"{row.text}: which layer is certain here"
            stored[row.text] = {file.path for file in by_id[layer.diff_id].files if file.kind == "file"}
    return stored


@pytest.mark.parametrize("buildkit", ["1", "0"])
def test_each_instruction_has_the_layer_with_its_files(
    client: Client, name: str, buildkit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", buildkit)
    text = (
        "FROM busybox\nARG WHO=me\nENV A=1\nEXPOSE 5000\nWORKDIR /app\nWORKDIR /app\nRUN true\nRUN echo 1 > /one; mkdir /d\n"
        "COPY a.txt /app/\nLABEL a=b\nWORKDIR /\nRUN echo 2 > /two\nCMD ['sh']\n"
    )
    image = dockerlab.build(text, files={"a.txt": "a\n"}, tag=name, label={"own": "x"}, client=client)
    found = dockerlab.pipeline(image, client=client)
    assert not found.note
    stored = files(image, client, found)
    assert stored["RUN echo 1 > /one; mkdir /d"] >= {"one"}
    assert stored["COPY a.txt /app/"] >= {"app/a.txt"}
    assert stored["RUN echo 2 > /two"] >= {"two"}
    assert {row.adds for row in found.rows} == {"base", "config", "layer"}
    assert [row.text for row in found.rows if row.adds == "config" and "RUN" not in row.text and "WORKDIR" not in row.text] == [
        "ARG WHO=me", "ENV A=1", "EXPOSE 5000", "LABEL a=b", "CMD ['sh']"
    ]  # fmt: skip
    # Every layer is somebody's, in order, the base's first.
    listed = [layer.diff_id for row in found.rows for layer in row.layers]
    assert listed == image.attrs["RootFS"]["Layers"]
    base = images.get("busybox", client=client)
    assert [layer.diff_id for layer in found.rows[0].layers] == base.attrs["RootFS"]["Layers"]


def test_stages_of_which_only_files_are_taken(client: Client, name: str) -> None:
    text = (
        "FROM busybox AS make\nRUN echo app > /app; echo junk > /junk\nFROM make AS test\nRUN exit 1\n"
        "FROM busybox AS base\nRUN echo base > /base\nFROM base\nCOPY --from=make /app /taken\nRUN echo top > /top\n"
    )
    image = dockerlab.build(text, tag=name, client=client)
    found = dockerlab.pipeline(image, client=client)
    assert [(band.name, band.part) for band in found.bands] == [
        ("make", "taken"), ("test", "unused"), ("base", "image"), ("stage-3", "image")
    ]  # fmt: skip
    stored = files(image, client, found)
    assert stored["RUN echo base > /base"] >= {"base"}
    assert stored["COPY --from=make /app /taken"] >= {"taken"}
    assert stored["RUN echo top > /top"] >= {"top"}
    assert set(stored) == {"RUN echo base > /base", "COPY --from=make /app /taken", "RUN echo top > /top"}


def test_triggers_of_a_base_image_have_their_layers(client: Client, name: str) -> None:
    dockerlab.build("FROM busybox\nONBUILD ENV T=1\nONBUILD RUN echo t > /trigger\n", tag=f"{name}-base", client=client)
    image = dockerlab.build(f"FROM {name}-base\nUSER root\nRUN echo own > /own\nONBUILD RUN x\n", tag=name, client=client)
    found = dockerlab.pipeline(image, client=client)
    stored = files(image, client, found)
    [trigger] = [row for row in found.rows if row.is_trigger and row.layers]
    assert stored[trigger.text] >= {"trigger"}
    assert stored["RUN echo own > /own"] >= {"own"}


def test_an_image_that_only_configures(client: Client, name: str) -> None:
    salt = secrets.token_hex(3)
    image = dockerlab.build(f"FROM busybox\nENV SALT={salt}\nCMD true\n", tag=name, client=client)
    found = dockerlab.pipeline(image, client=client)
    assert [row.adds for row in found.rows] == ["base", "config", "config"]
    assert found.image is not None
    assert found.image.own == 0
    assert len(found.rows[0].layers) == found.image.layers


def test_heredocs(client: Client, name: str) -> None:
    text = "FROM busybox\nRUN <<EOF\necho 1 > /one\necho 2 > /two\nEOF\nCOPY <<EOF /three\n3\nEOF\n"
    try:
        image = dockerlab.build(text, tag=name, client=client)
    except (BuildError, DockerfileError) as error:
        pytest.skip(f"no heredocs: {error.message}")
    found = dockerlab.pipeline(image, client=client)
    stored = [*files(image, client, found).values()]
    assert stored[0] >= {"one", "two"}
    assert stored[1] >= {"three"}


def test_an_image_that_was_not_built_here_is_shown_from_its_history(client: Client, name: str) -> None:
    dockerlab.build(f"FROM busybox\nRUN echo {secrets.token_hex(3)} > /one\nEXPOSE 80\n", tag=name, client=client)
    found = dockerlab.pipeline(name, client=client)
    assert found.build is None
    assert "There is no Dockerfile" in found.note
    [run] = [row for row in found.rows if row.text.startswith("RUN")]
    assert run.layers
    assert found.image is not None
    assert found.image.base  # whichever of this engine's images lies under it
    assert found.rows[-1].change == "ExposedPorts 80"


def test_a_name_that_is_not_there(client: Client) -> None:
    with pytest.raises(NotFound, match=r"^no such image"):
        dockerlab.pipeline("dockerlab-test-nothing", client=client)


def test_the_magic_gives_the_record_s_picture_and_its_containers(client: Client, name: str) -> None:
    with Shell() as shell:
        built = shell.run(f"%%dockerfile -t {name}\nFROM busybox\nRUN echo {secrets.token_hex(3)} > /one\nCMD sleep 60\n")
        assert built.displays[0]["text/plain"].startswith(f"build {name}:latest")
        assert "containers" in built.displays[0]["text/html"]
        container = dockerlab.run(name, name=f"{name}-web", detach=True, client=client)
        assert container is not None
        try:
            found = shell.run(f"%pipeline {name}").value
            assert [row.line for row in found.rows] == [1, 2, 3]
            assert f"container {name}-web ({name}): running" in repr(found)
        finally:
            container.remove(force=True)
        assert name in " ".join(shell.complete(f"%pipeline {name[:-2]}"))


def test_an_engine_that_goes_away_is_told_of(engine: Engine, client: Client, name: str) -> None:
    image = dockerlab.build(f"FROM busybox\nENV A={secrets.token_hex(3)}\n", tag=name, client=client)
    looked, ended = threading.Event(), threading.Event()
    said: list[str] = []

    def end(words: str) -> None:
        said.append(words)
        ended.set()

    assert engine.url
    with forwarding(engine.url) as forwarder, closing(connect(forwarder.url)) as other:
        watching = Watching(other, str(image.id), lambda found: looked.set(), end)
        try:
            assert looked.wait(20)
            forwarder.cut()
            assert ended.wait(20)
        finally:
            watching.close()
    assert said[0].strip()
    assert len(said) == 1


def test_containers_are_told_of_as_they_come_and_go(client: Client, name: str) -> None:
    image = dockerlab.build(f"FROM busybox\nENV A={secrets.token_hex(3)}\nCMD sleep 60\n", tag=name, client=client)
    told: list[list[str]] = []
    news = threading.Condition()

    def changed(found: tuple[Running, ...]) -> None:
        with news:
            told.append([f"{one.facts.engine_name} {one.facts.word}" for one in found])
            news.notify()

    def wait(*words: str) -> None:
        with news:
            assert news.wait_for(lambda: told and told[-1] == [*words], 20), told

    def ended(said: str) -> None:
        with news:
            told.append([said])

    watching = Watching(client, str(image.id), changed, ended)
    try:
        wait()
        container = dockerlab.run(name, name=f"{name}-web", detach=True, client=client)
        assert container is not None
        try:
            wait(f"{name}-web running")
            container.kill()
            wait(f"{name}-web exited 137")
        finally:
            container.remove(force=True)
        wait()
    finally:
        watching.close()
    assert not [
        thread for thread in threading.enumerate() if thread.name in ("dockerlab pipeline", "dockerlab watch the engine's events")
    ]
    dockerlab.run(name, "true", rm=True, client=client)
    assert told[-1] == []


def test_what_nobody_looks_at_is_watched_no_longer(client: Client, name: str) -> None:
    image = dockerlab.build(f"FROM busybox\nENV A={secrets.token_hex(3)}\n", tag=name, client=client)
    ended = threading.Event()
    said: list[str] = []

    def end(words: str) -> None:
        said.append(words)
        ended.set()

    watching = Watching(client, str(image.id), lambda found: None, end, idle=1.0)
    try:
        assert ended.wait(20)
        watching._thread.join(20)
        assert not watching._thread.is_alive()
    finally:
        watching.close()
    assert said == ["Nobody has looked for an hour."]
