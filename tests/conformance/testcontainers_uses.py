"""What users of testcontainers-python do with it, with busybox. Run by `testcontainers.py`, in an environment that has it."""

from __future__ import annotations

import pathlib
import urllib.request
from typing import Any

import pytest
from testcontainers.core.container import DockerContainer  # type: ignore[import-not-found]
from testcontainers.core.docker_client import DockerClient  # type: ignore[import-not-found]
from testcontainers.core.network import Network  # type: ignore[import-not-found]
from testcontainers.core.wait_strategies import (  # type: ignore[import-not-found]
    ContainerStatusWaitStrategy,
    ExecWaitStrategy,
    HealthcheckWaitStrategy,
    HttpWaitStrategy,
    LogMessageWaitStrategy,
    PortWaitStrategy,
)
from testcontainers.core.waiting_utils import wait_for_logs  # type: ignore[import-not-found]

SERVER = "mkdir -p /w; echo hello >/w/index.html; echo ready; exec httpd -f -p 5000 -h /w"


def shell(script: str) -> Any:
    return DockerContainer("busybox").with_command(["sh", "-c", script])


def fetched(url: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        data: bytes = answer.read()
    return data


def test_logs_and_exec() -> None:
    with shell("echo started; echo trouble >&2; exec sleep 60") as container:
        wait_for_logs(container, "trouble", timeout=20)
        assert container.get_logs() == (b"started\n", b"trouble\n")
        assert tuple(container.exec("echo hi")) == (0, b"hi\n")
        assert container.exec(["sh", "-c", "exit 7"])[0] == 7
        assert container.exec("nosuch")[0] == 127


def test_it_is_gone_afterwards() -> None:
    with shell("exec sleep 60") as container:
        identifier = container.get_wrapped_container().id
    found = DockerClient().client.containers.list(all=True, filters={"id": identifier})
    assert found == []


@pytest.mark.parametrize(
    "strategy", [LogMessageWaitStrategy("ready"), HttpWaitStrategy(5000, "/index.html"), PortWaitStrategy(5000)]
)
def test_a_published_port(strategy: Any) -> None:
    with shell(SERVER).with_exposed_ports(5000).waiting_for(strategy) as container:
        url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(5000)}/index.html"
        assert fetched(url) == b"hello\n"


def test_ports_that_are_chosen() -> None:
    with shell(SERVER).with_bind_ports(5000, 18642).waiting_for(LogMessageWaitStrategy("ready")) as container:
        assert int(container.get_exposed_port(5000)) == 18642
        assert fetched("http://127.0.0.1:18642/index.html") == b"hello\n"


@pytest.mark.parametrize("strategy", [ExecWaitStrategy(["test", "-e", "/there"]), ContainerStatusWaitStrategy()])
def test_other_ways_of_waiting(strategy: Any) -> None:
    with shell("sleep 1; touch /there; exec sleep 60").waiting_for(strategy) as container:
        container.reload()
        assert container.status == "running"


def test_waiting_for_health() -> None:
    check = {"test": ["CMD-SHELL", "test -e /there"], "interval": 500_000_000, "retries": 10}
    container = shell("sleep 1; touch /there; exec sleep 60").with_kwargs(healthcheck=check).waiting_for(HealthcheckWaitStrategy())
    with container:
        assert container.get_wrapped_container().attrs["State"]["Health"]["Status"] == "healthy"


def test_a_container_that_ends_while_it_is_waited_for() -> None:
    waiting = shell("echo no; exit 1").waiting_for(LogMessageWaitStrategy("never").with_startup_timeout(5))
    with pytest.raises(Exception, match=r"never|exited|not running|TimeoutError"), waiting:
        pass


def test_its_exit_code() -> None:
    with shell("exit 5") as container:
        assert container.wait() == 5


def test_environment_names_labels_user_and_folder(tmp_path: pathlib.Path) -> None:
    container = (
        shell("echo $A $(id -u); exec sleep 60")
        .with_env("A", "1")
        .with_name("conformance-named")
        .with_kwargs(labels={"l": "v"}, user="1000", working_dir="/tmp")
    )
    with container:
        wait_for_logs(container, "1 1000", timeout=20)
        wrapped = container.get_wrapped_container()
        assert (wrapped.name, wrapped.labels["l"]) == ("conformance-named", "v")
        assert container.exec("pwd")[1] == b"/tmp\n"


def test_volumes_and_tmpfs() -> None:
    container = shell("echo kept >/v/f; touch /t/f; ls /t/f; exec sleep 60").with_volume_mapping("conformance-volume", "/v", "rw")
    container = container.with_tmpfs_mount("/t", "size=1m")
    with container:
        wait_for_logs(container, "/t/f", timeout=20)
        assert container.exec("cat /v/f")[1] == b"kept\n"
    DockerClient().client.volumes.get("conformance-volume").remove()


def test_files_in_and_out(tmp_path: pathlib.Path) -> None:
    (tmp_path / "given").write_bytes(b"of a file")
    with shell("exec sleep 60") as container:
        container.copy_into_container(b"data", "/tmp/x")
        container.copy_into_container(tmp_path / "given", "/tmp/y")
        assert container.exec("cat /tmp/x /tmp/y")[1] == b"dataof a file"
        container.copy_from_container("/tmp/x", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"data"


def test_names_in_a_network() -> None:
    fetch = "until wget -q -O - http://srv:5000/; do sleep 0.2; done; exec sleep 60"
    with Network() as network:
        server = shell(SERVER).with_network(network).with_network_aliases("srv")
        with server, shell(fetch).with_network(network) as client:
            wait_for_logs(client, "hello", timeout=20)


def test_what_it_knows_of_a_container() -> None:
    client = DockerClient()
    with shell("exec sleep 60") as container:
        identifier = container.get_wrapped_container().id
        assert client.get_container(identifier)["State"] == "running"
        assert client.network_name(identifier) == "bridge"
        assert client.bridge_ip(identifier)
        assert client.gateway_ip(identifier)
        info = container.get_container_info()
        assert info.State.Running
