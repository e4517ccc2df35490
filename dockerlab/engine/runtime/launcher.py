"""The launcher: a small process that forks a monitor for each container, faster than Python starts, and safer than forking the engine.

The engine starts it with one end of a SOCK_SEQPACKET pair as standard input and asks by JSON: `{"plan": path, "socket": path}`; the
answer is `{"pid": …}` once the monitor's socket can be connected to, or `{"error": …}`. It ends when the engine does; its monitors go
on. Whatever runs inside a container is imported here, before the first fork: in there, Python's files are not to be had.
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
from pathlib import Path

from dockerlab.engine.home import read_json
from dockerlab.engine.runtime import limits, monitor
from dockerlab.engine.runtime.limits import Means
from dockerlab.engine.runtime.namespaces import Abilities, NamespaceGuard
from dockerlab.engine.runtime.plan import Plan, plan_from_json
from dockerlab.engine.runtime.starting import Guard

_LONGEST = 1 << 16
# What `tarfile` imports only when it meets such an archive.
_NEEDED_INSIDE = (bz2, lzma, zlib)


def make_guard(abilities: Abilities, means: Means, plan: Plan) -> Guard:
    """The guard of the rung that the plan is for."""
    if plan.isolation == "supervised":
        from dockerlab.engine.runtime.supervisor.guard import SupervisedGuard

        return SupervisedGuard(plan)
    return NamespaceGuard(plan, abilities, means)


def serve(control: socket.socket, abilities: Abilities) -> None:
    """Forks a monitor for each request, until the engine's end of `control` closes."""
    # Ended monitors are nobody's business: they have written down what there is to know.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    means = limits.find(counts_processes=not abilities.is_root)
    gc.collect()
    gc.freeze()
    while request := control.recv(_LONGEST):
        asked = json.loads(request)
        try:
            answer: dict[str, object] = {
                "pid": launch(control, asked["plan"], asked["socket"], lambda plan: make_guard(abilities, means, plan))
            }
        except (OSError, ValueError) as error:
            answer = {"error": str(error)}
        control.send(json.dumps(answer).encode())


def launch(control: socket.socket, plan_path: str, socket_path: str, guard: Callable[[Plan], Guard]) -> int:
    """Forks the monitor of one container. Raises OSError, ValueError."""
    # Before the answer: the engine may remove the file then.
    plan = plan_from_json(read_json(Path(plan_path)))
    with suppress(FileNotFoundError):
        os.unlink(socket_path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(socket_path)
    os.chmod(socket_path, 0o600)
    listener.listen(64)
    pid = os.fork()
    if pid:
        listener.close()
        return pid
    code = 1
    try:
        control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        monitor.main(plan, listener, guard)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=0), Abilities(**json.loads(sys.argv[1])))
