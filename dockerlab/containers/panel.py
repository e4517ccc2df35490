"""`show`: all of a container on one page, as a value: its state, its settings, what it uses, its processes, its files and its log.

    dockerlab.containers.show("web1")        one look; it takes a second, because rates need two samples

`%container show` keeps such values coming (`watching`). What looks like a secret in the environment and in commands is `***`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import requests

from dockerlab.client import Client, connect, engine_errors
from dockerlab.containers import processes
from dockerlab.containers.container import Container, Which, acting, get
from dockerlab.containers.execution import logs
from dockerlab.containers.facts import epoch, secrets_of
from dockerlab.containers.observation import diff
from dockerlab.containers.processes import Process
from dockerlab.containers.sampling import Counter, Limits, Sample, limits_of, rates, sampled
from dockerlab.containers.values import Change
from dockerlab.errors import Conflict, EngineError, EngineGone, NotFound
from dockerlab.faces import hiding
from dockerlab.faces import panel as faces
from dockerlab.faces.ansi import lines_of
from dockerlab.faces.container import Facts
from dockerlab.faces.shown import Shown

TAIL: Final = 200  # lines of the log
_GLANCE: Final = 40  # lines of the log
_BETWEEN_SAMPLES: Final = 1.0  # seconds
RUNNING: Final = ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a container's environment. value: as it may be shown."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted in a container. kind: the API's word (bind, volume, tmpfs …). source: a folder of the engine's host, or a volume."""

    kind: str
    source: str
    target: str
    is_writable: bool


@dataclass(frozen=True, repr=False)
class Panel(Shown):
    """A container at a moment. Each change is a new value.

    facts: state, health, image, command, ports. at: when this was so, in seconds since the epoch; started, finished: likewise, or None.
    settings: what is worth telling of its configuration: (what, how). network: the API's NetworkMode. counts_published: whether of its
    network only what goes through published ports is counted. samples: oldest first. processes, changes: None where they are not
    known; then `processes_said`, `changes_said` say why. log: the last lines, with ANSI colours. health_said: what the last health check
    printed. note: what hinders the panel now, such as an engine that does not answer.
    """

    facts: Facts
    at: float
    started: float | None = None
    finished: float | None = None
    settings: tuple[tuple[str, str], ...] = ()
    environment: tuple[Variable, ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: str = ""
    counts_published: bool = False
    limits: Limits = field(default_factory=Limits)
    samples: tuple[Sample, ...] = ()
    processes: tuple[Process, ...] | None = None
    processes_said: str = ""
    changes: tuple[Change, ...] | None = None
    changes_said: str = ""
    log: tuple[str, ...] = ()
    health_said: str = ""
    note: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it has processes: running, paused, or about to be started anew."""
        return self.facts.state in RUNNING

    def rates(self, counter: Counter) -> list[tuple[float, float | None]]:
        """Bytes a second over time: of what was `received`, `sent`, `read` or `written`."""
        return rates(self.samples, counter)

    def _text(self) -> str:
        return faces.text(self)

    def _table(self) -> str:
        return faces.table(self)

    def _html(self) -> str:
        return faces.html(self)

    def _live_html(self) -> str:
        return faces.live(self)


def show(container: Which, *, client: Client | None = None) -> Panel:
    """All of a container on one page, as it is now. It takes a second or two. Raises NotFound."""
    client = client or connect()
    found = get(container, client=client)
    with engine_errors("ask the engine what it can do"):
        info = client.info()
    panel = replace(of(found, info), log=tail(found))
    if panel.is_running:
        panel = replace(panel, samples=_two_samples(found))
        panel = with_processes(panel, found, is_podman=processes.is_podman(client))
    return with_changes(panel, found)


def glance(container: Which, *, client: Client) -> Panel:
    """Its state, its settings and the last of its log, without what would take a second: what it uses, its processes, its files.

    Raises NotFound.
    """
    found = get(container, client=client)
    return replace(of(found, {}), log=tail(found, _GLANCE))


def of(container: Container, info: Mapping[str, Any], *, gone: bool = False) -> Panel:
    """What its inspection says, without its log, its processes and its files. info: the engine's /info. Pure."""
    attrs = container.attrs
    state, host = attrs.get("State") or {}, attrs.get("HostConfig") or {}
    facts = container.facts if not gone else replace(container.facts, state="removed", health="", ports=())
    health = state.get("Health") or state.get("Healthcheck") or {}
    entries = health.get("Log") or ()
    said = str(entries[-1].get("Output") or "") if entries else ""
    return Panel(
        facts=facts,
        at=time.time(),
        started=epoch(state.get("StartedAt")),
        finished=epoch(state.get("FinishedAt")) if facts.state not in RUNNING else None,
        settings=_settings(attrs),
        environment=variables(attrs),
        mounts=tuple(_mount(m) for m in attrs.get("Mounts") or ()),
        network=str(host.get("NetworkMode") or ""),
        # Dockerlab's own engine, whose containers have no network devices.
        counts_published="Isolation" in [name for name, *_ in info.get("DriverStatus") or ()],
        limits=limits_of(attrs, info),
        health_said=hiding.hide_in_command(said.strip(), secrets_of(attrs))[:2000] if facts.health else "",
    )


def variables(attrs: Mapping[str, Any]) -> tuple[Variable, ...]:
    """The environment, by name; secrets are `***`."""
    pairs = (str(entry).partition("=") for entry in (attrs.get("Config") or {}).get("Env") or ())
    return tuple(Variable(name, hiding.hide(name, value)) for name, _, value in sorted(pairs))


def with_processes(panel: Panel, container: Container, *, is_podman: bool) -> Panel:
    """With the processes as they are now."""
    if panel.facts.state == "paused":
        return replace(panel, processes=None, processes_said="They are not listed while it is paused.")
    if panel.facts.state != "running":
        return replace(panel, processes=())
    try:
        found = processes.read(container, is_podman=is_podman, secrets=secrets_of(container.attrs))
    except (NotFound, Conflict):  # it has just ended
        return replace(panel, processes=())
    except EngineError as error:
        return replace(panel, processes=None, processes_said=error.message)
    except EngineGone as error:
        return replace(panel, processes=None, processes_said=_too_slow(error))
    return replace(panel, processes=found, processes_said="")


def with_changes(panel: Panel, container: Container) -> Panel:
    """With the files that differ from the image's now."""
    try:
        return replace(panel, changes=tuple(diff(container, client=container.client)), changes_said="")
    except NotFound:
        return panel  # the last that was known
    except EngineError as error:
        return replace(panel, changes=None, changes_said=error.message)
    except EngineGone as error:
        return replace(panel, changes=None, changes_said=_too_slow(error))


def _too_slow(error: EngineGone) -> str:
    """What is said where an engine takes too long for one question: it may answer others. Raises the error where it is gone."""
    if not isinstance(error.__cause__, requests.exceptions.Timeout):
        raise error
    return "The engine takes too long to list them."


def tail(container: Container, lines: int = TAIL) -> tuple[str, ...]:
    """The last lines of its log, with their colours. What it prints on both streams is in the order in which the engine has it."""
    said = bytearray()
    try:
        logs(container, tail=lines, output=lambda stream, data: said.extend(data), client=container.client)
    except EngineError as error:
        return (f"[{error.message}]",)
    return tuple(lines_of(bytes(said)))[-lines:]


def _two_samples(container: Container) -> tuple[Sample, ...]:
    """One sample, with the one before it that its rates are counted from."""
    answers = []
    api: Any = container.client.api
    for moment in range(2):
        if moment:
            time.sleep(_BETWEEN_SAMPLES)
        try:
            with acting("measure", container):
                answers.append(api.stats(container.id, stream=False, one_shot=True))
        except (NotFound, Conflict):  # it has just ended
            break
    found = [sampled(answer, answers[i - 1] if i else None) for i, answer in enumerate(answers)]
    return tuple(sample for sample in found if sample)


def _settings(attrs: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    config, host = attrs.get("Config") or {}, attrs.get("HostConfig") or {}
    policy = host.get("RestartPolicy") or {}
    restart = str(policy.get("Name") or "no")
    retries = int(policy.get("MaximumRetryCount") or 0)
    networks = (attrs.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = [f"{name} {network.get('IPAddress')}".strip() for name, network in networks.items() if isinstance(network, Mapping)]
    mode = str(host.get("NetworkMode") or "")
    found = (
        ("network", ", ".join(addresses) or mode),
        ("user", str(config.get("User") or "")),
        ("working directory", str(config.get("WorkingDir") or "")),
        ("processors", str(host.get("CpusetCpus") or "")),
        ("restart", "" if restart in ("no", "") else f"{restart}:{retries}" if retries else restart),
        ("removed when it ends", "yes" if host.get("AutoRemove") else ""),
        ("privileged", "yes" if host.get("Privileged") else ""),
        ("read-only", "yes" if host.get("ReadonlyRootfs") else ""),
    )
    return tuple((what, how) for what, how in found if how)


def _mount(given: Mapping[str, Any]) -> Mount:
    kind = str(given.get("Type") or "bind")
    source = str((given.get("Name") if kind == "volume" else None) or given.get("Source") or "")
    return Mount(kind, source, str(given.get("Destination") or given.get("Target") or ""), bool(given.get("RW", True)))
