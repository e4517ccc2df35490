"""What is kept of builds: where, for whom, how much; what is broken is as good as none, and no value of an argument is in it."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockerlab.builds import memory, remembering
from dockerlab.builds.bases import Bases
from dockerlab.builds.changes import File
from dockerlab.builds.context import Context
from dockerlab.builds.driving import Asked
from dockerlab.builds.inputs import salted, stages
from dockerlab.builds.memory import Memory, Past, Slots, folder
from dockerlab.builds.reasons import Inputs
from dockerlab.builds.tally import Tally, hashing
from dockerlab.builds.walking import Walk
from dockerlab.dockerfile import parse

FILES = {
    "": {"a": File(1, 2, 3, 0o100644, "d1"), "bad\udcff": File(1, 2, 3, 0o100644, "")},
    "lib": {"a": File(1, 2, 3, 0o100644, "d2")},
}


def past(text: str = "FROM b AS x\nARG A=1\nRUN x $A\n", mark: str = "m", **args: str | None) -> Past:
    inputs = Inputs("buildkit", "", stages(parse(text), args, digest=salted("s")), {"b": ("sha256:1", "sha256:2")})
    return Past(inputs, "s", mark, 5, "sha256:3")


def slots(*tags: str, text: str = "FROM b\nRUN x\n", engine: str = "e", place: str = "p") -> Slots:
    return Slots.of(engine, tags, place, text.splitlines())


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    kept = past()
    Memory(tmp_path / "new" / "folder").keep(slots("app:1", "app:2"), kept, FILES)
    found = Memory(tmp_path / "new" / "folder").recall(slots("app:2"))
    assert found is not None
    assert (found.salt, found.mark, found.moment, found.image_id) == ("s", "m", 5, "sha256:3")
    assert found.inputs.images == kept.inputs.images
    assert [(one.text, one.digest, one.values) for one in found.inputs.stages[0].instructions] == [
        (one.text, one.digest, one.values) for one in kept.inputs.stages[0].instructions
    ]
    assert Memory(tmp_path / "new" / "folder").files(found) == FILES
    assert Memory(tmp_path / "new" / "folder").recall(slots("app:3")) is None
    assert Memory(tmp_path / "new" / "folder").recall(slots("app:1", engine="other")) is None


def test_files_that_did_not_change_are_kept_for_the_next_and_under_another_name(tmp_path: Path) -> None:
    keeper = Memory(tmp_path)
    keeper.keep(slots("one"), past(), FILES)
    before = keeper.recall(slots("one"))
    assert before is not None
    keeper.keep(slots("one", "two"), Past(before.inputs, "s", "m", 5, stem=before.stem), None)
    found = keeper.recall(slots("two"))
    assert found is not None
    assert keeper.files(found) == FILES


def test_without_a_tag_it_is_the_same_dockerfile_or_the_most_alike(tmp_path: Path) -> None:
    keeper = Memory(tmp_path)
    texts = ["FROM b\nRUN one\nRUN two\n", "FROM c\nRUN three\nRUN four\n"]
    for text in texts:
        keeper.keep(slots(text=text), past(text), None)
    for text in (texts[1], texts[1].replace("four", "five"), texts[0], texts[0].replace("two", "2")):
        found = keeper.recall(slots(text=text))
        assert found is not None
        assert found.inputs.stages[0].instructions[0].text == text.partition("\n")[0]
    assert keeper.recall(slots(text="FROM d\nRUN five\n")) is None
    assert keeper.recall(slots(text=texts[0], place="elsewhere")) is None


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST", 5)
    keeper = Memory(tmp_path)
    for number in range(20):
        keeper.keep(slots(f"app:{number}"), past(), FILES)
    assert len([*tmp_path.iterdir()]) == 10
    assert keeper.recall(slots("app:19")) is not None
    monkeypatch.undo()
    for number in range(20):
        keeper.keep(slots(text=f"FROM b\nRUN {number}\n"), past(mark=""), None)
    assert len([*tmp_path.glob(f"{slots().place}-*")]) == memory._MOST_OF_A_PLACE


@pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
def test_only_the_user_reads_it(tmp_path: Path) -> None:
    Memory(tmp_path / "builds").keep(slots("app"), past(), FILES)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "builds").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "builds").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "broken",
    ["", "{", "[]", "null", '{"version": 2}', '{"version": 99}', "[" * 100_000, '{"version": 2, "stages": 3}', "\0\xff"],
)
def test_a_broken_file_is_as_good_as_none(tmp_path: Path, broken: str) -> None:
    keeper = Memory(tmp_path)
    keeper.keep(slots("app"), past(), FILES)
    found = keeper.recall(slots("app"))
    assert found is not None
    (tmp_path / f"{found.stem}.files.json").write_text(broken)
    assert keeper.files(found) is None
    (tmp_path / f"{found.stem}.json").write_text(broken)
    assert keeper.recall(slots("app")) is None
    keeper.keep(slots("app"), past(), FILES)
    assert keeper.recall(slots("app")) is not None


def test_files_of_another_build_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    keeper = Memory(tmp_path)
    keeper.keep(slots("app"), past(), FILES)
    found = keeper.recall(slots("app"))
    assert found is not None
    path = tmp_path / f"{found.stem}.files.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mark": "another"}))
    assert keeper.files(found) is None


def test_two_that_write_at_once_leave_a_whole_one(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for _ in range(30):
            Memory(tmp_path).keep(slots("app"), past(mark=f"m{number}"), {"": {f"file {number}": File(number, 0, 0, 0)}})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        found = Memory(tmp_path).recall(slots("app"))
        if found is not None:
            files = Memory(tmp_path).files(found)
            assert files is None or [*files[""]] == [f"file {found.mark[1:]}"]
    for thread in threads:
        thread.join()
    assert Memory(tmp_path).recall(slots("app")) is not None
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "no draft is left"


def test_no_value_of_an_argument_or_a_variable_is_kept(tmp_path: Path) -> None:
    text = "ARG TAG\nFROM b:1\nARG CANARY\nENV COPY_OF=$CANARY TOKEN=hunter2\nCOPY $CANARY /\n"
    text += "RUN --mount=type=bind,source=$CANARY x $CANARY\n"
    kept = past(text, CANARY="ca-na-ry", TAG="ca-na-ry")
    Memory(tmp_path).keep(slots("app"), kept, FILES)
    held = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "ca-na-ry" not in held
    assert "hunter2" not in held
    assert "CANARY" in held


def test_the_folder_of_each_platform() -> None:
    assert folder({"HOME": "/home/me"}, "linux") == Path("/home/me/.local/state/dockerlab/builds")
    assert folder({"HOME": "/home/me", "XDG_STATE_HOME": "/state"}, "linux") == Path("/state/dockerlab/builds")
    assert folder({"HOME": "/Users/me"}, "darwin") == Path("/Users/me/Library/Application Support/dockerlab/builds")
    assert folder({"LOCALAPPDATA": "/local"}, "win32") == Path("/local/dockerlab/builds")


# The digests of files


def told(place: Path, sent: dict[str, bytes] | None = None) -> dict[str, Tally]:
    tally = Tally()
    tally.told([*Walk(place, {"cell": b"content"}).selected()])
    tally.digests.update(sent or {})
    return {"": tally}


def digest(data: bytes) -> str:
    hashed = hashing()
    hashed.update(data)
    return hashed.hexdigest()


def test_what_is_unchanged_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder/kept", "read", "sent"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    (tmp_path / "link").symlink_to("read")
    now = time.time_ns()
    first = remembering._files(told(tmp_path, {"sent": bytes(16)}), {}, 0, 60)[""]
    assert first["read"].digest == digest(b"read")
    assert first["cell"].digest == digest(b"content")
    assert (first["sent"].digest, first["link"].digest, first["folder/"].size) == ("00" * 16, "→read", 0)
    known = {**first, "folder/kept": first["folder/kept"]._replace(digest="known")}
    assert remembering._files(told(tmp_path), {"": known}, now, 60)[""]["folder/kept"].digest == "known"
    os.utime(tmp_path / "folder/kept", ns=(10**18, 10**18 + 1))
    assert remembering._files(told(tmp_path), {"": known}, now, 60)[""]["folder/kept"].digest == digest(b"folder/kept")


def test_a_file_that_changed_as_it_was_looked_at_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    changed = (tmp_path / "a").stat().st_mtime_ns
    first = remembering._files(told(tmp_path), {}, 0, 60)[""]
    known = {"a": first["a"]._replace(digest="known")}
    assert remembering._files(told(tmp_path), {"": known}, changed + 1, 60)[""]["a"].digest == digest(b"a")
    assert remembering._files(told(tmp_path), {"": known}, changed + 3 * 10**9, 60)[""]["a"].digest == "known"


def test_a_file_that_changed_after_it_was_told_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    tally = told(tmp_path)
    (tmp_path / "a").write_text("longer")
    (tmp_path / "b").write_text("b")
    assert remembering._files(tally, {}, 0, 60)[""]["a"].digest == ""
    (tmp_path / "a").unlink()
    assert remembering._files(tally, {}, 0, 60)[""]["a"].digest == ""


def test_the_mark_tells_a_touched_file_and_another_content_of_a_cell(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    before = remembering._mark(told(tmp_path))
    assert remembering._mark(told(tmp_path)) == before
    os.utime(tmp_path / "a", ns=(1, 1))
    touched = remembering._mark(told(tmp_path))
    assert touched != before
    cell = Tally()
    cell.told([*Walk(tmp_path, {"cell": b"CONTENT"}).selected()])
    assert remembering._mark({"": cell}) != touched
    assert remembering._mark({"lib": cell}) != remembering._mark({"": cell})


def test_what_was_not_told_is_kept() -> None:
    one, two, three = (File(size, 0, 0, 0) for size in (1, 2, 3))
    old = {"": {"a": one, "b": one}, "lib": {"c": one}}
    assert remembering._with_untold({"": {"a": two}, "new": {"d": three}}, old, each=False) == {
        "": {"a": two},
        "lib": {"c": one},
        "new": {"d": three},
    }
    assert remembering._with_untold({"": {"a": two}}, old, each=True) == {"": {"a": two, "b": one}, "lib": {"c": one}}


def test_what_cannot_be_looked_at_is_not_looked_at_with_each_word_of_the_builder(caplog: pytest.LogCaptureFixture) -> None:
    text = "FROM scratch\nNEW instruction\n"  # of a frontend of its own
    engine: Any = SimpleNamespace(identity="e")
    found = remembering.Remembering(engine, Asked(parse(text), text, Context.of()), "here", Bases(engine))
    tally = Tally()
    with caplog.at_level(logging.DEBUG, remembering.LOG.name):
        found.look(tally)
        assert not caplog.records
        tally.told([])
        for _ in range(3):
            found.look(tally)
    assert len(caplog.records) == 1
