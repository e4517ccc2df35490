"""RUN: a container runs the command, and what it wrote is the layer.

It is a container like any other, listed while it runs; its end, however it comes, is its removal. The label tells the next engine that
nobody waits for it any more.
"""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.containers.container import Attachment, Container
from dockerlab.engine.containers.record import BUILD_LABEL
from dockerlab.engine.store.disk import full_disk_is_an_error
from dockerlab.engine.store.values import short
from dockerlab.errors import DockerlabError, EngineError
from dockerlab.wire.multiplex import Demultiplexer

if TYPE_CHECKING:
    from dockerlab.engine.containers import Containers
    from dockerlab.engine.store import Image

_PIECE = 1 << 16
_LONGEST_ARGUMENT = 128 << 10  # the kernel's MAX_ARG_STRLEN
# Of an image's configuration, what a step of its build runs with.
_OF_IMAGE = ("Env", "User", "WorkingDir", "Shell")
# Told what the command prints: 1 or 2 for the stream, bytes that are cut anywhere.
Say = Callable[[int, bytes], object]


class CommandFailed(EngineError):
    """The command ended with another exit code than 0."""

    def __init__(self, argv: Sequence[str], code: int) -> None:
        super().__init__(f"The command '{' '.join(argv)}' returned a non-zero code: {code}", status=500)
        self.argv, self.code = tuple(argv), code


@dataclass(frozen=True)
class Bound:
    """A directory or a file of the host that the command sees at `target`."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Job:
    """What is to be run. image: the id of the one that it runs on. config: of the stage. env: NAME=value, besides the config's.

    host: its HostConfig. tmpfs: target → options. stubs: paths, deepest first, that are not in the image and are there only because
    something is mounted at them. secret: NAME=value, which no record has.
    """

    image: str
    argv: tuple[str, ...]
    config: Mapping[str, Any]
    env: tuple[str, ...] = ()
    host: Mapping[str, Any] | None = None
    bound: tuple[Bound, ...] = ()
    tmpfs: Mapping[str, str] | None = None
    stubs: tuple[str, ...] = ()
    secret: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Ran:
    """What a command wrote. layer: as a tar, at its beginning. adopt: to be told the image whose last layer that tar has become:
    then the files themselves need not be unpacked anew."""

    layer: IO[bytes]
    adopt: Callable[[Image], object]


@contextmanager
def run(containers: Containers, job: Job, told: Callable[[str], object], say: Say, cancellation: Cancellation) -> Iterator[Ran]:
    """Runs it to its end, and gives what it wrote. told: the container's id, before it starts.

    Raises CommandFailed, Cancelled, EngineError. Nothing is left of the container.
    """
    container = _created(containers, job)
    try:
        told(container.id)
        code = _run(containers, container, say, cancellation)
        cancellation.check()
        if code:
            raise CommandFailed(job.argv, code)
        with full_disk_is_an_error(), tempfile.TemporaryFile(dir=containers.parts.home.tmp) as layer:
            try:
                _remove_stubs(container, job.stubs)
                containers.parts.snapshots.diff(container.record.root, layer)
            except FileNotFoundError as error:
                raise EngineError(f"the container {short(container.id)} of this step was removed meanwhile", status=500) from error
            layer.seek(0)
            yield Ran(layer, partial(_adopt, containers, container, container.record.state.started_at))
    finally:
        _remove(containers, container)


def _adopt(containers: Containers, container: Container, started: str, image: Image) -> None:
    with container.lock:
        state = container.record.state
        # Unless somebody has started it once more.
        if not state.is_running and state.started_at == started:
            containers.parts.snapshots.adopt(container.record.root, image.layers)


def _created(containers: Containers, job: Job) -> Container:
    if any(
        len(text.encode("utf-8", "surrogatepass")) >= _LONGEST_ARGUMENT
        for text in (*job.argv, *job.env, *job.secret, *(job.config.get("Env") or ()))
    ):
        raise EngineError(
            f"exec {job.argv[0][:200]}: argument list too long",
            hint=f"No argument and no variable may have {_LONGEST_ARGUMENT >> 10} KiB: COPY a file instead.",
            status=500,
        )
    mounts = [{"Type": "bind", "Source": str(one.source), "Target": one.target, "ReadOnly": one.read_only} for one in job.bound]
    body = {
        "Image": job.image,
        "Cmd": list(job.argv),
        "Labels": {BUILD_LABEL: "step"},
        "Env": list(job.env),
        "HostConfig": {
            "LogConfig": {"Type": "none"},
            **(job.host or {}),
            "Mounts": mounts,
            "Tmpfs": dict(job.tmpfs or {}),
        },
    }
    container = containers.create(body, run={name: job.config.get(name) for name in _OF_IMAGE}).container
    container.secret = job.secret
    return container


def _run(containers: Containers, container: Container, say: Say, cancellation: Cancellation) -> int:
    """The exit code."""
    attachment = Attachment(stdin=False, stdout=True, stderr=True)
    ended = container.waiter("next-exit")

    def kill() -> None:
        with suppress(DockerlabError), container.talking() as running:  # it has ended
            running.signal(signal.SIGKILL)

    try:
        container.attach(attachment)
        cancellation.check()
        containers.life.start(container)
        with cancellation.calling(kill):
            _pass_on(attachment, say)
            ended.wait()
        return ended.exit_code
    finally:
        container.detach(attachment)
        container.forget(ended)
        attachment.close()


def _pass_on(attachment: Attachment, say: Say) -> None:
    """Until the command has closed its output."""
    if attachment.stream is None:
        return  # it ended before anybody could listen
    frames = Demultiplexer()
    while data := attachment.stream.recv(_PIECE):
        for stream, payload in frames.feed(data):
            say(stream, payload)


def _remove_stubs(container: Container, stubs: Sequence[str]) -> None:
    """What was made so that something could be mounted at it is not in the layer, unless the command has put something there.

    Nothing is followed: the command may have put a link in the place of a directory.
    """
    root = os.open(container.record.root.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in stubs:
            with suppress(OSError):  # it is not empty, not there, or is something else by now
                _remove_stub(root, path)
    finally:
        os.close(root)


def _remove_stub(root: int, path: str) -> None:
    *above, name = path.split("/")
    parent = os.dup(root)
    try:
        for one in above:
            further = os.open(one, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            os.close(parent)
            parent = further
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=parent)
        elif stat.S_ISREG(found.st_mode) and not found.st_size:
            os.unlink(name, dir_fd=parent)
    finally:
        os.close(parent)


def _remove(containers: Containers, container: Container) -> None:
    with suppress(DockerlabError):  # somebody else has removed it
        containers.remove(container, force=True, volumes=True)
