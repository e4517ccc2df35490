"""What a request to the Engine API has made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dockerlab import ledger
from dockerlab.ledger import Entry, entries, made, note

BODY = json.dumps(
    {
        "Image": "busybox",
        "HostConfig": {
            "Binds": ["data:/data", "/home/me:/me:ro", "."],
            "Mounts": [{"Type": "volume", "Source": "more"}, {"Type": "bind", "Source": "/srv"}, {"Type": "volume"}],
        },
    }
)


@pytest.mark.parametrize(
    ("url", "answer", "expected"),
    [
        ("/v1.47/containers/create?name=web", {"Id": "c1"}, [("container", "c1"), ("volume", "data"), ("volume", "more")]),
        ("/networks/create", {"Id": "n1"}, [("network", "n1")]),
        ("/v1.47/volumes/create", {"Name": "data"}, [("volume", "data")]),
        ("/v1.47/commit?container=c1&repo=app", {"Id": "sha256:1"}, [("image", "sha256:1"), ("tag", "app:latest")]),
        ("/v1.47/commit?container=c1", {"Id": "sha256:1"}, [("image", "sha256:1")]),
        ("/v1.47/images/localhost%2Fapp/tag?repo=docker.io/library/app&tag=2", {}, [("tag", "app:2")]),
        ("/v1.47/images/create?fromImage=python&tag=3.10", {}, [("tag", "python:3.10")]),
        (f"/v1.47/images/create?fromImage=python&tag=sha256:{'0' * 64}", {}, []),
        (
            "/v1.47/build?t=app&t=registry.example:5000/app:2&q=1",
            {},
            [("tag", "app:latest"), ("tag", "registry.example:5000/app:2")],
        ),
        ("/v1.47/build?remote=x", {}, []),
        ("/v1.47/containers/c1/start", {}, []),
        ("/v1.47/containers/create/more", {}, []),
    ],
)
def test_a_request_tells_what_it_makes(url: str, answer: dict[str, str], expected: list[tuple[str, str]]) -> None:
    found = list(made("POST", f"http+docker://localhost{url}", BODY, lambda: answer))
    assert [(entry.kind, entry.name) for entry in found] == expected


@pytest.mark.parametrize("name", [f"sha256:{'0' * 64}", "0" * 64, f"app@sha256:{'0' * 64}", "No Name"])
def test_what_is_no_tag_is_not_written_down_as_one(name: str) -> None:
    assert ledger.tag(name) is None


def test_what_only_reads_makes_nothing() -> None:
    assert list(made("GET", "http://localhost/v1.47/containers/create", None, dict)) == []


def test_it_is_written_down_where_somebody_asks_by_engine_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made"
    monkeypatch.delenv(ledger.VARIABLE, raising=False)
    note("unix:///one", Entry("tag", "app:latest"))
    assert not ledger.is_kept()
    assert not path.exists()
    monkeypatch.setenv(ledger.VARIABLE, str(path))
    assert ledger.is_kept()
    note("unix:///one", Entry("tag", "app:latest"), Entry("container", "c1"))
    note("unix:///other", Entry("container", "c2"))
    note("unix:///one", Entry("tag", "app:latest"))
    assert entries(path, "unix:///one") == [Entry("tag", "app:latest"), Entry("container", "c1")]
    assert entries(path, "unix:///other") == [Entry("container", "c2")]


def test_a_line_that_was_cut_short_takes_none_of_the_others_along(tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.write_text(
        '["unix:///one", "container", "c1"]\n["unix:///one", "conta\n["unix:///one", "volume", "v"]\n["unix', encoding="utf-8"
    )
    assert entries(path, "unix:///one") == [Entry("container", "c1"), Entry("volume", "v")]
