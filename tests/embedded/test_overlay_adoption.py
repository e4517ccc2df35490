"""What a step wrote becomes the unpacked layer as it lies there: it is what unpacking the step's layer would have made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.engine.rootfs import comparison
from dockerlab.engine.store import Store
from tests.embedded import builds, rungs
from tests.embedded.archives import layer
from tests.embedded.overlaying import BASE, Place, values, write_into

FILES = {
    "base/gone/1": "1",
    "base/again/1": "1",
    "base/again/2": "2",
    "base/moved": "moved",
    "base/moded": "moded",
    "base/written": "written",
    "base/file": "a file",
    "base/empty/x": "x",
}
BASE_OF_STEPS = "FROM busybox\nCOPY --chown=7:8 base /base\nRUN mkdir -m 700 /closed && mkdir -m 1777 -p /temporary/in\n"
# Each leaves an upper directory of another kind.
STEPS = {
    "files": "echo 1 > /a; mkdir -p /b/c; echo 2 > /b/c/d; ln /a /b/link; ln -s /nowhere /b/symlink; mkfifo /b/pipe; touch /.hidden",
    "modes": "echo 1 > /shut; chmod 0 /shut; mkdir /d; echo 2 > /d/in; chmod 0 /d; chmod 4755 /base/moded; chmod 500 /base/gone",
    "what is gone": "rm -r /base/gone /base/again/1; rm /base/moved",
    "a directory made anew": "rm -r /base/again; mkdir /base/again; echo 3 > /base/again/3; rm /base/file; mkdir /base/file",
    "a file for a directory": "rm -r /base/again; echo 1 > /base/again; mv /base/written /base/elsewhere",
    "copied up for nothing": "touch /temporary/in/x /closed/x; rm /temporary/in/x /closed/x; echo 1 > /new; echo 2 >> /base/written",
    "only for nothing": "mkdir /temporary/in/x; rmdir /temporary/in/x; touch /base/moded",
    "a whiteout in what is new": "rm -r /base/empty; mkdir /base/empty; touch /base/empty/x; rm /base/empty/x; chmod 711 /",
    "times": "touch -d '1999-01-01 00:00:00' /old /base/written; mkdir /when; touch /when/x; touch -d '2001-01-01 00:00:00' /when",
    "owners": "chown 3:4 /base/written || true; touch /mine; chown 5 /mine || true; chmod 640 /base/file",
}


@pytest.fixture(scope="module", params=["root", "user"])
def own(request: pytest.FixtureRequest) -> Iterator[rungs.OwnEngine]:
    with rungs.engine(request.param) as engine:
        yield engine


def unpacked(own: rungs.OwnEngine, name: str) -> Path:
    """Where the topmost layer of an image is unpacked, if it is."""
    return own.home.root / "layers" / Store(own.home).get(name).layers[-1].chain_id.removeprefix("sha256:")[:20]


@pytest.mark.parametrize("what", STEPS)
def test_a_step_is_not_unpacked_anew(own: rungs.OwnEngine, what: str) -> None:
    built = builds.build(own.client, f"{BASE_OF_STEPS}RUN {STEPS[what]}\n", FILES, t="adopted")
    assert built.image
    assert unpacked(own, "adopted").exists()
    assert own.check() == ""


def test_what_an_archive_says_otherwise_is_unpacked(own: rungs.OwnEngine) -> None:
    built = builds.build(own.client, "FROM busybox\nRUN mkdir /a && touch /a/.wh.x\n", t="otherwise")
    assert built.image
    assert not unpacked(own, "otherwise").exists()
    assert builds.build(own.client, "FROM otherwise\nRUN true\n").image
    assert unpacked(own, "otherwise").exists()
    assert own.check() == ""


def test_an_upper_directory_is_what_its_tar_unpacks_to(place: Place) -> None:
    root = place.root(BASE)
    write_into(place, root)
    tar = place.diff(root)
    upper = Path(root.upper)
    place.do(lambda snapshots: snapshots.adopt(root, values([BASE, tar])))
    adopted = Path(place.prepare(BASE, tar)[0])
    assert not upper.exists()
    other = place.prepare(BASE, layer(("x", b"", {})), tar)
    assert other
    assert comparison.difference(os.fsencode(adopted), os.fsencode(other[0])) == ""
