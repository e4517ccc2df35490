"""The engine as a process: one for each user, which ends by itself when nobody needs it.

    serve(home, open_engine, ready)      in this process, until a signal or idleness ends it, or with an owner the end of that

Who may serve is decided by two locks, which end with the process that holds them, however it ends: one beside the socket, one beside
the data, so that neither is ever shared. SIGTERM and SIGINT end the engine and leave its containers running, as a crash does; SIGUSR1
stops them first. The socket is bound here and nowhere else; whoever can connect to it is the user, for its mode is 0600.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from dockerlab.engine.home import Home
from dockerlab.engine.http.router import Router
from dockerlab.engine.http.server import Server
from dockerlab.engine.http.types import API, Route
from dockerlab.engine.owner import Owner
from dockerlab.errors import Conflict, EngineError, UsageError

LOG = logging.getLogger(__name__)
IDLE_SECONDS = 300.0
STOP_SECONDS = 10
_BACKLOG = 1024
_LOCK_ATTEMPTS = 10
_LONGEST_PATH = 107  # bytes of a socket's path that the kernel takes
_LEAVES, _STOPS = (signal.SIGTERM, signal.SIGINT), signal.SIGUSR1
_IDLE, _OWNER_ENDED = 0, -1  # beside the signals
_OWNER_TICK = 1000  # milliseconds, where its end cannot be waited for


class Served(Protocol):
    """What the process needs of the engine. `dockerlab.engine.core.Engine` is one."""

    def running(self) -> int:
        """How many containers run: while there are any, the engine does not end by itself."""

    def stop(self, seconds: float) -> None:
        """Stops all running containers, those that do not end within `seconds` by force; they are meant to run again at the next start
        if their restart policy says so."""

    def close(self) -> None:
        """Lets go of everything; running containers go on."""


def serve(
    home: Home,
    open_engine: Callable[[Home], Served],
    routes: Sequence[Route],
    environ: Mapping[str, str],
    ready: Callable[[], None] = lambda: None,
    owner: Owner | None = None,
) -> None:
    """Serves the API until a signal or idleness ends it. ready: called once the socket answers. owner: the process with which it ends,
    in place of idleness, with its containers and all its data.

    Raises Conflict where another engine has the home; UsageError for a socket's path that is too long.
    """
    idle = 0.0 if owner else _idle_seconds(environ)
    if len(os.fsencode(home.monitor_socket("0" * 64))) > _LONGEST_PATH:  # the longest of its sockets
        raise UsageError(f"too long for sockets: {home.runtime}", hint="Set DOCKERLAB_ENGINE_RUNTIME to a shorter path.")
    home.create()
    with ExitStack() as stack:
        stack.enter_context(locked(home))
        wake = stack.enter_context(_signals())
        ending = stack.enter_context(owner.watched()) if owner else None
        listener = stack.enter_context(_listener(home.socket))
        engine = open_engine(home)
        stack.callback(engine.close)
        server = Server(Router(engine, routes), _headers())
        stack.callback(server.close)
        LOG.info("serving on %s", home.host)
        ready()
        number = _loop(home.socket, listener, wake, server, engine, idle, owner, ending)
        if number in (_STOPS, _OWNER_ENDED):
            LOG.info("stopping %d containers", engine.running())
            engine.stop(STOP_SECONDS if number == _STOPS else 0)
        LOG.info("ending: %s", _reason(number, idle, owner))
    if owner and number == _OWNER_ENDED:
        owner.clear()


def _reason(number: int, idle: float, owner: Owner | None) -> str:
    if number == _IDLE:
        return f"nothing runs and nobody asked for {idle:.0f} s"
    return f"process {owner.pid} has ended" if owner and number == _OWNER_ENDED else signal.Signals(number).name


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Within the block this process is the engine. Raises Conflict where another one is."""
    note = json.dumps({"pid": os.getpid(), "host": home.host, "root": str(home.root)}) + "\n"
    with lock_path(home).open("a+b") as beside_socket, (home.root / "engine.lock").open("a+b") as beside_data:
        for file in (beside_socket, beside_data):
            if not _lock(file):
                raise Conflict("an engine runs already", place=[file.name])
            file.truncate(0)
            file.write(note.encode())
            file.flush()
        yield


def _lock(file: IO[bytes]) -> bool:
    for _ in range(_LOCK_ATTEMPTS):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.01)  # `holder` locks for a moment to find out
    return False


def lock_path(home: Home) -> Path:
    """The lock that is held beside the socket."""
    return home.runtime / "engine.lock"


@dataclass(frozen=True)
class Instance:
    """An engine that runs. host: its DOCKER_HOST; another one than the home's if it was started in another environment. root: its data."""

    pid: int
    host: str
    root: str


def holder(path: Path) -> Instance | None:
    """Who holds a lock; None where nobody does. pid 0: it has just been locked, and who it is has not been written yet."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                with suppress(ValueError, KeyError, TypeError):
                    note = json.loads(file.read())
                    return Instance(int(note["pid"]), str(note["host"]), str(note["root"]))
                return Instance(0, "", "")
    except FileNotFoundError:
        return None
    return None


def _idle_seconds(environ: Mapping[str, str]) -> float:
    """After how long without a connection and a running container the engine ends; 0 for never."""
    text = environ.get("DOCKERLAB_ENGINE_IDLE", "")
    try:
        seconds = float(text) if text else IDLE_SECONDS
    except ValueError:
        seconds = -1
    if not 0 <= seconds < math.inf:
        raise UsageError(f"DOCKERLAB_ENGINE_IDLE is no number of seconds: {text!r}", hint="0 is for never.")
    return seconds


def _headers() -> dict[str, str]:
    from dockerlab import __version__

    return {
        "Api-Version": f"{API[0]}.{API[1]}",
        "Docker-Experimental": "false",
        "Ostype": "linux",
        "Server": f"dockerlab/{__version__} (linux)",
    }


@contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    """The bound socket. It takes its name when it can be connected to, in place of one that a dead engine left."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(os.fspath(beside))
            beside.chmod(0o600)  # nobody else gets into its directory, which is 0700, either
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            beside.replace(path)
        except OSError as error:
            raise EngineError(f"cannot serve on {path}: {error.strerror}") from error
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that receives the number of each signal that is meant for the engine."""
    wake, woken = socket.socketpair()
    with wake, woken:
        for end in (wake, woken):
            end.setblocking(False)
        numbers = (*_LEAVES, _STOPS)
        before = {number: signal.signal(number, lambda number, frame: None) for number in numbers}
        previous = signal.set_wakeup_fd(woken.fileno())
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)


def _loop(
    path: Path,
    listener: socket.socket,
    wake: socket.socket,
    server: Server,
    engine: Served,
    idle: float,
    owner: Owner | None,
    ending: int | None,
) -> int:
    """Accepts connections. Returns the signal that ends the engine, _IDLE, or _OWNER_ENDED."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(wake, select.POLLIN)
    tick = max(10, round(min(idle, 20) * 250)) if idle else None
    if ending is not None:
        poll.register(ending, select.POLLIN)
    elif owner:
        tick = _OWNER_TICK
    while True:
        ready = {number for number, _ in poll.poll(tick)}
        if owner and (ending is None or ending in ready) and owner.has_ended():
            return _OWNER_ENDED
        if wake.fileno() in ready:
            for number in wake.recv(64):
                if number in (*_LEAVES, _STOPS):
                    return number
        if listener.fileno() in ready:
            server.accept(listener)
        elif idle and server.idle_seconds >= idle and not engine.running() and _retires(path, poll, listener):
            return _IDLE


def _retires(path: Path, poll: select.poll, listener: socket.socket) -> bool:
    """Takes the socket's name away. Whether nobody connected in the last moment; else it has its name again."""
    hidden = path.with_name(f"{path.name}.old")
    path.rename(hidden)
    if any(number == listener.fileno() for number, _ in poll.poll(0)):
        hidden.rename(path)
        return False
    hidden.unlink()
    return True
