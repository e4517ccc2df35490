"""A second engine, beside the one under test: an image goes there, runs there, and nothing is left of it, be its kernel killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

import dockerlab
from dockerlab import engines, standins
from dockerlab.client import Client
from tests.embedded.rungs import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="our own engine runs on Linux only")


def test_an_image_goes_to_a_second_engine_and_runs_there(client: Client) -> None:
    standins.prepare("busybox", client=client)
    there = os.environ.get("DOCKER_HOST")
    with engines.second() as server:
        folder = Path(str(server.client.endpoint.url).removeprefix("unix://")).parents[1]
        assert server.client.images.list() == []
        assert server.client.endpoint.url != client.endpoint.url
        image = client.images.get("busybox")
        server.client.images.load(b"".join(image.save(named=True)))
        assert server.client.images.get("busybox").attrs["RootFS"]["Layers"] == image.attrs["RootFS"]["Layers"]
        container = dockerlab.run("busybox", ["sleep", "60"], detach=True, name="second-engine", client=server.client)
        assert container is not None
        assert [one.name for one in server.client.containers.list()] == ["second-engine"]
        assert not client.containers.list(filters={"name": "second-engine"})
        with pytest.raises(dockerlab.errors.CommandError):
            dockerlab.containers.exec(container, ["sh", "-c", "mkdir -m 0 /closed; exit 3"], client=server.client)
    assert not folder.exists()
    server.stop()
    assert os.environ.get("DOCKER_HOST") == there


# A cell that leaves a container which hears no signal, and a folder that nobody may enter.
CELL = """
import json, os, dockerlab, dockerlab.standins
server = dockerlab.engines.second()
dockerlab.standins.prepare("busybox", client=server.client)
busy = dockerlab.run("busybox", ["sh", "-c", "mkdir -m 0 /closed; exec sleep 600"], detach=True, client=server.client)
pid = server.client.api.inspect_container(busy.id)["State"]["Pid"]
print(json.dumps({"kernel": os.getpid(), "url": server.client.endpoint.url, "container": pid}))
"""


def _pids_of(folder: Path) -> list[int]:
    """The processes that were told of a folder: an engine, and the monitors of its containers."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and os.fsencode(folder) in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


def test_nothing_of_it_is_left_where_its_kernel_is_killed(client: Client) -> None:
    manager, kernel = start_new_kernel(kernel_name="python3")
    printed: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        printed.append(message["content"].get("text", "") or "\n".join(message["content"].get("traceback", ())))

    try:
        kernel.execute_interactive(CELL, output_hook=hear)
        said = json.loads("".join(printed))
        folder = Path(said["url"].removeprefix("unix://")).parents[1]
        assert _pids_of(folder)
        os.kill(said["kernel"], signal.SIGKILL)
        eventually(lambda: not folder.exists())
        eventually(lambda: not _pids_of(folder) and not Path(f"/proc/{said['container']}").exists())
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
