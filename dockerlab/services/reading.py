"""Verbs that look: what the tasks of a service print, and all that the engine knows of one."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from dockerlab.client import Client, connect
from dockerlab.containers.connection import conversing
from dockerlab.containers.execution import moment
from dockerlab.errors import UsageError, printable
from dockerlab.services.asking import attributes, get
from dockerlab.services.model import Inspection, Service
from dockerlab.wire.multiplex import STDERR, STDOUT

Line = Callable[[int, str, str], object]
_TICK: Final = 0.1
# What the engine puts before a line, if asked for details.
_DETAILS: Final = re.compile(r"(?:[^ ]*?)com\.docker\.swarm\.task\.id=(?P<task>[a-z0-9]+)[^ ]* (?P<line>.*)", re.DOTALL)
_LONGEST: Final = 1 << 20  # bytes of a line that does not end


def inspect(service: str | Service, *, client: Client | None = None) -> Inspection:
    """All that the engine knows of a service. Raises NotFound, SwarmError."""
    return Inspection(attributes(service, client or connect()))


def logs(
    service: str | Service,
    follow: bool = False,
    tail: int | str | None = None,
    since: str | None = None,
    line: Line | None = None,
    *,
    client: Client | None = None,
) -> None:
    """Writes what a service's tasks have printed, on whatever node, each line after its task's name. follow: until an interrupt.

    tail: how many of each task's last lines; None or "all": all. since: a time, or a duration back from now (`10m`), as the engine reads
    it. line: called with the stream (1 or 2), the task's name and the line, in place of writing. Raises NotFound, SwarmError, UsageError.
    """
    if tail is not None and tail != "all" and not str(tail).isdecimal():
        raise UsageError(f"--tail '{tail}': not a number of lines", hint="Give a number, or all.")
    client = client or connect()
    found = get(service, client=client)
    names = _Names(found, client)
    write = line or _print
    params: dict[str, Any] = {
        "stdout": 1,
        "stderr": 1,
        "details": 1,
        "follow": int(follow),
        "tail": "all" if tail is None else str(tail),
    }
    if since is not None:
        params["since"] = f"{moment(since, time.time()):.0f}"
    doing = f"read the logs of service '{found.name}'"
    with conversing(client, "GET", f"/services/{found.id}/logs", doing=doing, params=params) as conversation:
        left = {STDOUT: b"", STDERR: b""}
        for chunk in conversation.chunks(_TICK):
            if chunk is None:
                continue
            stream, data = chunk
            *lines, left[stream] = (left[stream] + data).split(b"\n")
            if len(left[stream]) > _LONGEST:
                lines, left[stream] = [*lines, left[stream]], b""
            for one in lines:
                names.tell(stream, one, write)
        for stream, rest in left.items():
            if rest:
                names.tell(stream, rest, write)


class _Names:
    """Task ids → names, asked anew when one comes that is not known."""

    def __init__(self, service: Service, client: Client) -> None:
        self._service, self._client = service, client
        self._known = self._named(service)

    def tell(self, stream: int, raw: bytes, write: Line) -> None:
        text = raw.decode("utf-8", "replace").removesuffix("\r")
        match = _DETAILS.fullmatch(text)
        if match is None:
            write(stream, self._service.name, text)
            return
        if match["task"] not in self._known:
            self._known = {match["task"]: match["task"][:12], **self._named(get(self._service, client=self._client))}
        write(stream, self._known[match["task"]], match["line"])

    @staticmethod
    def _named(service: Service) -> dict[str, str]:
        return {task.id: f"{task.facts.name}@{task.facts.node}" if task.slot else task.facts.name for task in service.tasks}


def _print(stream: int, task: str, line: str) -> None:
    target = sys.stderr if stream == STDERR else sys.stdout
    print(f"{printable(task)}  {line}", file=target, flush=True)
