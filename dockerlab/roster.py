"""Which engines are known on this machine, and which of them answer: asked all at once, within a time limit.

    for known in roster(os.environ, sys.platform):     docker contexts, DOCKER_HOST, and the usual places of sockets
        ...
    for answer in asked(known, 5): ...                 what each said, in their order

Several names may lead to one address: it is one engine then, with all of them. A socket that is not there is not listed, a context always.
"""

from __future__ import annotations

import glob
import os
import queue
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import docker.errors
import requests

from dockerlab import contexts, embedded
from dockerlab.attempts import Attempt, attempt
from dockerlab.client import Client, reach
from dockerlab.endpoints import Endpoint, endpoints, usual_sockets
from dockerlab.errors import UsageError

_SECOND: Final = "dockerlab-*/run/engine.sock"  # of `dockerlab.engines.second()`, below the folder for temporary files
_MORE: Final = (
    (".colima/*/docker.sock", "Colima"),
    (".rd/docker.sock", "Rancher Desktop"),
    (".orbstack/run/docker.sock", "OrbStack"),
    (".lima/*/sock/docker.sock", "Lima"),
    (".local/share/containers/podman/machine/*/podman.sock", "Podman machine"),
)


@dataclass(frozen=True)
class Known:
    """An engine that may be there. name: what `use` takes. sources: why it is known. problem: why a context cannot be read, or ""."""

    name: str
    sources: tuple[str, ...]
    endpoint: Endpoint | None
    problem: str = ""


@dataclass(frozen=True)
class Answer:
    """What one said. client: to it, to be closed by whoever asked; version, info: its answers. attempt: what was met instead."""

    client: Client | None = None
    version: Mapping[str, Any] | None = None
    info: Mapping[str, Any] | None = None
    attempt: Attempt | None = None
    seconds: float = 0.0


def roster(environ: Mapping[str, str], platform: str) -> list[Known]:
    """The engines that are known, each once, docker's contexts first. platform: as of `sys.platform`."""
    found: dict[str, Known] = {}

    def add(known: Known) -> None:
        key = _place(known.endpoint) if known.endpoint else known.name
        before = found.get(key)
        if before is None:
            found[key] = known
        elif not set(known.sources) <= set(before.sources):
            found[key] = replace(before, sources=(*before.sources, *known.sources))

    for known in _contexts(environ):
        add(known)
    if environ.get("DOCKER_HOST"):
        endpoint = endpoints(None, environ)[0]
        add(Known(endpoint.shown, ("DOCKER_HOST",), endpoint))
    for endpoint in _sockets(environ, platform):
        name = embedded.TARGET if endpoint.source == embedded.NAME else endpoint.url
        add(Known(name, (endpoint.source,), endpoint))
    return list(found.values())


def configured(environ: Mapping[str, str]) -> str | None:
    """The place of the one that is configured, or None where the first that answers is taken."""
    try:
        wanted = endpoints(None, environ)
    except UsageError:
        return ""
    return _place(wanted[0]) if len(wanted) == 1 else None


def is_at(known: Known, place: str | None) -> bool:
    """Whether it is at a place that `configured` gave."""
    return known.endpoint is not None and _place(known.endpoint) == place


def asked(known: Sequence[Known], seconds: float) -> list[Answer]:
    """What each says, in their order; of one that is silent for so long that it is."""
    came: queue.Queue[tuple[int, Answer]] = queue.Queue()
    found: dict[int, Answer] = {}
    waiting = {number: one.endpoint for number, one in enumerate(known) if one.endpoint}
    is_over = threading.Event()

    def ask(number: int, endpoint: Endpoint) -> None:
        answer = _ask(endpoint, seconds)
        if is_over.is_set() and answer.client:
            answer.client.close()
        came.put((number, answer))

    for number, endpoint in waiting.items():
        threading.Thread(target=ask, args=(number, endpoint), name="dockerlab asks an engine", daemon=True).start()
    deadline = time.monotonic() + seconds
    while len(found) < len(waiting):
        try:
            number, answer = came.get(timeout=max(deadline - time.monotonic(), 0))
        except queue.Empty:
            break
        found[number] = answer
    is_over.set()
    while not came.empty():  # one that came meanwhile
        number, answer = came.get()
        found[number] = answer
    for number, endpoint in waiting.items():
        found.setdefault(number, Answer(attempt=attempt(endpoint, TimeoutError(), seconds), seconds=seconds))
    return [found.get(number, Answer()) for number in range(len(known))]


def _ask(endpoint: Endpoint, seconds: float) -> Answer:
    started = time.monotonic()
    reached = reach(endpoint, seconds)
    if isinstance(reached, Attempt):
        return Answer(attempt=reached)
    api: Any = reached.api
    api.timeout = seconds
    try:
        version, info = reached.version(), reached.info()
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError) as error:
        reached.close()
        return Answer(attempt=attempt(endpoint, error, seconds))
    return Answer(reached, version, info, seconds=time.monotonic() - started)


def _contexts(environ: Mapping[str, str]) -> list[Known]:
    found = []
    for name in contexts.names(environ):
        try:
            endpoint = endpoints(name, environ)[0]
            found.append(Known(name, ("docker context",), replace(endpoint, source=f"docker context '{name}'")))
        except UsageError as error:
            found.append(Known(name, ("docker context",), None, " ".join([error.message, *error.evidence])))
    # The default context is there whether there is an engine or not.
    return [one for one in found if one.name != contexts.DEFAULT or (one.endpoint and one.endpoint.is_there)]


def _sockets(environ: Mapping[str, str], platform: str) -> list[Endpoint]:
    usual = [endpoint for endpoint in usual_sockets(environ, platform) if endpoint.is_there and endpoint.url.startswith("unix://")]
    if platform == "win32":
        return usual_sockets(environ, platform)
    home = environ.get("HOME") or os.path.expanduser("~")
    more = [(os.path.join(home, pattern), source) for pattern, source in _MORE]
    more.append((os.path.join(tempfile.gettempdir(), _SECOND), "a second engine of dockerlab's own"))
    found = [
        Endpoint(f"unix://{path}", source) for pattern, source in more for path in sorted(glob.glob(pattern)) if _is_ours(path)
    ]
    return [*usual, *found]


def _is_ours(path: str) -> bool:
    """Anybody may put a socket into the folder for temporary files."""
    try:
        return os.stat(path).st_uid in (os.getuid(), 0)
    except OSError:
        return False


def _place(endpoint: Endpoint) -> str:
    path = endpoint.url.removeprefix("unix://")
    return endpoint.url if path == endpoint.url else os.path.realpath(path)
