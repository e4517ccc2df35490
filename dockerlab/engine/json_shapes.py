"""What JSON of a request has to look like, and what is wrong with it, in the words of Go's decoder, which are Docker's. Pure.

    read({"tty": None, "Cmd": "ls"}, Struct("T", {"Tty": YES_NO, "Cmd": WORDS}))     {"Cmd": ["ls"]}

As there: names of fields are matched in whatever case, unknown ones are left out, and null is as good as nothing, in a list or a map the
value that says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dockerlab.errors import UsageError

_KINDS = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}
_LARGEST = 1 << 63


@dataclass(frozen=True)
class Scalar:
    """name: Go's. of: Python's type. zero: what null stands for."""

    name: str
    of: type
    zero: Any


@dataclass(frozen=True)
class List:
    """A list. words: a text stands for a list of that one."""

    of: Shape
    name: str
    words: bool = False


@dataclass(frozen=True)
class Map:
    """An object whose names are the client's."""

    of: Shape
    name: str


@dataclass(frozen=True)
class Struct:
    """An object whose names are ours."""

    name: str
    fields: Mapping[str, Shape]


Shape = Scalar | List | Map | Struct

TEXT, NUMBER, YES_NO = Scalar("string", str, ""), Scalar("int64", int, 0), Scalar("bool", bool, False)
DURATION = Scalar("time.Duration", int, 0)
TEXTS, TEXT_BY_NAME = List(TEXT, "[]string"), Map(TEXT, "map[string]string")
WORDS = List(TEXT, "string", words=True)


def read(value: Any, shape: Shape, place: str = "") -> Any:
    """The value, with Go's names and without null. Raises UsageError."""
    match shape:
        case Scalar():
            return _scalar(value, shape, place)
        case List() if shape.words and isinstance(value, str):
            return [value]
        case List():
            _expect(value, list, shape.name, "" if shape.words else place)
            return [_item(item, shape.of, "" if shape.words else f"{place}.{number}") for number, item in enumerate(value)]
        case Map():
            _expect(value, dict, shape.name, place)
            return {
                name: _item(item, shape.of, f"{place}.{name.replace('~', '~0').replace('/', '~1')}") for name, item in value.items()
            }
        case Struct():
            _expect(value, dict, shape.name, place)
            names = {name.lower(): name for name in shape.fields}
            known = {names[name.lower()]: item for name, item in value.items() if item is not None and name.lower() in names}
            return {name: read(item, shape.fields[name], f"{place}.{name}") for name, item in known.items()}


def _item(value: Any, shape: Shape, place: str) -> Any:
    if value is not None:
        return read(value, shape, place)
    return shape.zero if isinstance(shape, Scalar) else [] if isinstance(shape, List) else {}


def _scalar(value: Any, shape: Scalar, place: str) -> Any:
    _expect(value, shape.of, shape.name, place)
    if shape.of is int and not -_LARGEST <= value < _LARGEST:
        raise _wrong(f"number {value}", shape.name, place)
    return value


def _expect(value: Any, kind: type, name: str, place: str) -> None:
    # A bool is an int in Python, not in JSON.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        what = _KINDS[type(value)]
        raise _wrong(f"{what} {value}" if isinstance(value, float) and kind is int else what, name, place)


def _wrong(what: str, name: str, place: str) -> UsageError:
    where = f"Go struct field {place}" if place else "Go value"
    return UsageError(f"invalid JSON: json: cannot unmarshal {what} into {where} of type {name}")
