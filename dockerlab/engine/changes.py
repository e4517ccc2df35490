"""Dockerfile instructions that change an image's configuration. Pure.

    apply(config, ['CMD ["flask", "run"]', "ENV A=b", "EXPOSE 5000"]) → the config with them: `--change` of commit and import
    applied(config, command) → the config with one that has been read, its variables replaced: a builder's step

Refusals are Docker's. Those of `applied` know what text is wrong, so that a builder can say where it stands (see `refusal.located`).
"""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dockerlab.errors import DockerfileError, UsageError

if TYPE_CHECKING:
    from dockerlab.dockerfile.commands import Command, Healthcheck, Line

Config = dict[str, Any]
SHELL = ("/bin/sh", "-c")
# What --change allows: what `applied` knows, but no MAINTAINER.
_ALLOWED = (
    *("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL"),
    *("ONBUILD", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
_PROTOCOLS = ("tcp", "udp", "sctp")


def apply(config: Mapping[str, Any], lines: Iterable[str]) -> Config:
    """The config with the instructions carried out, in order. Raises UsageError for one that is not allowed or makes no sense.

    As with Docker, variables are those of the config, and an ENTRYPOINT takes away a CMD that is none of these lines.
    """
    result = dict(config)
    text = "\n".join(line for line in lines if line.strip())
    if not text:
        return result
    # Seldom needed, and slow to import.
    from dockerlab.dockerfile.expansion import expanded
    from dockerlab.dockerfile.parser import parse
    from dockerlab.dockerfile.reading import PREFIX, read

    is_cmd_own = False
    try:
        dockerfile = parse(text)
        for node in dockerfile.nodes:
            if node.keyword not in _ALLOWED:
                raise UsageError(f"{node.keyword} is not a valid change command")
        for node in dockerfile.nodes:
            result = applied(result, expanded(read(node, dockerfile), _environment(result), dockerfile))
            is_cmd_own |= node.keyword == "CMD"
            if node.keyword == "ENTRYPOINT" and not is_cmd_own:
                result["Cmd"] = None
    except DockerfileError as error:
        raise UsageError(error.message.removeprefix(PREFIX.format(error.line)), hint=error.hint) from error
    return result


def applied(config: Mapping[str, Any], command: Command) -> Config:
    """The config with an instruction carried out; the same where it changes none. Raises DockerfileError, without a line."""
    from dockerlab.dockerfile import commands as c

    changed: Config = {}
    match command:
        case c.Cmd(line=line):
            changed["Cmd"] = _argv(config, line)
        case c.Entrypoint(line=line):
            changed["Entrypoint"] = _argv(config, line)
        case c.Env(pairs=pairs):
            changed["Env"] = [f"{name}={value}" for name, value in (_environment(config) | _named(pairs)).items()]
        case c.Label(pairs=pairs):
            changed["Labels"] = {**(config.get("Labels") or {}), **dict(pairs)}
        case c.Expose(ports=ports):
            new: Config = {port: {} for text in ports for port in _ports(text)}
            changed["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **new}
        case c.User(user=user):
            changed["User"] = user
        case c.Workdir(path=path):
            changed["WorkingDir"] = workdir(config, path)
        case c.Volume(paths=paths):
            if not all(paths):
                raise _refused("VOLUME specified can not be an empty string")
            changed["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}
        case c.Onbuild(trigger=trigger):
            changed["OnBuild"] = [*(config.get("OnBuild") or ()), trigger]
        case c.StopSignal(signal=signal):
            _check_signal(signal)
            changed["StopSignal"] = signal
        case c.Shell(words=words):
            changed["Shell"] = [*words]
        case c.Healthcheck():
            changed["Healthcheck"] = _health(command)
    return {**config, **changed}


def workdir(config: Mapping[str, Any], path: str) -> str:
    """The directory that WORKDIR means. Raises DockerfileError."""
    if not path:
        raise _refused("cannot normalize nothing")
    found = posixpath.normpath(posixpath.join("/", config.get("WorkingDir") or "/", path))
    return found[1:] if found.startswith("//") else found


def _refused(message: str, at: str = "") -> DockerfileError:
    from dockerlab.dockerfile.refusal import Refused

    return Refused(message, at=at)


def _environment(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(item.partition("=")[::2] for item in config.get("Env") or ())


def _named(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found = dict(pairs)
    if "" in found:
        raise _refused(f"invalid environment variable: ={found['']}", f"={found['']}")
    return found


def _argv(config: Mapping[str, Any], line: Line) -> list[str]:
    """The exec form as it is, the shell form in its shell."""
    return [*(config.get("Shell") or SHELL), *line.words] if line.is_shell else [*line.words]


def _health(command: Healthcheck) -> dict[str, Any]:
    retries = {"Retries": command.retries} if command.retries else {}
    return {"Test": [*command.test], **command.times, **retries}


def _check_signal(text: str) -> None:
    if text.isascii() and text.isdecimal() and int(text[-9:]):
        return
    from dockerlab.engine.containers.validation import signal_number

    try:
        signal_number(text)
    except UsageError as error:
        raise _refused(error.message, text) from error


def _ports(text: str) -> Iterator[str]:
    """The ports of `[[address:]port:]port[-port][/protocol]`, each as "80/tcp". What is said of the host counts for nothing."""
    address, host, port = ["", "", *text.rsplit(":", 2)][-3:]
    port, _, protocol = port.partition("/")
    if not port:
        raise _refused(f"No port specified: {text.rpartition(':')[2]}<empty>", text)
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise _refused(f"Invalid proto: {protocol}", text)
    if address and not _is_address(address):
        raise _refused(f"Invalid ip address: {address}", text)
    container = _range(port)
    if container is None:
        raise _refused(f"Invalid containerPort: {port}", text)
    if host:
        outside = _range(host)
        if outside is None:
            raise _refused(f"Invalid hostPort: {host}", text)
        if len(container) not in (1, len(outside)):
            raise _refused(f"Invalid ranges specified for container and host Ports: {port} and {host}", text)
    return (f"{number}/{protocol}" for number in container)


def _range(text: str) -> range | None:
    first, mark, last = text.partition("-")
    numbers = [first, last if mark else first]
    if not all(number.isascii() and number.isdecimal() and len(number.lstrip("0")) < 6 for number in numbers):
        return None
    start, end = map(int, numbers)
    return range(start, end + 1) if start <= end < 1 << 16 else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
