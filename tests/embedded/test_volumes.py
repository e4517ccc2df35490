"""Volumes: made, found again, chosen, refused, removed and pruned; and nothing outside their directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from dockerlab.engine.events import Event, Events
from dockerlab.engine.filters import Filters
from dockerlab.engine.home import Home
from dockerlab.engine.volumes import ANONYMOUS, Volumes
from dockerlab.errors import Conflict, DockerlabError, NotFound, UsageError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "root", tmp_path / "run")
    home.create()
    return home


@pytest.fixture
def used() -> dict[str, list[str]]:
    """Volumes with the ids of containers."""
    return {}


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def volumes(home: Home, events: Events, used: dict[str, list[str]]) -> Volumes:
    return Volumes(home, events, lambda name: used.get(name, []))


def test_a_volume_is_a_directory(volumes: Volumes, home: Home) -> None:
    volume = volumes.create("data", labels={"a": "b"})
    assert volume.to_json() == {
        "CreatedAt": volume.created,
        "Driver": "local",
        "Labels": {"a": "b"},
        "Mountpoint": str(home.root / "volumes" / "data" / "_data"),
        "Name": "data",
        "Options": None,
        "Scope": "local",
    }
    assert Path(volume.mountpoint).is_dir()
    assert list(home.tmp.iterdir()) == []


def test_creating_again_changes_nothing(volumes: Volumes) -> None:
    first = volumes.create("data", labels={"a": "b"})
    Path(first.mountpoint, "file").write_text("kept")
    assert volumes.create("data", labels={"a": "c"}) == first
    assert Path(first.mountpoint, "file").read_text() == "kept"


def test_volumes_last(volumes: Volumes, home: Home) -> None:
    made = [volumes.create("data", labels={"a": "b"}), volumes.create("more")]
    again = Volumes(home, Events(), lambda name: [])
    assert again.all() == made


def test_what_was_half_made_is_no_volume(volumes: Volumes, home: Home) -> None:
    (home.root / "volumes" / "half" / "_data").mkdir(parents=True)
    again = Volumes(home, Events(), lambda name: [])
    assert again.all() == []
    with pytest.raises(NotFound, match="get half: no such volume"):
        again.get("half")


def test_without_a_name_it_is_anonymous(volumes: Volumes) -> None:
    first, second = volumes.create(), volumes.create(labels={"a": "b"})
    assert len(first.name) == 64
    assert set(first.name) <= set("0123456789abcdef")
    assert first.labels == {ANONYMOUS: ""}
    assert second.labels == {"a": "b", ANONYMOUS: ""}
    assert first.name != second.name


@pytest.mark.parametrize(
    ("name", "driver", "options", "status", "text"),
    [
        ("x", "", {}, 400, "create x: volume name is too short, names should be at least two alphanumeric characters"),
        (
            "../x",
            "",
            {},
            400,
            'create ../x: "../x" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]"',
        ),
        ("..", "", {}, 400, "includes invalid characters"),
        (".hidden", "", {}, 400, "includes invalid characters"),
        ("a/b", "", {}, 400, "includes invalid characters"),
        ("a\nb", "", {}, 400, "includes invalid characters"),
        ("ab\n", "", {}, 400, "includes invalid characters"),
        ("a" * 300, "", {}, 400, "too long"),
        ("xy", "foo", {}, 404, 'create xy: error looking up volume plugin foo: plugin "foo" not found'),
        ("xy", "", {"foo": "bar"}, 400, 'create xy: invalid option: "foo"'),
        ("xy", "", {"type": "none"}, 400, 'create xy: missing required option: "device"'),
        ("xy", "", {"type": "nfs", "device": ":/x", "o": "addr=1.2.3.4"}, 501, "only o=bind works"),
        ("xy", "", {"type": "none", "device": "x", "o": "bind"}, 400, "absolute path"),
    ],
)
def test_what_cannot_be_created(
    volumes: Volumes, home: Home, name: str, driver: str, options: Mapping[str, str], status: int, text: str
) -> None:
    with pytest.raises(DockerlabError) as caught:
        volumes.create(name, driver, options)
    assert caught.value.status == status
    assert text in caught.value.message
    assert list((home.root / "volumes").iterdir()) == []


def test_a_bind_stands_for_a_directory_of_the_host(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("kept")
    volume = volumes.create("data", options={"type": "none", "device": str(tmp_path / "mine"), "o": "bind"})
    assert volume.mountpoint == str(tmp_path / "mine")
    volumes.remove("data")
    assert (tmp_path / "mine" / "file").read_text() == "kept"


def test_a_volume_in_use_stays(volumes: Volumes, used: dict[str, list[str]]) -> None:
    volumes.create("data")
    used["data"] = ["a" * 64, "b" * 64]
    for force in (False, True):
        with pytest.raises(Conflict) as caught:
            volumes.remove("data", force)
        assert caught.value.message == f"remove data: volume is in use - [{'a' * 64}, {'b' * 64}]"
    used.clear()
    volumes.remove("data")
    assert volumes.all() == []


def test_removing_what_is_not_there(volumes: Volumes) -> None:
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.remove("data")
    volumes.remove("data", force=True)


def test_removal_takes_what_is_closed_and_follows_no_link(volumes: Volumes, home: Home, tmp_path: Path) -> None:
    data = Path(volumes.create("data").mountpoint)
    (data / "closed" / "within").mkdir(parents=True)
    (data / "closed" / "within" / "file").write_text("x")
    (data / "closed" / "within").chmod(0)
    (data / "closed").chmod(0)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("kept")
    (tmp_path / "outside").chmod(0o755)
    (data / "link").symlink_to(tmp_path / "outside")
    volumes.remove("data")
    assert list((home.root / "volumes").iterdir()) == list(home.tmp.iterdir()) == []
    assert (tmp_path / "outside" / "file").read_text() == "kept"


def test_lists_are_filtered(volumes: Volumes, used: dict[str, list[str]]) -> None:
    volumes.create("web-data", labels={"a": "b"})
    volumes.create("db-data")
    used["db-data"] = ["a" * 64]

    def chosen(**terms: str) -> list[str]:
        return [volume.name for volume in volumes.chosen(Filters({term: (value,) for term, value in terms.items()}))]

    assert chosen() == ["db-data", "web-data"]
    assert chosen(dangling="true") == ["web-data"]
    assert chosen(dangling="0") == ["db-data"]
    assert chosen(name="data") == ["db-data", "web-data"]
    assert chosen(name="^web") == ["web-data"]
    assert chosen(name="(") == []
    assert chosen(label="a=b") == chosen(label="a") == ["web-data"]
    assert chosen(label="a=c") == []
    assert chosen(driver="local") == ["db-data", "web-data"]
    assert chosen(driver="other") == []
    with pytest.raises(UsageError, match=r"invalid filter 'dangling=\[zz\]'"):
        chosen(dangling="zz")


def test_sizes_count_a_file_once(volumes: Volumes) -> None:
    volume = volumes.create("data")
    data = Path(volume.mountpoint)
    (data / "directory").mkdir()
    (data / "directory" / "file").write_bytes(b"x" * 1000)
    os.link(data / "directory" / "file", data / "again")
    (data / "link").symlink_to("again")
    assert volumes.size(volume) == 1000 + len("again")


def test_prune_takes_what_nobody_uses(volumes: Volumes, used: dict[str, list[str]]) -> None:
    anonymous, busy = volumes.create(), volumes.create()
    used[busy.name] = ["a" * 64]
    volumes.create("named")
    volumes.create("kept", labels={"keep": ""})
    Path(anonymous.mountpoint, "file").write_bytes(b"x" * 100)
    assert volumes.prune(Filters(), every=False) == ([anonymous.name], 100)
    assert volumes.prune(Filters({"label!": ("keep",)}), every=True) == (["named"], 0)
    assert {volume.name for volume in volumes.all()} == {"kept", busy.name}


def test_what_is_told(volumes: Volumes, events: Events) -> None:
    subscription = iter(events.subscribe())
    volumes.create("data")
    volumes.create("data")
    volumes.mounted("data", "c1", "/x", writable=False)
    volumes.unmounted("data", "c1")
    volumes.remove("data")
    volumes.prune(Filters(), every=True)
    told: list[Event] = [next(subscription) for _ in range(5)]
    assert [(event.action, event.id) for event in told] == [
        ("create", "data"),
        ("mount", "data"),
        ("unmount", "data"),
        ("destroy", "data"),
        ("prune", ""),
    ]
    assert told[1].attributes == {
        "driver": "local",
        "container": "c1",
        "destination": "/x",
        "propagation": "",
        "read/write": "false",
    }
