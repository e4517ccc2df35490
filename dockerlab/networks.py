"""The verbs on an engine's networks, named as those of `docker network`.

    networks.create("cafe")         a Network: containers that join it (`run(…, network="cafe")`) call one another by name
    networks.ls()                   all there are
    networks.get("cafe")            one
    networks.rm("cafe")             Removed

Each takes `client=`, else asks the engine that `connect()` finds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from dockerlab.belongings import Belonging, Listed, Removed, checked, found, removed, users
from dockerlab.client import Client, connect, engine_errors
from dockerlab.errors import Conflict
from dockerlab.faces.named import Thing

_ALLOCATED = 5.0  # seconds after which a Swarm has filled in a network that it made
_EMPTY = "No networks. Make one: `%network create NAME`"


class Network(Belonging):
    """A network of an engine. attrs: as an inspect has them."""

    @property
    def subnets(self) -> tuple[str, ...]:
        """The addresses that its containers get, "172.18.0.0/16"."""
        given = (self.attrs.get("IPAM") or {}).get("Config") or ()
        return tuple(str(one["Subnet"]) for one in given if one.get("Subnet"))

    @property
    def thing(self) -> Thing:
        facts = {"driver": str(self.attrs.get("Driver") or ""), "addresses": ", ".join(self.subnets)}
        return Thing("network", self.name, self.containers, facts)


class Networks(Listed[Network]):
    """Networks, by the alphabet."""


def create(name: str, *, driver: str | None = None, attachable: bool = False, client: Client | None = None) -> Network:
    """Makes a network. Raises Conflict where there is one of that name; UsageError for what is no name.

    driver: "overlay" for one across the nodes of a Swarm, which its services join; attachable: single containers may, too.
    """
    client = client or connect()
    with engine_errors(f"look for network '{checked('network', name)}'"):
        # Engines before 25 make a second one of the same name.
        is_there = any(one.get("Name") == name for one in client.api.networks(names=[name]))
    if is_there:
        raise Conflict(f"there is a network '{name}' already", hint=f"Use it, or remove it first: `%network rm {name}`.")
    with engine_errors(f"create network '{name}'"):
        client.api.create_network(name, driver=driver, attachable=attachable or None)
    made, end = get(name, client=client), time.monotonic() + _ALLOCATED
    while driver and not made.attrs.get("Driver") and time.monotonic() < end:
        time.sleep(0.1)
        made = get(name, client=client)
    return made


def get(name: str, *, client: Client | None = None) -> Network:
    """The network of that name. Raises NotFound."""
    client = client or connect()
    attrs = found("network", name, client.api.inspect_network)
    return Network(name, users(client, _joined).get(name, ()), attrs)


def ls(*, client: Client | None = None) -> Networks:
    """All networks of the engine."""
    client = client or connect()
    with engine_errors("list the networks"):
        listed = client.api.networks()
    by_name = users(client, _joined)
    return Networks((Network(one["Name"], by_name.get(one["Name"], ()), one) for one in listed), _EMPTY)


def rm(names: str | Iterable[str], force: bool = False, *, client: Client | None = None) -> Removed:
    """Removes networks. force: one that is not there is no error. Raises NotFound; Conflict where a container is in one."""
    client = client or connect()
    return removed("network", names, force, client, _joined, client.api.inspect_network, client.api.remove_network)


def _joined(container: dict[str, Any]) -> Iterable[str]:
    return (container.get("NetworkSettings") or {}).get("Networks") or ()
