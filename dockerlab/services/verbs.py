"""Verbs that change services: create, scale, update, rollback, rm. Each waits for what comes of it, unless `detach`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Unpack

from dockerlab.client import Client, connect
from dockerlab.containers.options import parse_env_file, words
from dockerlab.credentials import HUB_HOST, Credentials
from dockerlab.errors import EngineError, SwarmError, UsageError
from dockerlab.reference import parse
from dockerlab.services import options, spec
from dockerlab.services.asking import HINT, attributes, get
from dockerlab.services.following import Doing, Progress, follow
from dockerlab.services.model import Removed, Service
from dockerlab.swarm.kept import configs, secrets
from dockerlab.swarm.refusals import swarm_errors

_OUT_OF_SEQUENCE: Final = "update out of sequence"
_TRIES: Final = 5


def create(
    image: str,
    command: str | Iterable[str] | None = None,
    *,
    name: str | None = None,
    env_file: Iterable[str | os.PathLike[str]] = (),
    detach: bool = False,
    progress: Progress | None = None,
    client: Client | None = None,
    **flags: Unpack[spec.New],
) -> Service:
    """Makes a service, and returns when its replicas run. detach: at once.

    image: pinned to the digest that its registry has for the name, so that all nodes start the same; where no registry answers, each
    takes its own. progress: called with the Service as it comes to be.

    Raises ServiceFailed where a replica keeps failing, or no node takes it; the service is there then. Conflict for a name that is
    taken; UsageError; SwarmError.
    """
    client = client or connect()
    lines = [line for file in env_file for line in _env_lines(file)]
    given: spec.New = {**flags, "env": [*lines, *options.several(flags.get("env") or ())]} if lines else flags
    pinned = image if flags.get("no_resolve_image") else _pinned(image, client)
    body = spec.new(name, pinned, words(command) or [], given, _ids(given, client), os.environ)
    with swarm_errors(client, f"create service '{name}'" if name else f"create a service of {image}"):
        api: Any = client.api
        headers = _headers(image, bool(flags.get("with_registry_auth")))
        made = api._result(api._post_json(api._url("/services/create"), data=body, headers=headers), json=True)
    identity = str(made.get("ID") or made.get("Id"))
    return get(identity, client=client) if detach else follow(identity, "create", client, progress)


def show(service: str | Service, *, client: Client | None = None) -> Service:
    """A service's replicas on their nodes, as they are now. Raises NotFound, SwarmError."""
    return get(service, client=client)


def scale(
    replicas: Mapping[str, int],
    *,
    detach: bool = False,
    progress: Progress | None = None,
    client: Client | None = None,
) -> list[Service]:
    """Changes how many replicas services have. replicas: by the service's name. Other parameters and errors as of `create`."""
    client = client or connect()
    wanted = {name: options.count("replicas of a service", count) for name, count in replicas.items()}
    if not wanted:
        raise UsageError("scale needs SERVICE=REPLICAS", hint="As in: %service scale web=6.")
    started = []
    for name, count in wanted.items():

        def scaled(there: Mapping[str, Any], count: int = count) -> dict[str, Any]:
            return spec.scaled(there, count)

        started.append(_post(name, "scale", scaled, {}, {}, client))
    return [get(one, client=client) if detach else follow(one, "scale", client, progress, before) for one, before in started]


def update(
    service: str | Service,
    *,
    rollback: bool = False,
    detach: bool = False,
    progress: Progress | None = None,
    client: Client | None = None,
    **flags: Unpack[spec.Change],
) -> Service:
    """Changes a service, a task at a time, and returns when it is done. rollback: to what it was before its last change.

    What repeats has two flags: `env_add=["A=1"]`, `env_rm=["A"]`. Other parameters as of `create`.

    Raises ServiceFailed where the update is paused or was rolled back, as its failure action says; NotFound; UsageError; SwarmError.
    """
    client = client or connect()
    if rollback:
        if flags:
            raise UsageError("--rollback goes back to what was before: no other flag goes with it")
        there, before = _post(service, "rollback", lambda there: dict(there), {"rollback": "previous"}, {}, client)
        return get(there, client=client) if detach else follow(there, "rollback", client, progress, before)
    given: spec.Change = {**flags}
    if "image" in given and not given.get("no_resolve_image"):
        given["image"] = _pinned(given["image"], client)
    ids = _ids(given, client)
    image = flags.get("image")
    headers = _headers(image, True) if image and given.get("with_registry_auth") else {}
    there, before = _post(service, "update", lambda there: spec.changed(there, given, ids, os.environ), {}, headers, client)
    return get(there, client=client) if detach else follow(there, "update", client, progress, before)


def rollback(
    service: str | Service, *, detach: bool = False, progress: Progress | None = None, client: Client | None = None
) -> Service:
    """Takes a service back to what it was before its last change. Raises as `update`; UsageError where there was nothing before."""
    return update(service, rollback=True, detach=detach, progress=progress, client=client)


def rm(services: str | Service | Iterable[str | Service], *, client: Client | None = None) -> Removed:
    """Ends services, after all of them were looked up. Raises NotFound, SwarmError."""
    client = client or connect()
    given = [services] if isinstance(services, (str, Service)) else list(dict.fromkeys(services))
    found = [attributes(one, client) for one in given]
    for attrs in found:
        name = str((attrs.get("Spec") or {}).get("Name"))
        with swarm_errors(client, f"remove service '{name}'", f"service '{name}'", HINT):
            api: Any = client.api
            api.remove_service(attrs["ID"])
    return Removed(tuple(str((attrs.get("Spec") or {}).get("Name")) for attrs in found))


def _post(
    service: str | Service,
    doing: Doing,
    change: Callable[[Mapping[str, Any]], dict[str, Any]],
    params: Mapping[str, str],
    headers: Mapping[str, str],
    client: Client,
) -> tuple[str, frozenset[str]]:
    """Asks for a change of the service's spec: its id, and the tasks that it had. A change between our look and ours is no error."""
    api: Any = client.api
    tries = 0
    while True:
        attrs = attributes(service, client)
        there: dict[str, Any] = attrs.get("Spec") or {}
        name, identity = str(there.get("Name") or ""), str(attrs["ID"])
        if doing == "rollback" and not attrs.get("PreviousSpec"):
            raise UsageError(f"service '{name}' was never changed: there is nothing to go back to")
        body = change(there)
        with swarm_errors(client, f"{doing} service '{name}'"):
            before = frozenset(str(one.get("ID")) for one in api.tasks(filters={"service": identity}))
        try:
            with swarm_errors(client, f"{doing} service '{name}'", f"service '{name}'", HINT):
                asked = {"version": attrs["Version"]["Index"], "registryAuthFrom": "spec", **params}
                api._result(
                    api._post_json(api._url("/services/{0}/update", identity), data=body, params=asked, headers=headers), json=True
                )
        except SwarmError:
            raise
        except EngineError as error:
            tries += 1
            if tries < _TRIES and _OUT_OF_SEQUENCE in error.message:
                continue
            raise
        return identity, before


def _ids(given: Mapping[str, Any], client: Client) -> spec.Ids:
    """The ids of what the flags name; only what they name is asked for."""
    wants = {key.partition("_")[0] for key in given}
    networks: dict[str, str] = {}
    if "network" in wants:
        with swarm_errors(client, "list the networks"):
            networks = {str(one["Name"]): str(one["Id"]) for one in client.api.networks() if one.get("Scope") == "swarm"}
    return spec.Ids(
        {one.name: one.id for one in secrets.ls(client=client)} if "secret" in wants else {},
        {one.name: one.id for one in configs.ls(client=client)} if "config" in wants else {},
        networks,
    )


def _pinned(image: str, client: Client) -> str:
    """The image with its digest, as its registry has it. Without an answer the name alone: each node then takes its own."""
    reference = parse(image)
    if reference.digest:
        return image
    try:
        with swarm_errors(client, f"look up {image} on its registry"):
            api: Any = client.api
            found = api._result(api._get(api._url("/distribution/{0}/json", image), headers=_headers(image, True)), json=True)
    except SwarmError:
        raise
    except EngineError:
        return image  # no registry has it, or none answers: the nodes will tell, should they not have it either
    digest = str((found.get("Descriptor") or {}).get("digest") or "")
    return f"{image}@{digest}" if digest.startswith("sha256:") else image


def _headers(image: str, is_wanted: bool) -> dict[str, str]:
    """X-Registry-Auth, with the login of the image's registry if there is one."""
    if not is_wanted:
        return {}
    host = parse(image).domain
    return {"X-Registry-Auth": Credentials.found(os.environ).header(HUB_HOST if host == "docker.io" else host)}


def _env_lines(file: str | os.PathLike[str]) -> list[str]:
    try:
        with open(file, "rb") as stream:
            return parse_env_file(stream.read(), os.fspath(file), os.environ)
    except OSError as error:
        raise UsageError(f"--env-file '{os.fspath(file)}' cannot be read: {error.strerror or error}") from None
