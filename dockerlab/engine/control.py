"""Starting, stopping and asking the engine's process, from another one.

Who runs is told by the lock that the engine holds, never by a number in a file that may be old; what runs in it, by the API.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import dockerlab.engine
from dockerlab.engine.home import Home
from dockerlab.engine.process import STOP_SECONDS, Instance, holder, lock_path
from dockerlab.errors import DockerlabError, EngineError

START_SECONDS = 20.0
_END_SECONDS = 30.0
_ANSWER_SECONDS = 600.0
_STEP = 0.02
_FOLLOW_STEP = 0.2
_LOG_LIMIT = 4 << 20
_DESCRIPTORS = 4096
_TAIL = 5
T = TypeVar("T")


def log_path(home: Home) -> Path:
    """What the engine has to tell."""
    return home.root / "engine.log"


def find(home: Home) -> Instance | None:
    """The engine that has this home's data, or None."""
    deadline = time.monotonic() + START_SECONDS
    while held := holder(home.root / "engine.lock"):
        if held.pid:
            return held
        if time.monotonic() > deadline:
            raise EngineError(f"a process holds {home.root / 'engine.lock'} and is no engine", hint="`fuser` tells which one.")
        time.sleep(_STEP)  # it has locked, and is about to write who it is
    return None


# Makes a process that serves. Gets the descriptor on which that reports (`report_of`), and the file for what it prints.
Launch = Callable[[int, IO[bytes]], None]


def start(home: Home, launch: Launch) -> tuple[Instance, bool]:
    """The engine, once it answers, and whether this started it. Several may start it at once: there is one in the end."""
    home.create()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if instance := find(home):
            if _answers(instance.host):
                return instance, False
        elif _launched(home, launch, deadline) and (instance := find(home)):
            return instance, True
        elif (other := holder(lock_path(home))) and other.root not in ("", str(home.root)):
            raise EngineError(
                f"an engine with other data serves on {home.socket}", place=[f"process {other.pid}, {other.root}"],
                hint="Set DOCKERLAB_ENGINE_RUNTIME to another directory, or stop that one.",
            )  # fmt: skip
        time.sleep(_STEP)
    raise EngineError(f"the engine does not answer within {START_SECONDS:.0f} s", hint=f"Its log: {log_path(home)}")


def stop(home: Home, say: Callable[[str], None], *, keep_containers: bool = False) -> bool:
    """Ends the engine, its containers first. say: told what is done. Whether there was one. Raises EngineError if it does not end."""
    instance = find(home)
    if instance is None:
        return False
    running = [] if keep_containers else _running(instance)
    if running:
        say(f"stopping {len(running)} container{'s' if len(running) > 1 else ''}: {', '.join(running)}")
    with suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(instance.pid, signal.SIGTERM if keep_containers else signal.SIGUSR1)
    deadline = time.monotonic() + STOP_SECONDS + _END_SECONDS
    while find(home) == instance:
        if time.monotonic() > deadline:
            raise EngineError(
                f"the engine (process {instance.pid}) does not end",
                hint=f"`kill -9 {instance.pid}` ends it; its containers go on, and the next engine finds them again.",
            )
        time.sleep(_STEP)
    return True


def ask(host: str, method: str, path: str, body: object = None, seconds: float = _ANSWER_SECONDS) -> Any:
    """What the engine at `host` answers. Raises EngineError with its words; OSError where nobody answers."""
    data = b"" if body is None else json.dumps(body).encode()
    # HTTP/1.0: the answer ends with the connection.
    head = f"{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(seconds)
        sock.connect(host.removeprefix("unix://"))
        sock.sendall(head.encode() + data)
        received = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    head_bytes, _, content = received.partition(b"\r\n\r\n")
    try:
        status = int(head_bytes.split(None, 2)[1])
        is_json = b"content-type: application/json" in head_bytes.lower()
        value = json.loads(content) if is_json else content.decode()
    except (ValueError, IndexError) as error:
        raise EngineError("the engine's answer broke off") from error
    if status >= 400:
        raise EngineError(str(value["message"] if isinstance(value, dict) else value), status=status)
    return value


def _running(instance: Instance) -> list[str]:
    """The names of running containers; none where the engine does not say."""
    with suppress(OSError, EngineError):
        return sorted(found["Names"][0].lstrip("/") for found in ask(instance.host, "GET", "/containers/json", seconds=10))
    return []


def _answers(host: str) -> bool:
    try:
        return bool(ask(host, "GET", "/_ping", seconds=START_SECONDS) == "OK")
    except (OSError, EngineError):
        return False  # it is just starting, or just ending


def forked(serve: Callable[[int], object]) -> Launch:
    """Forks this process, which must have no other threads: the engine starts in half the time that a new Python would take.

    serve: gets the descriptor, and returns when the engine has ended.
    """

    def launch(descriptor: int, log: IO[bytes]) -> None:
        if pid := os.fork():
            os.waitpid(pid, 0)
            return
        code = 1
        try:
            os.setsid()
            with open(os.devnull, "rb") as nothing:
                for source, number in ((nothing, 0), (log, 1), (log, 2)):
                    os.dup2(source.fileno(), number)
            # Whatever whoever called this had open is not the engine's to hold.
            os.closerange(3, descriptor)
            os.closerange(descriptor + 1, _DESCRIPTORS)
            os.environ.update(_surroundings(os.environ))
            serve(descriptor)
            code = 0
        except DockerlabError as error:
            print("\n".join(error.lines()), file=sys.stderr)
        except BaseException:  # noqa: BLE001  to the log: nobody is there to raise it to
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    return launch


def program(command: Sequence[str]) -> Launch:
    """Runs a command with `--ready` and the descriptor at its end; it must leave the engine behind and end."""

    def launch(descriptor: int, log: IO[bytes]) -> None:
        subprocess.run(
            [*command, "--ready", str(descriptor)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_surroundings(os.environ),
            pass_fds=[descriptor], start_new_session=True, check=False,
        )  # fmt: skip

    return launch


def _launched(home: Home, launch: Launch, deadline: float) -> bool:
    """Makes the process. Whether it serves; False where another one does already. Raises what it says otherwise."""
    log = log_path(home)
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
    read, write = os.pipe()
    try:
        with log.open("ab") as file:
            launch(write, file)
    except OSError as error:
        os.close(read)
        raise EngineError(f"the engine cannot be started: {error}") from error
    finally:
        os.close(write)
    with open(read, "rb", buffering=0) as pipe:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise EngineError(f"the engine does not answer within {START_SECONDS:.0f} s", hint=f"Its log: {log}")
        said = pipe.read()
    if not said:
        raise EngineError("the engine ended while it started", evidence=tail(log, _TAIL), hint=f"Its log: {log}")
    report = json.loads(said)
    if "message" in report and not report["conflict"]:
        raise EngineError(report["message"], place=report["place"], evidence=report["evidence"], hint=report["hint"])
    return "message" not in report


def _surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which `python -m dockerlab.engine` finds just this package, in whatever directory."""
    place = str(Path(dockerlab.engine.__file__).resolve().parents[2])
    path = environ.get("PYTHONPATH", "")
    if place.endswith(("site-packages", "dist-packages")) or place in path.split(os.pathsep):
        return dict(environ)
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, [place, path]))}


def report_of(error: DockerlabError | None, *, conflict: bool = False) -> bytes:
    """What a process that was started writes for the one that starts it."""
    if error is None:
        return b"{}"
    parts = {"message": error.message, "place": error.place, "evidence": error.evidence, "hint": error.hint, "conflict": conflict}
    return json.dumps(parts).encode()


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a text file; none where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - (1 << 20)))
            return _last(file.read().decode("utf-8", "replace").splitlines(), count)
    except FileNotFoundError:
        return []


def follow(path: Path, count: int) -> Iterator[str]:
    """The last lines of a text file, then those that are added to it, without end; also to one that takes its place."""
    inode, position, rest, is_first = 0, 0, b"", True
    while True:
        with suppress(FileNotFoundError), path.open("rb") as file:
            found = os.fstat(file.fileno()).st_ino
            if found != inode:
                inode, position = found, 0
            file.seek(position)
            data = file.read()
            position += len(data)
            *lines, rest = (rest + data).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in (_last(lines, count) if is_first else lines))
        is_first = False
        time.sleep(_FOLLOW_STEP)


def _last(lines: list[T], count: int) -> list[T]:
    return lines[len(lines) - min(count, len(lines)) :]
