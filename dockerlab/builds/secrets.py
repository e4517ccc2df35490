"""The secrets of a build (`--secret`): what `RUN --mount=type=secret,id=…` sees, served as the engine asks for it.

    secrets = Secrets.of(["id=token,env=TOKEN", "id=key,src=key.pem", "id=password,var=password"], user_namespace)
    Session(client, {**secrets.services(mask.add), …}, …)

Each is read once before the build, so that one that is missing is an error at once, and again when the engine asks. No value is kept, nor
is it in a repr, an error or a log.

Follows docker/buildx (util/buildflags/secrets.go) and moby/buildkit (session/secrets/secretsprovider); `var`, a variable of the notebook,
is ours.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from dockerlab.builds.fields import pairs
from dockerlab.builds.session import Begin, Exchange, Metadata, Refused, Service, Unary
from dockerlab.errors import UsageError
from dockerlab.wire import grpc
from dockerlab.wire.protobuf import decode, encode
from dockerlab.wire.services import GET_SECRET, GetSecretRequest, GetSecretResponse

FLAG: Final = "--secret"
LARGEST: Final = 500 * 1024

_EXAMPLE: Final = "id=token,env=TOKEN"
_KEYS: Final = ("id", "env", "src", "source", "var", "type")
_NOTHING: Final[Mapping[str, object]] = {}


class _Source(Protocol):
    """Where a secret comes from."""

    def read(self) -> bytes:
        """Its value. Raises UsageError."""


@dataclass(frozen=True)
class _Environment:
    name: str

    def read(self) -> bytes:
        if self.name not in os.environ:
            raise UsageError(
                f"the environment has no variable '{self.name}'", hint=f"Set it: `%env {self.name}=…`, or use var=name."
            )
        return os.fsencode(os.environ[self.name])


@dataclass(frozen=True)
class _File:
    path: str

    def read(self) -> bytes:
        try:
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                raise UsageError(f"'{self.path}' is no regular file")
            with open(self.path, "rb") as file:
                return file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"the file '{self.path}' cannot be read: {getattr(error, 'strerror', None) or error}") from None


@dataclass(frozen=True)
class _Variable:
    name: str
    namespace: Mapping[str, object] = field(repr=False, compare=False)

    def read(self) -> bytes:
        if self.name not in self.namespace:
            shown = f" '{self.name}'" if self.name.isidentifier() else " of that name"
            raise UsageError(f"the notebook has no variable{shown}")
        value = self.namespace[self.name]
        if isinstance(value, (bytes, bytearray)):
            return bytes(value)
        if not isinstance(value, str):
            raise UsageError(f"'{self.name}' is of type {type(value).__name__}; a secret is a str or bytes")
        return value.encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class _Value:
    data: bytes = field(repr=False)

    def read(self) -> bytes:
        return self.data


Given = Callable[[bytes, str], object]


class Secrets:
    """By id. Immutable."""

    def __init__(self, sources: Mapping[str, _Source]) -> None:
        self._sources = dict(sources)

    @classmethod
    def of(cls, flags: Iterable[str] | Mapping[str, str | bytes], namespace: Mapping[str, object] = _NOTHING) -> Secrets:
        """flags: texts of `--secret`, or values by id. namespace: the notebook's, for `var`. Of two of an id the later counts.

        Raises UsageError for what is misspelt, is not there, or is larger than 500 KB.
        """
        if isinstance(flags, Mapping):
            found: list[tuple[str, _Source]] = [(name, _Variable(name, flags)) for name in flags]
            found = [(name, _Value(_checked(name, source))) for name, source in found]
        else:
            found = [_parsed(text, namespace) for text in ([flags] if isinstance(flags, str) else flags)]
            for name, source in found:
                _checked(name, source)
        return cls(dict(found))

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._sources))})"

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[str]:
        """The ids."""
        return iter(self._sources)

    def services(self, given: Given) -> Mapping[str, Begin]:
        """For the session: a method's path → what serves it. given: is called with a value and its id, before it is sent."""
        return {GET_SECRET: partial(self.begin, given=given)}

    def begin(self, exchange: Exchange, metadata: Metadata, given: Given = lambda value, name: None) -> Service:
        """Serves Secrets/GetSecret."""
        return Unary(exchange, partial(self._answer, given))

    def _answer(self, given: Given, message: bytes) -> bytes:
        name = decode(GetSecretRequest, message).id
        source = self._sources.get(name)
        if source is None:
            raise Refused(grpc.NOT_FOUND, f"secret {name} not found")
        value = _checked(name, source)
        given(value, name)
        return encode(GetSecretResponse(value))


def _checked(name: str, source: _Source) -> bytes:
    """A secret's value. Raises UsageError."""
    try:
        data = source.read()
    except UsageError as error:
        raise UsageError(f"secret '{name}': {error.message}", hint=error.hint) from None
    if len(data) > LARGEST:
        raise UsageError(f"secret '{name}' is too big; at most 500 KB")
    return data


def _parsed(text: str, namespace: Mapping[str, object]) -> tuple[str, _Source]:
    given: dict[str, Any] = {}
    for key, value in pairs(FLAG, text, _EXAMPLE):
        if key not in _KEYS:
            # Which it is is not shown: it may be a secret in the wrong place.
            raise UsageError(
                f"{FLAG} has a key that it does not know; it knows {', '.join(_KEYS)}", hint=f"For example: {FLAG} {_EXAMPLE}"
            )
        given["src" if key == "source" else key] = value
    if given.get("type", "file") not in ("file", "env"):
        raise UsageError(f"{FLAG}: type is 'file' or 'env'", hint=f"For example: {FLAG} {_EXAMPLE}")
    name = given.get("id")
    if not name:
        raise UsageError(f"{FLAG} has no id", hint=f"For example: {FLAG} {_EXAMPLE}")
    if given.get("type") == "env" and not given.get("env"):
        given["env"] = given.pop("src", "")
    chosen = [key for key in ("env", "src", "var") if given.get(key)]
    if len(chosen) > 1:
        raise UsageError(f"secret '{name}' has {' and '.join(chosen)}; it comes from one of them")
    match chosen:
        case ["var"]:
            return name, _Variable(given["var"], namespace)
        case ["env"]:
            return name, _Environment(given["env"])
        case ["src"]:
            return name, _File(os.path.expanduser(given["src"]))
    return name, _Environment(name) if name in os.environ else _File(name)
