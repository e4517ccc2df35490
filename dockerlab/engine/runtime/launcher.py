"""The launcher: a small process that forks a monitor for each container, faster than Python starts, and safer than forking the engine.

The engine starts it with one end of a SOCK_SEQPACKET pair as standard input. For each byte that comes it answers with a descriptor, the
engine's end of a connection to a new monitor (see `monitor`), or with the reason why there is none. The engine asks ahead, so that a
monitor is there when a container is started. The launcher ends when the engine does; its monitors go on. Whatever runs inside a
container is imported here, before the first fork: in there, Python's files are not to be had.
"""

from __future__ import annotations

import bz2
import gc
import json
import lzma
import os
import signal
import socket
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress

from dockerlab.engine.runtime import limits, monitor, namespaces
from dockerlab.engine.runtime.limits import Means
from dockerlab.engine.runtime.namespaces import Abilities, NamespaceGuard
from dockerlab.engine.runtime.plan import Plan
from dockerlab.engine.runtime.starting import Guard

# What `tarfile` imports only when it meets such an archive.
_NEEDED_INSIDE = (bz2, lzma, zlib)


def rung(abilities: Abilities, means: Means) -> Callable[[], Callable[[Plan], Guard]]:
    """What prepares a process to be a monitor on the rung that this machine allows, and gives what makes its guard."""
    if abilities.isolation == "supervised":
        from dockerlab.engine.runtime.supervisor.guard import SupervisedGuard

        return lambda: SupervisedGuard

    def prepare() -> Callable[[Plan], Guard]:
        namespaces.prepare(abilities)
        return lambda plan: NamespaceGuard(plan, abilities, means)

    return prepare


def serve(control: socket.socket, abilities: Abilities) -> None:
    """Forks a monitor for each request, until the engine's end of `control` closes."""
    # Ended monitors are nobody's business: they have written down what there is to know.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare = rung(abilities, limits.find(counts_processes=not abilities.is_root))
    gc.collect()
    gc.freeze()
    while _is_asked(control):
        try:
            engines = launch(control, prepare)
        except OSError as error:
            control.send(str(error).encode())
        else:
            with engines:
                socket.send_fds(control, [b"monitor"], [engines.fileno()])


def _is_asked(control: socket.socket) -> bool:
    with suppress(ConnectionResetError):  # it has left without having taken the last monitor
        return bool(control.recv(1))
    return False


def launch(control: socket.socket, prepare: Callable[[], Callable[[Plan], Guard]]) -> socket.socket:
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
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        monitor.main(own, prepare)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=0), Abilities(**json.loads(sys.argv[1])))
