"""`docker volume`, and what `-v`, `--mount` and `--tmpfs` put into a container."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.docker_command import Docker, Result

pytestmark = pytest.mark.contract


def test_create_ls_inspect_rm(docker: Docker) -> None:
    name = docker.name("volume")
    assert docker.ok(f"volume create --label a=b {name}") == name
    assert docker.ok(f"volume create {name}") == name, "it is there already, and that is no error"
    assert docker.ok(f"volume ls -q --filter name={name}") == name
    assert docker.ok(f"volume ls -q --filter label=a=b --filter name={docker.prefix}") == name
    assert docker.ok(f"volume ls -q --filter label=a=c --filter name={docker.prefix}") == "" or docker.kind == "podman"
    (found,) = json.loads(docker.ok(f"volume inspect {name}"))
    assert (found["Name"], found["Driver"], found["Scope"], found["Labels"]) == (name, "local", "local", {"a": "b"})
    assert docker.ok(f"volume rm {name}") == name
    docker.fails(f"volume inspect {name}", text=f"get {name}: no such volume")
    docker.fails(f"volume rm {name}", text=f"get {name}: no such volume")


def test_names(docker: Docker) -> None:
    generated = docker.ok(f"volume create --label {docker.label}")
    assert len(generated) == 64
    docker.ok(f"volume rm {generated}")
    docker.fails("volume create b/ad", text='create b/ad: "b/ad" includes invalid characters for a local volume name')


def test_shared_and_kept(docker: Docker) -> None:
    volume, one = docker.name("volume"), docker.name("one")
    docker.ok(f"run -d --name {one} -v {volume}:/data busybox sleep 60")
    docker.ok(f"run --rm --mount type=volume,src={volume},dst=/other busybox sh -c", "echo shared > /other/file")
    assert docker.ok(f"exec {one} cat /data/file") == "shared"
    assert docker.ok(f"run --rm --volumes-from {one} busybox cat /data/file") == "shared"
    docker.fails(f"volume rm {volume}", text=f"remove {volume}: volume is in use - [")
    docker.ok(f"rm -f -v {one}")
    assert docker.ok(f"run --rm -v {volume}:/data busybox cat /data/file") == "shared", "-v removes those without a name only"
    assert docker.ok(f"ps -aq --filter volume={volume}") == ""


def test_read_only(docker: Docker) -> None:
    volume = docker.name("volume")
    result = docker(f"run -v {volume}:/data:ro busybox touch /data/file")
    assert (result.code, result.err) == (1, "touch: /data/file: Read-only file system\n")


def test_a_new_volume_begins_with_what_the_image_has_there(docker: Docker) -> None:
    volume = docker.name("volume")
    assert "passwd" in docker.ok(f"run --rm -v {volume}:/etc busybox ls /etc").split()
    assert "passwd" in docker.ok(f"run --rm -v {volume}:/other busybox ls /other").split()


def test_a_volume_without_a_name(docker: Docker) -> None:
    name = docker.name()
    docker.ok(f"run --name {name} -v /data busybox sh -c", "echo x > /data/x")
    volume = docker.inspect(name, "{{(index .Mounts 0).Name}}")
    assert (
        docker.inspect(name, "{{(index .Mounts 0).Type}} {{(index .Mounts 0).Destination}} {{(index .Mounts 0).RW}}")
        == "volume /data true"
    )
    assert docker.ok(f"volume ls -q --filter name={volume}") == volume
    docker.ok(f"rm -v {name}")
    assert docker.ok(f"volume ls -q --filter name={volume}") == ""


def test_rm_with_its_container(docker: Docker) -> None:
    name = docker.name("kept")
    docker.ok(f"run --name {name} -v /data busybox true")
    volume = docker.inspect(name, "{{(index .Mounts 0).Name}}")
    docker.ok(f"rm {name}")
    assert docker.ok(f"volume rm {volume}") == volume, "without -v it stays"


def test_folders_and_files_of_the_host(docker: Docker, shared: Path) -> None:
    (shared / "file").write_text("from the host")
    (shared / "file").chmod(0o666)
    script = "cat /f; cat /d/file; echo back > /d/new; echo more >> /f"
    assert docker(f"run --rm -v {shared}/file:/f -v {shared}:/d busybox sh -c", script) == Result(0, "from the host" * 2, "")
    assert (shared / "new").read_text() == "back\n"
    assert (shared / "file").read_text() == "from the hostmore\n"
    result = docker(f"run --mount type=bind,src={shared},dst=/d,readonly busybox touch /d/file")
    assert (result.code, result.err) == (1, "touch: /d/file: Read-only file system\n")


def test_a_folder_that_is_not_there(docker: Docker, shared: Path) -> None:
    docker.ok(f"run --rm -v {shared}/made:/d busybox touch /d/x")
    assert (shared / "made/x").exists()
    if docker.kind == "docker28":  # to older engines the command says it otherwise, as it does for -v
        docker.fails(
            f"run --mount type=bind,src={shared}/none,dst=/d busybox true",
            code=125,
            text=f'invalid mount config for type "bind": bind source path does not exist: {shared}/none',
        )


@pytest.mark.needs("mounts")
def test_tmpfs(docker: Docker) -> None:
    script = "stat -f -c %T /t; dd if=/dev/zero of=/t/x bs=1k count=2000 2>&1 | tail -n 1; stat -c %a /t"
    assert docker("run --rm --tmpfs /t:size=1m,mode=700 busybox sh -c", script).lines == ["tmpfs", "1024+0 records out", "700"]


def test_prune(docker: Docker) -> None:
    name, used = docker.name("free"), docker.name("used")
    docker.ok(f"volume create --label {docker.label} {name}")
    docker.ok(f"volume create --label {docker.label} {used}")
    docker.ok(f"create --name {docker.name()} -v {used}:/data busybox")
    every = "" if docker.kind != "docker28" else "-a"  # before 1.42 those with names were pruned too
    shown = docker.ok(f"volume prune -f {every} --filter label={docker.label}").splitlines()
    assert shown[:2] == ["Deleted Volumes:", name]
    assert docker.ok(f"volume ls -q --filter name={docker.prefix}") == used
