"""What the doctor says about what was found. What is tried for real is tried once; the lacks are made up."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from dockerlab import doctor, embedded
from dockerlab.doctor import Diagnosis
from dockerlab.endpoints import Endpoint
from dockerlab.faces.doctor import Finding

WORKS = {"namespaces": "", "proc": "", "overlay": "", "supervisor": ""}


def own(
    monkeypatch: pytest.MonkeyPatch, findings: Mapping[str, str], isolation: str, root: Path, is_root: bool = False
) -> dict[str, Finding]:
    report = {
        "isolation": isolation,
        "rootfs": "overlay",
        "is_root": is_root,
        "own_pids": not findings["proc"],
        "findings": findings,
    }

    def run(words: Any) -> subprocess.CompletedProcess[str]:
        assert words == ["probe"]
        return subprocess.CompletedProcess(words, 0, json.dumps(report | {"root": str(root), "host": ""}), "")

    monkeypatch.setattr(embedded, "run", run)
    return {finding.name: finding for finding in doctor._own("linux")}


def settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    monkeypatch.setattr(doctor, "_setting", lambda name: values.get(name.rpartition("/")[2], ""))


def test_where_all_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = own(monkeypatch, WORKS, "namespaces", tmp_path / "not" / "yet")
    assert found.pop("disk").said.endswith(f"free at {tmp_path}/not/yet")
    assert all(finding.works for finding in found.values())
    assert found[embedded.NAME].said == "runs containers in namespaces on an overlay, without root"


@pytest.mark.parametrize(
    ("values", "command"),
    [
        ({"unprivileged_userns_clone": "0"}, "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ({"apparmor_restrict_unprivileged_userns": "1"}, "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
        ({"max_user_namespaces": "0"}, "sudo sysctl -w user.max_user_namespaces=15000"),
        ({}, "in a container: start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"),
    ],
)
def test_a_lack_of_namespaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, values: dict[str, str], command: str) -> None:
    settings(monkeypatch, **values)
    refused = "[Errno 1] unshare: Operation not permitted"
    found = own(monkeypatch, WORKS | {"namespaces": refused, "proc": refused, "overlay": refused}, "supervised", tmp_path)
    lack = found["namespaces and mounts"]
    assert (lack.works, lack.said, lack.mend) == (False, "unshare: Operation not permitted", command)
    assert "supervised" in lack.cost
    assert found[embedded.NAME].works
    # What was not tried is not called missing.
    assert not {"overlay mounts", "a /proc of their own"} & found.keys()


def test_root_in_a_container_lacks_a_capability_whatever_the_settings_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings(monkeypatch, unprivileged_userns_clone="0")
    found = own(monkeypatch, WORKS | dict.fromkeys(("namespaces", "proc", "overlay"), "no"), "supervised", tmp_path, is_root=True)
    assert "--cap-add SYS_ADMIN" in found["namespaces and mounts"].mend


@pytest.mark.parametrize(
    ("reason", "mend"), [("No space left on device", "dockerlab engine prune"), ("Invalid argument", "export DOCK")]
)
def test_a_lack_of_overlays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: str, mend: str) -> None:
    found = own(monkeypatch, WORKS | {"overlay": reason}, "supervised", tmp_path)
    assert found["overlay mounts"].mend.startswith(mend)
    assert found["a /proc of their own"].works
    assert "DOCKERLAB_ENGINE_ISOLATION" not in found[embedded.NAME].said


def test_a_supervisor_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "as DOCKERLAB_ENGINE_ISOLATION asks" in own(monkeypatch, WORKS, "supervised", tmp_path)[embedded.NAME].said


@pytest.mark.parametrize(
    ("scope", "mend"), [("2", "sudo sysctl -w kernel.yama.ptrace_scope=1"), ("3", "restart"), ("1", "--cap-add SYS_PTRACE")]
)
def test_a_lack_of_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scope: str, mend: str) -> None:
    settings(monkeypatch, ptrace_scope=scope)
    found = own(monkeypatch, WORKS | {"namespaces": "no", "proc": "no", "overlay": "no", "supervisor": "neither"}, "", tmp_path)
    assert not Diagnosis(tuple(found.values())).can_run
    assert found["ptrace and seccomp"].cost == "no container can run"
    assert mend in found["ptrace and seccomp"].mend


def test_an_engine_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        embedded, "run", lambda words: subprocess.CompletedProcess(words, 1, "", "Traceback\nImportError: no h11\n")
    )
    [finding] = doctor._own("linux")
    assert (finding.works, finding.said) == (False, "ImportError: no h11")


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_than_on_linux(platform: str) -> None:
    [finding] = doctor._own(platform)
    assert (finding.name, finding.works) == (embedded.NAME, False)
    assert "Linux kernel" in finding.said


@pytest.mark.parametrize(
    ("answer", "works", "said"),
    [
        (401, True, "registry-1.docker.io answers"),
        (503, False, "registry-1.docker.io answers with HTTP status 503"),
        (requests.exceptions.ConnectTimeout(), False, "registry-1.docker.io does not answer within 5 s"),
        (requests.exceptions.SSLError(), False, "registry-1.docker.io is reached, but its certificate is not trusted here"),
        (requests.exceptions.ConnectionError(), False, "registry-1.docker.io is not reached from here"),
    ],
)
def test_the_registry(monkeypatch: pytest.MonkeyPatch, answer: int | Exception, works: bool, said: str) -> None:
    def get(url: str, timeout: float) -> requests.Response:
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code = answer
        return response

    monkeypatch.setattr(requests, "get", get)
    finding = doctor._registry()
    assert (finding.works, finding.said) == (works, said)


def test_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lack = doctor._dot()
    assert (lack.works, lack.said, lack.mend) == (False, "no such command", "see https://graphviz.org/download")
    for manager, command in (("brew", "brew install graphviz"), ("apt-get", "sudo apt-get install graphviz")):
        (tmp_path / manager).touch(mode=0o755)
        assert doctor._dot().mend == command
    (tmp_path / "dot").write_text("#!/bin/sh\necho 'dot - graphviz version 2.43.0 (0)' >&2\n")
    (tmp_path / "dot").chmod(0o755)
    assert doctor._dot().said == "dot - graphviz version 2.43.0 (0)"


@pytest.mark.skipif(sys.platform != "linux", reason="sockets have other places there")
def test_engines_that_are_there_and_do_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as unheard:
        unheard.bind(str(path))
    [finding] = doctor._engines({"DOCKER_HOST": f"unix://{path}"})
    assert not finding.works
    assert finding.said == f"unix://{path}  (DOCKER_HOST): refused: nothing listens there"
    assert "not running" in finding.mend
    assert "`%engine use embedded`" in finding.mend


@pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux only")
def test_a_socket_that_our_own_engine_left_is_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unheard:
        unheard.bind(str(tmp_path / "engine.sock"))
    monkeypatch.setattr(
        "dockerlab.endpoints.usual_sockets",
        lambda *_: [Endpoint(f"unix://{tmp_path}/{name}.sock", name) for name in ("engine", "x")],
    )
    [finding] = doctor._engines({"DOCKERLAB_ENGINE_RUNTIME": str(tmp_path), "HOME": str(tmp_path)})
    assert finding.said == "no socket at any of the usual places"


def test_a_context_that_is_not_there() -> None:
    [finding] = doctor._engines({"DOCKER_CONTEXT": "no-such-context"})
    assert (finding.works, finding.said) == (False, "there is no docker context 'no-such-context'")


def test_faces() -> None:
    diagnosis = Diagnosis(
        (Finding("<b>", False, "a & b", "all of it", "mend <it>"), Finding("dot", True, "2.43", "unused", "unused"))
    )
    assert repr(diagnosis) == "this machine was examined"
    assert str(diagnosis) == "✗ <b>  a & b\n    costs: all of it\n    → mend <it>\n✓ dot  2.43"
    html = diagnosis._repr_html_()
    assert "&lt;b&gt;" in html
    assert "mend &lt;it&gt;" in html
    assert "unused" not in html
    assert "1 of 2 missing" in html


@pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux only")
def test_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKERLAB_ENGINE_ROOT", str(tmp_path))
    monkeypatch.setattr(doctor, "_registry", lambda: Finding("registry", False, "not asked"))
    names = [finding.name for finding in doctor.examine().findings]
    assert {"an engine", embedded.NAME, "namespaces and mounts", "disk", "registry", "dot"} <= set(names)
    assert not list(tmp_path.glob("engine*")), "no engine was started"
