"""Verbs that change a container's state, its name, or whether it is there; and `commit`, which makes an image of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

from dockerlab import images
from dockerlab.client import Client, connect, engine_errors
from dockerlab.containers import options
from dockerlab.containers.container import Container, Containers, Which, acting, each, get, of, several, shown
from dockerlab.containers.options import Pairs
from dockerlab.containers.running import cannot_start, exit_codes
from dockerlab.containers.values import Pruned, Removed
from dockerlab.errors import EngineError, NotFound, UsageError
from dockerlab.images import Image
from dockerlab.reference import parse

_STOP_SECONDS = 10  # Docker's default


@overload
def start(containers: Which, *, client: Client | None = None) -> Container: ...  # type: ignore[overload-overlap]
@overload
def start(containers: Iterable[Which], *, client: Client | None = None) -> Containers: ...
def start(containers: Which | Iterable[Which], *, client: Client | None = None) -> Container | Containers:
    """Starts containers that have ended, or were never started. Raises NotFound, Conflict, CommandError where it cannot be
    executed."""
    return _changed("start", containers, client, lambda c: c.client.api.start(c.id))


@overload
def stop(containers: Which, timeout: int | None = None, *, client: Client | None = None) -> Container: ...  # type: ignore[overload-overlap]
@overload
def stop(containers: Iterable[Which], timeout: int | None = None, *, client: Client | None = None) -> Containers: ...
def stop(
    containers: Which | Iterable[Which], timeout: int | None = None, *, client: Client | None = None
) -> Container | Containers:
    """Asks containers to end (SIGTERM), and ends them after `timeout` seconds (None: the engine's, 10). Raises NotFound."""
    return _changed("stop", containers, client, lambda c: c.client.api.stop(c.id, timeout=_patience(c, timeout)))


def _patience(container: Container, timeout: int | None) -> int:
    """Seconds until a container that does not end is killed. Always said, because Podman's Docker API takes 0 for what is left out."""
    return timeout if timeout is not None else int(container.attrs.get("Config", {}).get("StopTimeout") or _STOP_SECONDS)


@overload
def restart(containers: Which, timeout: int | None = None, *, client: Client | None = None) -> Container: ...  # type: ignore[overload-overlap]
@overload
def restart(containers: Iterable[Which], timeout: int | None = None, *, client: Client | None = None) -> Containers: ...
def restart(
    containers: Which | Iterable[Which], timeout: int | None = None, *, client: Client | None = None
) -> Container | Containers:
    """Stops, as `stop`, and starts containers. Raises NotFound."""
    return _changed("restart", containers, client, lambda c: c.client.api.restart(c.id, timeout=_patience(c, timeout)))


@overload
def kill(containers: Which, signal: str | int = "KILL", *, client: Client | None = None) -> Container: ...  # type: ignore[overload-overlap]
@overload
def kill(containers: Iterable[Which], signal: str | int = "KILL", *, client: Client | None = None) -> Containers: ...
def kill(
    containers: Which | Iterable[Which], signal: str | int = "KILL", *, client: Client | None = None
) -> Container | Containers:
    """Sends a signal to the first process of running containers; after KILL they have ended. Raises NotFound, Conflict."""
    name = str(signal).upper()

    def send(container: Container) -> None:
        container.client.api.kill(container.id, signal=name)
        if name.removeprefix("SIG") in ("KILL", "9"):
            container.client.api.wait(container.id)

    return _changed("kill", containers, client, send)


@overload
def pause(containers: Which, *, client: Client | None = None) -> Container: ...  # type: ignore[overload-overlap]
@overload
def pause(containers: Iterable[Which], *, client: Client | None = None) -> Containers: ...
def pause(containers: Which | Iterable[Which], *, client: Client | None = None) -> Container | Containers:
    """Halts all processes of running containers, where they are. Raises NotFound, Conflict."""
    return _changed("pause", containers, client, lambda c: c.client.api.pause(c.id))


@overload
def unpause(containers: Which, *, client: Client | None = None) -> Container: ...  # type: ignore[overload-overlap]
@overload
def unpause(containers: Iterable[Which], *, client: Client | None = None) -> Containers: ...
def unpause(containers: Which | Iterable[Which], *, client: Client | None = None) -> Container | Containers:
    """Lets the processes of paused containers go on. Raises NotFound, Conflict."""
    return _changed("unpause", containers, client, lambda c: c.client.api.unpause(c.id))


def rm(containers: Which | Iterable[Which], force: bool = False, volumes: bool = False, *, client: Client | None = None) -> Removed:
    """Removes containers. force: running ones, too, and one that is not there is no error. volumes: with their unnamed volumes.

    Raises NotFound; Conflict for one that runs, without force.
    """
    client = client or connect()
    found: list[Container] = []
    absent: list[str] = []
    for container in each(containers):
        try:
            found.append(get(container, client=client))
        except NotFound:
            if not force:
                raise
            absent.append(shown(container))
    for container in found:
        try:
            with acting("remove", container):
                client.api.remove_container(container.id, force=force, v=volumes)
        except EngineError as error:
            # With --rm the engine may be at it, or done with it.
            if not force or not (error.status == 404 or "in progress" in error.message):
                raise
    return Removed([c.facts for c in found], absent)


@overload
def wait(containers: Which, *, client: Client | None = None) -> int: ...  # type: ignore[overload-overlap]
@overload
def wait(containers: Iterable[Which], *, client: Client | None = None) -> list[int]: ...
def wait(containers: Which | Iterable[Which], *, client: Client | None = None) -> int | list[int]:
    """Waits until containers have ended. Returns the exit code, or one for each of several. An interrupt ends the wait alone."""
    client = client or connect()
    codes = exit_codes(several(containers, client))
    return codes[0] if isinstance(containers, Which) else codes


def rename(container: Which, name: str, *, client: Client | None = None) -> Container:
    """Gives a container another name. Raises NotFound; Conflict for a name in use."""
    found = get(container, client=client)
    if not name:
        raise UsageError("the new name is empty", hint="`%container rename NAME NEW_NAME`")
    with acting("rename", found):
        found.client.api.rename(found.id, name)
    return get(found.id, client=found.client)


def commit(
    container: Which,
    reference: str | None = None,
    *,
    message: str | None = None,
    author: str | None = None,
    change: Iterable[str] = (),
    client: Client | None = None,
) -> Image:
    """Makes an image of a container's file system. reference: its name. change: Dockerfile instructions for its config, `CMD app`.

    Raises NotFound, InvalidReference.
    """
    named = None if reference is None else parse(reference)
    found = get(container, client=client)
    with acting("commit", found):
        answer = found.client.api.commit(
            found.id,
            repository=named.familiar_name if named else None,
            tag=named.tag if named else None,
            message=message,
            author=author,
            changes=[change] if isinstance(change, str) else list(change),
        )
    return images.get(named.familiar if named else answer["Id"], client=found.client)


def prune(label: Pairs = (), *, client: Client | None = None) -> Pruned:
    """Removes all containers that do not run. label: only those that bear these labels, `KEY` or `KEY=VALUE`."""
    client = client or connect()
    filters = {"label": [f"{k}={v}" if v else k for k, v in options.labels(label).items()]} if label else {}
    with engine_errors("remove the containers that do not run"):
        before = {attrs["Id"]: of(attrs, client).facts for attrs in client.api.containers(all=True)}
        api: Any = client.api
        answer = api.prune_containers(filters)
    removed = [before[i] for i in answer.get("ContainersDeleted") or () if i in before]
    return Pruned(removed, reclaimed=int(answer.get("SpaceReclaimed") or 0))


def _changed(
    verb: str, containers: Which | Iterable[Which], client: Client | None, act: Callable[[Container], Any]
) -> Container | Containers:
    """Does it to each, in order; a container as it is afterwards, or several."""
    client = client or connect()
    found = several(containers, client)
    for container in found:
        with cannot_start(container), acting(verb, container):
            act(container)
    for container in found:
        container.refresh()
    return found[0] if isinstance(containers, Which) else Containers(found)
