"""Whether a supervisor works on this machine: one is started, on an empty tree, and something runs under it."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import tempfile
from pathlib import Path

from dockerlab.engine.rootfs import Root
from dockerlab.engine.runtime.inside import Stdio
from dockerlab.engine.runtime.plan import Network, Plan, Process
from dockerlab.engine.runtime.supervisor.guard import SupervisedGuard

_SECONDS = 10


def probe(root: Path) -> None:
    """Raises OSError with what the kernel refused. root: where the engine keeps its files."""
    folder = Path(tempfile.mkdtemp(prefix=".probe-", dir=root))
    try:
        for name in ("upper", "work"):
            (folder / name).mkdir()
        tree = Root("tree", (), str(folder / "upper"), str(folder / "work"))
        process = Process(("true",), job="archive_stat", arguments={"path": "/"})
        said = _run(Plan("0" * 64, str(folder), "supervised", tree, process, network=Network("host")), process)
    finally:
        shutil.rmtree(folder)
    if json.loads(said or b"{}").get("name") != "/":
        raise OSError(f"a supervised process said: {said.decode(errors='replace')!r}")


def _run(plan: Plan, process: Process) -> bytes:
    """What the process says on its standard error, or why it did not start."""
    guard = SupervisedGuard(plan)
    null = os.open(os.devnull, os.O_RDWR)
    (read, write), (status, status_write) = os.pipe(), os.pipe()
    channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with channel, theirs:
            guard.spawn(process, Stdio((null, null, write), status_write, theirs))
        os.close(write)
        os.close(status_write)
        failure = _read(status)
        return failure or _read(read)
    finally:
        guard.close()
        for fd in (null, read, status):
            os.close(fd)


def _read(fd: int) -> bytes:
    data = b""
    while select.select([fd], [], [], _SECONDS)[0] and (piece := os.read(fd, 4096)):
        data += piece
    return data
