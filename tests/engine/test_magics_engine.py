"""`%engine`, and how the extension behaves in a real kernel."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress

import nbformat
import pytest
from IPython.core.error import UsageError as NoSuchMagic
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from dockerlab.client import Client
from dockerlab.doctor import Diagnosis
from dockerlab.engines import Engine, engine
from dockerlab.errors import Conflict, NoEngine, UsageError
from dockerlab.machine import Machine, picture
from dockerlab.machine.facts import FIRST_NAMESPACES, read
from dockerlab.machine.stacks import Place
from dockerlab.testing.shell import Shell


@pytest.fixture
def shell(client: Client) -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


@pytest.mark.contract
def test_engine_shows_which_engine_answers(shell: Shell, client: Client) -> None:
    result = shell.run("%engine")
    assert isinstance(result.value, Engine)
    assert result.value.name in ("Docker Engine", "Podman", "dockerlab engine")
    assert result.value.version == client.version()["Version"]
    assert result.value.platform.startswith("linux/")
    assert result.value.image_store.endswith(("(graph driver)", "(containerd snapshotter)"))
    assert result.value.cgroup in ("1", "2") or result.value.name == "dockerlab engine"
    assert result.value.is_local
    if result.value.name == "dockerlab engine":
        assert result.value.facts["isolation"].startswith(("namespaces", "supervised"))
        assert result.value.warnings
        assert all(warning in str(result.value) for warning in result.value.warnings)
    # A saved notebook holds the same text whatever engine ran it.
    assert result.displays[-1]["text/plain"] == "an engine answers"
    assert result.value.version in str(result.value)
    assert result.value.version in result.displays[-1]["text/html"]


def test_unloaded_it_leaves_neither_magics_nor_connections(client: Client) -> None:
    before = _sockets()
    with Shell() as shell:
        shell.run("%container run --rm busybox true")
        assert _sockets() - before
        shell.run("%reload_ext dockerlab")
        assert not _sockets() - before
        assert shell.run("%container run --rm busybox echo again").stdout == "again\n"
        assert shell.complete("%container ru") == ["run"]
        shell.run("%unload_ext dockerlab")
        assert not _sockets() - before
        assert "run" not in shell.complete("%container ru")
        with pytest.raises(NoSuchMagic, match="`%container` not found"):
            shell.run("%container ls")
        shell.run("%load_ext dockerlab")
        shell.run("%container ls")
    assert not _sockets() - before


def _sockets() -> set[str]:
    """The sockets of this process, each by what the kernel calls it."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return {name for name in found if name.startswith("socket:")}


def test_use_switches_this_process_and_its_children(shell: Shell, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    url = client.endpoint.url
    monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    monkeypatch.setenv("DOCKER_HOST", url)  # so that it is as before afterwards
    monkeypatch.delenv("DOCKER_HOST")
    with pytest.raises(UsageError, match="there is no docker context 'no-such-context'"):
        shell.run("%engine")
    shell.namespace["url"] = url
    used = shell.run("%engine use {url}").value
    assert (used.url, os.environ["DOCKER_HOST"], "DOCKER_CONTEXT" in os.environ) == (url, url, False)
    assert shell.run("%engine").value.url == url
    assert shell.run("!echo $DOCKER_HOST").stdout.strip() == url


def test_an_engine_that_does_not_answer_is_not_switched_to(shell: Shell, client: Client) -> None:
    with pytest.raises(NoEngine) as caught:
        shell.run("%engine use unix:///nowhere/docker.sock")
    assert "no socket there" in caught.value.evidence[0]
    assert shell.run("%engine").value.url == client.endpoint.url
    with pytest.raises(UsageError, match="no docker context 'nowhere'"):
        shell.run("%engine use nowhere")


@pytest.mark.parametrize(
    ("info", "store", "is_rootless"),
    [
        ({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}, "overlay2 (graph driver)", False),
        (
            {
                "Driver": "overlayfs",
                "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
                "SecurityOptions": ["name=rootless"],
            },
            "overlayfs (containerd snapshotter)",
            True,
        ),
        ({"Driver": "overlay", "DriverStatus": None, "Rootless": True}, "overlay (graph driver)", True),
    ],
)
def test_what_an_engine_is_made_of(client: Client, info: dict[str, object], store: str, is_rootless: bool) -> None:
    found = engine(client, {"Version": "1", "Components": [{"Name": "Other"}]}, info)
    assert (found.title, found.image_store, found.is_rootless) == ("Other 1", store, is_rootless)


def test_doctor(shell: Shell, client: Client) -> None:
    result = shell.run("%engine doctor")
    assert isinstance(result.value, Diagnosis)
    assert result.value.can_run
    assert client.endpoint.url in str(result.value)
    assert result.displays[-1]["text/plain"] == "this machine was examined"
    assert client.endpoint.url in result.displays[-1]["text/html"]


QUIET = """\
import sys
before = set(sys.modules)
%load_ext dockerlab
new = set(sys.modules) - before
assert not new & {"docker", "requests", "urllib3"}, new
"""


def test_in_a_kernel_a_failing_cell_shows_our_message_and_fails(client: Client) -> None:
    cells = [QUIET, "%container run --rm busybox sh -c 'echo said; exit 3'", "raise SystemError('must not run')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.raises(CellExecutionError) as caught:
        NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    assert caught.value.ename == "CommandError"
    quiet, failed, never = (cell.outputs for cell in notebook.cells)
    assert quiet == never == []
    assert [output.output_type for output in failed] == ["stream", "error"]
    assert failed[0].text == "said\n"
    assert failed[1].evalue == "the command in busybox ended with exit code 3"
    text = "\n".join(failed[1].traceback)
    assert failed[1].evalue in text
    assert "Traceback" not in text
    assert "File " not in text


@pytest.mark.contract
def test_the_machine_is_drawn(shell: Shell, client: Client) -> None:
    result = shell.run("%engine picture")
    machine = result.value
    assert isinstance(machine, Machine)
    # The tests' engines are on the machine that the tests run on.
    assert machine.place is Place.HERE
    of = {layer.kind: layer.boxes[0] for layer in machine.containers.layers}
    assert platform.release() in of["kernel"].name
    assert client.version()["Version"] in of["engine"].name
    assert ("outer" in of) == (client.info()["OperatingSystem"] == "dockerlab stand-in for python:3.10"), "in the pod"
    assert result.displays[-1]["text/plain"] == "from the hardware to the program"
    assert of["kernel"].name in result.displays[-1]["text/html"]


@pytest.mark.contract
def test_the_machine_is_drawn_with_the_containers_that_are_named(shell: Shell, client: Client) -> None:
    named, other = (
        client.containers.run("busybox", ["sleep", "60"], name=f"picture-{name}", detach=True) for name in ("named", "other")
    )
    try:
        machine = shell.run("%engine picture picture-named").value
        assert isinstance(machine, Machine)
        drawn = next(layer.boxes for layer in machine.containers.layers if layer.kind == "container")
        assert [box.name for box in drawn] == ["picture-named"]
        assert "picture-other" not in machine.chain
        other.kill()
        with pytest.raises(Conflict, match="picture-other"):
            picture("picture-other", client=client)
    finally:
        named.remove(force=True)
        other.remove(force=True)


@pytest.mark.contract
def test_what_runs_in_a_container_can_tell(client: Client) -> None:
    # By which a notebook that runs in a pod knows it. The same numbers on every Linux, and for every process that is not contained.
    said = client.containers.run("busybox", ["sh", "-c", "readlink /proc/self/ns/pid; readlink /proc/self/ns/uts"], remove=True)
    assert said.decode().split() != [f"{name}:[{number}]" for name, number in FIRST_NAMESPACES.items()]
    assert read().is_contained is False
