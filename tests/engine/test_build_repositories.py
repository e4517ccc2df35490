"""Git repositories in builds, on real engines: `ADD` of one, one as a named context; and what is said where it cannot be fetched."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import Build
from dockerlab.client import Client
from dockerlab.errors import BuildError

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("contexts")]

NO_GIT = "the engine has no git, and cannot fetch a repository"
GIT = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main")


@pytest.fixture
def contexts(own_api: str) -> None:
    if own_api != "contexts":
        pytest.skip("the engine's frontend knows no repositories")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class Repository:
    """One that is served over HTTP as plain files; its branch is main."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder, self.address = folder / "project", address
        self._folder.mkdir()
        self._git("init", "--quiet", ".")

    def commit(self, tag: str = "", **files: str) -> None:
        for name, text in files.items():
            path = self._folder / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", "x")
        if tag:
            self._git("tag", tag)
        self._git("update-server-info")

    def _git(self, *arguments: str) -> None:
        subprocess.run([*GIT, *arguments], cwd=self._folder, check=True, capture_output=True, timeout=60)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Repository(tmp_path, f"http://127.0.0.1:{server.server_port}/project/.git")
        server.shutdown()
        thread.join()


def made(client: Client, out: Path, text: str, **options: Any) -> tuple[Build, dict[str, str]]:
    """The record, and the files of the result."""
    try:
        record = dockerlab.export(text, str(out), client=client, **options)
    except BuildError as error:
        if NO_GIT in error.message:
            pytest.skip("the engine has no git")
        raise
    return record, {str(path.relative_to(out)): path.read_text() for path in sorted(out.rglob("*")) if path.is_file()}


def states(record: Build) -> list[str]:
    return [step.state for step in record.steps if step.keyword in ("ADD", "COPY")]


def test_one_that_is_added(client: Client, repository: Repository, tmp_path: Path) -> None:
    mark = os.urandom(8).hex()
    repository.commit("v1", a=f"one {mark}", docs__d="doc")
    text = f"FROM scratch\nADD {repository.address} /r\n"
    record, files = made(client, tmp_path / "1", text)
    assert files == {"r/a": f"one {mark}", "r/docs/d": "doc"}
    assert states(record) == ["done"]
    assert states(made(client, tmp_path / "2", text)[0]) == ["cached"]
    repository.commit(a=f"two {mark}")
    record, files = made(client, tmp_path / "3", text)
    assert (states(record), files["r/a"]) == (["done"], f"two {mark}")
    assert made(client, tmp_path / "4", f"FROM scratch\nADD {repository.address}#v1:docs /r\n")[1] == {"r/d": "doc"}
    with pytest.raises(BuildError, match="line 2: the repository has no 'nope'"):
        made(client, tmp_path / "5", f"FROM scratch\nADD {repository.address}#nope /r\n")
    with pytest.raises(BuildError, match="line 2: the engine cannot fetch the repository") as caught:
        made(client, tmp_path / "6", f"FROM scratch\nADD {repository.address.replace('/project/', '/gone/')} /r\n")
    assert caught.value.evidence[0].startswith("fatal: ")


def test_one_that_is_a_named_context(client: Client, repository: Repository, tmp_path: Path) -> None:
    mark = os.urandom(8).hex()
    repository.commit("v1", a=mark, docs__d="doc")
    text = "FROM scratch\nCOPY --from=lib . /\n"
    assert made(client, tmp_path / "1", text, build_contexts={"lib": repository.address})[1] == {"a": mark, "docs/d": "doc"}
    assert made(client, tmp_path / "2", text, build_contexts={"lib": f"{repository.address}#v1:docs"})[1] == {"d": "doc"}
    assert made(client, tmp_path / "3", "FROM lib\n", build_contexts={"lib": repository.address})[1]["a"] == mark
    with pytest.raises(BuildError, match="a build context: the repository has no 'nope': http://"):
        made(client, tmp_path / "4", text, build_contexts={"lib": f"{repository.address}#nope"})
