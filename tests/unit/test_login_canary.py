"""A password that is typed into a notebook is found nowhere afterwards: not in what the kernel sent, its history, its log, its files."""

from __future__ import annotations

import base64
import json
import os
import queue
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.embedded.registries import HTPASSWD, docker_registry

PASSWORD = "secret"
CANARY = "canary-4711-ü"
SECONDS = 60


class Notebook:
    """A kernel, and somebody in front of it. said: all that came of it, as JSON."""

    def __init__(self, folder: Path) -> None:
        self._log = (folder / "kernel.log").open("wb")
        self.manager = KernelManager(kernel_name="python3")
        environ = {**os.environ, "HOME": str(folder), "IPYTHONDIR": str(folder / "ipython"), "DOCKERLAB_STATIC": "1"}
        environ |= {"DOCKER_CONFIG": str(folder / "docker"), "DOCKER_HOST": "unix:///nowhere", "JUPYTER_PREFER_ENV_PATH": "1"}
        self.manager.start_kernel(env=environ, stdout=self._log, stderr=self._log, extra_arguments=["--debug"])
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)
        self.said: list[str] = []

    def run(self, code: str, *typed: str) -> str:
        """Runs a cell, types into what it asks, and gives all that it sent as JSON."""
        waiting = list(typed)
        request = self.client.execute(code, allow_stdin=True)
        sent: list[Any] = []
        while True:
            try:
                asked = self.client.get_stdin_msg(timeout=0)
                sent.append(asked["content"])
                self.client.input(waiting.pop(0))
            except queue.Empty:
                pass
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                assert self.manager.is_alive(), "the kernel has ended"
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            sent.append(message["content"])
            if message["content"].get("execution_state") == "idle":
                break
        sent.append(self.client.get_shell_msg(timeout=SECONDS)["content"])
        assert not waiting, "it was not asked for"
        text = json.dumps(sent, default=str, ensure_ascii=False)
        self.said.append(text)
        return text

    def close(self) -> None:
        if self.manager.has_kernel:
            self.client.stop_channels()
            self.manager.shutdown_kernel()
            self._log.close()


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    with closing(Notebook(tmp_path)) as notebook:
        notebook.run("%load_ext dockerlab")
        yield notebook


def forms(secret: str) -> list[bytes]:
    """A secret as it might be found: itself, as JSON has it, and in the base64 of an Authorization."""
    return [secret.encode(), json.dumps(secret).strip('"').encode(), base64.b64encode(f"me:{secret}".encode())]


def nobody_types(notebook: Notebook, registry: str) -> None:
    """A program that executes a notebook has nobody who could."""
    reply = notebook.client.execute(f"%image login {registry} -u me", allow_stdin=False, reply=True, timeout=SECONDS)
    said = "\n".join(reply["content"]["traceback"])
    assert f"nobody is there who could type the password for {registry}" in said
    assert "--password-var NAME" in said


def test_it_is_found_nowhere(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    with docker_registry(tmp_path / "registry", password=True) as registry:
        nobody_types(notebook, registry)
        assert '"password": true' in notebook.run(f"%image login {registry} -u me", CANARY)
        assert "does not take this name with this password" in notebook.said[-1]
        notebook.run("%xmode Verbose")
        notebook.run(f"%image login {registry}", "me", CANARY)
        notebook.run(f"%image login {registry} -u me", "")
        assert "the password is empty" in notebook.said[-1]
        notebook.run(f"import getpass\nheld = getpass.getpass('')\n%image login {registry} -u me --password-var held", CANARY)
        assert "does not take this name" in notebook.said[-1]
        notebook.run(f"%image login {registry} -u me --password-var {{held}}")
        assert "has a variable of that name" in notebook.said[-1]
        notebook.run(f"%image login {registry} -u me -p {{held}}")
        assert "stays in the notebook" in notebook.said[-1]
        notebook.run(f"%image login {registry} -u me -p {{held}} --show-command")
        assert f"docker login -u me {registry}" in notebook.said[-1]
        notebook.run("del held")
        # The right one is kept, in the one place that is meant for it.
        notebook.run(f"%image login {registry} -u me", PASSWORD)
        assert f"logged in to {registry} as me" in notebook.said[-1]
        config = tmp_path / "docker" / "config.json"
        assert json.loads(config.read_text())["auths"][registry]["auth"] == base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        notebook.run(f"%image login {registry}")
        assert "With what was kept already" in notebook.said[-1]
        notebook.run("%history -g")
        notebook.run("print(In, Out, _oh, dir())")
        notebook.run("import sys, traceback\nprint(getattr(sys, 'last_value', None))\n%tb")
        notebook.run(f"%image logout {registry}")
        assert f"logged out of {registry}" in notebook.said[-1]
    notebook.close()
    assert HTPASSWD.startswith("me:")
    wanted = [*forms(CANARY), base64.b64encode(f"me:{PASSWORD}".encode())]
    told = "\n".join(notebook.said).encode()
    assert not [form for form in wanted if form in told]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"kernel.log", "history.sqlite", "config.json"} <= {path.name for path in files}
    assert not [(path, form) for path in files for form in wanted if form in path.read_bytes()]
