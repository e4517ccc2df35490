"""Why steps run, on real engines: one image built again and again, each time with one thing changed.

What is remembered is the engine's and the name's: a folder of its own stands in for the user's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab.builds import Build
from dockerlab.client import Client
from dockerlab.errors import BuildError

pytestmark = pytest.mark.contract

TAG = "dockerlab-test-reasons"
Why = dict[int, tuple[str, str]]
PRUNED = "no input changed: the cache was pruned, or comes from elsewhere"

# Instructions that do work, and are steps for every builder.
WORK = ("FROM", "RUN", "COPY", "ADD", "WORKDIR")


class Bench:
    """Builds one image, and says why its steps ran."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.latest: Build | None = None

    def why(self, text: str, **options: Any) -> Why:
        """Line → kind and sentence, of the instructions that every builder has as steps."""
        options = {"tag": TAG, "context": self.folder, "client": self.client, **options}
        image = dockerlab.build(text, label={"dockerlab-test": "reasons"}, **options)
        assert image.build is not None
        self.latest = image.build
        return told(image.build)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.folder / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def told(build: Build) -> Why:
    return {r.line: (r.kind, r.sentence) for r in build.reasons if r.text.split()[0] in WORK}


@pytest.fixture
def bench(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "context"
    folder.mkdir()
    yield Bench(client, folder)
    for image in client.api.images(filters={"label": "dockerlab-test=reasons"}):
        client.api.remove_image(image["Id"], force=True)


@pytest.fixture
def unique() -> str:
    """Text that no build before had, so that nothing of this one is in the cache."""
    return str(time.time_ns())


def test_one_thing_after_the_other(bench: Bench, unique: str) -> None:
    text = f"FROM busybox\nARG WHO=me\nCOPY src /src\nRUN echo {unique} $WHO\nRUN echo last\n"
    bench.write(src__a=unique, src__b="b", other="not taken")

    first = bench.why(text)
    assert first == dict.fromkeys((3, 4, 5), ("first", f"first build of {TAG}:latest here"))

    assert bench.why(text) == {}

    changed = bench.why(text.replace("last", "the end"))
    assert changed == {5: ("instruction", "the instruction changed")}
    assert bench.latest is not None
    assert next(r.diff for r in bench.latest.reasons if r.line == 5) == ("- RUN echo last", "+ RUN echo the end")
    assert bench.why(text) == {}

    argument = bench.why(text, build_arg={"WHO": "you"})
    assert argument == {4: ("argument", "the value of WHO changed"), 5: ("argument", "the value of WHO changed")}
    assert bench.why(text) == {}

    bench.write(src__a=f"{unique} changed", src__c="new", other="changed too")
    (bench.folder / "src" / "b").unlink()
    files = bench.why(text)
    assert files == {
        3: ("files", "3 files changed: src/a (modified), src/c (added), src/b (removed)"),
        4: ("step", "because line 3 ran: COPY src /src"),
        5: ("step", f"because line 4 ran: RUN echo {unique} $WHO"),
    }

    os.utime(bench.folder / "src" / "a", (1, 1))
    assert bench.why(text) == {}, "a file that was only touched is no reason"

    inserted = bench.why(text.replace("RUN echo last", "RUN echo put in\nRUN echo last"))
    assert inserted == {5: ("instruction", "the instruction is new"), 6: ("step", "because line 5 ran: RUN echo put in")}
    assert bench.why(text) == {}

    assert bench.why(text, no_cache=True) == dict.fromkeys((3, 4, 5), ("no-cache", "--no-cache"))


def test_stages_and_a_base_image_that_moved(bench: Bench, unique: str) -> None:
    base = f"{TAG}-base"
    bench.why(f"FROM busybox\nRUN echo {unique} > /1\n", tag=base)
    text = f"FROM {base} AS one\nRUN echo {unique} > /out\nFROM busybox\nCOPY --from=one /out /1 /got/\nRUN echo {unique}\n"
    bench.why(text)
    assert bench.why(text) == {}
    old = dockerlab.images.get(base, client=bench.client).id
    bench.why(f"FROM busybox\nRUN echo {unique} again > /1\n", tag=base)
    new = dockerlab.images.get(base, client=bench.client).id

    moved = bench.why(text)
    assert old
    assert new
    ids = [identifier.removeprefix("sha256:")[:12] for identifier in (old, new)]
    assert moved == {
        1: ("base", f"the base image {base} moved: {ids[0]} → {ids[1]}"),
        2: ("step", "because the base image moved (line 1)"),
        4: ("step", f"because line 2 ran: RUN echo {unique} > /out"),
        5: ("step", "because line 4 ran: COPY --from=one /out /1 /got/"),
    }


def test_a_build_of_another_target_in_between_does_not_make_one_forget_the_rest(bench: Bench, unique: str) -> None:
    text = f"FROM busybox AS one\nRUN echo {unique}\nFROM one AS two\nCOPY src /src\nRUN echo {unique} two\n"
    bench.write(src__a=unique, src__b=unique)
    bench.why(text)
    assert bench.why(text, target="one") == {}
    bench.write(src__a="changed")
    assert bench.why(text.replace(" two\n", " second\n")) == {
        4: ("files", "1 file changed: src/a (modified)"),
        5: ("instruction", "the instruction changed"),
    }


def test_a_build_that_failed_and_the_one_after_it(bench: Bench, unique: str) -> None:
    text = f"FROM busybox\nCOPY src /src\nRUN echo {unique}; sh /src/run\nRUN echo last\n"
    bench.write(src__run=f"exit 3 # {unique}\n")
    with pytest.raises(BuildError) as caught:
        bench.why(text)
    assert isinstance(caught.value.build, Build)
    assert told(caught.value.build)[3] == ("first", f"first build of {TAG}:latest here")
    with pytest.raises(BuildError) as caught:
        bench.why(text)
    assert isinstance(caught.value.build, Build)
    assert told(caught.value.build) == {3: ("unfinished", "it failed in the build before")}
    bench.write(src__run=f"exit 0 # {unique}\n")
    assert bench.why(text) == {
        2: ("files", "1 file changed: src/run (modified)"),
        3: ("step", "because line 2 ran: COPY src /src"),
        4: ("step", f"because line 3 ran: RUN echo {unique}; sh /src/run"),
    }


def test_a_cache_that_was_pruned(bench: Bench, unique: str) -> None:
    text = f"FROM busybox\nRUN echo {unique}\nRUN echo {unique} last\n"
    bench.why(text)
    forget(bench.client, unique)
    assert bench.why(text) == {2: ("pruned", PRUNED), 3: ("step", f"because line 2 ran: RUN echo {unique}")}


def forget(client: Client, unique: str) -> None:
    """Takes away what is cached of these steps, and nothing else: the images of a classic builder, and what BuildKit holds."""
    api: Any = client.api
    for image in api.images(filters={"label": "dockerlab-test=reasons"}):
        api.remove_image(image["Id"], force=True)
    for _ in range(3):  # what another one is made of goes after it
        for held in api.df().get("BuildCache") or ():
            if unique in (held.get("Description") or ""):
                response = api._post(api._url("/build/prune"), params={"all": "1", "filters": json.dumps({"id": [held["ID"]]})})
                assert response.status_code == 200


def test_files_of_cells_and_no_tag(bench: Bench, unique: str) -> None:
    text = f"FROM busybox\nCOPY app.py /\nRUN echo {unique}\n"
    options: dict[str, Any] = {"tag": (), "context": None}
    first = bench.why(text, files={"app.py": "1"}, **options)
    assert first[3] == ("first", "first build here")
    assert bench.why(text, files={"app.py": "1"}, **options) == {}
    assert bench.why(text, files={"app.py": unique}, **options) == {
        2: ("files", "1 file changed: app.py (modified)"),
        3: ("step", "because line 2 ran: COPY app.py /"),
    }


def test_a_build_without_a_state_folder_has_no_reasons_and_does_not_fail(
    bench: Bench, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert bench.why(f"FROM busybox\nRUN echo {unique}\n")[2][0] == "first"
