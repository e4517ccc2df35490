"""`Container`: docker-py's container that displays itself and knows where its ports are reached.

Its display is static and right when it is shown: the engine is asked at that moment. `Containers` is what was there when it was
asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import docker.errors
from docker.models.containers import Container as DockerContainer

from dockerlab.client import Client, connect, engine_errors
from dockerlab.containers import address, page, readiness
from dockerlab.containers.facts import facts
from dockerlab.containers.ports import Published, port_and_protocol, published_in
from dockerlab.errors import Conflict, EngineError, NotFound, UsageError
from dockerlab.faces import container as faces
from dockerlab.faces.container import Facts
from dockerlab.faces.shown import Shown

MISSING_HINT = "`%container ps -a` shows the containers that there are."


class Container(Shown, DockerContainer):
    """A container on an engine. All that docker-py's Container has, and:

    url(port), address(port): where a published port is reached; page(port): the page there; wait_ready(port): returns when it
    answers.
    """

    client: Client
    attrs: dict[str, Any]

    @property
    def id(self) -> str:
        """The engine's identifier, 64 hexadecimal digits."""
        return str(self.attrs["Id"])

    @property
    def facts(self) -> Facts:
        """What is known of it since it was last loaded."""
        return self._facts()

    def url(self, port: int | str | None = None) -> str:
        """The address of a published port that works from the page of this notebook.

        port: of the container, `5000` or `"5000/udp"`; None: the only one that is published. Raises UsageError for one that is not.
        """
        return address.url_of(self._published(port), self.client.endpoint, os.environ)

    def address(self, port: int | str | None = None) -> tuple[str, int]:
        """(host, port) at which a program in this kernel reaches a published port. Arguments and errors as `url`."""
        return address.address_of(self._published(port), self.client.endpoint)

    def page(self, port: int | str | None = None, path: str = "/") -> page.Page:
        """Fetches the page at a published port, from this kernel; waits a few seconds for it to answer. The result displays the
        page.

        Raises NotReady if nothing answers; UsageError as `url`.
        """
        published = self._published(port)
        address_ = address.address_of(published, self.client.endpoint)
        url = address.url_of(published, self.client.endpoint, os.environ)
        return page.fetch(address_, path, url, f"port {published.port} of {self.facts.label}")

    def wait_ready(self, port: int | str | None = None, timeout: float = 60.0) -> Container:
        """Returns, with itself, when `port` answers; without a port, when the health check is good, or every published port
        answers.

        timeout: in seconds. Raises NotReady after it, or when the container ends, with the last lines of its log.
        """
        readiness.wait_ready(self, port, timeout)
        return self

    def refresh(self) -> bool:
        """Loads it anew; False if the engine no longer has it."""
        try:
            with engine_errors(f"look up container {self.facts.called}"):
                self.attrs = self.client.api.inspect_container(self.id)
        except NotFound:
            return False
        except EngineError as error:
            # Podman's words, with status 500, for one that it is removing.
            if "no such container" not in error.message:
                raise
            return False
        return True

    def loaded_address(self, port: int | str | None = None) -> tuple[str, int]:
        """As `address`, by what was known when it was last loaded."""
        return address.address_of(self._published(port, fresh=False), self.client.endpoint)

    def _published(self, port: int | str | None, *, fresh: bool = True) -> Published:
        wanted = None if port is None else port_and_protocol(port)
        there = self.refresh() if fresh else True
        if (self.attrs.get("HostConfig") or {}).get("NetworkMode") == "host" and wanted:
            return Published(wanted[0], wanted[1], "", str(wanted[0]))
        found = published_in(self.attrs) if there else ()
        # Of several addresses, IPv4 first: a name such as localhost may mean either.
        matching = sorted((p for p in found if wanted in (None, (p.port, p.protocol))), key=lambda p: ":" in p.host_ip)
        if len({(p.port, p.protocol) for p in matching}) == 1:
            return matching[0]
        raise _not_published(self.facts, there, port, found)

    def _facts(self, gone: bool = False) -> Facts:
        return facts(self.attrs, self._link, gone=gone)

    def _link(self, published: Published) -> str | None:
        return address.url_of(published, self.client.endpoint, os.environ) if published.protocol == "tcp" else None

    def _current(self) -> Facts:
        """Facts as of now. An engine that does not answer is no reason for a display to fail: then as of the last time."""
        there = True
        with suppress(ConnectionError):
            there = self.refresh()
        return self._facts(gone=not there)

    def _text(self) -> str:
        return faces.text(self._current())

    def _table(self) -> str:
        return faces.table([self._current()])

    def _html(self) -> str:
        return faces.html([self._current()])


class Containers(Shown, list[Container]):
    """Containers, newest first, as they were when the engine was asked. empty: what to say where there are none."""

    def __init__(self, containers: Iterable[Container], empty: str = faces.NO_CONTAINERS) -> None:
        super().__init__(containers)
        self._empty = empty

    def _text(self) -> str:
        return faces.texts([c.facts for c in self], self._empty)

    def _table(self) -> str:
        return faces.table([c.facts for c in self], self._empty)

    def _html(self) -> str:
        return faces.html([c.facts for c in self], self._empty)


Which = str | DockerContainer
_NOT_RUNNING = re.compile(r"not running|can only (?:kill|create exec|.*?) running containers|container state improper")
_RUNNING = re.compile(r"container is running|cannot remove a running container|as it is running")
_ID = re.compile(r"\b[0-9a-f]{64}\b")


def get(container: Which, *, client: Client | None = None) -> Container:
    """The container of that name or id, or of that object, as it is now. Raises NotFound."""
    client = client or connect()
    key = container if isinstance(container, str) else container.id
    if not key:
        raise UsageError("a container's name is empty", hint=MISSING_HINT)
    with engine_errors(f"look up container '{shown(container)}'", f"container '{shown(container)}'", MISSING_HINT):
        try:
            attrs = client.api.inspect_container(key)
        except docker.errors.NullResource as error:
            raise UsageError("a container's name is empty", hint=MISSING_HINT) from error
    return of(attrs, client)


@contextmanager
def acting(verb: str, container: Container) -> Iterator[None]:
    """Maps what the engine says when something is done to a container; messages name it as it is named on every run and engine.

    verb: "stop", for messages.
    """
    called = container.facts.called
    try:
        with engine_errors(f"{verb} container {called}", f"container {called}", MISSING_HINT):
            yield
    except NotFound:
        raise
    except EngineError as error:
        said = " ".join((error.message, *error.evidence))
        if _RUNNING.search(said):
            raise Conflict(
                f"container {called} is running", hint="Stop it first, or remove it by force: `%container rm -f`."
            ) from error
        if _NOT_RUNNING.search(said):
            raise not_running(container) from error
        if _ID.search(said):
            evidence = [_ID.sub("…", line) for line in error.evidence]
            raise type(error)(_ID.sub("…", error.message), evidence=evidence, hint=error.hint, status=error.status) from error
        raise


def not_running(container: Container) -> Conflict:
    """The error for what only a running container can do."""
    return Conflict(f"container {container.facts.called} is not running", hint="Start it: `%container start`.")


def several(containers: Which | Iterable[Which], client: Client) -> list[Container]:
    """All of them, looked up before anything is done to the first. Raises NotFound."""
    return [get(c, client=client) for c in each(containers)]


def each(containers: Which | Iterable[Which]) -> Sequence[Which]:
    return [containers] if isinstance(containers, Which) else list(containers)


def of(attrs: dict[str, Any], client: Client) -> Container:
    """The container that an answer of the engine describes."""
    collection: Any = client.containers
    return Container(attrs=attrs, client=client, collection=collection)


def shown(container: Which) -> str:
    """What a message calls it: as the user did, or by a name that is the same on every run."""
    if isinstance(container, str):
        return container
    named = container.facts if isinstance(container, Container) else None
    return (named.name or named.image) if named else str(container.name)


def _not_published(f: Facts, there: bool, port: int | str | None, found: tuple[Published, ...]) -> UsageError:
    exposed = list(dict.fromkeys(p.exposed for p in found))
    number = port or 5000
    if not there or f.state != "running":
        word = f.word if there else "removed"
        return UsageError(f"container {f.label} is not running: {word}", hint="Ports are published while it runs.")
    if port is None and exposed:
        return UsageError(f"container {f.label} publishes several ports", hint=f"Name one of them: {', '.join(exposed)}.")
    what = f"port {port}" if port is not None else "any port"
    hint = f"Publish it when the container is run: `-p {number}`, or `-p 8080:{number}` to choose the port outside."
    published = f"published: {', '.join(exposed) or 'none'}"
    return UsageError(f"container {f.label} does not publish {what}", evidence=[published], hint=hint)
