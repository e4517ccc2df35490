"""What is kept of contexts on the disk: whole after a kill, after the power failed, on a full disk; else it is not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dockerlab.engine.home import Home
from dockerlab.engine.sessions import packs
from dockerlab.engine.sessions.packs import Contexts, Known

FILES = {"a": b"first", "b": os.urandom(300_000), "c": bytes(200_000), "d": b"last"}


@pytest.fixture
def contexts(tmp_path: Path) -> Contexts:
    home = Home(tmp_path / "root", tmp_path / "run")
    home.tmp.mkdir(parents=True)
    return Contexts(home)


def keep(contexts: Contexts, files: dict[str, bytes]) -> None:
    with contexts.using("k") as draft:
        draft.commit({**draft.known, **{path: Known((1, len(data), 2), draft.add(data)) for path, data in files.items()}})


def kept(contexts: Contexts) -> dict[str, bytes]:
    with contexts.using("k") as draft:
        return {
            path: os.pread(draft.descriptor(one.bytes.pack), one.bytes.size, one.bytes.offset) for path, one in draft.known.items()
        }


def folder(contexts: Contexts) -> Path:
    (found,) = contexts.root.iterdir()
    return found


def pack(contexts: Contexts) -> Path:
    (found,) = (path for path in folder(contexts).iterdir() if path.name != "index.json")
    return found


def reboot(contexts: Contexts) -> None:
    index = folder(contexts) / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "boot": "the one before"}))


def test_what_is_kept_is_what_came(contexts: Contexts) -> None:
    keep(contexts, FILES)
    assert kept(contexts) == FILES
    reboot(contexts)
    assert kept(contexts) == FILES


@pytest.mark.parametrize(("start", "end", "lost"), [(0, 5, {"a"}), (5, 4_000, {"b"}), (0, None, {"a", "b", "d"})])
def test_after_the_power_failed_only_what_has_its_digest_counts(
    contexts: Contexts, start: int, end: int | None, lost: set[str]
) -> None:
    """Zeros, where the file system had a length and no data yet."""
    keep(contexts, FILES)
    data = bytearray(pack(contexts).read_bytes())
    end = len(data) if end is None else end
    data[start:end] = bytes(end - start)
    pack(contexts).write_bytes(data)
    reboot(contexts)
    assert kept(contexts) == {path: data for path, data in FILES.items() if path not in lost}


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_pack_that_is_short_has_what_is_in_it(contexts: Contexts, size: int) -> None:
    keep(contexts, FILES)
    os.truncate(pack(contexts), size)
    found = kept(contexts)
    assert found == {path: FILES[path] for path in found}
    assert {*found} == {0: set(), 5: {"a"}, 300_000: {"a"}}[size]


def test_what_was_looked_at_after_a_start_is_not_looked_at_again(contexts: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(contexts, FILES)
    reboot(contexts)
    with contexts.using("k") as draft:
        draft.commit(dict(draft.known))
    monkeypatch.setattr(packs.Draft, "_is_whole", lambda draft, place: False)
    assert kept(contexts) == FILES


def test_an_index_that_cannot_be_written_leaves_no_pack(contexts: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    keep(contexts, {"a": b"1"})
    before = {*folder(contexts).iterdir()}
    monkeypatch.setattr(packs, "write_json", full)
    keep(contexts, {"b": b"2"})
    assert ({*folder(contexts).iterdir()}, kept(contexts)) == (before, {"a": b"1"})


def test_a_machine_that_does_not_tell_its_start_has_all_looked_at(contexts: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_BOOT", Path("/nowhere"))
    keep(contexts, FILES)
    assert kept(contexts) == FILES
    data = pack(contexts).read_bytes()
    pack(contexts).write_bytes(b"F" + data[1:])
    assert {*kept(contexts)} == {*FILES} - {"a"}
