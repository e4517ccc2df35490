"""Options of a container's log, `--log-driver` and `--log-opt`, with Docker's texts for what it refuses. Pure.

Both drivers write the same file here. `json-file` is one file without limit unless it is told otherwise; `local` is rotated by itself.
Docker looks at the names when a container is created, and at the values when it is started; so does this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote_plus

from dockerlab.errors import EngineError, UsageError

DRIVERS = ("json-file", "local", "none")
_SHARED = ("mode", "max-buffer-size")
_NAMES = {
    "json-file": ("max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag"),
    "local": ("max-file", "max-size", "compress"),
}
_DEFAULTS = {"local": {"max-size": "20m", "max-file": "5", "compress": "true"}}
_UNITS = {unit: 1000**power for power, unit in enumerate(("", "k", "m", "g", "t", "p"))}
_SIZE = re.compile(r"(.*[0-9. ])(.*)", re.DOTALL)
_SUFFIX = re.compile(r"([kmgtp])(i?b)?|b?", re.IGNORECASE)
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
_FAILED = "failed to create task for container: failed to initialize logging driver: "


def check(driver: str, options: Mapping[str, str]) -> None:
    """What a create request may say. Raises UsageError, EngineError."""
    if driver not in DRIVERS:
        raise UsageError(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    if driver == "none":
        return
    if (mode := options.get("mode", "")) not in ("", "blocking", "non-blocking"):
        raise UsageError(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options and mode != "non-blocking":
        raise UsageError("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
    for name in options:
        if name not in (*_NAMES[driver], *_SHARED):
            kind = "json-file log driver" if driver == "json-file" else f"log driver {driver}"
            raise UsageError(f"unknown log opt '{name}' for {kind}")


def limit(driver: str, options: Mapping[str, str]) -> tuple[int, int]:
    """Bytes a file, and files; (0, 1) without a limit. Raises EngineError, as a start does."""
    if driver == "none":
        return 0, 1
    given = _DEFAULTS.get(driver, {}) | {name: text for name, text in options.items() if text}
    size = _size(given["max-size"]) if "max-size" in given else 0
    if "max-size" in given and size <= 0:
        raise _failed("max-size must be a positive number")
    text = given.get("max-file", "1")
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise _failed(f'strconv.Atoi: parsing "{text}": invalid syntax')
    files = int(text)
    if files < 1:
        raise _failed("max-file cannot be less than 1")
    if (compress := given.get("compress", "false")) not in (*_TRUE, *_FALSE):
        raise _failed(f'strconv.ParseBool: parsing "{compress}": invalid syntax')
    if driver == "json-file" and compress in _TRUE and (files < 2 or not size):
        raise _failed("compress cannot be true when max-file is less than 2 or max-size is not set")
    for name in ("labels-regex", "env-regex"):
        _compiled(options.get(name, ""))
    return size, files


def details(options: Mapping[str, str], labels: Mapping[str, str], env: Iterable[str]) -> str:
    """What `docker logs --details` puts before each line: the labels and variables that the options choose. Raises EngineError."""
    found: dict[str, str] = {}
    variables = dict(item.partition("=")[::2] for item in env)
    for kind, values in (("labels", labels), ("env", variables)):
        names, pattern = options.get(kind, "").split(","), options.get(f"{kind}-regex")
        expression = _compiled(pattern) if pattern else None
        found |= {name: value for name, value in values.items() if name in names or (expression and expression.search(name))}
    return ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(found.items())) + " "


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise _failed(f"error parsing regexp: {error}") from None


def _size(text: str) -> int:
    """`10m`, `1.5kB`: units of a thousand, as Docker reads them here."""
    parts = _SIZE.fullmatch(text)
    if not parts:
        raise _failed(f"invalid size: '{text}'")
    try:
        number = float(parts[1].strip(" "))
    except ValueError:
        raise _failed(f'strconv.ParseFloat: parsing "{parts[1]}": invalid syntax') from None
    if number < 0:
        raise _failed(f"invalid size: '{text}'")
    suffix = _SUFFIX.fullmatch(parts[2])
    if not suffix:
        raise _failed(f"invalid suffix: '{parts[2]}'")
    return int(number * _UNITS[(suffix[1] or "").lower()])


def _failed(reason: str) -> EngineError:
    return EngineError(_FAILED + reason, status=500)
