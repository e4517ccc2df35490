"""Steps of a build that mean no good: mounts where none may be or through links that lead out, caches, commands that do
what they should not. The host and the engine are as they were, and nothing runs on."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.embedded.builds import GROWTH, Files, build, building, until
from tests.embedded.rungs import OwnEngine, eventually, resident


@pytest.fixture
def own(revived: OwnEngine) -> OwnEngine:
    """Nothing may be left."""
    return revived


# Hostile mounts


@pytest.mark.parametrize("kind", ["bind", "cache", "tmpfs"])
@pytest.mark.parametrize("target", ["/", "../..", "/proc", "/proc/1", "/proc/self/fd", "/root-link", "/proc-link", "/.dockerenv"])
def test_a_mount_where_none_may_be(own: OwnEngine, kind: str, target: str) -> None:
    """What is mounted over the root would show the host's at `/..`."""
    text = f"FROM busybox\nRUN ln -s ../.. /root-link; ln -s /proc /proc-link\nRUN --mount=type={kind},target={target} ls /..\n"
    built = build(own.client, text)
    assert "mount" in built.error or "exists" in built.error
    assert built.error.count("mount destination") <= 1
    if target == "/root-link":
        assert "which is /: that is the root of the image itself" in built.error


def test_a_volume_of_an_image_that_would_lie_over_the_root(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nRUN ln -s / /l\nVOLUME /l\n")
    reply = own.client.post("/containers/create", {"Image": built.image, "Cmd": ["ls", "/.."]})
    if reply.status == 201:
        reply = own.client.post(f"/containers/{reply.json()['Id']}/start")
    assert reply.status >= 400
    assert "where nothing can be mounted" in reply.json()["message"]


def test_a_mount_through_a_link_stays_in_the_image(own: OwnEngine, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    text = f"FROM busybox\nRUN mkdir -p {tmp_path}; ln -s {tmp_path} /l\n"
    text += f"RUN --mount=type=cache,target=/l/in touch /l/in/x; ls {tmp_path}/in\n"
    built = build(own.client, text)
    assert "\nx\n" in built.log
    assert not [*tmp_path.iterdir()]
    assert not [name for name in Files(own.client, built.image).entries if name.endswith("/in")]


def test_a_command_that_puts_a_link_in_the_place_of_a_mount_removes_nothing_of_the_host(own: OwnEngine, tmp_path: Path) -> None:
    """What the engine made for something to be mounted at is removed after the command, wherever it leads."""
    tmp_path.chmod(0o777)
    os.chown(tmp_path, own.uid, own.uid)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    swap = f"mv /deep/in /deep/old; ln -s {tmp_path} /deep/in"
    assert build(own.client, f"FROM busybox\nRUN --mount=type=bind,target=/deep/in/folder {swap}\n").log
    assert build(own.client, f"FROM busybox\nRUN --mount=type=bind,source=f,target=/deep/in/file {swap}\n", {"f": "x"}).log
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_caches_that_are_locked_twice_and_crosswise(own: OwnEngine) -> None:
    mount = "--mount=type=cache,target=/{0},id={1},sharing=locked"
    twice = f"FROM busybox\nRUN {mount.format('a', 'x')} {mount.format('b', 'x')} touch /a/1; ls /b\n"
    assert "\n1\n" in build(own.client, twice).log
    one, two = mount.format("a", "x"), mount.format("b", "y")
    stages = f"FROM busybox AS s1\nRUN {one} {two} sleep 0.2\nFROM busybox AS s2\nRUN {two} {one} sleep 0.2\n"
    copies = "FROM busybox\nCOPY --from=s1 /bin/true /1\nCOPY --from=s2 /bin/true /2\n"
    for _ in range(3):
        assert build(own.client, stages + copies, nocache=True).image


def test_a_cache_that_is_deep(own: OwnEngine) -> None:
    depth = 200 if "supervised" in str(own.environment) else 1200  # there every step down costs as much as all before it
    deep = f"i=0; while [ $i -lt {depth} ]; do mkdir d && cd d; i=$((i+1)); done; touch end"
    assert build(own.client, f"FROM busybox\nRUN --mount=type=cache,target=/c cd /c; {deep}\n").image
    assert own.client.get("/system/df")
    assert own.client.post("/build/prune").json()["CachesDeleted"]


# Hostile commands


def test_a_command_that_prints_without_end_while_nobody_reads(own: OwnEngine) -> None:
    before = resident(own.pid)
    with building(own.client, "FROM busybox\nRUN yes 'a line of forty bytes, more or less, yes'\n", nocache=True) as talk:
        until(talk, b'"a line of forty')  # not the step's own text, which comes before there is a container
        for _ in range(10):
            time.sleep(0.1)
            assert resident(own.pid) - before < 2 * GROWTH
            assert own.client.get("/info")["ContainersRunning"] == 1
    eventually(lambda: not own.client.get("/containers/json", all=1), "its container runs on")


def test_what_a_command_prints_may_be_anything(own: OwnEngine) -> None:
    text = r"""FROM busybox
RUN printf 'a\377\376b\033[31m\0\r\n'; head -c 300000 /dev/zero | tr '\0' x; echo; printf '\303'; sleep 0.1; printf '\244'
"""
    built = build(own.client, text)
    assert "a\ufffd\ufffdb\x1b[31m\0\r\n" in built.log
    assert "x" * 1000 in built.log
    assert built.log.count("x") >= 300_000
    assert "\u00e4" in built.log


def test_a_command_whose_children_outlive_it(own: OwnEngine) -> None:
    children = "for i in 1 2 3; do (setsid sleep 1234 &) ; sleep 1234 & done"
    assert build(own.client, f"FROM busybox\nRUN {children} >/dev/null 2>&1; echo done\n", nocache=True).image
    with ThreadPoolExecutor(1) as pool:  # they hold its output, too
        assert pool.submit(build, own.client, f"FROM busybox\nRUN {children}; echo done\n", nocache=True).result(60).image
    eventually(lambda: not [said for said in own.ours().values() if "1234" in said], "a child runs on")
