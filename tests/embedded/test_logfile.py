"""The log of a container."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.runtime.logfile import Log, timestamp
from tests.embedded.supervised import as_user


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def said(path: Path) -> list[tuple[str, str]]:
    return [(entry["stream"], entry["log"]) for entry in lines(path)]


def test_lines_are_kept_by_stream_and_partial_ones_wait(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path)
    assert log.write(1, b"one\ntwo\nthr")
    assert not log.write(2, b"err")
    assert said(path) == [("stdout", "one\n"), ("stdout", "two\n")]
    assert log.write(1, b"ee\n")
    assert log.close()
    assert said(path) == [("stdout", "one\n"), ("stdout", "two\n"), ("stdout", "three\n"), ("stderr", "err")]


def test_a_long_line_is_cut_and_only_its_end_has_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path)
    log.write(1, b"x" * 40_000 + b"\n")
    log.close()
    pieces = [text for _, text in said(path)]
    assert [len(piece) for piece in pieces] == [16384, 16384, 7233]
    assert [piece.endswith("\n") for piece in pieces] == [False, False, True]


def test_what_is_no_utf8_does_not_break_the_file(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write(1, b"\xff\x00\n")
    log.close()
    assert said(tmp_path / "log.jsonl") == [("stdout", "�\x00\n")]


@pytest.mark.parametrize("at_once", [1, 20])
def test_rotation_keeps_as_many_files_as_asked(tmp_path: Path, at_once: int) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path, (200, 2))
    for first in range(0, 20, at_once):
        log.write(1, "".join(f"{number}\n" for number in range(first, first + at_once)).encode())
    log.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.jsonl", "log.jsonl.1"]
    assert 200 <= (tmp_path / "log.jsonl.1").stat().st_size < 400
    assert path.stat().st_size < 400
    assert [entry["log"] for name in ("log.jsonl.1", "log.jsonl") for entry in lines(tmp_path / name)][-1] == "19\n"


def test_what_finds_no_room_is_lost_and_that_is_said(tmp_path: Path) -> None:
    def fill() -> tuple[list[bool], list[str]]:
        said: list[str] = []
        log = Log(tmp_path / "log.jsonl", complain=said.append)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
        wrote = [log.write(1, b"%d" % number + b"x" * 300 + b"\n") for number in range(5)]
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        time.sleep(1.1)  # the pause before another try
        wrote.append(log.write(1, b"again\n"))
        log.close()
        return wrote, said

    wrote, complaints = as_user(os.getuid(), fill)
    assert wrote == [True, True, False, False, False, True]
    assert complaints == ["what it prints is not logged: File too large", "3 lines were not logged"]
    assert [text[0] for _, text in said(tmp_path / "log.jsonl")] == ["0", "1", "a"]


def test_a_restart_goes_on_with_the_same_file(tmp_path: Path) -> None:
    for _ in range(2):
        log = Log(tmp_path / "log.jsonl")
        log.write(1, b"again\n")
        log.close()
    assert said(tmp_path / "log.jsonl") == [("stdout", "again\n")] * 2


def test_times_have_nanoseconds() -> None:
    assert timestamp(1_000_000_005) == "1970-01-01T00:00:01.000000005Z"
