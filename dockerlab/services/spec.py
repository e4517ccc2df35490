"""A service's flags → the body of the request that makes it, or changes it. Pure: what is there is given, a new body comes out.

A flag that repeats is set whole when a service is made (`env`), and by two others when it is changed: `env_add` and `env_rm`. What is
given once (`limit_memory`) sets its value in both.

A *spec* is what the Swarm is asked for; it keeps the one before, which a rollback goes back to. `TaskTemplate` is the part of it of which
each task is made: who changes it replaces all tasks.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

from dockerlab.containers.options import environment, labels, words
from dockerlab.errors import UsageError
from dockerlab.services import options

Several = str | Iterable[str]


class Common(TypedDict, total=False):
    """What may be given when a service is made and when it is changed. Times are texts as `10s`; sizes are as `512m`."""

    replicas: int | str
    endpoint_mode: str
    user: str
    workdir: str
    entrypoint: str
    hostname: str
    stop_grace_period: str
    limit_memory: str | int
    limit_cpu: str | float
    reserve_memory: str | int
    reserve_cpu: str | float
    restart_condition: str
    restart_delay: str
    restart_max_attempts: int | str
    restart_window: str
    update_delay: str
    update_parallelism: int | str
    update_failure_action: str
    update_order: str
    update_monitor: str
    update_max_failure_ratio: float | str
    rollback_delay: str
    rollback_parallelism: int | str
    rollback_failure_action: str
    rollback_order: str
    rollback_monitor: str
    rollback_max_failure_ratio: float | str
    health_cmd: str
    health_interval: str
    health_timeout: str
    health_retries: int | str
    health_start_period: str
    no_healthcheck: bool
    with_registry_auth: bool
    no_resolve_image: bool


class New(Common, total=False):
    """What may be given when a service is made."""

    mode: str
    env: Several
    label: Several
    container_label: Several
    publish: Several
    secret: Several
    config: Several
    network: Several
    constraint: Several
    mount: Several


class Change(Common, total=False):
    """What may be given when a service is changed. args: the command. force: new tasks, even if nothing else changes."""

    image: str
    args: str | Iterable[str]
    force: bool
    env_add: Several
    env_rm: Several
    label_add: Several
    label_rm: Several
    container_label_add: Several
    container_label_rm: Several
    publish_add: Several
    publish_rm: Several
    secret_add: Several
    secret_rm: Several
    config_add: Several
    config_rm: Several
    network_add: Several
    network_rm: Several
    constraint_add: Several
    constraint_rm: Several
    mount_add: Several
    mount_rm: Several


@dataclass(frozen=True)
class Ids:
    """What the Swarm calls what a spec names: the ids of secrets, configs and networks, by name."""

    secrets: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)


def new(name: str | None, image: str, command: list[str], given: New, ids: Ids, environ: Mapping[str, str]) -> dict[str, Any]:
    """The body of a create request. Raises UsageError."""
    _known(given, New)
    if given.get("mode", "replicated") not in ("replicated", "global"):
        raise UsageError(f"--mode '{given['mode']}': not one", hint="Give replicated, or global for one on every node.")
    is_global = given.get("mode") == "global"
    if is_global and "replicas" in given:
        raise UsageError("--replicas goes with --mode replicated: a global service has one task on every node")
    container: dict[str, Any] = {"Image": image}
    if command:
        container["Args"] = command
    spec: dict[str, Any] = {
        "Labels": {},
        "TaskTemplate": {"ContainerSpec": container},
        "Mode": {"Global": {}} if is_global else {"Replicated": {"Replicas": 1}},
    }
    if name:
        spec["Name"] = name
    added: dict[str, Any] = {f"{key}_add": value for key, value in given.items() if key in _LISTS}
    _fill(spec, {**given, **added}, ids, environ)
    return spec


def changed(spec: Mapping[str, Any], given: Change, ids: Ids, environ: Mapping[str, str]) -> dict[str, Any]:
    """The body of an update request, out of the spec that there is. Raises UsageError."""
    _known(given, Change)
    made = copy.deepcopy(dict(spec))
    task = made.setdefault("TaskTemplate", {})
    container = task.setdefault("ContainerSpec", {})
    if "image" in given:
        container["Image"] = given["image"]
    if "args" in given:
        container["Args"] = words(given["args"]) or []
    if given.get("force"):
        task["ForceUpdate"] = int(task.get("ForceUpdate") or 0) + 1
    if "replicas" in given and "Replicated" not in (made.get("Mode") or {}):
        raise UsageError("--replicas goes with a replicated service: a global one has one task on every node")
    _fill(made, given, ids, environ)
    return made


def scaled(spec: Mapping[str, Any], replicas: int) -> dict[str, Any]:
    """The body of an update request that changes how many there are."""
    return changed(spec, {"replicas": replicas}, Ids(), {})


_LISTS: Final = ("env", "label", "container_label", "publish", "secret", "config", "network", "constraint", "mount")


def _known(given: Mapping[str, Any], kind: type) -> None:
    allowed = {*Common.__annotations__, *kind.__annotations__}
    unknown = [key for key in given if key not in allowed]
    if unknown:
        raise TypeError(f"a service has no {unknown[0]!r}")


def _fill(spec: dict[str, Any], given: Mapping[str, Any], ids: Ids, environ: Mapping[str, str]) -> None:
    """Changes a new spec in place by what is given."""
    task = spec["TaskTemplate"]
    container = task["ContainerSpec"]
    if "replicas" in given:
        spec["Mode"]["Replicated"]["Replicas"] = options.count("--replicas", given["replicas"])
    for name, place in (("user", "User"), ("workdir", "Dir"), ("hostname", "Hostname")):
        if name in given:
            container[place] = given[name]
    if "entrypoint" in given:
        container["Command"] = shlex.split(given["entrypoint"])
    if "stop_grace_period" in given:
        container["StopGracePeriod"] = options.nanoseconds("--stop-grace-period", given["stop_grace_period"])
    _health(container, given)
    _resources(task, given)
    _put(task, "RestartPolicy", given, _RESTART)
    for which in ("update", "rollback"):
        _put(spec, f"{which.title()}Config", given, _rolling(which))
    _collections(spec, container, task, given, ids, environ)


def _resources(task: dict[str, Any], given: Mapping[str, Any]) -> None:
    for place, prefix in (("Limits", "limit"), ("Reservations", "reserve")):
        table = {
            f"{prefix}_memory": ("MemoryBytes", options.memory),
            f"{prefix}_cpu": ("NanoCPUs", options.nano_cpus),
        }
        if any(name in given for name in table):
            _put(task.setdefault("Resources", {}), place, given, table)


Table = Mapping[str, tuple[str, Callable[[str, Any], Any]]]
_RESTART: Final[Table] = {
    "restart_condition": ("Condition", lambda flag, value: options.one_of(flag, value, options.CONDITIONS)),
    "restart_delay": ("Delay", options.nanoseconds),
    "restart_max_attempts": ("MaxAttempts", options.count),
    "restart_window": ("Window", options.nanoseconds),
}


def _rolling(which: str) -> Table:
    return {
        f"{which}_delay": ("Delay", options.nanoseconds),
        f"{which}_parallelism": ("Parallelism", options.count),
        f"{which}_failure_action": (
            "FailureAction",
            lambda flag, value: options.one_of(flag, value, options.FAILURES[which]),
        ),
        f"{which}_order": ("Order", lambda flag, value: options.one_of(flag, value, options.ORDERS)),
        f"{which}_monitor": ("Monitor", options.nanoseconds),
        f"{which}_max_failure_ratio": ("MaxFailureRatio", options.ratio),
    }


def _put(whole: dict[str, Any], place: str, given: Mapping[str, Any], table: Table) -> None:
    """Sets in a part of the spec what is given of the table."""
    wanted = {name: made for name, made in table.items() if name in given}
    if not wanted:
        return
    part = dict(whole.get(place) or {})
    # An update of one at a time is the default of the command, which the API calls 1 and takes 0 for all at once.
    if place in ("UpdateConfig", "RollbackConfig") and not part:
        part["Parallelism"] = 1
    for name, (key, read) in wanted.items():
        part[key] = read(f"--{name.replace('_', '-')}", given[name])
    whole[place] = part


def _health(container: dict[str, Any], given: Mapping[str, Any]) -> None:
    if given.get("no_healthcheck"):
        if any(name.startswith("health_") for name in given):
            raise UsageError("--no-healthcheck and --health-…: one excludes the other")
        container["Healthcheck"] = {"Test": ["NONE"]}
        return
    table: Table = {
        "health_cmd": ("Test", lambda _, value: ["CMD-SHELL", value] if value else []),
        "health_interval": ("Interval", options.nanoseconds),
        "health_timeout": ("Timeout", options.nanoseconds),
        "health_retries": ("Retries", options.count),
        "health_start_period": ("StartPeriod", options.nanoseconds),
    }
    _put(container, "Healthcheck", given, table)


def _collections(
    spec: dict[str, Any],
    container: dict[str, Any],
    task: dict[str, Any],
    given: Mapping[str, Any],
    ids: Ids,
    environ: Mapping[str, str],
) -> None:
    def added(name: str) -> list[str]:
        return options.several(given.get(f"{name}_add") or ())

    def gone(name: str) -> set[str]:
        return set(options.several(given.get(f"{name}_rm") or ()))

    def is_asked(name: str) -> bool:
        return bool(added(name) or gone(name))

    if is_asked("env"):
        new_ones = environment(added("env"), (), environ)
        names = gone("env") | {one.partition("=")[0] for one in new_ones}
        container["Env"] = [one for one in container.get("Env") or () if one.partition("=")[0] not in names] + new_ones
    for name, whole in (("label", spec), ("container_label", container)):
        if is_asked(name):
            kept = {key: value for key, value in (whole.get("Labels") or {}).items() if key not in gone(name)}
            whole["Labels"] = {**kept, **labels(added(name))}
    if is_asked("constraint"):
        placement = task.setdefault("Placement", {})
        kept_ones = [one for one in placement.get("Constraints") or () if one not in gone("constraint")]
        placement["Constraints"] = [*kept_ones, *(options.constraint("--constraint", one) for one in added("constraint"))]
    if is_asked("mount"):
        kept_mounts = [one for one in container.get("Mounts") or () if one.get("Target") not in gone("mount")]
        new_mounts = [options.mount("--mount", one) for one in added("mount")]
        targets = {one["Target"] for one in new_mounts}
        container["Mounts"] = [*(one for one in kept_mounts if one.get("Target") not in targets), *new_mounts]
    if is_asked("network"):
        removed = {ids.networks.get(one, one) for one in gone("network")}
        new_networks = [options.network("--network", one) for one in added("network")]
        for one in new_networks:
            one["Target"] = ids.networks.get(one["Target"], one["Target"])
        task["Networks"] = [one for one in task.get("Networks") or () if one.get("Target") not in removed] + new_networks
    for kind, key, title, known in (("secret", "Secrets", "Secret", ids.secrets), ("config", "Configs", "Config", ids.configs)):
        if is_asked(kind):
            container[key] = _mounted(container.get(key) or (), gone(kind), added(kind), kind, title, known)
    if is_asked("publish") or "endpoint_mode" in given:
        _endpoint(spec, added("publish"), gone("publish"), given.get("endpoint_mode"))


def _mounted(
    there: Iterable[dict[str, Any]], gone: set[str], added: list[str], kind: str, title: str, known: Mapping[str, str]
) -> list[dict[str, Any]]:
    kept = [one for one in there if one.get(f"{title}Name") not in gone]
    for item in added:
        name, file = options.mounted(f"--{kind}", item, kind)
        if name not in known:
            raise UsageError(
                f"--{kind} '{name}': the Swarm has no {kind} of that name", hint=f"`%swarm {kind} create {name} --var NAME`."
            )
        kept = [one for one in kept if (one.get("File") or {}).get("Name") != file["Name"]]
        kept.append({f"{title}ID": known[name], f"{title}Name": name, "File": file})
    return kept


def _endpoint(spec: dict[str, Any], added: list[str], gone: set[str], mode: str | None) -> None:
    endpoint = dict(spec.get("EndpointSpec") or {})
    if mode is not None:
        endpoint["Mode"] = options.one_of("--endpoint-mode", mode, options.ENDPOINTS)
    new_ports = [options.port("-p", one) for one in added]
    removed = {options.port("--publish-rm", one)["TargetPort"] for one in gone}
    replaced = {(one["TargetPort"], one["Protocol"]) for one in new_ports}
    kept = [
        one
        for one in endpoint.get("Ports") or ()
        if one.get("TargetPort") not in removed and (one.get("TargetPort"), one.get("Protocol", "tcp")) not in replaced
    ]
    endpoint["Ports"] = [*kept, *new_ports]
    if endpoint.get("Mode") == "dnsrr" and any(one.get("PublishMode") != "host" for one in endpoint["Ports"]):
        raise UsageError(
            "--endpoint-mode dnsrr and a port of the routing mesh exclude one another",
            hint="A service found by DNS publishes on the nodes themselves: `-p mode=host,target=5000`.",
        )
    spec["EndpointSpec"] = endpoint
