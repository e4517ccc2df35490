"""What an engine is asked of its services: one, all, and the tasks of one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dockerlab.client import Client, connect, engine_errors
from dockerlab.services.model import Service, Services, Tasks, service_of
from dockerlab.swarm.nodes import Nodes, nodes
from dockerlab.swarm.refusals import swarm_errors

HINT = "`%service ls` shows those that there are."
NO_MESH = (
    "This engine's kernel has no IPVS, without which no node passes on what comes to a published port, and no virtual IP answers: "
    "take --endpoint-mode dnsrr and -p mode=host,target=PORT."
)
_IPVS = Path("/proc/net/ip_vs")


def get(service: str | Service, *, client: Client | None = None) -> Service:
    """One service as it is now, with its tasks. Raises NotFound, SwarmError."""
    client = client or connect()
    attrs = attributes(service, client)
    return look(attrs, client, nodes(client=client), notes(attrs, client))


def ls(*, client: Client | None = None) -> Services:
    """All services of the Swarm. Raises SwarmError."""
    client = client or connect()
    with swarm_errors(client, "list the services"):
        api: Any = client.api
        listed: list[dict[str, Any]] = api.services()
        tasks: list[dict[str, Any]] = api.tasks() if listed else []
    there = nodes(client=client) if listed else Nodes(())
    return Services(service_of(attrs, [t for t in tasks if t.get("ServiceID") == attrs.get("ID")], there) for attrs in listed)


def ps(service: str | Service, *, client: Client | None = None) -> Tasks:
    """The tasks of a service: of each replica the one that runs, and those before it. Raises NotFound, SwarmError."""
    found = get(service, client=client)
    return Tasks(found.name, found.tasks)


def attributes(service: str | Service, client: Client) -> dict[str, Any]:
    """What the engine says of a service. Raises NotFound, SwarmError."""
    name = service.id if isinstance(service, Service) else service
    called = service.name if isinstance(service, Service) else service
    with swarm_errors(client, f"look up service '{called}'", f"service '{called}'", HINT):
        api: Any = client.api
        attrs: dict[str, Any] = api.inspect_service(name)
    return attrs


def look(attrs: dict[str, Any], client: Client, there: Nodes, said: Sequence[str] = ()) -> Service:
    """The service with its tasks as they are now. said: its notes."""
    with swarm_errors(client, "list the tasks"):
        api: Any = client.api
        tasks: list[dict[str, Any]] = api.tasks(filters={"service": str(attrs["ID"])})
    return service_of(attrs, tasks, there, said)


def notes(attrs: Mapping[str, Any], client: Client) -> tuple[str, ...]:
    """What of a service does not work on this engine's kernel, as far as that is ours, too."""
    endpoint = (attrs.get("Spec") or {}).get("EndpointSpec") or {}
    wants_mesh = any(port.get("PublishMode", "ingress") == "ingress" for port in endpoint.get("Ports") or ())
    if not wants_mesh or sys.platform != "linux" or _IPVS.exists():
        return ()
    with engine_errors("ask the engine for its kernel"):
        is_ours = client.info().get("KernelVersion") == os.uname().release
    return (NO_MESH,) if is_ours else ()
