"""`process()`: a container's first process as its engine's host has it: its number there, and its namespaces beside the host's.

Linux tells both in /proc, to whom may read it: `NSpid` in `status` has a process's number in each PID namespace that it is in,
`ns/` the numbers of its namespaces. The host is what the engine itself runs on: the kernel names the process behind a socket
(SO_PEERCRED), and that one's namespaces are the host's. An engine in a container or a pod has a host that is that container.

What cannot be read here is asked for in the container (`readlink`), or stays unknown; nothing is guessed.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dockerlab import containers
from dockerlab.client import Client, connect, engine_errors
from dockerlab.containers.container import Which, not_running
from dockerlab.containers.facts import secrets_of
from dockerlab.errors import CommandError, EngineError, NotReady
from dockerlab.faces import container as container_faces
from dockerlab.faces import process as faces
from dockerlab.faces.hiding import hide_in_command
from dockerlab.faces.shown import Shown
from dockerlab.machine import stacks
from dockerlab.machine.facts import FIRST_NAMESPACES, Facts, ask, read

# name → what it keeps apart
KINDS: Final = {
    "pid": "processes",
    "mnt": "mounts: its files",
    "net": "network",
    "uts": "host name",
    "ipc": "shared memory",
    "user": "users",
}
_INSIDE = f"for name in {' '.join(KINDS)}; do readlink /proc/self/ns/$name; done"
_LONGEST: Final = 1000  # bytes of what that says
_SECONDS: Final = 15.0  # for it to be said


@dataclass(frozen=True)
class Namespace:
    """One kind of namespace. inside, host: the number of the container's and of the host's, 0 where it cannot be read."""

    name: str
    inside: int = 0
    host: int = 0

    @property
    def is_own(self) -> bool | None:
        """Whether the container has one of its own; None where that cannot be told."""
        return self.inside != self.host if self.inside and self.host else None


@dataclass(frozen=True, repr=False)
class Process(Shown):
    """The first process of a container.

    place: where the engine runs containers. pid: its number on the engine's host. pid_here: in the process list that this notebook
    sees, None where it is not in there. pid_inside: in the container, None where it cannot be told. command: by this process list.
    memory: in bytes; what is resident where it is seen here, else as the engine counts it. namespaces: beside the host's.
    isolation: what the engine says that keeps containers apart, where it does.
    """

    facts: container_faces.Facts = field(repr=False)
    place: stacks.Place
    pid: int
    pid_here: int | None
    pid_inside: int | None
    command: str
    memory: int
    namespaces: tuple[Namespace, ...]
    isolation: str = ""

    def namespace(self, name: str) -> Namespace:
        """The one of that name, such as "pid". Raises KeyError."""
        return {one.name: one for one in self.namespaces}[name]

    @property
    def _rows(self) -> list[faces.Row]:
        return [faces.Row(one.name, KINDS[one.name], one.inside, one.host, one.is_own) for one in self.namespaces]

    def _seen(self) -> faces.Seen:
        return faces.Seen(
            self.facts.label, self.place.value, self.pid, self.pid_here, self.pid_inside, self.command, self.memory,
            is_supervised=self.isolation == "supervised",
        )  # fmt: skip

    def _text(self) -> str:
        return faces.text(self._seen())

    def _table(self) -> str:
        return faces.table(self._seen(), self._rows)

    def _html(self) -> str:
        return faces.html(self._seen(), self._rows)


def process(container: Which, *, client: Client | None = None) -> Process:
    """A running container's first process, where it runs. Raises NotFound, Conflict, NoEngine, EngineGone."""
    client = client or connect()
    found = containers.get(container, client=client)
    if found.facts.state != "running":
        raise not_running(found)
    with engine_errors("ask the engine what it runs on"):
        facts = ask(client, read())
    pid = int((found.attrs.get("State") or {}).get("Pid") or 0)
    engine = _peer(client.endpoint.url)
    here = _here(pid, engine, str(found.id), facts) if facts.engine.is_local else None
    host = _namespaces(engine) if engine else {}
    if not host and stacks.place(facts) is stacks.Place.HERE and facts.here.is_contained is False:
        host = _namespaces(os.getpid())
    if not host and stacks.place(facts) is not stacks.Place.HERE and facts.engine.isolation != "supervised":
        host = dict(FIRST_NAMESPACES)  # every Linux starts with these
    inside = (_namespaces(here) if here else {}) or asked(found)
    namespaces = tuple(Namespace(name, inside.get(name, 0), host.get(name, 0)) for name in KINDS)
    numbers = _numbers(here) if here else ()
    is_own = namespaces[0].is_own
    return Process(
        facts=found.facts,
        place=stacks.place(facts),
        pid=pid,
        pid_here=here,
        # The first process of a PID namespace is number 1 in it.
        pid_inside=numbers[-1] if numbers else {True: 1, False: pid}.get(is_own) if is_own is not None else None,
        command=hide_in_command(_text(here, "cmdline").replace("\0", " ").strip(), secrets_of(found.attrs)) if here else "",
        memory=_resident(here) if here else containers.stats(found, client=client)[0].memory,
        namespaces=namespaces,
        isolation=facts.engine.isolation,
    )


def _here(pid: int, engine: int | None, id: str, facts: Facts) -> int | None:
    """The container's process in the process list of this notebook. engine: the engine's own process in it."""
    if stacks.place(facts) is not stacks.Place.HERE or not pid:
        return None
    theirs, ours = (_namespaces(of).get("pid", 0) if of else 0 for of in (engine, os.getpid()))
    if theirs and theirs != ours:
        # The engine counts otherwise: the process that is in its PID namespace and has that number there.
        every = (int(name) for name in os.listdir("/proc") if name.isdecimal())
        return next((one for one in every if _numbers(one)[-1:] == (pid,) and _namespaces(one).get("pid") == theirs), None)
    # An engine's number may be another process's here: what it keeps of the container must be to be seen of that process.
    is_it = bool(theirs) or id in _text(pid, "cgroup")
    return pid if is_it and _text(pid, "status") else None


def _peer(url: str) -> int | None:
    """The process that listens at a socket, by its number here; None where the kernel does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or not url.startswith("unix://"):
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(url.removeprefix("unix://"))
            pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
        except OSError:
            return None
    return int(pid) or None


def _namespaces(pid: int) -> dict[str, int]:
    """The namespaces of a process, by their numbers; none where they may not be read."""
    try:
        return _parsed("\n".join(os.readlink(f"/proc/{pid}/ns/{name}") for name in KINDS))
    except OSError:
        return {}


def asked(container: containers.Container) -> dict[str, int]:
    """A container's namespaces as a command in it has them; none where its image has no shell that ends, or no readlink."""
    said = bytearray()

    def gather(_: int, part: bytes) -> None:
        said.extend(part[: _LONGEST - len(said)])

    try:
        containers.exec(container, ["sh", "-c", _INSIDE], seconds=_SECONDS, output=gather, client=container.client)
    except (CommandError, EngineError, NotReady):
        return {}
    return _parsed(said.decode(errors="replace"))


def _parsed(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"^(\w+):\[(\d+)\]$", text, re.MULTILINE)}


def _numbers(pid: int) -> tuple[int, ...]:
    """What a process is called in each PID namespace that it is in, the outermost first."""
    found = re.search(r"^NSpid:(.*)$", _text(pid, "status"), re.MULTILINE)
    return tuple(map(int, found[1].split())) if found else ()


def _resident(pid: int) -> int:
    found = re.search(r"^VmRSS:\s*(\d+) kB$", _text(pid, "status"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _text(pid: int, file: str) -> str:
    """A file of a process, "" where it cannot be read."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
