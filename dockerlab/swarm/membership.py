"""What an engine is of a Swarm: it makes one, joins one, leaves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from dockerlab.client import Client, connect, engine_errors
from dockerlab.dockerfile.durations import duration
from dockerlab.dockerfile.refusal import Refused
from dockerlab.errors import SwarmError, UsageError
from dockerlab.faces import swarm as faces
from dockerlab.faces.shown import Shown
from dockerlab.swarm.nodes import Nodes, nodes
from dockerlab.swarm.refusals import no_manager, swarm_errors

PORT: Final = 2377


@dataclass(frozen=True, repr=False)
class Membership(Shown):
    """What an engine is of a Swarm. state: `inactive`, `pending`, `active`, `error` or `locked`. managers: their addresses.

    node: its id, "" in none. address: its own, as the others reach it.
    """

    state: str
    is_manager: bool
    node: str = ""
    address: str = ""
    managers: tuple[str, ...] = ()

    @property
    def is_in(self) -> bool:
        """Whether it is in one, and works."""
        return self.state == "active"

    @property
    def word(self) -> str:
        """What it is, in words."""
        if not self.is_in:
            return "in no Swarm" if self.state == "inactive" else f"in a Swarm, {self.state}"
        return "a manager of its Swarm" if self.is_manager else "a worker of its Swarm"

    def _text(self) -> str:
        return f"this engine is {self.word}"

    def _table(self) -> str:
        return "\n".join([self._text(), *(f"manager  {address}" for address in self.managers)])

    def _html(self) -> str:
        return faces.membership_html(self._text(), "done" if self.is_in else "stopped", self.managers)


@dataclass(frozen=True, repr=False)
class Tokens(Shown):
    """What engines join with. The tokens are secrets, and none is shown: `worker` and `manager` have them. address: of the manager."""

    worker: str = field(repr=False)
    manager: str = field(repr=False)
    address: str

    def _text(self) -> str:
        return "tokens of a Swarm: .worker and .manager have them"

    def _html(self) -> str:
        return faces.membership_html(self._text(), "done", (self.address,))


@dataclass(frozen=True, repr=False)
class Left(Shown):
    """An engine that is in no Swarm any more."""

    def _text(self) -> str:
        return "this engine has left its Swarm"

    def _html(self) -> str:
        return faces.membership_html(self._text(), "stopped", ())


def membership(*, client: Client | None = None) -> Membership:
    """What the engine is of a Swarm."""
    client = client or connect()
    with engine_errors("ask the engine about its Swarm"):
        about: dict[str, Any] = client.info().get("Swarm") or {}
    return Membership(
        state=str(about.get("LocalNodeState") or "inactive"),
        is_manager=bool(about.get("ControlAvailable")),
        node=str(about.get("NodeID") or ""),
        address=str(about.get("NodeAddr") or ""),
        managers=tuple(sorted(str(one.get("Addr") or "?") for one in about.get("RemoteManagers") or ())),
    )


def init(
    *,
    advertise_addr: str | None = None,
    listen_addr: str | None = None,
    data_path_addr: str | None = None,
    default_addr_pool: tuple[str, ...] | list[str] = (),
    availability: str = "active",
    dispatcher_heartbeat: str | None = None,
    force_new_cluster: bool = False,
    client: Client | None = None,
) -> Nodes:
    """Makes a Swarm of the engine, which becomes its manager; gives its nodes.

    advertise_addr: where the others reach it; needed where the engine's host has several addresses. dispatcher_heartbeat: how often a
    node says that it is there; one that is late by three of them is down, and its tasks move. force_new_cluster: out of a Swarm that
    lost its managers, with its services.

    Raises Conflict where it is in one; SwarmError.
    """
    client = client or connect()
    spec = (
        {"Dispatcher": {"HeartbeatPeriod": _nanoseconds("--dispatcher-heartbeat", dispatcher_heartbeat)}}
        if dispatcher_heartbeat
        else {}
    )
    body = {
        "ListenAddr": listen_addr or f"0.0.0.0:{PORT}",
        "AdvertiseAddr": advertise_addr or "",
        "DataPathAddr": data_path_addr or "",
        "DefaultAddrPool": list(default_addr_pool),
        "Availability": _availability(availability),
        "ForceNewCluster": force_new_cluster,
        "Spec": spec,
    }
    _post(client, "make a Swarm", "/swarm/init", body)
    return nodes(client=client)


def join(
    address: str,
    token: str,
    *,
    advertise_addr: str | None = None,
    listen_addr: str | None = None,
    data_path_addr: str | None = None,
    availability: str = "active",
    client: Client | None = None,
) -> Membership:
    """Lets the engine join a Swarm. address: of a manager, `HOST` or `HOST:2377`. token: what it is told by; it says the role.

    Raises Conflict where it is in one; SwarmError for a wrong token, and where the manager is not reached.
    """
    client = client or connect()
    host, colon, port = address.rpartition(":")
    remote = address if colon and port.isdecimal() and (not host.count(":") or host.startswith("[")) else f"{address}:{PORT}"
    body = {
        "ListenAddr": listen_addr or f"0.0.0.0:{PORT}",
        "AdvertiseAddr": advertise_addr or "",
        "DataPathAddr": data_path_addr or "",
        "RemoteAddrs": [remote],
        "JoinToken": token,
        "Availability": _availability(availability),
    }
    _post(client, "join the Swarm", "/swarm/join", body)
    return membership(client=client)


def leave(*, force: bool = False, client: Client | None = None) -> Left:
    """Takes the engine out of its Swarm; its tasks end. force: a manager too; of the last one the Swarm and its services are gone.

    Raises Conflict for a manager, unless forced; SwarmError where it is in none.
    """
    client = client or connect()
    with swarm_errors(client, "leave the Swarm"):
        api: Any = client.api
        api._raise_for_status(api._post(api._url("/swarm/leave"), params={"force": int(force)}))
    return Left()


def tokens(*, client: Client | None = None) -> Tokens:
    """What other engines join with. Raises SwarmError."""
    client = client or connect()
    with swarm_errors(client, "ask for the tokens of the Swarm"):
        found = client.api.inspect_swarm().get("JoinTokens") or {}
        about = membership(client=client)
    if not about.is_manager:
        raise no_manager({"LocalNodeState": about.state}, "ask for the tokens of the Swarm")
    own = next((address for address in about.managers if address.startswith(f"{about.address}:")), None)
    return Tokens(str(found.get("Worker") or ""), str(found.get("Manager") or ""), own or f"{about.address}:{PORT}")


def _post(client: Client, doing: str, path: str, body: dict[str, Any]) -> None:
    if client.is_podman:
        raise SwarmError(
            f"cannot {doing}: Podman has no Swarm", hint="Swarm is built into Docker Engine: `%engine use URL` takes another."
        )
    with swarm_errors(client, doing):
        api: Any = client.api
        api._raise_for_status(
            api._post_json(api._url(path), data={key: value for key, value in body.items() if value not in ("", [])})
        )


def _availability(given: str) -> str:
    if given not in ("active", "pause", "drain"):
        raise UsageError(f"--availability '{given}': not one", hint="Give active, pause or drain.")
    return given


def _nanoseconds(flag: str, given: str) -> int:
    try:
        return duration(given)
    except Refused as error:
        raise UsageError(f"{flag} '{given}': not a time", hint="A time is a number with a unit: 5s, 1m30s, 500ms.") from error
