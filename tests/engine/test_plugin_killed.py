"""`pytest --nbval --dockerlab` on an engine that others use: killed in the middle, and two at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest

from dockerlab import ledger
from dockerlab.client import Client
from tests.engine.test_plugin import _environ

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.skipif(sys.platform == "win32", reason="signals")]

# It makes one of each kind, and goes on for as long as somebody lets it.
CELLS = """
%load_ext dockerlab
---
%container run -d --name {0}web -v {0}data:/data busybox sleep 600
---
%%dockerfile -t {0}lesson
FROM busybox
RUN echo hello > /hello
---
import dockerlab
dockerlab.connect().networks.create("{0}net").name
---
import pathlib, time
pathlib.Path("here").touch()
time.sleep(600)
"""
# The same names in two runs; each waits for the other.
TOGETHER = """
    import os, pathlib, time
    import dockerlab

    def test_lesson(capsys):
        me, other = os.environ["ME"], os.environ["OTHER"]
        dockerlab.build("FROM busybox\\nRUN echo hello > /hello\\n", tag="{0}lesson")
        capsys.readouterr()
        pathlib.Path(me).touch()
        while not pathlib.Path(other).exists():
            time.sleep(0.05)
        dockerlab.run("{0}lesson", ["cat", "/hello"], volume="{0}data:/data", rm=True)
        assert capsys.readouterr().out == "hello\\n"
"""


def until(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Waits for as long as a test may take, or a process goes on."""
    while not condition():
        assert process is None or process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


@contextmanager
def started(folder: Path, state: Path, *words: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """The teacher's command, on the configured engine. It and all that it started are gone afterwards."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--dockerlab-engine=configured", "--color=no", *words]
    variables = {**_environ(), "XDG_STATE_HOME": str(state), "TMPDIR": str(folder), **environ}
    process = subprocess.Popen(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def pids(text: str) -> list[int]:
    """The processes with a text in their command line or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended, or is somebody else's
            if entry.name.isdecimal() and os.fsencode(text) in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.fixture
def lesson(tmp_path: Path, prefix: str, client: Client) -> Path:
    """A folder with the notebook."""
    cells = [nbformat.v4.new_code_cell(source.strip(), execution_count=1) for source in CELLS.format(prefix).split("---")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    folder = tmp_path / "lesson"
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "lesson.ipynb")
    return folder


def there(client: Client, prefix: str) -> set[str]:
    """The names of all that the engine has with the prefix, without it. Others may use the engine: nothing is asked for one by one."""
    api: Any = client.api
    names = {
        *(name.lstrip("/") for one in api.containers(all=True) for name in one["Names"] or ()),
        *(tag.rpartition("/")[2] for one in api.images() for tag in one["RepoTags"] or ()),
        *(one["Name"] for one in api.volumes()["Volumes"] or ()),
        *(one["Name"] for one in api.networks()),
    }
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def recorded(state: Path) -> list[Path]:
    """What is known of runs."""
    return list((state / "dockerlab" / "runs").glob("*/*/"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_killed_leaves_nothing(
    lesson: Path, tmp_path: Path, prefix: str, client: Client, number: signal.Signals
) -> None:
    with started(lesson, tmp_path, "--nbval", "lesson.ipynb") as process:
        until((lesson / "here").exists, process)
        assert there(client, prefix) == {"web", "lesson:latest", "data", "net"}
        assert pids(str(tmp_path))
        process.send_signal(number)
        output, _ = process.communicate()
    if number == signal.SIGTERM:
        assert f"container {prefix}web, network {prefix}net, volume {prefix}data, image {prefix}lesson:latest" in output
        assert process.returncode == pytest.ExitCode.INTERRUPTED
    until(lambda: not recorded(tmp_path))
    assert there(client, prefix) == set()
    until(lambda: not pids(str(tmp_path)))
    # nbval leaves the file by which it reached its kernel.
    assert {path.name for path in lesson.iterdir() if path.suffix != ".json"} == {"here", "lesson.ipynb"}


def test_the_next_run_cleans_up_where_nobody_else_could(
    lesson: Path, tmp_path: Path, prefix: str, client: Client, request: pytest.FixtureRequest
) -> None:
    (lesson / "test_one.py").write_text("def test_one(): pass\n", encoding="utf-8")
    with started(lesson, tmp_path, "--nbval", "lesson.ipynb") as process:
        until((lesson / "here").exists, process)
        [helper] = pids("dockerlab.testing.aftermath\0" + str(tmp_path))
        os.kill(helper, signal.SIGKILL)
        process.kill()
        process.wait()
    [run] = recorded(tmp_path)
    assert ledger.entries(run / "made", str(client.endpoint.url))
    with started(lesson, tmp_path, "test_one.py") as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert (
        f"what a run that was killed had left was removed: container {prefix}web, network {prefix}net, image {prefix}lesson"
        in output
    )
    # It was there for the user, meanwhile.
    assert f"still there: volume {prefix}data of a run that was killed: by now there may be something of yours in it" in output
    assert there(client, prefix) == {"data"}
    assert recorded(tmp_path) == []


def test_two_at_once_leave_one_another_alone(tmp_path: Path, prefix: str, client: Client) -> None:
    (tmp_path / "test_lesson.py").write_text(textwrap.dedent(TOGETHER.format(prefix)), encoding="utf-8")
    common: dict[str, Any] = {"OTHER": "go"}
    with started(tmp_path, tmp_path, "test_lesson.py", ME="one", **common) as one:
        until((tmp_path / "one").exists, one)
        with started(tmp_path, tmp_path, "test_lesson.py", ME="two", OTHER="one") as two:
            output, _ = two.communicate()
        assert two.returncode == 0, output
        assert "its images, tags and volumes go with the last run on this engine" in output
        assert there(client, prefix) == {"lesson:latest", "data"}
        (tmp_path / "go").touch()
        output, _ = one.communicate()
    assert one.returncode == 0, output
    assert f"volume {prefix}data, image {prefix}lesson:latest" in output
    assert there(client, prefix) == set()
    assert recorded(tmp_path) == []
