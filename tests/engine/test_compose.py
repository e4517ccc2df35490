"""`%%compose`: Compose files in cells, run by the real Docker Compose on engines that speak its language."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from dockerlab import builds, compose, containers, networks, volumes
from dockerlab.client import Client
from dockerlab.errors import ComposeError, NotFound, UsageError
from dockerlab.testing.shell import Shell

_ROOT = Path(os.environ.get("DOCKERLAB_ENGINES_STATE", "/var/lib/dockerlab-engines")) / "engine28-root"
PLUGIN = _ROOT / "usr/libexec/docker/cli-plugins/docker-compose"

APP = """\
services:
  web:
    image: busybox
    command: sh -c 'mkdir /www; echo "from web" > /www/index.html; exec httpd -f -p 5000 -h /www'
    ports: ["127.0.0.1::5000"]
    stop_signal: SIGKILL
    depends_on:
      db: {condition: service_healthy}
  db:
    image: busybox
    command: sleep 1000
    stop_signal: SIGKILL
    environment: {DB_PASSWORD: do-not-show}
    healthcheck: {test: ["CMD", "true"], interval: 1s}
    volumes: ["data:/data"]
volumes: {data: {}}
"""
# Podman has health checks only where systemd runs.
UNCHECKED = APP.replace("service_healthy", "service_started").replace("    healthcheck:", "    x-healthcheck:")


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the docker command would find it."""
    if not PLUGIN.exists():
        pytest.skip("Docker Compose is not there: `make engines` brings it")
    folder = tmp_path / "docker" / "cli-plugins"
    folder.mkdir(parents=True)
    (folder / "docker-compose").symlink_to(PLUGIN)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture
def name(client: Client, prefix: str) -> Iterator[str]:
    """Of a project, which is gone afterwards."""
    yield f"{prefix}app"
    compose.down(name=f"{prefix}app", volumes=True, client=client)


@pytest.fixture
def shell(client: Client) -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


@pytest.mark.contract
def test_an_app_of_two_services_comes_up_answers_and_goes(client: Client, name: str, tmp_path: Path) -> None:
    seen: list[compose.Progress] = []
    app = compose.up(UNCHECKED, name=name, progress=seen.append, client=client)
    assert repr(app) == f"project {name}: db, web"
    assert app["web"].needs == (("db", "started"),)
    assert (app["web"].state, app["db"].state) == ("running", "running")
    assert seen[-1].rows[f"Container {name}-web-1"].word == "Started"
    assert len(seen) > len(seen[-1].rows)
    url = containers.get(app["web"].containers[0].name, client=client).url()
    with urlopen(url, timeout=30) as answer:
        assert answer.read() == b"from web\n"
    assert [one.name for one in compose.ps(name=name, client=client).services] == ["db", "web"]
    assert compose.ps(name=name, client=client)["web"].needs == (("db", "started"),)
    gone = compose.down(UNCHECKED, name=name, client=client)
    assert {f"Container {name}-web-1", f"Container {name}-db-1", f"Network {name}_default"} <= {*gone.removed}
    assert [one.name for one in volumes.ls(client=client) if one.name.startswith(name)] == [f"{name}_data"]
    assert not [one for one in networks.ls(client=client) if one.name.startswith(name)]
    compose.down(UNCHECKED, name=name, volumes=True, client=client)
    assert not [one for one in volumes.ls(client=client) if one.name.startswith(name)]
    with pytest.raises(NotFound, match="there is no project"):
        compose.ps(name=name, client=client)


def test_in_a_cell(shell: Shell, name: str) -> None:
    ran = shell.run(f"%%compose up -p {name} --wait\n{APP}")
    shown = ran.displays[-1]
    assert shown["text/plain"] == f"project {name}: db, web"
    assert "<svg" in shown["text/html"]
    assert "healthy" in shown["text/html"]
    read = shell.run(f"%%compose config -p {name}\n{APP}")
    assert read.value["services"]["db"]["environment"]["DB_PASSWORD"] == "***"
    assert "do-not-show" not in json.dumps(read.displays)
    said = shell.run(f"%%compose logs -p {name}\n{APP}")
    assert said.value is None
    assert shell.run(f"%compose ps -p {name}").value["db"].state == "healthy"
    assert f"removed container {name}-db-1" in shell.run(f"%compose down -p {name} -v").displays[-1]["text/plain"]
    with pytest.raises(UsageError, match="up wants a Compose file"):
        shell.run("%compose up")
    with pytest.raises(UsageError, match="of which project"):
        shell.run("%compose ps")


def test_logs(client: Client, name: str) -> None:
    text = "services: {talk: {image: busybox, command: echo hello from compose}}"
    compose.up(text, name=name, client=client)
    containers.wait(f"{name}-talk-1", client=client)
    assert "hello from compose" in compose.logs(text, name=name, client=client)
    assert compose.ps(text, name=name, client=client)["talk"].state == "exited 0"


def test_build_may_name_what_a_cell_built(client: Client, name: str, prefix: str) -> None:
    builds.build("FROM busybox\nCMD sleep 1000", tag=f"{prefix}cell:1", client=client)
    text = f"services:\n  app:\n    build: {prefix}cell:1\n    stop_signal: SIGKILL\n"
    app = compose.up(text, name=name, client=client)
    assert (app["app"].image, app["app"].state) == (f"{prefix}cell:1", "running")
    with pytest.raises(ComposeError, match="no-such-folder"):
        compose.up("services: {app: {build: ./no-such-folder}}", name=name, client=client)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("services:\n  web:\n    imag: busybox\n", r"services\.web", 3),
        ("services:\n  web:\n  - busybox\n", r"services\.web", 2),
        ("services:\n  web: {image: busybox\n  db: x\n", "line", None),
        ("services: {web: {image: busybox, depends_on: [none]}}", "none", None),
    ],
)
def test_a_file_that_is_wrong(client: Client, name: str, text: str, message: str, line: int | None) -> None:
    with pytest.raises(ComposeError, match=message) as caught:
        compose.up(text, name=name, client=client)
    if line is not None:
        assert caught.value.line == line
        assert f"line {line}: " in caught.value.place[0]
    assert not client.api.containers(all=True, filters={"label": f"com.docker.compose.project={name}"})


def test_a_service_that_fails_fails_the_cell(client: Client, name: str) -> None:
    text = (
        "services:\n  first: {image: busybox, command: 'false'}\n"
        "  then: {image: busybox, depends_on: {first: {condition: service_completed_successfully}}}\n"
    )
    with pytest.raises(ComposeError, match=r"didn't complete successfully: exit 1"):
        compose.up(text, name=name, client=client)
    app = compose.ps(text, name=name, client=client)
    assert (app["first"].state, app["then"].state) == ("exited 1", "created")
    assert "✕" in str(app)


def test_an_interrupt_is_passed_on(client: Client, name: str) -> None:
    """While a service is waited for that never becomes healthy."""
    check = "healthcheck: {test: ['CMD', 'false'], interval: 600s}"
    text = f"services: {{ill: {{image: busybox, stop_signal: SIGKILL, command: sleep 1000, {check}}}}}"

    def stop(progress: compose.Progress) -> None:
        if any(row.word == "Waiting" for row in progress.rows.values()):
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        compose.up(text, name=name, wait=True, progress=stop, client=client)
    assert not _running_programs()


def _running_programs() -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:  # gone meanwhile
            continue
        if "docker-compose\0" in command and f"dlt{os.getpid()}x" in command:
            found.append(command)
    return found


def test_where_there_is_no_compose(client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("dockerlab.compose.program._FOLDERS", ())
    with pytest.raises(UsageError, match="Docker Compose is not installed"):
        compose.up(APP, name="none", client=client)
