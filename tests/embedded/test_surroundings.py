"""What a container finds around it besides its image's files, on each rung: Docker's own files and mount points, and its processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.embedded.rungs import OwnEngine, eventually


@pytest.fixture
def own(rung: OwnEngine) -> Iterator[OwnEngine]:
    yield rung
    rung.clear()
    eventually(lambda: not rung.leftovers(), f"left: {rung.leftovers()}")


def said(own: OwnEngine, script: str, **host: object) -> list[str]:
    """And nothing of it is a change of the container's."""
    made = own.client.run("sh", "-c", script, host=host)
    assert own.client.wait(made) == 0
    assert not own.client.get(f"/containers/{made}/changes")
    return own.client.output(made)[1].decode().split()


def test_how_a_program_knows_that_it_is_in_a_container(own: OwnEngine) -> None:
    found = said(own, "test -f /.dockerenv && ls -A / | grep dockerenv; wc -c < /.dockerenv; test -x /.dockerenv && echo x")
    assert found == [".dockerenv", "0", "x"]


def test_the_mount_points_are_there(own: OwnEngine) -> None:
    assert said(own, "cd /; ls -d dev proc sys etc/hosts etc/hostname etc/resolv.conf; test -s etc/hosts && echo filled") == [
        *("dev", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "sys", "filled")
    ]


def test_the_targets_of_mounts_are_changes(own: OwnEngine) -> None:
    made = own.client.run("true", host={"Binds": ["/tmp:/new/place"], "Tmpfs": {"/etc/more": ""}})
    assert own.client.wait(made) == 0
    changed = {(one["Path"], one["Kind"]) for one in own.client.get(f"/containers/{made}/changes")}
    assert changed == {("/new", 1), ("/new/place", 1), ("/etc", 0), ("/etc/more", 1)}


def test_processes_of_its_own_and_of_the_host_in_turn(own: OwnEngine) -> None:
    pids = [int(said(own, "echo $$", PidMode=mode)[0]) for mode in ("", "host", "", "host", "host", "")]
    are_own = [pid == 1 for pid in pids]
    supervised = own.client.get("/info")["SecurityOptions"]
    assert are_own == [True, False, True, False, False, True] or not any(are_own), supervised
