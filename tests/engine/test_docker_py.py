"""docker-py on every engine: containers, what it reads of them, and the errors that it makes of an engine's answers."""

from __future__ import annotations

import time
from typing import Any

import docker.errors
import pytest
from docker.types import Healthcheck, LogConfig, Mount, Ulimit

from dockerlab.client import Client
from tests.engine.docker_command import Kind, differs, until
from tests.engine.leftovers import label

pytestmark = pytest.mark.contract


# A process that has done nothing has used no processor either, where that is counted in hundredths of a second.
BUSY = "i=0; while [ $i -lt 50000 ]; do i=$((i + 1)); done"


@pytest.fixture
def containers(client: Client) -> Any:
    return client.containers


def test_run(containers: Any, prefix: str) -> None:
    assert containers.run("busybox", "echo hello", labels=label(prefix)) == b"hello\n"
    assert (
        containers.run("busybox", ["sh", "-c", "echo out; echo err >&2"], stderr=True, stdout=False, labels=label(prefix))
        == b"err\n"
    )
    lines = containers.run("busybox", ["sh", "-c", "echo 1; echo 2"], stream=True, labels=label(prefix))
    assert b"".join(lines) == b"1\n2\n"


def test_run_with_remove(containers: Any, prefix: str) -> None:
    assert containers.run("busybox", "echo hello", remove=True, name=f"{prefix}c") == b"hello\n"
    assert until(lambda: containers.list(all=True, filters={"name": prefix}) == [])


def test_run_that_fails(containers: Any, prefix: str) -> None:
    with pytest.raises(docker.errors.ContainerError) as caught:
        containers.run("busybox", ["sh", "-c", "echo said >&2; exit 3"], labels=label(prefix))
    assert (caught.value.exit_status, str(caught.value.stderr)) == (3, "b'said\\n'")


def test_run_of_what_is_not_there(containers: Any, kind: Kind, prefix: str) -> None:
    with pytest.raises(docker.errors.APIError) as caught:
        containers.run("busybox", "nosuch", name=f"{prefix}c")
    assert "executable file not found in $PATH" in str(caught.value.explanation)
    assert caught.value.status_code == (400 if kind == "docker28" else caught.value.status_code)
    with pytest.raises(docker.errors.APIError):
        containers.run(f"{prefix}image")


@pytest.mark.needs("busybox")
def test_options(containers: Any, prefix: str) -> None:
    container = containers.run(
        "busybox",
        ["sh", "-c", "echo $A $(pwd) $(id -u):$(id -g) $(hostname) $(cat /t/x 2>&1); touch /t/y"],
        environment={"A": "1"},
        working_dir="/work",
        user="1000:1001",
        hostname="its-name",
        tmpfs={"/t": "size=1m,mode=1777"},
        detach=True,
        labels=label(prefix),
    )
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"1 /work 1000:1001 its-name cat: can't open '/t/x': No such file or directory\n"
    container.reload()
    config = container.attrs["Config"]
    assert "A=1" in config["Env"]
    assert (config["WorkingDir"], config["User"], config["Hostname"]) == ("/work", "1000:1001", "its-name")
    assert container.labels["dockerlab-test"] == prefix


def test_what_is_kept_of_the_host_configuration(client: Client, kind: Kind, prefix: str) -> None:
    host: Any = client.api.create_host_config(
        mem_limit="64m",
        nano_cpus=500_000_000,
        pids_limit=100,
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 3},
        cap_add=["SYS_TIME"],
        cap_drop=["MKNOD"],
        extra_hosts={"far": "10.1.2.3"},
        dns=["10.1.1.1"],
        dns_search=["example.org"],
        init=True if kind != "podman" else None,
        read_only=True,
        shm_size="32m",
        ulimits=[Ulimit(name="nofile", soft=100, hard=200)] if kind != "podman" else None,
        log_config=LogConfig(type="json-file", config={"max-size": "1m"}),
        port_bindings={"80/tcp": ("127.0.0.1", None)},
        group_add=["1234"],
        oom_score_adj=100,
        auto_remove=False,
    )
    made = client.api.create_container("busybox", ["true"], host_config=host, ports=[80], name=f"{prefix}c", labels=label(prefix))
    found = client.api.inspect_container(made["Id"])["HostConfig"]
    assert (found["Memory"], found["NanoCpus"], found["PidsLimit"]) == (64 << 20, 500_000_000, 100)
    assert found["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert found["ExtraHosts"] == ["far:10.1.2.3"]
    assert (found["Dns"], found["DnsSearch"]) == (["10.1.1.1"], ["example.org"])
    assert found["ReadonlyRootfs"] is True
    assert found["ShmSize"] == 32 << 20
    assert found["LogConfig"]["Type"] == "json-file"
    assert found["GroupAdd"] == ["1234"]
    assert found["OomScoreAdj"] == 100
    assert list(found["PortBindings"]) == ["80/tcp"]
    if kind != "podman":  # which writes these in its own way
        assert (found["CapAdd"], found["CapDrop"]) in ((["SYS_TIME"], ["MKNOD"]), (["CAP_SYS_TIME"], ["CAP_MKNOD"]))
        assert found["Init"] is True
        assert found["Ulimits"] == [{"Name": "nofile", "Hard": 200, "Soft": 100}]
        assert found["LogConfig"]["Config"] == {"max-size": "1m"}
        assert found["PortBindings"]["80/tcp"] in (
            [{"HostIp": "127.0.0.1", "HostPort": ""}],
            [{"HostIp": "127.0.0.1", "HostPort": "0"}],
        )


def test_states(containers: Any, prefix: str) -> None:
    container = containers.create("busybox", ["sleep", "600"], name=f"{prefix}c")
    assert container.status == "created"
    container.start()
    container.reload()
    assert container.status == "running"
    assert container in containers.list(filters={"name": prefix})
    container.restart(timeout=0)
    container.stop(timeout=0)
    container.reload()
    assert container.status == "exited"
    assert container.attrs["State"]["ExitCode"] == 137
    assert containers.list(filters={"name": prefix}) == []
    assert [found.name for found in containers.list(all=True, filters={"name": prefix})] == [f"{prefix}c"]
    container.start()
    container.kill("SIGKILL")
    assert container.wait()["StatusCode"] == 137
    container.rename(f"{prefix}d")
    container.reload()
    assert container.name == f"{prefix}d"
    container.remove(v=True)
    with pytest.raises(docker.errors.NotFound):
        containers.get(f"{prefix}d")


def test_pause(containers: Any, prefix: str) -> None:
    container = containers.run("busybox", ["sleep", "600"], detach=True, name=f"{prefix}c")
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.reload()
    assert container.status == "running"


def test_wait(containers: Any, kind: Kind, prefix: str) -> None:
    container = containers.run("busybox", ["sh", "-c", "sleep 0.3; exit 3"], detach=True, name=f"{prefix}c")
    assert container.wait()["StatusCode"] == 3
    assert container.wait(condition="not-running")["StatusCode"] == 3
    if kind == "docker28":
        with pytest.raises(docker.errors.APIError) as caught:
            container.wait(condition="nonsense")
        assert caught.value.status_code == 400


def test_conflicts(containers: Any, kind: Kind, prefix: str) -> None:
    container = containers.create("busybox", ["sleep", "600"], name=f"{prefix}c")
    with pytest.raises(docker.errors.APIError) as caught:
        containers.create("busybox", name=f"{prefix}c")
    assert caught.value.status_code == 409 or kind == "podman"
    container.start()
    with pytest.raises(docker.errors.APIError) as caught:
        container.remove()
    assert caught.value.status_code == 409 or kind == "podman"
    container.start()  # 304: it is started already, and that is no error
    container.stop(timeout=0)
    container.stop()
    with pytest.raises(docker.errors.APIError) as caught:
        container.exec_run("true")
    assert caught.value.status_code == 409 or kind == "podman"
    with pytest.raises(docker.errors.APIError) as caught:
        container.kill()
    assert caught.value.status_code == 409 or kind == "podman"


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "kill", "pause", "remove_container", "logs", "top", "diff", "wait"])
def test_a_container_that_is_not_there(client: Client, kind: Kind, prefix: str, verb: str) -> None:
    if verb in ("top", "diff", "wait"):
        differs(kind, podman="does not say which, or says that it is at fault itself")
    with pytest.raises(docker.errors.NotFound) as caught:
        getattr(client.api, verb)(f"{prefix}missing")
    assert f"{prefix}missing" in str(caught.value.explanation)


def test_top_stats_and_changes(containers: Any, kind: Kind, prefix: str) -> None:
    container = containers.run("busybox", ["sh", "-c", f"touch /made; {BUSY}; exec sleep 600"], detach=True, name=f"{prefix}c")
    assert until(lambda: any("sleep 600" in " ".join(row) for row in container.top()["Processes"]))
    assert {"Path": "/made", "Kind": 1} in container.diff()
    usage = container.stats(stream=False)
    assert usage["memory_stats"].get("usage", 0) >= 0
    assert usage["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert usage["precpu_stats"]["cpu_usage"]["total_usage"] <= usage["cpu_stats"]["cpu_usage"]["total_usage"]
    assert usage["pids_stats"]["current"] == 1
    stream = container.stats(decode=True, stream=True)
    first = next(iter(stream))
    assert first["name"].strip("/") == f"{prefix}c" or kind == "podman"
    stream.close()


def test_update_and_health(containers: Any, kind: Kind, prefix: str) -> None:
    differs(kind, podman="has no update before 4.4, and no systemd here to run health checks")
    check = Healthcheck(test=["CMD", "true"], interval=200_000_000, retries=1)
    container = containers.run("busybox", ["sleep", "600"], detach=True, healthcheck=check, name=f"{prefix}c")
    assert container.update(restart_policy={"Name": "unless-stopped"}).keys() == {"Warnings"}

    def health() -> str:
        container.reload()
        return str(container.health)

    assert until(health, lambda found: found == "healthy") == "healthy"
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert container.attrs["State"]["Health"]["Log"][0]["ExitCode"] == 0


def test_mounts(client: Client, containers: Any, prefix: str) -> None:
    volume = client.volumes.create(f"{prefix}v")
    mounts = [Mount(target="/data", source=f"{prefix}v", type="volume"), Mount(target="/t", source=None, type="tmpfs")]
    container = containers.run(
        "busybox", ["sh", "-c", "echo x > /data/x; echo y > /t/y; exec sleep 600"], mounts=mounts, detach=True, name=f"{prefix}c"
    )
    found = {mount["Destination"]: mount["Type"] for mount in container.attrs["Mounts"]}
    assert found["/data"] == "volume"
    assert (
        containers.run("busybox", ["cat", "/d/x"], volumes={f"{prefix}v": {"bind": "/d", "mode": "ro"}}, labels=label(prefix))
        == b"x\n"
    )
    with pytest.raises(docker.errors.APIError) as caught:
        volume.remove()
    assert caught.value.status_code == 409


def test_commit_and_export(client: Client, containers: Any, prefix: str) -> None:
    container = containers.run("busybox", ["sh", "-c", "echo kept > /kept"], detach=True, name=f"{prefix}c")
    container.wait()
    image = container.commit(f"{prefix}image", "1", message="why", author="me", changes='CMD ["cat", "/kept"]')
    assert containers.run(image.id, labels=label(prefix)) == b"kept\n"
    assert client.images.get(f"{prefix}image:1").id == image.id
    assert b"kept\n" in b"".join(container.export())


def test_list(containers: Any, kind: Kind, prefix: str) -> None:
    for number in range(3):
        containers.create("busybox", name=f"{prefix}{number}", labels=label(prefix) | {"number": str(number)})
        time.sleep(0.01)  # the order is by the time of creation
    all_of_them = {"label": f"dockerlab-test={prefix}"}
    order = [found.name for found in containers.list(all=True, filters=all_of_them)]
    assert (sorted(order, reverse=True) if kind == "podman" else order) == [f"{prefix}{n}" for n in (2, 1, 0)]
    assert [found.name for found in containers.list(all=True, filters={"label": [f"dockerlab-test={prefix}", "number=1"]})] == [
        f"{prefix}1"
    ]
    assert [found.name for found in containers.list(all=True, filters={"id": containers.get(f"{prefix}0").id})] == [f"{prefix}0"]
    assert containers.list(filters=all_of_them) == []


def test_prune(client: Client, containers: Any, prefix: str) -> None:
    container = containers.create("busybox", labels=label(prefix))
    pruned = client.containers.prune(filters={"label": f"dockerlab-test={prefix}"})
    assert pruned["ContainersDeleted"] == [container.id]
    assert pruned["SpaceReclaimed"] >= 0
