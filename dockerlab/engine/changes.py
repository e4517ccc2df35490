"""`--change` of commit and import: Dockerfile instructions that change an image's configuration. Pure.

    apply(config, ['CMD ["flask", "run"]', "ENV A=b", "EXPOSE 5000"]) → the config with them

Only what changes the configuration is allowed. Refusals are Docker's.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dockerlab.errors import DockerfileError, UsageError

Config = dict[str, Any]
_SHELL = ["/bin/sh", "-c"]
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_TIMES = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval"}


def apply(config: Mapping[str, Any], lines: Iterable[str]) -> Config:
    """The config with the instructions carried out, in order. Raises UsageError for one that is not allowed or makes no sense."""
    result = dict(config)
    text = "\n".join(line for line in lines if line.strip())
    if not text:
        return result
    try:
        from dockerlab.dockerfile import parse  # seldom, and slow to import

        nodes = parse(text).nodes
    except DockerfileError as error:
        raise UsageError(error.message) from error
    for node in nodes:
        change = _CHANGES.get(node.keyword)
        if change is None:
            raise UsageError(f"{node.keyword} is not a valid change command")
        if not node.arguments.strip():
            raise UsageError(f"{node.keyword} requires at least one argument")
        change(result, node.arguments.strip(), node.flags)
    return result


def _command(config: Config, text: str) -> list[str]:
    """The exec form as it is, the shell form in its shell."""
    found = _json_list(text)
    return found if found is not None else [*(config.get("Shell") or _SHELL), text]


def _json_list(text: str) -> list[str] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _cmd(config: Config, text: str, flags: tuple[str, ...]) -> None:
    config["Cmd"] = _command(config, text)


def _entrypoint(config: Config, text: str, flags: tuple[str, ...]) -> None:
    config["Entrypoint"] = _command(config, text)


def _env(config: Config, text: str, flags: tuple[str, ...]) -> None:
    variables = dict(item.partition("=")[::2] for item in config.get("Env") or ())
    config["Env"] = [f"{name}={value}" for name, value in (variables | _pairs("ENV", text)).items()]


def _label(config: Config, text: str, flags: tuple[str, ...]) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **_pairs("LABEL", text)}


def _expose(config: Config, text: str, flags: tuple[str, ...]) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in text.split():
        port, _, protocol = word.partition("/")
        if not re.fullmatch(r"\d+(-\d+)?", port):
            raise UsageError(f"Invalid containerPort: {word}")
        ports[f"{port}/{protocol or 'tcp'}"] = {}
    config["ExposedPorts"] = ports


def _user(config: Config, text: str, flags: tuple[str, ...]) -> None:
    config["User"] = text


def _workdir(config: Config, text: str, flags: tuple[str, ...]) -> None:
    config["WorkingDir"] = posixpath.normpath(posixpath.join(config.get("WorkingDir") or "/", text))


def _volume(config: Config, text: str, flags: tuple[str, ...]) -> None:
    places = _json_list(text)
    config["Volumes"] = {**(config.get("Volumes") or {}), **{place: {} for place in places or text.split()}}


def _on_build(config: Config, text: str, flags: tuple[str, ...]) -> None:
    keyword = text.split()[0].upper()
    if keyword == "ONBUILD":
        raise UsageError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("MAINTAINER", "FROM"):
        raise UsageError(f"{keyword} isn't allowed as an ONBUILD trigger")
    config["OnBuild"] = [*(config.get("OnBuild") or ()), text]


def _stop_signal(config: Config, text: str, flags: tuple[str, ...]) -> None:
    config["StopSignal"] = text


def _shell(config: Config, text: str, flags: tuple[str, ...]) -> None:
    shell = _json_list(text)
    if not shell:
        raise UsageError("SHELL requires the arguments to be in JSON form")
    config["Shell"] = shell


def _health_check(config: Config, text: str, flags: tuple[str, ...]) -> None:
    keyword, _, command = text.partition(" ")
    if keyword.upper() == "NONE":
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if keyword.upper() != "CMD" or not command.strip():
        raise UsageError(f'Unknown type "{keyword}" in HEALTHCHECK (try CMD)')
    words = _json_list(command.strip())
    check: dict[str, Any] = {"Test": ["CMD", *words] if words is not None else ["CMD-SHELL", command.strip()]}
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        if name == "retries" and value.isdecimal():
            check["Retries"] = int(value)
        elif name in _TIMES and (parts := _DURATION.findall(value)) and "".join(map("".join, parts)) == value:
            check[_TIMES[name]] = int(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))
        else:
            raise UsageError(f"HEALTHCHECK: bad flag {flag}")
    config["Healthcheck"] = check


def _pairs(keyword: str, text: str) -> dict[str, str]:
    """ "a=b c='d e'", or the old form with one name, a blank, and its value."""
    name, _, rest = text.partition(" ")
    if "=" not in name:
        if not rest:
            raise UsageError(f"{keyword} must have two arguments")
        return {name: rest.strip()}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{keyword}: {error}") from error
    for word in words:
        if "=" not in word:
            raise UsageError(f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value')
        if word.startswith("="):
            raise UsageError(f"{keyword} names can not be blank")
    return dict(word.partition("=")[::2] for word in words)


_CHANGES: Mapping[str, Callable[[Config, str, tuple[str, ...]], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _health_check,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
