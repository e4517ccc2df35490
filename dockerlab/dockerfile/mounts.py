"""`RUN --mount=…`: what a command sees besides the image's files. Pure; BuildKit's instructions/commands_runmount.go.

    parse("type=cache,target=/var/cache/apt,sharing=locked") → Mount(type="cache", …)

The text is a line of CSV: fields with a comma stand in double quotes. A field is `key=value`, or a key alone (`ro`, `rw`, `required`);
the last of a key counts. What `required` and `size` mean hangs on the type, which must stand before them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from dockerlab.dockerfile.refusal import Refused, did_you_mean
from dockerlab.dockerfile.words import quoted


@dataclass(frozen=True, slots=True)
class Mount:
    """type: what is mounted at target. from_, source: where it comes from ("": the build context, or an empty cache). id: of a cache
    (BuildKit's is the target where there is none), a secret, or an ssh agent. read_only: bind is unless `rw`. sharing: of a cache.
    size: bytes of a tmpfs, 0 for no limit.

    mode, uid, gid: of a cache's folder or a secret's file, None where not given. required: a secret that is missing is an error. env:
    a secret's variable.
    """

    type: Literal["bind", "cache", "tmpfs", "secret", "ssh"] = "bind"
    target: str = ""
    from_: str = ""
    source: str = ""
    id: str = ""
    read_only: bool = False
    sharing: Literal["shared", "private", "locked"] = "shared"
    size: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    required: bool = False
    env: str = ""


TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS = ("shared", "private", "locked")

_TEXTS = {"target": "target", "dst": "target", "destination": "target", "from": "from_", "id": "id", "env": "env"} | dict.fromkeys(
    ("source", "src"), "source"
)
_KEYS = (*_TEXTS, "type", "readonly", "ro", "readwrite", "rw", "required", "size", "sharing", "mode", "uid", "gid")
_FIELD = re.compile(r'"((?:[^"]|"")*)"(?=,|\Z)|([^",]*)(?=,|\Z)')
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?(?:([kmgtp])i?)?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}


def parse(text: str, word: Callable[[str], str] = str) -> Mount:
    """The mount that `--mount=text` asks for. word: replaces the variables of a value. Raises Refused, and what `word` raises."""
    reading = _Reading(word)
    for field in _fields(text):
        reading.take(field)
    return reading.mount()


def drafted(text: str) -> Mount:
    """What can be told before variables have values: all if there is nothing wrong, else at least `from_`.

    Raises Refused for what BuildKit refuses at once: text that is no CSV, a variable in `from`.
    """
    from_ = ""
    for field in _fields(text):
        key, _, value = field.partition("=")
        if key.lower() == "from":
            if re.search(r"\$.", value):
                raise Refused("'from' doesn't support variable expansion, define alias stage instead", at=field)
            from_ = value
    try:
        return parse(text)
    except Refused:
        return Mount(from_=from_)


def _fields(text: str) -> list[str]:
    if not text:
        raise Refused("failed to parse csv mounts: EOF", at="--mount")
    fields, at = [], -1
    while at < len(text):
        at += 1
        match = _FIELD.match(text, at)
        if not match:
            what = 'extraneous or missing \\" in quoted-field' if text[at] == '"' else 'bare \\" in non-quoted field'
            raise Refused(
                f"failed to parse csv mounts: parse error on line 1, column {text.find(chr(34), at) + 1}: {what}", at=text
            )
        fields.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        at = match.end()
    return fields


class _Reading:
    """Takes one field after another."""

    def __init__(self, word: Callable[[str], str]) -> None:
        self._word = word
        self._type = "bind"
        self._said: dict[str, Any] = {}

    def take(self, field: str) -> None:
        key, mark, value = field.partition("=")
        key = key.lower()
        if mark:
            value = self._word(value)
        elif key in ("readonly", "ro", "readwrite", "rw", "required"):
            value = "true"
        else:
            raise Refused(f"invalid field '{field}' must be a key=value pair", at=field, hint=_pair_hint(key))
        if key in _TEXTS:
            self._said[_TEXTS[key]] = value
        elif key == "type":
            self._type = _one_of(value, TYPES, "mount type", field)
        elif key == "sharing":
            self._said["sharing"] = _one_of(value, SHARINGS, "sharing value", field)
        elif key in ("readonly", "ro", "readwrite", "rw"):
            self._said["read_only"] = _boolean(key, value, field) == key.startswith(("readonly", "ro"))
        elif key == "required":
            self._only(key, ("secret", "ssh"), field)
            self._said["required"] = _boolean(key, value, field)
        elif key == "size":
            self._only(key, ("tmpfs",), field)
            self._said["size"] = _bytes(value, field)
        elif key in ("mode", "uid", "gid"):
            self._said[key] = _unsigned(key, value, field)
        else:
            raise Refused(f"unexpected key '{key}' in '{field}'", at=field, hint=did_you_mean(key, _KEYS))

    def mount(self) -> Mount:
        kind, said = self._type, self._said
        if kind not in ("cache", "secret", "ssh"):
            for name in ("mode", "uid", "gid"):
                if name in said:
                    raise Refused(f"{name} not allowed for {quoted(kind)} type mounts", at=f"{name}=")
        if kind == "secret":
            if said.get("from_"):
                raise Refused("secret mount should not have a from", at="from=")
            if "sharing" in said:
                raise Refused("secret mount should not define sharing", at="sharing=")
            if not (said.get("source") or said.get("target") or said.get("id")):
                raise Refused("invalid secret mount. one of source, target required", at="--mount", hint="Name it: id=…")
            if said.get("source") and said.get("id"):
                raise Refused("both source and id can't be set", at="source=")
        elif "sharing" in said and kind != "cache":
            raise Refused(f"invalid cache sharing set for {kind} mount", at="sharing=")
        return Mount(**{"type": kind, "read_only": kind not in ("cache", "tmpfs"), **said})

    def _only(self, key: str, kinds: tuple[str, ...], field: str) -> None:
        if self._type not in kinds:
            hint = f"It is of {' and '.join(kinds)}; type= must stand before it."
            raise Refused(f"unexpected key '{key}' for mount type '{self._type}'", at=field, hint=hint)


def _pair_hint(key: str) -> str | None:
    return f"Write {key}=…" if key in _KEYS else did_you_mean(key, _KEYS)


def _one_of(value: str, choices: tuple[str, ...], what: str, field: str) -> str:
    if value.lower() not in choices:
        raise Refused(f"unsupported {what} {quoted(value)}", at=field, hint=did_you_mean(value, choices))
    return value.lower()


def _boolean(key: str, value: str, field: str) -> bool:
    if value not in (*_TRUE, *_FALSE):
        raise Refused(f"invalid value for {key}: {value}", at=field, hint="It is true or false.")
    return value in _TRUE


def _bytes(value: str, field: str) -> int:
    match = _SIZE.fullmatch(value)
    if not match:
        raise Refused(f"invalid value for size: {value}", at=field, hint="A size is a number with a unit: 64m.")
    return int(float(match[1]) * (1 << _UNITS[(match[2] or "").lower()]))


def _unsigned(key: str, value: str, field: str) -> int:
    digits = "[0-7]" if key == "mode" else "[0-9]"
    if (
        re.fullmatch(f"0*{digits}{{1,11}}", value)
        and (number := int(value.lstrip("0") or "0", 8 if key == "mode" else 10)) < 1 << 32
    ):
        return number
    raise Refused(f"invalid value {value} for {key}", at=field, hint="A mode is octal: 0755." if key == "mode" else None)
