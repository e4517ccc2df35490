"""What flags of `run` and `exec` mean: text → values of the Engine API. Pure: environment, folder and home are arguments.

Every function raises UsageError, naming the flag and the right form.
"""

from __future__ import annotations

import ntpath
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from dockerlab.errors import UsageError

Pairs = Mapping[str, object] | Iterable[str] | str
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgtp])i?)?b?", re.IGNORECASE)
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
# Docker's and Podman's; an engine refuses the ones that it does not know.
_VOLUME_OPTIONS = re.compile("ro|rw|z|Z|cached|delegated|consistent|nocopy|copy|r?shared|r?slave|r?private|U|O|idmap")


def words(command: str | Iterable[str] | None) -> list[str] | None:
    """A command as a list of words; text is split as a shell splits it. None: the image's own command."""
    if command is None:
        return None
    if not isinstance(command, str):
        return [str(word) for word in command]
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(
            f"the command cannot be split into words: {error}", hint="Close the quote, or give a list of words."
        ) from error


def environment(given: Pairs, files: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """-e and --env-file, as the API wants them. files: the lines of env files, already parsed (`parse_env_file`).

    `KEY` without a value takes the value of `environ`; where that has none either, it stays bare, at which an engine unsets the
    key.
    """
    variables: dict[str, str | None] = {}
    items = (f"{k}" if v is None else f"{k}={v}" for k, v in given.items()) if isinstance(given, Mapping) else _items(given)
    for item in (*files, *items):
        key, equals, value = item.partition("=")
        if not key:
            raise UsageError(f"-e '{item}': a name is missing", hint="Give KEY=VALUE, or KEY to pass on this kernel's own value.")
        variables.pop(key, None)
        variables[key] = value if equals else environ.get(key)
    return [key if value is None else f"{key}={value}" for key, value in variables.items()]


def parse_env_file(content: bytes, name: str, environ: Mapping[str, str]) -> list[str]:
    """`KEY=VALUE` items of an env file, by Docker's rules: `#` starts a comment line, values are taken as they stand, quotes
    included; a bare `KEY` takes the value of `environ`, and is left out where that has none."""
    hint = "Each line is KEY=VALUE, KEY, or a comment that starts with #."
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"--env-file '{name}' is not UTF-8 text", hint=hint) from error
    items = []
    for number, line in enumerate((line.removesuffix("\r").lstrip() for line in lines), 1):
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not key or re.search(r"\s", key):
            reason = "a name is missing" if not key else f"the name '{key}' holds white space"
            raise UsageError(f"--env-file '{name}', line {number}: {reason}", place=(f"{number} {line}",), hint=hint)
        if equals or key in environ:
            items.append(f"{key}={value if equals else environ[key]}")
    return items


def labels(given: Pairs) -> dict[str, str]:
    """--label: `KEY=VALUE`, or `KEY` for an empty value."""
    if isinstance(given, Mapping):
        return {str(k): "" if v is None else str(v) for k, v in given.items()}
    table = {}
    for item in _items(given):
        key, _, value = item.partition("=")
        if not key:
            raise UsageError(f"--label '{item}': a name is missing", hint="Give KEY=VALUE, or KEY.")
        table[key] = value
    return table


@dataclass(frozen=True, slots=True)
class Mount:
    """-v. source: a folder or file of the engine's host, the name of a volume, or '' for a new volume without a name. target: in
    the container. options: `ro,z`, or ''."""

    source: str
    target: str
    options: str = ""

    @property
    def bind(self) -> str:
        """As the API's Binds has it."""
        return ":".join(part for part in (self.source, self.target, self.options) if part)


def parse_volume(item: str, folder: str, home: str) -> Mount:
    """What one `-v` mounts. A source with a separator, or one that starts with `.` or `~`, is a path: made absolute, seen from
    `folder`; else it is the name of a volume."""

    def wrong(reason: str) -> UsageError:
        hint = (
            "Give SOURCE:TARGET or SOURCE:TARGET:ro; SOURCE is a path or a volume's name, TARGET an absolute path in the container."
        )
        return UsageError(f"-v '{item}': {reason}", hint=hint)

    parts = _split_volume(item)
    if len(parts) == 1 and _has_drive(item):
        raise wrong(f"'{item[0]}' is a drive; a volume's name has two characters or more")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise wrong("not a volume")
    source, target, options = ("", *parts, "") if len(parts) == 1 else (*parts, "") if len(parts) == 2 else parts
    if not (target.startswith("/") or _has_drive(target)):
        raise wrong(f"'{target}' is not an absolute path" if source else "TARGET is missing, or is not an absolute path")
    if target == "/":
        raise wrong("nothing can be mounted over the container's root")
    unknown = [o for o in options.split(",") if o and not _VOLUME_OPTIONS.fullmatch(o)]
    if unknown:
        raise wrong(f"'{unknown[0]}' is no option of a volume")
    if source and _is_path(source):
        source = _absolute(source, folder, home)
    elif source and not _VOLUME_NAME.fullmatch(source):
        raise wrong(f"'{source}' is no name for a volume: letters, digits, '_', '.' and '-'; a path starts with '/' or './'")
    return Mount(source, target, options)


def memory(given: str | int | None) -> int:
    """--memory in bytes; 0 for no limit. Units are powers of 1,024."""
    if given is None:
        return 0
    match = _SIZE.fullmatch(str(given).strip())
    if not match or not float(match[1]):
        raise UsageError(f"--memory '{given}': not a size", hint="Give bytes, or a number with k, m or g: `--memory 512m`.")
    return int(float(match[1]) * 1024 ** (" kmgtp".index((match[2] or " ").lower())))


def nano_cpus(given: str | float | None) -> int:
    """--cpus in billionths of a processor; 0 for no limit."""
    if given is None:
        return 0
    try:
        nano = int(Decimal(str(given)) * 10**9)
    except (InvalidOperation, ValueError, OverflowError):
        nano = 0
    if nano <= 0:
        raise UsageError(f"--cpus '{given}': not a number of processors", hint="Give a number above 0: `--cpus 0.5`.")
    return nano


def restart_policy(given: str | None) -> dict[str, object] | None:
    """--restart, as the API's RestartPolicy."""
    if given is None:
        return None
    name, colon, count = given.partition(":")
    if name not in ("no", "always", "unless-stopped", "on-failure") or (colon and (name != "on-failure" or not count.isdecimal())):
        raise UsageError(
            f"--restart '{given}': not a restart policy", hint="Give no, always, unless-stopped, on-failure or on-failure:3."
        )
    return {"Name": name, "MaximumRetryCount": int(count) if colon else 0}


def _items(given: Iterable[str] | str) -> Sequence[str]:
    return (given,) if isinstance(given, str) else tuple(given)


def _has_drive(path: str) -> bool:
    return bool(re.match(r"[A-Za-z]:[\\/]", path))


def _split_volume(item: str) -> list[str]:
    """At colons, but not at that of a drive, `C:\\data`: one letter is no volume's name either."""
    parts: list[str] = []
    for part in item.split(":"):
        if parts and len(parts[-1]) == 1 and parts[-1].isalpha() and part.startswith(("/", "\\")):
            parts[-1] += f":{part}"
        else:
            parts.append(part)
    return parts


def _is_path(source: str) -> bool:
    return "/" in source or "\\" in source or source.startswith((".", "~"))


def _absolute(path: str, folder: str, home: str) -> str:
    if path == "~" or path.startswith(("~/", "~\\")):
        path = f"{home}/{path[2:]}"
    flavour = posixpath if path.startswith("/") else ntpath if _has_drive(path) or _has_drive(folder) else posixpath
    return str(flavour.normpath(flavour.join(folder, path)))
