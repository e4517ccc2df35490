"""A container's process on the engine's host, held against what the process itself and the kernel say; another system's container."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerlab import containers, machine
from dockerlab.client import Client
from dockerlab.containers import Container
from dockerlab.errors import Conflict, EngineError
from dockerlab.machine import processes
from dockerlab.machine.stacks import Place
from dockerlab.testing.shell import Shell
from tests.engine.test_containers import IMAGE, Kept, exists, name, running

pytestmark = pytest.mark.contract


def test_a_container_is_a_process_of_the_host(client: Client) -> None:
    with running(client, "sleep", "4321", name=name("process")) as container:
        found = machine.process(container, client=client)
        assert found.pid == container.client.api.inspect_container(container.id)["State"]["Pid"]
        assert found.memory > 0
        if found.place is Place.HERE:
            assert found.pid_here is not None
            assert "sleep 4321" in found.command
            assert Path(f"/proc/{found.pid_here}/cmdline").read_bytes() == b"sleep\x004321\x00"
        ours = _inside(container)
        assert {one.name: one.inside for one in found.namespaces} == ours
        supervised = found.isolation == "supervised"
        assert found.namespace("pid").is_own is not supervised
        assert found.namespace("mnt").is_own is not supervised
        assert found.pid_inside == (found.pid if supervised else 1)
        assert str(found.pid) in str(found)
        assert ("supervisor" in str(found)) is supervised
        assert repr(found) == f"the process of container {container.name} (busybox)"


def _inside(container: Container) -> dict[str, int]:
    kept = Kept()
    script = "for name in pid mnt net uts ipc user; do readlink /proc/self/ns/$name; done"
    containers.exec(container, ["sh", "-c", script], output=kept, client=container.client)
    pairs = (line.partition(":") for line in kept.of(1).decode().split())
    return {name: int(number.strip("[]")) for name, _, number in pairs}


def test_the_magic_shows_it(client: Client) -> None:
    with running(client, "sleep", "4321", name=name("shown")) as container, Shell() as shell:
        shown = shell.run(f"%container process {container.name}").value
        assert isinstance(shown, machine.Process)
        assert "namespace" in shown._repr_html_()


def test_one_that_has_ended_has_no_process(client: Client) -> None:
    with running(client, "true", name=name("ended")) as container:
        containers.wait(container, client=client)
        with pytest.raises(Conflict, match="is not running"):
            machine.process(container, client=client)


def test_what_may_not_be_read_here_is_asked_for_inside(client: Client) -> None:
    with running(client, "sleep", "4321", name=name("asked")) as container:
        found = machine.process(container, client=client)
        assert processes.asked(container) == {one.name: one.inside for one in found.namespaces}


@pytest.mark.parametrize("platform", ["windows/amd64", "Windows"])
def test_a_container_of_another_system(client: Client, platform: str) -> None:
    called = name("windows")
    message = "a Windows container cannot run here: the kernel beneath this engine is Linux"
    with pytest.raises(EngineError, match=message):
        containers.run(IMAGE, ["true"], platform=platform, name=called, client=client)
    assert not exists(client, called)
