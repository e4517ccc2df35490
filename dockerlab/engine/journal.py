"""A JSON object that changes often, kept in one file: a line with all of it, then a line for each change, with the fields that are new.

    write(path, value)           all of it, in place of what was there; `is_new`: there was nothing
    append(path, changes)        a change; gives the size of the file, so that a caller can write it anew
    read(path), recover(path)    what came of it

A change is one short write at the end of a file that is there, which takes a tenth of the time of a file that takes another's place. A
process that is killed leaves the change made, or not; what a power failure tore off the last line is not heeded. One writer at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dockerlab.engine.home import text_of, with_reserve, write_all, write_json


def write(path: Path, value: Mapping[str, Any], *, is_new: bool = False) -> None:
    """is_new: the reserve of a full disk is not for it. Raises OSError; then what was there before is there."""
    write_json(path, value, is_new=is_new)


def append(path: Path, changes: Mapping[str, Any]) -> int:
    """Raises OSError, FileNotFoundError where there is nothing to be changed; then nothing is changed."""
    data = b"\n" + text_of(changes).encode()
    return with_reserve(path, lambda: _append(path, data))


def read(path: Path) -> dict[str, Any]:
    """Raises FileNotFoundError; ValueError for what is no journal."""
    return _value(path.read_text(encoding="utf-8"))[0]


def recover(path: Path) -> dict[str, Any]:
    """As `read`, by its one writer before it appends: a torn line goes. An empty file is what a power failure left of a new one, and as
    if it were not there."""
    text = path.read_text(encoding="utf-8")
    if not text:
        raise FileNotFoundError(path)
    value, is_whole = _value(text)
    if not is_whole:
        write(path, value)
    return value


def _value(text: str) -> tuple[dict[str, Any], bool]:
    """And whether the last line is whole."""
    first, *changes = text.split("\n")
    value: dict[str, Any] = json.loads(first)
    for number, line in enumerate(changes, 1):
        try:
            value |= json.loads(line)
        except ValueError:
            if number < len(changes):
                raise
            return value, False
    return value, True


def _append(path: Path, data: bytes) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        try:
            write_all(fd, data)
        except OSError:
            os.ftruncate(fd, size)
            raise
        return size + len(data)
    finally:
        os.close(fd)
