"""Protocol Buffers, as far as BuildKit's messages need them: a message is a frozen dataclass whose fields say their numbers.

    @dataclass(frozen=True, slots=True)
    class Stat:
        path: str = string(1)
        mode: int = integer(2)
        xattrs: Mapping[str, bytes] = mapping(10, bytes)

    encode(Stat("app.py", 0o644)) → bytes            decode(Stat, data) → Stat

Follows the encoding of proto3: a field that has its default is not sent, one that is not known is skipped, of one that comes twice the
last counts, numbers that repeat may be packed. Integers are int32, int64, uint32, uint64, enums and bools; there are no floating points.
What is no message raises `MalformedError`; nothing in it is believed about sizes before it is there, and one of more than `MOST_FIELDS`
fields is refused: two bytes of an empty one would be a hundred here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, TypeVar

from dockerlab.errors import DockerlabError

_Message = TypeVar("_Message")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
MOST_FIELDS: Final = 1 << 16
_LONGEST: Final = 10  # bytes of a varint
_MASK: Final = (1 << 64) - 1
_SIGN: Final = 1 << 63
_HIGHEST: Final = (1 << 29) - 1  # of a field's numbers
KEY: Final = "protobuf"  # of a field's kind in its metadata


class MalformedError(DockerlabError):
    """What came is no message of its kind."""


# Fields


@dataclass(frozen=True)
class _Kind:
    """number: of the field. type: bool, int, str, bytes, a message's class, or a mapping's values'."""

    number: int
    type: Any
    is_repeated: bool = False
    is_mapping: bool = False

    @cached_property
    def tag(self) -> bytes:
        """What is sent before it."""
        return varint(self.number << 3 | (_BYTES if self.is_repeated or self.is_mapping else _wire(self.type)))

    @cached_property
    def value_tag(self) -> bytes:
        """What is sent before a mapping's value."""
        return varint(2 << 3 | _wire(self.type))


def _wire(kind: Any) -> int:
    return _VARINT if kind is int or kind is bool else _BYTES


def _field(kind: _Kind, default: Any = dataclasses.MISSING, factory: Any = dataclasses.MISSING) -> Any:
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, metadata={KEY: kind})
    return dataclasses.field(default=default, metadata={KEY: kind})


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
    if value < 1 << 14:
        return bytes((value & 127 | 128, value >> 7))
    if value < 1 << 21:
        return bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14))
    if value < 1 << 28:
        return bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14 & 127 | 128, value >> 21))
    low = bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14 & 127 | 128, value >> 21 & 127 | 128))
    return low + varint(value >> 28)


_SMALL: Final = tuple(bytes((value,)) for value in range(128))


def encode(value: Any) -> bytes:
    """The bytes of a message."""
    pieces: list[bytes] = []
    for name, field in _schema(value.__class__):
        found = getattr(value, name)
        if not found:
            continue
        if field.is_mapping:
            for key, item in found.items():
                pieces += _one(field.tag, bytes, b"".join((*_one(b"\x0a", str, key), *_one(field.value_tag, field.type, item))))
        elif not field.is_repeated:
            pieces += _one(field.tag, field.type, found)
        elif field.type is int:
            pieces += _one(field.tag, bytes, b"".join(map(varint, found)))
        else:
            for item in found:
                pieces += _one(field.tag, field.type, item)
    return b"".join(pieces)


def _one(tag: bytes, kind: type, value: Any) -> tuple[bytes, ...]:
    if kind is int or kind is bool:
        return tag, varint(value)
    data = value if kind is bytes else value.encode("utf-8", "surrogateescape") if kind is str else encode(value)
    return tag, varint(len(data)), data


# Decoding


def decode(kind: type[_Message], data: bytes) -> _Message:
    """The message that the bytes are. Raises MalformedError."""
    known = _by_number(kind)  # type: ignore[arg-type]  # a class is hashable
    found: dict[str, Any] = {}
    is_plain = True
    for number, raw in _fields(data):
        entry = known.get(number)
        if entry is None:
            continue
        name, field = entry
        if field.is_mapping:
            key, value = _pair(field, raw)
            found.setdefault(name, {})[key] = value
        elif field.is_repeated:
            is_plain = False
            found.setdefault(name, []).extend(_items(field, raw))
        else:
            found[name] = _value(field.type, raw)
    if not is_plain:
        found = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return kind(**found)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: of each its number, and a number or bytes."""
    at, end = 0, len(data)
    left = MOST_FIELDS
    while at < end:
        tag, at = (data[at], at + 1) if data[at] < 128 else _read(data, at)
        number, wire = tag >> 3, tag & 7
        left -= 1
        if not number or number > _HIGHEST or left < 0:
            raise MalformedError(f"malformed message: {f'a field of the number {number}' if left >= 0 else 'too many fields'}")
        if wire == _VARINT:
            value, at = _read(data, at)
            yield number, value
        elif wire == _BYTES:
            size, at = (data[at], at + 1) if at < end and data[at] < 128 else _read(data, at)
            if size > end - at:
                raise MalformedError(f"malformed message: field {number} has {size} bytes, {end - at} are there")
            yield number, data[at : at + size]
            at += size
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
            if size > end - at:
                raise MalformedError(f"malformed message: field {number} has {size} bytes, {end - at} are there")
            yield number, int.from_bytes(data[at : at + size], "little")
            at += size
        else:
            raise MalformedError(f"malformed message: field {number} is of the unknown kind {wire}")


def _read(data: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    value = shift = 0
    for byte in data[at : at + _LONGEST]:
        at += 1
        if byte < 128:
            return (value | byte << shift) & _MASK, at
        value |= (byte & 127) << shift
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
    return tuple((field.name, field.metadata[KEY]) for field in dataclasses.fields(kind))


@cache
def _by_number(kind: type) -> Mapping[int, tuple[str, _Kind]]:
    return {field.number: (name, field) for name, field in _schema(kind)}
