"""`pytest --nbval --dockerlab` as a teacher calls it, in a folder of their own, with real nbval."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import pytest

from dockerlab import embedded
from dockerlab.client import Client
from dockerlab.ledger import Entry
from dockerlab.testing.cleaning import Before, Made, clean
from tests.engine import leftovers
from tests.engines import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# A lesson that leaves all it can, as one does that was left half-way.
LESSON = """
%load_ext dockerlab
---
%image prepare busybox
---
%%dockerfile -t {0}lesson
FROM busybox
RUN echo hello > /hello
---
%container run --rm {0}lesson cat /hello
---
%container run -d --name {0}web --replace -v {0}data:/data {0}lesson sleep 600
---
%%dockerfile -t {0}tag
FROM {0}lesson
---
import dockerlab
dockerlab.connect().networks.create("{0}net").name
"""


@dataclass(frozen=True)
class Lesson:
    """A folder with the lesson in it. prefix: how the names begin of all that it makes."""

    folder: Path
    prefix: str


@pytest.fixture(scope="module")
def lesson(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lesson]:
    """The lesson, saved as it is after it was run, with nothing left of that."""
    folder, prefix = tmp_path_factory.mktemp("teacher"), leftovers.prefix()
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in LESSON.format(prefix).split("---")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "lesson.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", "lesson.ipynb"]
    with engine.configured() as client:
        try:
            subprocess.run(command, cwd=folder, env=_environ(), check=True, capture_output=True)
            leftovers.remove(client, prefix)
            yield Lesson(folder, prefix)
        finally:
            leftovers.remove(client, prefix)


def run(folder: Path, *words: str, engine: bool = True) -> subprocess.CompletedProcess[str]:
    """The teacher's command. engine: whether one is configured."""
    command = [sys.executable, "-m", "pytest", "--nbval", "--dockerlab", "--color=no", *words]
    return subprocess.run(command, cwd=folder, env=_environ(engine), capture_output=True, text=True, check=False)


def _environ(engine: bool = True) -> dict[str, str]:
    dropped = ("PYTEST", "DOCKERLAB_STATIC", *(() if engine else ("DOCKER",)))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "JUPYTER_PREFER_ENV_PATH": "1"}


def there(client: Client, prefix: str) -> set[str]:
    """The names of all that the engine has with the prefix."""
    return {
        *(str(container.name) for container in client.containers.list(all=True)),
        *(tag.rpartition("/")[2] for image in client.images.list() for tag in image.tags),
        *(str(volume.name) for volume in client.volumes.list()),
        *(str(network.name) for network in client.networks.list()),
    } & {f"{prefix}{name}" for name in ("web", "lesson:latest", "tag:latest", "data", "net", "mine", "mine:latest", "precious")}


def processes(folder: str) -> list[str]:
    """Those that were told of a folder in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and folder.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


def test_on_the_configured_engine_just_what_the_run_made_goes(lesson: Lesson, client: Client) -> None:
    prefix = lesson.prefix
    # The user's: a container, a volume, and an image of the name that the lesson gives away.
    mine = client.containers.run("busybox", ["sleep", "600"], name=f"{prefix}mine", detach=True)
    client.volumes.create(f"{prefix}precious")
    client.images.get("busybox").tag(f"{prefix}tag")
    before = there(client, prefix)
    assert before == {f"{prefix}mine", f"{prefix}precious", f"{prefix}tag:latest"}
    for _ in range(2):
        done = run(lesson.folder, "--dockerlab-engine=configured")
        assert done.returncode == 0, done.stdout
        assert f"container {prefix}web, network {prefix}net, volume {prefix}data, image {prefix}lesson:latest" in done.stdout
        assert there(client, prefix) == before
        assert client.images.get(f"{prefix}tag").id == client.images.get("busybox").id
        mine.reload()
        assert mine.status == "running"
    mine.remove(force=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux only")
def test_on_an_engine_of_its_own_nothing_stays(lesson: Lesson, client: Client) -> None:
    before = there(client, lesson.prefix)
    done = run(lesson.folder, "--dockerlab-prepare=busybox", engine=False)
    assert done.returncode == 0, done.stdout
    [folder] = re.findall(r"^dockerlab: embedded engine at unix://(\S+)/run/engine\.sock$", done.stdout, re.MULTILINE)
    assert not Path(folder).exists()
    assert processes(folder) == []
    assert there(client, lesson.prefix) == before, "the configured engine has not been asked"


def test_what_is_not_as_it_was_saved_fails(tmp_path: Path, client: Client) -> None:
    def printed(text: str) -> list[nbformat.NotebookNode]:
        return [nbformat.v4.new_output("stream", name="stdout", text=text)]

    cells = [
        nbformat.v4.new_code_cell("print('hello')", outputs=printed("hallo\n"), execution_count=1),
        nbformat.v4.new_code_cell("hello = 1"),
        nbformat.v4.new_code_cell("print('hello')", outputs=printed("hello\n"), execution_count=3),
    ]
    # What the progress of a pull leaves in a saved notebook.
    cells[2].outputs.insert(0, nbformat.v4.new_output("display_data", data={"text/plain": ""}))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "lesson.ipynb")
    done = run(tmp_path, "--dockerlab-engine=configured")
    assert done.returncode == 1
    assert "2 failed, 1 passed" in done.stdout
    assert "hallo" in done.stdout
    assert "Cell 1: It was saved without having been run" in done.stdout


def test_an_engine_that_does_not_answer_is_told_before_the_first_test(tmp_path: Path) -> None:
    environ = {**_environ(engine=False), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    command = [sys.executable, "-m", "pytest", "--dockerlab-engine=configured"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--dockerlab: no Docker engine answers" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux only")
def test_a_run_that_does_not_begin_leaves_the_users_own_engine_running(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(): pass\n", encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="dockerlab-", dir="/tmp") as home:
        users = {"DOCKERLAB_ENGINE_RUNTIME": f"{home}/run", "DOCKERLAB_ENGINE_ROOT": f"{home}/engine"}
        environ = {**_environ(engine=False), **users, "TMPDIR": home}
        embedded.start(environ=environ)
        try:
            command = [sys.executable, "-m", "pytest", "--dockerlab", "--dockerlab-prepare=nothing-of-this-name"]
            done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
            assert "no stand-in is known" in done.stderr
            assert embedded.run(["status"], environ).returncode == 0
            assert set(os.listdir(home)) == {"run", "engine"}, "that of the run is gone"
        finally:
            embedded.run(["stop"], environ)


def test_a_tag_that_the_run_gave_away_and_removed_is_the_users_again(client: Client) -> None:
    prefix = leftovers.prefix()
    tag, base = f"{prefix}tag:latest", client.images.get("busybox")
    base.tag(tag)
    before = Before.of(client)
    client.images.remove(tag)
    try:
        cleaned = clean(client, [Made(Entry("tag", tag), before)])
        assert client.images.get(tag).id == base.id
        assert cleaned.kept == ()
        assert clean(client, [Made(Entry("tag", tag), before)]).removed == (), "once more changes nothing"
        gone = replace(before, tags={tag: "0" * 64})
        assert clean(client, [Made(Entry("tag", tag), gone)]).kept == (
            f"cannot give {tag} back to the image that had it: the run has removed that one",
        )
    finally:
        client.images.remove(tag)
