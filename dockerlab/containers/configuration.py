"""The plan of a container: flags → the body of the API's `POST /containers/create`. Pure; carried out by `running`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dockerlab.containers import options, ports
from dockerlab.containers.options import Pairs
from dockerlab.errors import UsageError

LOCALHOST = "127.0.0.1"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


@dataclass(frozen=True)
class Surroundings:
    """What flags refer to without saying so. environ: this process's variables. folder, home: absolute paths, for -v.
    local: whether the engine's ports are this machine's; they are then published to this machine alone."""

    environ: Mapping[str, str]
    folder: str
    home: str
    local: bool


@dataclass(frozen=True)
class CreateConfig:
    """What to create. body: JSON of the create request. name, platform: its query. published: what -p asks for."""

    body: Mapping[str, Any]
    name: str | None
    platform: str | None
    published: tuple[ports.Published, ...]


def create_config(
    image: str,
    command: str | Iterable[str] | None = None,
    *,
    attach: bool,
    interactive: bool = False,
    publish: Iterable[str | int] = (),
    env: Pairs = (),
    env_file_items: Iterable[str] = (),
    volume: Iterable[str] = (),
    workdir: str | None = None,
    user: str | None = None,
    name: str | None = None,
    rm: bool = False,
    network: str | None = None,
    memory: str | int | None = None,
    cpus: str | float | None = None,
    entrypoint: str | Iterable[str] | None = None,
    label: Pairs = (),
    restart: str | None = None,
    platform: str | None = None,
    surroundings: Surroundings,
) -> CreateConfig:
    """The plan for a container; parameters as those of `dockerlab.run`. attach: whether its output is awaited.

    Raises UsageError, naming the flag and the right form.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(
            f"--name '{name}' is no name for a container",
            hint="Two or more letters, digits, '_', '.' and '-', the first a letter or digit.",
        )
    policy = options.restart_policy(restart)
    if rm and policy and policy["Name"] != "no":
        raise UsageError("--rm and --restart exclude each other", hint="Leave out one of them.")
    address = LOCALHOST if surroundings.local else ""
    published = tuple(p for item in _several(publish) for p in ports.parse_publish(item, address))
    if published and network == "host":
        raise UsageError(
            "-p has no effect with --network host", hint="Leave out one of them; with --network host every port is the host's own."
        )
    mounts = [options.parse_volume(item, surroundings.folder, surroundings.home) for item in _several(volume)]
    host = {
        "PortBindings": ports.bindings(published),
        "Binds": [m.bind for m in mounts if m.source],
        "AutoRemove": rm,
        "NetworkMode": network or "default",
        "Memory": options.memory(memory),
        "NanoCpus": options.nano_cpus(cpus),
        "RestartPolicy": policy or {},
    }
    body: dict[str, Any] = {
        "Image": image,
        "Cmd": options.words(command),
        # As with `docker run --entrypoint`, text is one program with its spaces, and '' is none at all.
        "Entrypoint": [entrypoint] if isinstance(entrypoint, str) else options.words(entrypoint),
        "Env": options.environment(env, env_file_items, surroundings.environ),
        "WorkingDir": workdir or "",
        "User": user or "",
        "Labels": options.labels(label),
        "ExposedPorts": {p.exposed: {} for p in published},
        "Volumes": {m.target: {} for m in mounts if not m.source},
        "OpenStdin": interactive,
        "StdinOnce": interactive and attach,
        "AttachStdin": interactive and attach,
        "AttachStdout": attach,
        "AttachStderr": attach,
        "HostConfig": {key: value for key, value in host.items() if value},
    }
    kept = {key: value for key, value in body.items() if value not in (None, "", [], {}) or key == "Image"}
    return CreateConfig(kept, name, platform, published)


def _several(given: Iterable[Any] | str | int) -> Iterable[Any]:
    return (given,) if isinstance(given, (str, int)) else given
