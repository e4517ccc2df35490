"""A second engine, beside the one under test: an image goes there, runs there, and nothing is left of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import dockerlab
from dockerlab import engines, standins
from dockerlab.client import Client

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
