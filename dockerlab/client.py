"""`connect()`: finds an engine as the `docker` command does, and gives a docker-py client to it.

Where it looks, in this order; the first that is *configured* is the only one tried, as with `docker`:

    1. the argument: a URL (unix://, tcp://, ssh://, npipe://, http(s)://) or the name of a docker context
    2. DOCKER_HOST, with DOCKER_TLS_VERIFY and DOCKER_CERT_PATH
    3. DOCKER_CONTEXT, else the current context of Docker's config file
    4. nothing configured: the default socket, then those of rootless Docker, Docker Desktop and Podman, then dockerlab's own engine's;
       the first that answers
    5. nothing configured and none of these sockets there: dockerlab's own engine is started, on Linux

An engine that is configured, or whose socket is there, and that does not answer is an error: a stopped Docker must not look like lost
images. `connect("embedded")` starts dockerlab's own engine whatever is configured.

`use(target)` makes a target the configured one for this process and its children, by the same environment variables: the Python
API, the magics and a `!docker` in a cell then all speak to the same engine. There is no other state.

This file also maps foreign errors, docker-py's and those of requests, to `dockerlab.errors`, once (`engine_errors`); why an engine does not
answer is in `dockerlab.attempts`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import docker
import docker.errors
import requests
import urllib3

from dockerlab import embedded
from dockerlab.attempts import NO_SOCKET, Attempt, attempt
from dockerlab.endpoints import Endpoint, endpoints, is_url
from dockerlab.errors import Conflict, EngineError, EngineGone, NoEngine, NotFound, printable
from dockerlab.transport import API

PROBE_SECONDS = 10
ANSWER_SECONDS = 120


class Client(docker.DockerClient):
    """docker-py's client that knows which endpoint it speaks to. explored: images that were explored last, by id."""

    api: API

    def __init__(self, endpoint: Endpoint, seconds: float | None = None) -> None:
        self.api = API(endpoint.url, tls=endpoint.tls, timeout=PROBE_SECONDS if seconds is None else seconds)
        self.endpoint = endpoint
        self.explored: dict[str, object] = {}
        self.api.timeout = ANSWER_SECONDS

    @cached_property
    def identity(self) -> str:
        """Names the engine, the same from one process to the next. Podman makes up a new id for every answer: there it is the address."""
        with engine_errors("ask the engine what it is"):
            return self.endpoint.url if self.is_podman else str(self.info().get("ID") or self.endpoint.url)

    @cached_property
    def is_podman(self) -> bool:
        """Whether it is Podman that answers."""
        with engine_errors("ask the engine what it is"):
            return any(part.get("Name") == "Podman Engine" for part in self.version().get("Components") or ())


def connect(target: str | None = None) -> Client:
    """A client to the engine that `target` names, or else to the one that `docker` would use, or else to dockerlab's own, started now.

    Raises NoEngine, which says what was tried, what each said and what to do; UsageError for a context that does not exist.
    """
    if target == embedded.TARGET:
        return _connect_embedded([])
    attempts = []
    for endpoint in endpoints(target, os.environ):
        reached = reach(endpoint)
        if isinstance(reached, Client):
            return reached
        attempts.append(reached)
    ours = embedded.address(os.environ, sys.platform)
    # Ours ends by itself when it is idle, so that it is started again also where it was chosen (`use("embedded")`).
    others = [a for a in attempts if a.endpoint.url != ours]
    # Where its directory is somebody else's, its start says so.
    is_its_turn = len(attempts) > len(others) or (ours is None and sys.platform == "linux" and len(attempts) > 1)
    if is_its_turn and not any(a.endpoint.is_there for a in others):
        return _connect_embedded(attempts)
    # The most telling advice comes from an endpoint that is there and refuses.
    telling = [a for a in attempts if a.answer != NO_SOCKET] or attempts
    raise NoEngine("no Docker engine answers", attempts=attempts, hint=or_embedded(telling[0].hint))


def reach(endpoint: Endpoint, seconds: float | None = None) -> Client | Attempt:
    """A client to the engine at one endpoint, or what was met there. seconds: how long one answer is awaited, unless 10."""
    seconds = PROBE_SECONDS if seconds is None else seconds
    if endpoint.has_password:
        return Attempt(endpoint, "an engine takes no password in its address", _KEYS)
    try:
        return Client(endpoint, seconds)
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError) as error:
        return attempt(endpoint, error, seconds)


def _connect_embedded(attempts: Sequence[Attempt]) -> Client:
    """attempts: what was tried before, for the error."""
    try:
        endpoint = Endpoint(embedded.start(), embedded.NAME)
    except embedded.CannotStart as error:
        raise NoEngine(error.message, attempts=[*attempts, *error.evidence], hint=error.hint) from None
    reached = reach(endpoint)
    if isinstance(reached, Attempt):
        raise NoEngine(f"{embedded.NAME} does not answer", attempts=[*attempts, reached], hint=_LOGS)
    return reached


def or_embedded(hint: str) -> str:
    """A hint about an engine that does not answer, which offers ours where it can run."""
    return f"{hint} Or use dockerlab's own engine: `%engine use embedded`." if sys.platform == "linux" else hint


def use(target: str) -> Client:
    """Connects to `target` (a URL, a docker context, or "embedded") and makes it the engine of this process and its children.

    Raises as `connect`; the engine in use then stays as it was.
    """
    client = connect(target)
    set_environment(target, client.endpoint.url, os.environ)
    return client


def set_environment(target: str, url: str, environ: MutableMapping[str, str]) -> None:
    """Configures `target` in `environ`: a context by DOCKER_CONTEXT, since it may carry certificates, a URL by DOCKER_HOST."""
    if is_url(target) or target == embedded.TARGET:
        environ["DOCKER_HOST"] = url
        environ.pop("DOCKER_CONTEXT", None)
    else:
        environ["DOCKER_CONTEXT"] = target
        environ.pop("DOCKER_HOST", None)


_KEYS = "By tcp it knows its clients by their certificates (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH), by ssh by a key or an agent."
_LOGS = "Its log: `dockerlab engine logs`."


# What engines say, and what it means: Docker Engine 20.10 to 28 and Podman 4 were asked.
_MEANINGS: tuple[tuple[re.Pattern[str], type[EngineError], str, str], ...] = (
    (
        re.compile(
            r"(?:Bind for \S*?:(?P<a>\d+) failed: port is already allocated"
            r"|listen (?:tcp|udp)\S* \S*?:(?P<b>\d+): bind: address already in use"
            r"|failed to bind host port \S*?:(?P<c>\d+)[:/].*address already in use"
            r"|cannot listen on the (?:TCP|UDP) port: .*?:(?P<d>\d+): bind: address already in use)"
        ),
        Conflict,
        "port {0} is in use on the engine's host",
        "Publish another port, or let the engine choose a free one: `-p 5000`. `%container ps` shows who publishes what.",
    ),
    (
        re.compile(r'container name "?/?(?P<a>[^" ]+)"? is already in use'),
        Conflict,
        "the name '{0}' is in use by another container",
        "Remove that one (`%container rm -f {0}`), or replace it: `--replace`.",
    ),
    (
        re.compile(r"no matching manifest for (?P<a>\S+)|does not match the (?:specified|expected) platform"),
        NotFound,
        "the image is not there for this platform",
        "Leave out --platform, or choose one that the image is made for.",
    ),
    (
        re.compile(r"no space left on device"),
        EngineError,
        "the engine's disk is full",
        "`%container prune` and `%image prune` remove what is not used.",
    ),
)


@contextmanager
def engine_errors(doing: str, missing: str | None = None, hint: str | None = None) -> Iterator[None]:
    """Maps what docker-py raises in the block to one tree.

    doing: "start container 'web'", for messages. missing: what a 404 means, "container 'web'". hint: what to do about a 404.
    """
    try:
        yield
    except docker.errors.APIError as error:
        status = error.response.status_code if error.response is not None else None
        raise meaning(str(error.explanation or error), doing, status, missing, hint) from error
    except requests.exceptions.Timeout as error:
        raise EngineGone(f"cannot {doing}: no answer within {ANSWER_SECONDS} s", hint="Is the engine overloaded?") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise gone(doing) from error
    except docker.errors.DockerException as error:
        raise EngineError(f"cannot {doing}: {error}") from error


def is_page(said: str) -> bool:
    """Whether this is HTML: an engine answers in JSON or in plain text, and what is before it may not."""
    return said.startswith("<")


def gone(doing: str) -> EngineGone:
    """The error for a connection that broke while `doing`."""
    return EngineGone(f"cannot {doing}: the engine's connection broke off", hint="Is the engine still running? `%engine` asks it.")


def meaning(said: str, doing: str, status: int | None = None, missing: str | None = None, hint: str | None = None) -> EngineError:
    """The error that an engine's words stand for. Its message is the same on every engine where we know the meaning."""
    said = said.strip()
    for pattern, kind, message, advice in _MEANINGS:
        if match := pattern.search(said):
            value = next((v for v in match.groupdict().values() if v), "")
            return kind(message.format(value), evidence=[f"the engine says: {said}"], hint=advice.format(value), status=status)
    if is_page(said):
        words = printable(" ".join(re.sub(r"<[^>]*>", " ", said[:1000]).split()))
        return EngineError(
            f"cannot {doing}: what is between here and the engine answers with status {status}",
            evidence=[f"it says: {words}"],
            hint="A proxy may let through some requests and not others: ask who runs it.",
            status=status,
        )
    if status == 501:
        # Ours says what it has not got in one sentence, and in the next what does instead.
        what, _, advice = said.partition(". ")
        return EngineError(f"cannot {doing}: {what}", hint=advice or hint, status=status)
    if status == 404 and missing:
        return NotFound(f"no such {missing}", evidence=[f"the engine says: {said}"], hint=hint)
    kinds: dict[int | None, type[EngineError]] = {404: NotFound, 409: Conflict}
    return kinds.get(status, EngineError)(f"cannot {doing}: {said.splitlines()[0] if said else 'the engine gave no reason'}",
                                          evidence=said.splitlines()[1:], status=status)  # fmt: skip
