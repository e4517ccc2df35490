"""What an engine says when it has no Swarm, is no manager, or its Swarm has lost its quorum; and what to do then."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import requests

from dockerlab.client import Client, engine_errors
from dockerlab.errors import Conflict, EngineError, EngineGone, SwarmError

_NO_LEADER: Final = re.compile(
    r"does not have a leader|too few managers|deadline ?exceeded|proposal dropped|lost leader status|lost quorum|no quorum",
    re.IGNORECASE,
)
_LOCKED: Final = re.compile(r"swarm is encrypted and (?:needs to be unlocked|locked)", re.IGNORECASE)
_NAME_TAKEN: Final = re.compile(r"name conflicts with an existing object|already exists", re.IGNORECASE)
_IN_USE: Final = re.compile(r"is in use by the following services?: (?P<who>.+)", re.IGNORECASE)
_ALREADY: Final = re.compile(r"already part of a swarm", re.IGNORECASE)
_ADDRESS: Final = re.compile(
    r"could not choose an IP address to advertise|must specify a listening address|advertise-addr", re.IGNORECASE
)
_LAST: Final = re.compile(r"Without a Raft quorum|last manager|Use `--force`|attempting to leave the swarm", re.IGNORECASE)
_UNREACHED: Final = re.compile(
    r"Timeout was reached before node joined|connection refused|no route to host|i/o timeout", re.IGNORECASE
)
_TOKEN: Final = re.compile(r"invalid join token|remote CA does not match fingerprint", re.IGNORECASE)
_QUICK: Final = 5.0  # seconds
_NO_SWARM: Final = "Services want Docker Engine, which has Swarm built in: `%engine use URL` takes another one."


@contextmanager
def swarm_errors(client: Client, doing: str, missing: str | None = None, hint: str | None = None) -> Iterator[None]:
    """As `engine_errors`, for what wants a Swarm. Raises SwarmError where that is what is missing."""
    try:
        with engine_errors(doing, missing, hint):
            yield
    except EngineGone as error:
        # A manager that waits for the others answers late, or never.
        if "no answer within" in error.message and _is_manager(client):
            raise _no_quorum(client, doing, error.message) from error
        raise
    except EngineError as error:
        raise _meant(client, error, doing) from error


def _meant(client: Client, error: EngineError, doing: str) -> EngineError:
    said = "\n".join((error.message, *error.evidence))
    evidence = [f"the engine says: {error.message.removeprefix(f'cannot {doing}: ')}"]
    if error.status == 501:
        return SwarmError(f"cannot {doing}: dockerlab's own engine has no Swarm", evidence=evidence, hint=_NO_SWARM, status=501)
    if client.is_podman:
        return SwarmError(f"cannot {doing}: Podman has no Swarm", hint=_NO_SWARM, status=error.status)
    if "not a swarm manager" in said or "not part of a swarm" in said:
        return no_manager(_about(client) or {}, doing)
    if _NO_LEADER.search(said):
        return _no_quorum(client, doing, error.message)
    for pattern, kind, what, advice in _MEANINGS:
        if match := pattern.search(said):
            who = (match.groupdict().get("who") or "").strip().rstrip(".")
            return kind(f"cannot {doing}: {what.format(who=who)}", evidence=evidence, hint=advice, status=error.status)
    return error


_MEANINGS: Final[tuple[tuple[re.Pattern[str], type[EngineError], str, str], ...]] = (
    (_LOCKED, SwarmError, "the Swarm is locked", "Its key opens it: `docker swarm unlock` in a terminal."),
    (_ALREADY, Conflict, "the engine is in a Swarm already", "`%swarm nodes` shows it; `%swarm leave --force` ends that."),
    (
        _ADDRESS,
        SwarmError,
        "the engine has several addresses, and one must be chosen for the others to reach it",
        "Name it: `%swarm init --advertise-addr ADDRESS`.",
    ),
    (
        _LAST,
        Conflict,
        "the Swarm would lose its managers",
        "`%swarm demote` the node first, from another manager; or give it up with all that runs on it: `%swarm leave --force`.",
    ),
    (_TOKEN, SwarmError, "the token is not of that Swarm", "On a manager: `%swarm join-token worker` prints the whole line."),
    (
        _UNREACHED,
        SwarmError,
        "the Swarm's manager is not reached from there",
        "Is its address right, and are the ports 2377/tcp, 7946/tcp and udp, and 4789/udp open between the engines?",
    ),
    (
        _IN_USE,
        Conflict,
        "it is in use by {who}",
        "Take it from the service first: `%service update --secret-rm NAME SERVICE`, or rm it.",
    ),
    (_NAME_TAKEN, Conflict, "there is one of that name already", "Take another name, or remove that one first."),
)


def no_manager(about: Mapping[str, Any], doing: str) -> SwarmError:
    """What it means that an engine is no manager. about: what it says of its Swarm (`info()["Swarm"]`)."""
    state = str(about.get("LocalNodeState") or "inactive")
    if state in ("inactive", ""):
        return SwarmError(
            f"cannot {doing}: this engine is in no Swarm",
            hint="Make one of it: `%swarm init`. Or let it join another: `%swarm join --token TOKEN ADDRESS:2377`.",
        )
    if state == "locked":
        return SwarmError(f"cannot {doing}: the Swarm is locked", hint="Its key opens it: `docker swarm unlock` in a terminal.")
    managers = _managers(about)
    if state in ("pending", "error"):
        said = str(about.get("Error") or "")
        return SwarmError(
            f"cannot {doing}: this engine has not got into its Swarm yet",
            evidence=[f"the engine says: {said}"] if said else [],
            hint="Do its managers answer? `%swarm leave --force` gives up.",
        )
    return SwarmError(
        f"cannot {doing}: this engine is a worker of its Swarm, and a manager decides",
        evidence=[f"a manager: {address}" for address in managers],
        hint="Speak to a manager: `%engine use URL`. Or make this node one, from there: `%swarm promote NODE`.",
    )


def _no_quorum(client: Client, doing: str, said: str) -> SwarmError:
    managers = _managers(_about(client, _QUICK) or {})
    return SwarmError(
        f"cannot {doing}: the Swarm has lost its quorum: more than half of its managers must answer",
        evidence=[
            *([f"its managers: {', '.join(managers)}"] if managers else []),
            f"the engine says: {said.removeprefix(f'cannot {doing}: ')}",
        ],
        hint="What runs goes on, but nothing is changed or moved. If all of them are up, they choose a leader now: try again in a moment.\n"
        "Else start the other managers again; if they are lost for good, make a Swarm of this one, which keeps its services:\n"
        "`%swarm init --force-new-cluster`.",
    )


def _managers(about: Mapping[str, Any]) -> list[str]:
    return sorted(str(one.get("Addr") or "?") for one in about.get("RemoteManagers") or ())


def _is_manager(client: Client) -> bool:
    return bool((_about(client, _QUICK) or {}).get("ControlAvailable"))


def _about(client: Client, seconds: float | None = None) -> Mapping[str, Any] | None:
    """What the engine says of its Swarm; None where it says nothing in time: without a quorum that takes it long, too."""
    api: Any = client.api
    with engine_errors("ask the engine about its Swarm"):
        try:
            answer = api._result(api._get(api._url("/info"), timeout=seconds or api.timeout), json=True)
        except requests.exceptions.Timeout:
            if seconds is None:
                raise
            return None
    about: Mapping[str, Any] = answer.get("Swarm") or {}
    return about
