"""The `docker` commands that do what the verbs of `%container` do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dockerlab.project.command import Command, alike, docker, nearest
from dockerlab.project.flags import Given, flag_words


def _run(given: Given) -> Command:
    lines, notes = [], []
    if given.has("--replace") and (name := given.value("--name")):
        lines.append(docker("rm", "-f", name))
    if given.has("--wait"):
        port = given.value("--wait")
        until = f"port {port} answers" if port else "the container is ready"
        notes.append(f"docker run -d does not wait until {until}; `docker ps` and `docker logs` tell.")
    kept = [(flag, _published(value) if flag in ("-p", "--publish") and value else value) for flag, value in given.flags]
    kept = [(flag, value) for flag, value in kept if flag not in ("--replace", "--wait")]
    lines.append(docker("run", *flag_words(kept), *given.arguments))
    return Command(tuple(lines), tuple(notes))


def _published(port: str) -> str:
    """Where nothing else is asked for, a magic publishes on this machine alone."""
    if port.startswith("[") or port.count(":") > 1:
        return port
    host, colon, inner = port.rpartition(":")
    return port if colon and not host.isdecimal() and "-" not in host else f"127.0.0.1:{host}:{inner}"


def _debug(given: Given) -> Command:
    return nearest(
        docker("run", "-it", *flag_words(given.flags), "IMAGE", "sh"),
        "docker keeps no container of a build that failed: build the Dockerfile up to the line before as IMAGE, then start that.",
    )


def _show_container(given: Given) -> Command:
    return nearest(
        [docker(verb, *given.arguments) for verb in ("inspect", "logs", "top", "stats")], "docker has each part of it by itself."
    )


def _limits(given: Given) -> Command:
    return nearest(
        docker("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", *given.arguments),
        "docker says what was asked for; what holds inside is read there: `docker exec NAME cat /sys/fs/cgroup/memory.max`.",
    )


def _process(given: Given) -> Command:
    return nearest(
        [docker("inspect", "-f", "{{.State.Pid}}", *given.arguments), "sudo ls -l /proc/PID/ns /proc/1/ns"],
        "docker names the process, on the engine's host; that one's kernel has the rest, under the number as PID.",
    )


def _timed(verb: str) -> Callable[[Given], Command]:
    def make(given: Given) -> Command:
        flags = [("-t" if flag in ("--time", "--timeout") else flag, value) for flag, value in given.flags]
        return Command((docker(verb, *flag_words(flags), *given.arguments),))

    return make


CONTAINER: Final[dict[str, Callable[[Given], Command]]] = {
    "run": _run,
    "debug": _debug,
    "show": _show_container,
    "limits": _limits,
    "process": _process,
    "stop": _timed("stop"),
    "restart": _timed("restart"),
    "inspect": alike("container", "inspect"),
    "stats": alike("stats", always=["--no-stream"]),
    "prune": alike("container", "prune", always=["-f"]),
    "ls": alike("container", "ls"),
    **{verb: alike(verb) for verb in ("ps", "logs", "exec", "start", "kill", "pause", "unpause", "rm", "diff", "top", "cp")},
    **{verb: alike(verb) for verb in ("port", "wait", "commit", "rename")},
}
