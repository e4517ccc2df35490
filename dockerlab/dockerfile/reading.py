"""Nodes → commands: what an instruction says, judged by BuildKit's rules (frontend/dockerfile/instructions/parse.go).

    read(node, dockerfile) → Copy(node, sources=("requirements.txt",), target="/app/", from_="build", …)
    trigger("COPY . /app", source, dockerfile) → what an image said with ONBUILD, as an instruction of the stage that builds upon it

Errors have the texts of Docker, with line, column, the lines with a caret, and what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from dockerlab.dockerfile import commands as c
from dockerlab.dockerfile import mounts
from dockerlab.dockerfile.arguments import (
    Flags,
    first_word,
    flags,
    json_list,
    list_or_words,
    optional_pairs,
    pairs,
    quoted_words,
    words,
)
from dockerlab.dockerfile.durations import duration
from dockerlab.dockerfile.heredoc import Heredoc, opening
from dockerlab.dockerfile.instructions import suggestion
from dockerlab.dockerfile.parser import Dockerfile, Node, parse, split
from dockerlab.dockerfile.refusal import Refused, at, did_you_mean
from dockerlab.dockerfile.words import SPACE, quoted
from dockerlab.errors import DockerfileError

NETWORKS = ("default", "none", "host")
SECURITIES = ("sandbox", "insecure")
# What Docker says before an error in an instruction's form.
PREFIX = "dockerfile parse error on line {}: "

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_ONBUILD = re.compile(rf"[{SPACE}]*ONBUILD[{SPACE}]*", re.IGNORECASE)
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_SHORTEST = 10**6  # nanoseconds, of a health check's times
_TIMES = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval"}
_IN_TRIGGERS_NOT = ("MAINTAINER", "FROM")


def read(node: Node, dockerfile: Dockerfile) -> c.Command:
    """What an instruction of `dockerfile` says. Raises DockerfileError."""
    with at(node, dockerfile, PREFIX.format(node.line)):
        reader = _READERS.get(node.keyword)
        if reader is None:
            keyword, _ = first_word(node.text.strip(SPACE))
            near = suggestion(keyword)
            raise Refused(f"unknown instruction: {keyword}", at=keyword, hint=f"Did you mean {near}?" if near else None)
        return reader(node, dockerfile.escape)


def trigger(text: str, source: c.From, dockerfile: Dockerfile) -> c.Command:
    """The instruction that an image left with ONBUILD. source: the FROM that names the image; what is wrong is said to be there.

    Raises DockerfileError.
    """
    with at(source.node, dockerfile):
        try:
            alone = parse(text)
            if len(alone.nodes) != 1:
                raise Refused("onbuild trigger should be a single expression")
            _refuse_as_trigger(alone.nodes[0].keyword, source.base)
            command = read(alone.nodes[0], alone)
        except DockerfileError as error:
            message = error.message.removeprefix(PREFIX.format(error.line))
            hint = f"It is an ONBUILD instruction of what FROM names: {text.partition(chr(10))[0][:200]}"
            raise Refused(message, at=source.base, hint=hint) from None
        return replace(command, node=replace(command.node, line=source.node.line, end_line=source.node.end_line))


def _from(node: Node, escape: str) -> c.Command:
    found = words(node.arguments)
    name = ""
    if len(found) == 3 and found[1].lower() == "as":
        name = found[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            text = f"invalid name for build stage: {quoted(found[2])}, name can't start with a number or contain symbols"
            raise Refused(text, at=found[2], hint="A stage is named with a letter, then letters, digits, '-', '_' and '.'.")
    elif len(found) != 1:
        hint = did_you_mean(found[1], ("AS",)) if len(found) == 3 else "FROM image, or FROM image AS name."
        raise Refused("FROM requires either one or three arguments", at=found[1] if len(found) > 1 else "", hint=hint)
    return c.From(node, found[0], name, flags(node.flags, ("platform",)).text("platform"))


def _arg(node: Node, escape: str) -> c.Command:
    return c.Arg(node, optional_pairs(node.arguments, escape))


def _env(node: Node, escape: str) -> c.Command:
    found = pairs("ENV", node.arguments, escape)
    flags(node.flags)
    return c.Env(node, found)


def _label(node: Node, escape: str) -> c.Command:
    found = pairs("LABEL", node.arguments, escape)
    flags(node.flags)
    return c.Label(node, found)


def _maintainer(node: Node, escape: str) -> c.Command:
    return c.Maintainer(node, _one(node))


def _workdir(node: Node, escape: str) -> c.Command:
    return c.Workdir(node, _one(node))


def _user(node: Node, escape: str) -> c.Command:
    return c.User(node, _one(node))


def _stop_signal(node: Node, escape: str) -> c.Command:
    return c.StopSignal(node, _one(replace(node, flags=())))


def _run(node: Node, escape: str) -> c.Command:
    line = _line(node.arguments, node.heredocs)
    given = flags(node.flags, ("network", "security"), lists=("mount",))
    network, security = given.text("network", "default"), given.text("security", "sandbox")
    found = tuple(map(mounts.drafted, given.all("mount")))
    if network not in NETWORKS:
        raise Refused(f"invalid network mode {quoted(network)}", at=network, hint=did_you_mean(network, NETWORKS))
    if security not in SECURITIES:
        raise Refused(f"security {quoted(security)} is not valid", at=security, hint=did_you_mean(security, SECURITIES))
    return c.Run(node, line, found, network, security, given.all("mount"))


def _cmd(node: Node, escape: str) -> c.Command:
    line = _line(node.arguments)
    flags(node.flags)
    return c.Cmd(node, line)


def _entrypoint(node: Node, escape: str) -> c.Command:
    line = _line(node.arguments)
    flags(node.flags)
    return c.Entrypoint(node, line)


def _copy(node: Node, escape: str) -> c.Command:
    found = _paths(node)
    given = flags(node.flags, ("from", "chown", "chmod"), ("link", "parents"), ("exclude",))
    return c.Copy(node, *_transfer(node, found, given), from_=given.text("from"), parents=bool(given.switch("parents")))


def _add(node: Node, escape: str) -> c.Command:
    found = _paths(node)
    given = flags(node.flags, ("checksum", "chown", "chmod"), ("link", "keep-git-dir", "unpack"), ("exclude",))
    return c.Add(
        node,
        *_transfer(node, found, given),
        checksum=given.text("checksum"),
        keep_git_dir=bool(given.switch("keep-git-dir")),
        unpack=given.switch("unpack"),
    )


def _volume(node: Node, escape: str) -> c.Command:
    found = list_or_words(node.arguments)
    if not found:
        raise Refused("VOLUME requires at least one argument")
    flags(node.flags)
    paths = tuple(path.strip(SPACE) for path in found)
    if not all(paths):
        raise Refused("VOLUME specified can not be an empty string", at='""')
    return c.Volume(node, paths)


def _expose(node: Node, escape: str) -> c.Command:
    found = words(node.arguments)
    if not found:
        raise Refused("EXPOSE requires at least one argument")
    flags(node.flags)
    return c.Expose(node, tuple(sorted(found)))


def _healthcheck(node: Node, escape: str) -> c.Command:
    kind, rest = first_word(node.arguments)
    words_of = json_list(rest)
    if not kind:
        raise Refused("HEALTHCHECK requires at least one argument", hint="HEALTHCHECK CMD command, or HEALTHCHECK NONE.")
    if kind.upper() == "NONE":
        if rest and words_of != ():
            raise Refused("HEALTHCHECK NONE takes no arguments", at=rest)
        return c.Healthcheck(node, ("NONE",))
    given = flags(node.flags, (*_TIMES, "retries"))
    if kind.upper() != "CMD":
        raise Refused(f"Unknown type {quoted(kind.upper())} in HEALTHCHECK (try CMD)", at=kind)
    test = ("CMD-SHELL", rest) if words_of is None and rest else ("CMD", *(words_of or ()))
    if len(test) == 1:
        raise Refused("Missing command after HEALTHCHECK CMD", at=kind)
    times = {api: time for name, api in _TIMES.items() if (time := _time(name, given))}
    return c.Healthcheck(node, test, times, _retries(given))


def _onbuild(node: Node, escape: str) -> c.Command:
    keyword, _, arguments = split(node.arguments)
    if not keyword:
        raise Refused("ONBUILD requires at least one argument")
    _cut(keyword, arguments, escape)
    flags(node.flags)
    _refuse_as_trigger(keyword, first_word(node.arguments)[0])
    text = _ONBUILD.sub("", node.text, count=1)
    return c.Onbuild(node, text + "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in node.heredocs))


def _refuse_as_trigger(keyword: str, written: str) -> None:
    """Refuses instructions that cannot stand behind ONBUILD. written: the keyword as it stands."""
    if keyword == "ONBUILD":
        raise Refused("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", at=written)
    if keyword in _IN_TRIGGERS_NOT:
        raise Refused(f"{keyword} isn't allowed as an ONBUILD trigger", at=written)


def _shell(node: Node, escape: str) -> c.Command:
    found = json_list(node.arguments)
    flags(node.flags)
    if not node.arguments or found == ():
        raise Refused("SHELL requires at least one argument")
    if found is None:
        raise Refused(
            "SHELL requires the arguments to be in JSON form", at=node.arguments, hint='As a list: SHELL ["/bin/bash", "-c"].'
        )
    return c.Shell(node, found)


_READERS: Mapping[str, Callable[[Node, str], c.Command]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _cut(keyword: str, arguments: str, escape: str) -> None:
    """Refuses arguments that cannot even be cut. Behind ONBUILD more is not asked until the trigger is carried out."""
    if keyword in ("ENV", "LABEL") and quoted_words(arguments, escape):
        pairs(keyword, arguments, escape)
    elif keyword in ("ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"):
        json_list(arguments)
    elif keyword == "HEALTHCHECK":
        json_list(first_word(arguments)[1])
    elif keyword == "ONBUILD":
        inner, _, rest = split(arguments)
        if inner != "ONBUILD":
            _cut(inner, rest, escape)


def _one(node: Node) -> str:
    """The whole of the arguments, as one."""
    if not node.arguments:
        raise Refused(f"{node.keyword} requires exactly one argument")
    flags(node.flags)
    return node.arguments


def _line(text: str, heredocs: tuple[Heredoc, ...] = ()) -> c.Line:
    found = json_list(text)
    return c.Line((text,) if text else (), True, heredocs) if found is None else c.Line(found, False, heredocs)


def _paths(node: Node) -> tuple[str, ...]:
    found = list_or_words(node.arguments)
    if len(found) < 2:
        text = f"{node.keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
        raise Refused(text, at=found[0] if found else "", hint=f"{node.keyword} source destination")
    return found


def _transfer(
    node: Node, found: tuple[str, ...], given: Flags
) -> tuple[tuple[str, ...], str, tuple[Heredoc, ...], str, str, bool, tuple[str, ...]]:
    """The fields that COPY and ADD have in common."""
    *sources, target = found
    if opening(target):
        raise Refused(f"{node.keyword} cannot accept a heredoc as a destination", at=target, hint="The destination comes last.")
    contents = {heredoc.name: heredoc.content for heredoc in node.heredocs}
    paths, inline = list[str](), list[Heredoc]()
    for source in sources:
        heredoc = opening(source)
        if heredoc is None:
            paths.append(source)
            continue
        content = contents.get(heredoc.name, "")
        content = _LEADING_TABS.sub("", content) if heredoc.chomp else content
        inline.append(replace(heredoc, content=content, chomp=False))
    flags_of = given.text("chown"), given.text("chmod"), bool(given.switch("link")), given.all("exclude")
    return tuple(paths), target, tuple(inline), *flags_of


def _time(name: str, given: Flags) -> int:
    text = given.text(name)
    time = duration(text) if text else 0
    if time and time < _SHORTEST:
        raise Refused(f"Interval {quoted(name)} cannot be less than 1ms", at=f"--{name}")
    return time


def _retries(given: Flags) -> int | None:
    text = given.text("retries")
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise Refused(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax", at="--retries", hint="--retries is a number.")
    if len(text) > 12 or not -(1 << 31) <= int(text) < 1 << 31:
        raise Refused(f"strconv.ParseInt: parsing {quoted(text)}: value out of range", at="--retries")
    if int(text) < 0:
        raise Refused(f"--retries cannot be negative ({int(text)})", at="--retries")
    return int(text) or None
