"""`docker exec`, `docker cp` and `docker diff`."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.engine.docker_command import Docker, Result, until

pytestmark = pytest.mark.contract


def test_output_is_told_apart_and_the_exit_code_is_the_commands(docker: Docker, box: str) -> None:
    assert docker(f"exec {box} sh -c 'echo out; echo err >&2; exit 3'") == Result(3, "out\n", "err\n")


@pytest.mark.parametrize(("killed_by", "code"), [("KILL", 137), ("TERM", 143)])
def test_a_signals_exit_code(docker: Docker, box: str, killed_by: str, code: int) -> None:
    docker.fails(f"exec {box} sh -c 'kill -{killed_by} $$'", code=code)


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("BOX nosuch", 127, 'exec: "nosuch": executable file not found in $PATH'),
        ("BOX /etc", 126, "permission denied"),
        ("-w /nosuch BOX pwd", 127, 'chdir to cwd ("/nosuch") set in config.json failed: no such file or directory'),
    ],
)
def test_what_cannot_be_executed(docker: Docker, box: str, command: str, code: int, text: str) -> None:
    result = docker(f"exec {command.replace('BOX', box)}")
    if docker.kind == "docker28":
        assert (result.code, text in result.out + result.err) == (code, True), result
    else:
        assert result.code in (1, 126, 127), result  # older engines take one for the other


def test_a_user_that_is_not_there(docker: Docker, box: str) -> None:
    result = docker(f"exec -u nosuch {box} id")
    # Docker 28 and ours look the user up when the exec is created, others when it is started.
    assert result.code in ((1,) if docker.kind == "docker28" else (1, 126, 127))
    assert docker.kind == "podman" or "unable to find user nosuch: no matching entries in passwd file" in result.out + result.err


def test_environment_folder_and_user(docker: Docker, box: str) -> None:
    result = docker(f"exec -e A=1 -w /tmp -u 1000:1001 {box} sh -c", "echo $A; pwd; id -u; id -g; echo $PATH")
    assert result == Result(0, "1\n/tmp\n1000\n1001\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", "")


def test_input(docker: Docker, box: str) -> None:
    megabyte = "0123456789abcde\n" * 65536
    assert docker(f"exec -i {box} cat", input=megabyte) == Result(0, megabyte, "")
    assert docker(f"exec {box} wc -c", input="not for it") == Result(0, "0\n", "")


def test_detached(docker: Docker, box: str) -> None:
    assert docker(f"exec -d {box} sh -c", "sleep 0.1; touch /tmp/detached") == Result(0, "", "")
    assert until(lambda: docker(f"exec {box} test -e /tmp/detached").code == 0)


def test_processes_of_one_container_see_each_other(docker: Docker, box: str) -> None:
    docker.ok(f"exec -d {box} sleep 611")
    assert until(lambda: "sleep 611" in docker.ok(f"top {box}"))
    docker.ok(f"exec {box} sh -c", "kill $(ps | grep 'sleep 61[1]' | awk '{print $1}')")
    assert until(lambda: "sleep 611" not in docker.ok(f"top {box}"))


def test_copy_a_file_both_ways(docker: Docker, box: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("content")
    os.chmod(tmp_path / "in", 0o640)
    assert docker.ok(f"cp -q {tmp_path}/in {box}:/tmp") == ""
    docker.ok(f"cp {tmp_path}/in {box}:/tmp/named")
    assert docker.ok(f"exec {box} sh -c 'cat /tmp/in /tmp/named; stat -c %a /tmp/named'") == "contentcontent640"
    docker.ok(f"cp {box}:/tmp/named {tmp_path}/out")
    assert (tmp_path / "out").read_text() == "content"
    assert os.stat(tmp_path / "out").st_mode & 0o777 == 0o640


def test_copy_folders_both_ways(docker: Docker, box: str, tmp_path: Path) -> None:
    (tmp_path / "folder/sub").mkdir(parents=True)
    (tmp_path / "folder/a").write_text("1")
    (tmp_path / "folder/sub/b").write_text("2")
    (tmp_path / "folder/link").symlink_to("a")
    docker.ok(f"cp {tmp_path}/folder {box}:/new")  # there is no /new: it gets the contents
    docker.ok(f"cp {tmp_path}/folder {box}:/new")  # now there is one: it gets the folder
    docker.ok(f"cp {tmp_path}/folder/. {box}:/new/dot/")
    found = docker.ok(f"exec {box} find /new -type f -o -type l").splitlines()
    assert sorted(found) == sorted(f"/new/{there}{name}" for there in ("", "folder/", "dot/") for name in ("a", "link", "sub/b"))
    docker.ok(f"cp {box}:/new {tmp_path}/out")
    assert (tmp_path / "out/folder/sub/b").read_text() == "2"
    assert os.readlink(tmp_path / "out/dot/link") == "a"


def test_copy_archives(docker: Docker, box: str, tmp_path: Path) -> None:
    (tmp_path / "member").write_text("of an archive")
    archive = subprocess.run(["tar", "-C", tmp_path, "-cf", "-", "member"], capture_output=True, check=True).stdout
    docker.ok(f"cp - {box}:/tmp", input=archive)
    assert docker.ok(f"exec {box} cat /tmp/member") == "of an archive"
    done = subprocess.run(docker.argv(f"cp {box}:/tmp/member -"), capture_output=True, env=docker.environment, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as back:
        assert back.getnames() == ["member"]


def test_copy_what_is_not_there(docker: Docker, box: str, tmp_path: Path) -> None:
    docker.fails(f"cp {box}:/nosuch {tmp_path}", text=f"Could not find the file /nosuch in container {box}")
    docker.fails(f"cp {tmp_path}/nosuch {box}:/", text="no such file or directory")
    if docker.kind != "podman":
        docker.fails(f"cp {tmp_path} {box}:/no/such/place")


def test_copy_with_a_container_that_does_not_run(docker: Docker, tmp_path: Path) -> None:
    name = docker.name()
    docker.ok(f"create --name {name} busybox cat /put/there")
    (tmp_path / "put").mkdir()
    (tmp_path / "put/there").write_text("before the start")
    docker.ok(f"cp {tmp_path}/put {name}:/")
    assert docker.ok(f"start -a {name}") == "before the start"
    docker.ok(f"cp {name}:/put/there {tmp_path}/back")
    assert (tmp_path / "back").read_text() == "before the start"


def test_changes(docker: Docker) -> None:
    name = docker.name()
    docker.ok(f"run --name {name} busybox sh -c", "echo x > /added; mkdir /made; echo y > /made/in; rm /etc/group")
    shown = docker.ok(f"diff {name}").splitlines()
    assert sorted(shown) == ["A /added", "A /made", "A /made/in", "C /etc", "D /etc/group"]
    docker.ok(f"create --name {docker.name('untouched')} busybox")
    assert docker.ok(f"diff {docker.name('untouched')}") == ""
