"""Our own engine from the client side: where it is, and what is said where it cannot be started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockerlab import embedded
from dockerlab.embedded import CannotStart


@pytest.mark.parametrize(("platform", "name"), [("darwin", "macOS"), ("win32", "Windows")])
def test_elsewhere_than_on_linux_it_says_why_not(platform: str, name: str) -> None:
    assert embedded.address({}, platform) is None
    with pytest.raises(CannotStart) as caught:
        embedded.start(platform)
    assert str(caught.value) == f"dockerlab's own engine does not run on {name}: a container needs a Linux kernel"
    assert "Docker Desktop" in (caught.value.hint or "")


@pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux only")
@pytest.mark.parametrize("variables", ["DOCKERLAB_ENGINE_RUNTIME XDG_RUNTIME_DIR", "XDG_RUNTIME_DIR", ""])
def test_the_client_and_the_engine_agree_on_its_address(variables: str, tmp_path: Path) -> None:
    from dockerlab.engine import home

    environ = {name: str(tmp_path) for name in variables.split()}
    assert embedded.address(environ, "linux") == home.find(environ).host


@pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux only")
def test_a_directory_of_somebody_else_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"DOCKERLAB_ENGINE_RUNTIME": str(tmp_path)}
    assert embedded.address(environ, "linux") == f"unix://{tmp_path}/engine.sock"
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert embedded.address(environ, "linux") is None


def answers(monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str) -> None:
    def run(words: Any, environ: Any = None) -> subprocess.CompletedProcess[str]:
        assert words == ["start"]
        return subprocess.CompletedProcess(words, code, out, err)

    monkeypatch.setattr(embedded, "run", run)


def test_what_it_prints_is_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, 0, "DOCKER_HOST=unix:///run/x.sock\n", "The engine has started (process 1).\n")
    assert embedded.start("linux") == "unix:///run/x.sock"


def test_what_it_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, 1, "", "/run/x belongs to another user\n  /run/x\n\n→ Set XDG_RUNTIME_DIR.\n")
    with pytest.raises(CannotStart, match="does not start: /run/x belongs to another user") as caught:
        embedded.start("linux")
    assert (caught.value.evidence, caught.value.hint) == (("/run/x",), "Set XDG_RUNTIME_DIR.")


def test_a_process_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, -9, "", "")
    with pytest.raises(CannotStart, match="its process ended with -9") as caught:
        embedded.start("linux")
    assert "doctor" in (caught.value.hint or "")


def test_a_python_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(CannotStart, match="No such file or directory"):
        embedded.start("linux")
