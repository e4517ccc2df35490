"""Protocol Buffers, as far as BuildKit's messages need them: a message is a frozen dataclass whose fields say their numbers.

    @dataclass(frozen=True, slots=True)
    class Stat:
        path: str = string(1)
        mode: int = integer(2)
        xattrs: Mapping[str, bytes] = mapping(10, bytes)

    encode(Stat("app.py", 0o644)) → bytes            decode(Stat, data) → Stat

Follows the encoding of proto3: a field that has its default is not sent, one that is not known is skipped, of one that comes twice the
last counts, numbers that repeat may be packed. Integers are int32, int64, uint32, uint64, enums and bools; there are no floating points.
What is no message raises `MalformedError`; nothing in it is believed about sizes before it is there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from dockerlab.errors import DockerlabError

_Message = TypeVar("_Message")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST: Final = 10  # bytes of a varint
_MASK: Final = (1 << 64) - 1
_SIGN: Final = 1 << 63
_KEY: Final = "protobuf"


class MalformedError(DockerlabError):
    """What came is no message of its kind."""


# Fields


@dataclass(frozen=True, slots=True)
class _Kind:
    """number: of the field. type: bool, int, str, bytes, a message's class, or a mapping's values'."""

    number: int
    type: Any
    is_repeated: bool = False
    is_mapping: bool = False


def _field(kind: _Kind, default: Any = dataclasses.MISSING, factory: Any = dataclasses.MISSING) -> Any:
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, metadata={_KEY: kind})
    return dataclasses.field(default=default, metadata={_KEY: kind})


def integer(number: int) -> Any:
    """An int, with its sign in 64 bits."""
    return _field(_Kind(number, int), 0)


def boolean(number: int) -> Any:
    """A bool."""
    return _field(_Kind(number, bool), False)


def string(number: int) -> Any:
    """A str. What is not UTF-8 is kept as surrogates, as names of files are."""
    return _field(_Kind(number, str), "")


def binary(number: int) -> Any:
    """Bytes."""
    return _field(_Kind(number, bytes), b"")


def message(number: int, kind: type) -> Any:
    """A message, or None."""
    return _field(_Kind(number, kind), None)


def repeated(number: int, kind: type) -> Any:
    """A tuple of int, str, bytes or messages."""
    return _field(_Kind(number, kind, is_repeated=True), ())


def mapping(number: int, kind: type) -> Any:
    """A dict of str to str, bytes or messages."""
    return _field(_Kind(number, kind, is_mapping=True), factory=dict)


# Encoding


def varint(value: int) -> bytes:
    """A number as it is sent: seven bits a byte, the lowest first; one below zero takes ten."""
    if 0 <= value < 128:
        return _SMALL[value]
    value &= _MASK
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL: Final = tuple(bytes((value,)) for value in range(128))


def encode(value: Any) -> bytes:
    """The bytes of a message."""
    return b"".join(_pieces(value))


def _pieces(value: Any) -> Iterator[bytes]:
    for name, kind in _schema(type(value)):
        found = getattr(value, name)
        if kind.is_mapping:
            for key, item in found.items():
                yield _one(kind.number, bytes, _one(1, str, key) + _one(2, kind.type, item))
        elif kind.is_repeated and kind.type is int:
            if found:
                yield _one(kind.number, bytes, b"".join(map(varint, found)))
        elif kind.is_repeated:
            for item in found:
                yield _one(kind.number, kind.type, item)
        elif found:
            yield _one(kind.number, kind.type, found)


def _one(number: int, kind: type, value: Any) -> bytes:
    if kind is int or kind is bool:
        return varint(number << 3 | _VARINT) + varint(value)
    data = value if kind is bytes else _encoded(value) if kind is str else encode(value)
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# Decoding


def decode(kind: type[_Message], data: bytes) -> _Message:
    """The message that the bytes are. Raises MalformedError."""
    known = _by_number(kind)
    found: dict[str, Any] = {}
    for number, raw in _fields(data):
        entry = known.get(number)
        if entry is None:
            continue
        name, field = entry
        if field.is_mapping:
            key, value = _pair(field, raw)
            found.setdefault(name, {})[key] = value
        elif field.is_repeated:
            found.setdefault(name, []).extend(_items(field, raw))
        else:
            found[name] = _value(field.type, raw)
    for name, value in found.items():
        if isinstance(value, list):
            found[name] = tuple(value)
    return kind(**found)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: of each its number, and a number or bytes."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _read(data, at)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise MalformedError("malformed message: a field without a number")
        if wire == _VARINT:
            value, at = _read(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _read(data, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise MalformedError(f"malformed message: field {number} is of the unknown kind {wire}")
        if size > end - at:
            raise MalformedError(f"malformed message: field {number} has {size} bytes, {end - at} are there")
        piece = data[at : at + size]
        at += size
        yield number, piece if wire == _BYTES else int.from_bytes(piece, "little")


def _read(data: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    value = shift = 0
    for position in range(at, min(at + _LONGEST, len(data))):
        byte = data[position]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & _MASK, position + 1
        shift += 7
    raise MalformedError("malformed message: a number without an end")


def _value(kind: Any, raw: int | bytes) -> Any:
    if kind is int or kind is bool:
        if isinstance(raw, bytes):
            raise MalformedError("malformed message: bytes in the place of a number")
        return bool(raw) if kind is bool else raw - (1 << 64) if raw & _SIGN else raw
    if isinstance(raw, int):
        raise MalformedError("malformed message: a number in the place of bytes")
    if kind is bytes:
        return raw
    return raw.decode("utf-8", "surrogateescape") if kind is str else decode(kind, raw)


def _items(field: _Kind, raw: int | bytes) -> Iterator[Any]:
    """A value of a repeated field; of numbers, several may be packed into one."""
    if field.type is not int or isinstance(raw, int):
        yield _value(field.type, raw)
        return
    at = 0
    while at < len(raw):
        number, at = _read(raw, at)
        yield _value(int, number)


def _pair(field: _Kind, raw: int | bytes) -> tuple[str, Any]:
    if isinstance(raw, int):
        raise MalformedError("malformed message: a number in the place of a pair")
    key: Any = ""
    value: Any = _PLAIN[field.type]() if field.type in _PLAIN else None
    for number, part in _fields(raw):
        if number == 1:
            key = _value(str, part)
        elif number == 2:
            value = _value(field.type, part)
    return key, decode(field.type, b"") if value is None else value


# Schemas

_PLAIN: Final[Mapping[Any, Callable[[], Any]]] = {int: int, bool: bool, str: str, bytes: bytes}


@cache
def _schema(kind: type) -> tuple[tuple[str, _Kind], ...]:
    return tuple((field.name, field.metadata[_KEY]) for field in dataclasses.fields(kind))  # type: ignore[arg-type]


@cache
def _by_number(kind: type) -> Mapping[int, tuple[str, _Kind]]:
    return {field.number: (name, field) for name, field in _schema(kind)}
