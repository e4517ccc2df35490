"""What the engine remembers of a container: values, kept as record.jsonl in the container's directory.

A *config* is what belongs to the image's side of a container (command, environment, user, …), a *host config* what belongs to this
machine's (mounts, ports, limits, …); both have the Engine API's own form and names. A record never changes: a new one replaces it, so
that whoever reads one needs no lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from dockerlab.engine import timestamps
from dockerlab.engine.rootfs import Root

Status = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]
ALIVE = ("running", "paused")
# Of a container that runs a step of a build, for whoever lists it. Images and clients can give any container this label.
BUILD_LABEL = "dockerlab.build"


@dataclass(frozen=True)
class State:
    """pid: on the host, 0 while nothing runs. error: why the last start failed. Times as the API writes them."""

    status: Status = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: str = timestamps.ZERO
    finished_at: str = timestamps.ZERO

    @property
    def is_alive(self) -> bool:
        """Whether it has processes."""
        return self.status in ALIVE

    @property
    def is_running(self) -> bool:
        """The API's Running: a container that waits to be restarted counts, so that nobody removes it meanwhile."""
        return self.status in (*ALIVE, "restarting")


@dataclass(frozen=True)
class MountPoint:
    """Something mounted in the container. name: of a volume. source: a path of the host, "" for tmpfs. mode: as it was asked for.

    anonymous: a volume that was made for this container, and goes with it if asked to. options: of a tmpfs, `size` and `mode`.
    """

    type: Literal["bind", "volume", "tmpfs"]
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    writable: bool = True
    propagation: str = ""
    anonymous: bool = False
    copies: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As inspection shows it."""
        named = {"Name": self.name} if self.name else {}
        shown = {"Type": self.type, **named, "Source": self.source, "Destination": self.destination}
        driver = {"Driver": self.driver} if self.driver else {}
        return shown | driver | {"Mode": self.mode, "RW": self.writable, "Propagation": self.propagation}


@dataclass(frozen=True)
class Published:
    """A port of the container that is reached at a port of the host, for as long as the container runs."""

    port: int
    protocol: Literal["tcp", "udp"]
    host_ip: str
    host_port: int


@dataclass(frozen=True)
class Record:
    """name: without a slash. image: its id. layers: the chain ids of the image's layers, which the container needs as long as it is there.
    mounts: all but those of every container. address: in the network while it runs.

    manually_stopped: by a client, which restart policies respect. interrupted: by an engine that ended, for its next one to go on with.
    root: its files. is_step: of a build, which nobody waits for any more once its engine has ended.
    """

    id: str
    name: str
    created: str
    image: str
    config: Mapping[str, Any]
    host_config: Mapping[str, Any]
    root: Root
    layers: tuple[str, ...] = ()
    mounts: tuple[MountPoint, ...] = ()
    state: State = State()
    ports: tuple[Published, ...] = ()
    address: str = ""
    restart_count: int = 0
    manually_stopped: bool = False
    interrupted: bool = False
    is_step: bool = False

    @property
    def argv(self) -> tuple[str, ...]:
        """The whole command: entrypoint and arguments."""
        return (*(self.config.get("Entrypoint") or ()), *(self.config.get("Cmd") or ()))

    @property
    def tty(self) -> bool:
        """Whether it has a terminal."""
        return bool(self.config.get("Tty"))

    @property
    def image_name(self) -> str:
        """The image as the client named it."""
        return str(self.config.get("Image", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels, the image's included."""
        return self.config.get("Labels") or {}

    @property
    def network_mode(self) -> str:
        """The name of its first network, or `container:…`."""
        return str(self.host_config.get("NetworkMode") or "bridge")

    @property
    def removes_itself(self) -> bool:
        """`docker run --rm`."""
        return bool(self.host_config.get("AutoRemove"))

    def to_json(self) -> dict[str, Any]:
        """Values that `json` writes."""
        # `asdict` would copy the two configs, value by value.
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self)}

    def changes_since(self, before: Record) -> dict[str, Any]:
        """Of `to_json`, what is not as it was."""
        values = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: _plain(value) for name, value in values if value != getattr(before, name)}


def _plain(value: Any) -> Any:
    if isinstance(value, Root | State | MountPoint | Published):
        return vars(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def from_json(value: Mapping[str, Any]) -> Record:
    """The inverse of `Record.to_json`. Raises KeyError, TypeError for what is no record."""
    found = dict(value)
    root = found["root"]
    return Record(
        **found
        | {
            "root": Root(**root | {"lowers": tuple(root["lowers"])}),
            "layers": tuple(found.get("layers", ())),
            "mounts": tuple(MountPoint(**mount) for mount in found.get("mounts", ())),
            "state": State(**found.get("state", {})),
            "ports": tuple(Published(**port) for port in found.get("ports", ())),
        }
    )
