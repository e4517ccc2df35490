"""The launcher: a small process that forks a monitor for each container, faster than Python starts, and safer than forking the engine.

The engine starts it with one end of a SOCK_SEQPACKET pair as standard input. For each byte that comes, `ANY` or `HOST_PIDS` (for a
container that sees the host's processes), it answers with a descriptor, the engine's end of a connection to a new monitor (see
`monitor`), or with the reason why there is none. The engine asks ahead, so that a monitor is there when a container is started; it is made
a moment later, out of the way of the container that has just been started, unless `NOW` comes. The launcher ends when the engine does;
its monitors go on. Whatever runs inside a container is imported here, before the first fork: in there, Python's files are not to be had.
"""

from __future__ import annotations

import bz2
import gc
import json
import lzma
import os
import select
import signal
import socket
import sys
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from dockerlab.engine.runtime import ANY, HOST_PIDS, NOW, inside, kernel, limits, monitor, namespaces
from dockerlab.engine.runtime.inside import Abilities
from dockerlab.engine.runtime.limits import Means
from dockerlab.engine.runtime.monitor import MakeGuard, Prepare, Take
from dockerlab.engine.runtime.namespaces import NamespaceGuard

# What `tarfile` imports only when it meets such an archive.
_NEEDED_INSIDE = (bz2, lzma, zlib)
_LEISURE = 0.025  # seconds; a short command has ended by then, and its client has been told


def rung(abilities: Abilities, means: Means) -> Mapping[bytes, Prepare]:
    """What prepares a process to be a monitor on the rung that this machine allows, by what the engine asks for."""
    if abilities.isolation == "supervised":
        from dockerlab.engine.runtime.supervisor.guard import SupervisedGuard

        return dict.fromkeys((ANY, HOST_PIDS), lambda: lambda line: SupervisedGuard)

    # Computed once, before the first fork.
    inside.filter_for(redirects=True, moves_ports=bool(kernel.first_port()), is_root=abilities.is_root)

    def with_abilities(abilities: Abilities) -> Prepare:
        def prepare() -> Take:
            first = namespaces.prepare(abilities, means)

            def take(line: bytes) -> MakeGuard:
                first.plan(line)
                return lambda plan: NamespaceGuard(plan, first, abilities, means)

            return take

        return prepare

    return {ANY: with_abilities(abilities), HOST_PIDS: with_abilities(replace(abilities, own_pids=False))}


def serve(control: socket.socket, abilities: Abilities) -> None:
    """Forks a monitor for each request, until the engine's end of `control` closes."""
    # Ended monitors are nobody's business: they have written down what there is to know.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepares = rung(abilities, limits.find(counts_processes=not abilities.is_root))
    gc.collect()
    gc.freeze()
    while asked := _asked(control):
        if asked == NOW:
            continue  # it was made already
        select.select([control], [], [], _LEISURE)
        try:
            engines = launch(control, prepares[asked])
        except OSError as error:
            with suppress(BrokenPipeError):
                control.send(str(error).encode())
        else:
            with engines, suppress(BrokenPipeError):  # the engine has left meanwhile
                socket.send_fds(control, [b"monitor"], [engines.fileno()])


def _asked(control: socket.socket) -> bytes:
    with suppress(ConnectionResetError):  # it has left without having taken the last monitor
        return control.recv(1)
    return b""


def launch(control: socket.socket, prepare: Prepare) -> socket.socket:
    """Forks a monitor; gives the engine's end of the connection to it. Raises OSError."""
    engines, own = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        pid = os.fork()
    except OSError:
        engines.close()
        own.close()
        raise
    if pid:
        own.close()
        return engines
    code = 1
    try:
        control.close()
        engines.close()
        # Else the next descriptor would be standard input.
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        monitor.main(own, prepare)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=0), Abilities(**json.loads(sys.argv[1])))
