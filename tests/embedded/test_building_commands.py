"""RUN, on each rung: what a command leaves in the image, whose it is, heredocs; its mounts, its caches, its network."""

from __future__ import annotations

import re

import pytest

from tests.embedded.builds import Files, build
from tests.embedded.rungs import OwnEngine


def test_what_commands_write_and_remove_is_in_the_image(own: OwnEngine) -> None:
    text = """
        FROM busybox
        RUN mkdir -p /d/e && echo 1 > /d/one && echo 2 > /d/two && ln -s one /d/link
        RUN rm /d/one && mv /d/e /d/f && echo more >> /d/two && chmod 4711 /d/two
        VOLUME /d
        RUN echo kept > /d/kept
        """
    files = Files(own.client, build(own.client, text).image)
    assert sorted(name for name in files.entries if name.startswith("d/")) == ["d/f", "d/kept", "d/link", "d/two"]
    assert files.text("d/two") == "2\nmore\n"
    assert files.entries["d/two"].mode == 0o4711
    assert files.entries["d/link"].linkname == "one"


def test_the_user_and_the_directory_of_commands(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nWORKDIR /srv/app\nUSER 1234\nRUN id -u; pwd; ls -ld . | cut -c 1-10\n")
    assert "\n1234\n/srv/app\ndrwxr-xr-x\n" in built.log


def test_a_workdir_that_is_made_belongs_to_the_user(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nWORKDIR /mine\nUSER 1234:5678\nWORKDIR /srv/theirs\nRUN touch written\n", nocache=True)
    entries = Files(own.client, built.image).entries
    if own.uid == 0 or own.environment.get("DOCKERLAB_ENGINE_ISOLATION"):  # a user's namespace has one id on its disk
        assert {name: (entries[name].uid, entries[name].gid) for name in ("mine", "srv", "srv/theirs", "srv/theirs/written")} == {
            "mine": (0, 0),
            "srv": (1234, 5678),
            "srv/theirs": (1234, 5678),
            "srv/theirs/written": (1234, 5678),
        }
    assert "srv/theirs/written" in entries


def test_heredocs(own: OwnEngine) -> None:
    text = 'FROM busybox\nRUN <<EOF\nx=1\necho "x is $x"\nEOF\n'
    text += "RUN <<'S'\n#!/bin/cat\nmyself\nS\nRUN cat <<A - /proc/self/comm\nto cat\nA\n"
    built = build(own.client, text)
    assert "\nx is 1\n" in built.log
    assert "\n#!/bin/cat\nmyself\n" in built.log
    assert "\nto cat\ncat\n" in built.log


def test_mounts_are_seen_and_leave_nothing_in_the_layer(own: OwnEngine) -> None:
    text = """
        FROM busybox AS other
        RUN mkdir /from && echo other > /from/file
        FROM busybox
        RUN --mount=type=bind,target=/context,rw cat /context/sub/file && echo lost > /context/new
        RUN --mount=type=bind,from=other,source=/from,target=/deep/in/here cat /deep/in/here/file
        RUN --mount=type=bind,source=sub/file,target=/etc/one cat /etc/one
        RUN --mount=type=tmpfs,target=/scratch echo x > /scratch/x
        RUN --mount=type=bind,target=/context ! touch /context/x
        RUN ls -a / /etc > /listing
        """
    built = build(own.client, text, {"sub/file": "of the context\n"})
    files = Files(own.client, built.image)
    assert built.log.count("of the context\n") == 2
    assert "\nother\n" in built.log
    listing = files.text("listing").split()
    assert not {"context", "deep", "one", "scratch"} & set(listing)
    assert not {name.partition("/")[0] for name in files.entries} & {"context", "deep", "scratch"}


@pytest.mark.parametrize(
    ("mount", "text"),
    [
        ("type=nope", 'unsupported mount type "nope"'),
        ("type=bind,source=nofile,target=/x", '"/nofile": not found'),
        ("type=secret,id=token,required", "secret token: not found"),
    ],
)
def test_mounts_that_cannot_be(own: OwnEngine, mount: str, text: str) -> None:
    built = build(own.client, f"FROM busybox\nRUN --mount={mount} true\n")
    assert text in built.error


def test_a_cache_mount_outlives_the_build_and_can_be_pruned(own: OwnEngine) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/cache echo {} >> /cache/log; cat /cache/log\n"
    own.client.post("/build/prune")
    assert "one\n" in build(own.client, text.format("one"), nocache=True).log
    assert "one\ntwo\n" in build(own.client, text.format("two")).log
    (kept,) = own.client.get("/system/df", type="build-cache")["BuildCache"]
    assert (kept["Type"], kept["InUse"], kept["Size"]) == ("exec.cachemount", False, 8)
    pruned = own.client.post("/build/prune").json()
    assert len(pruned["CachesDeleted"]) >= 1
    assert pruned["SpaceReclaimed"] >= 8
    assert "one" not in build(own.client, text.format("three")).log.partition("Running in")[2]


def test_a_cache_mount_has_an_owner(own: OwnEngine) -> None:
    mount = "--mount=type=cache,target=/c,id=owned,uid=12,gid=34,mode=0750"
    built = build(own.client, f"FROM busybox\nRUN {mount} stat -c %u:%g:%a /c\n", nocache=True)
    # To the disk of an engine without rights all users are one.
    assert ("12:34:750" if own.uid == 0 else ":750") in built.log


def test_networks_of_commands(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nRUN --network=none cat /proc/net/dev\nRUN --network=host true\n", nocache=True)
    if ["Isolation", "supervised"] not in own.client.get("/info")["DriverStatus"]:
        assert re.findall(r"^ *(\S+):", built.log, re.MULTILINE) == ["lo"]
    assert built.image
