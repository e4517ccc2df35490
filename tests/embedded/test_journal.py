"""A value in one file that takes its changes at its end: whole after any end of its writer, and on a full disk."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import pytest

from dockerlab.engine import journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal.write(tmp_path / "record.jsonl", {"name": "web", "state": {"pid": 0}, "text": 'a\nb"'}, is_new=True)
    return tmp_path / "record.jsonl"


def test_changes_take_the_place_of_what_was(path: Path) -> None:
    journal.append(path, {"state": {"pid": 7}})
    size = journal.append(path, {"name": "db\n", "ports": []})
    assert journal.read(path) == {"name": "db\n", "state": {"pid": 7}, "text": 'a\nb"', "ports": []}
    assert size == path.stat().st_size


def test_all_of_it_anew(path: Path) -> None:
    journal.append(path, {"state": {"pid": 7}})
    journal.write(path, journal.read(path))
    assert path.read_text().count("\n") == 0
    assert journal.read(path)["state"] == {"pid": 7}
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_last_line_that_was_torn_off_is_not_heeded(path: Path, cut: int) -> None:
    before = journal.read(path)
    journal.append(path, {"state": {"pid": 7777}})
    os.truncate(path, path.stat().st_size - cut)
    assert journal.read(path) == before
    assert journal.recover(path) == before
    journal.append(path, {"name": "db"})
    assert journal.read(path) == before | {"name": "db"}


@pytest.mark.parametrize("text", ["", "{", "[", '{"a": 1}\n{"b": \n{"c": 3}'])
def test_what_is_no_journal(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ValueError, match=r"^Expecting|^.* is not|char"):
        journal.read(path)


def test_nothing_is_appended_to_what_is_gone(path: Path) -> None:
    path.unlink()
    with pytest.raises(FileNotFoundError):
        journal.append(path, {"a": 1})
    assert not path.exists()


def test_a_change_for_which_there_is_no_room_is_none(path: Path) -> None:
    before, size = journal.read(path), path.stat().st_size
    pid = os.fork()
    if not pid:
        code = 1
        try:
            # Half of it can be written.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, size + 40))
            try:
                journal.append(path, {"text": "x" * 100})
            except OSError as error:
                code = 0 if error.strerror == "File too large" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert journal.read(path) == before
    journal.append(path, {"text": "short"})
    assert journal.read(path)["text"] == "short"
    assert json.loads(path.read_text().splitlines()[-1]) == {"text": "short"}


def test_an_empty_one_was_never_written(path: Path) -> None:
    os.truncate(path, 0)
    with pytest.raises(FileNotFoundError):
        journal.recover(path)
