"""The verbs on an engine's volumes, named as those of `docker volume`.

    volumes.create("diary")         a Volume; `run(…, volume=["diary:/data"])` makes it as well, if need be
    volumes.ls()                    all there are
    volumes.get("diary")            one
    volumes.rm("diary")             Removed, with all that was in it

Each takes `client=`, else asks the engine that `connect()` finds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dockerlab.belongings import Belonging, Listed, Removed, checked, found, removed, users
from dockerlab.client import Client, connect, engine_errors
from dockerlab.faces.named import Thing

_EMPTY = "No volumes. Make one: `%volume create NAME`"


class Volume(Belonging):
    """A volume of an engine: a folder that outlives containers. attrs: as an inspect has them."""

    @property
    def place(self) -> str:
        """The folder on the engine's host that holds its files; "" where the engine does not say."""
        return str(self.attrs.get("Mountpoint") or "")

    @property
    def thing(self) -> Thing:
        return Thing(
            "volume",
            self.name,
            self.containers,
            {"driver": str(self.attrs.get("Driver") or ""), "on the engine's host": self.place},
        )


class Volumes(Listed[Volume]):
    """Volumes, by the alphabet."""


def create(name: str, *, client: Client | None = None) -> Volume:
    """The volume of that name; it is made if it is not there. Raises UsageError for what is no name."""
    client = client or connect()
    with engine_errors(f"create volume '{name}'"):
        client.api.create_volume(checked("volume", name))
    return get(name, client=client)


def get(name: str, *, client: Client | None = None) -> Volume:
    """The volume of that name. Raises NotFound."""
    client = client or connect()
    attrs = found("volume", name, client.api.inspect_volume)
    return Volume(name, users(client, _mounted).get(name, ()), attrs)


def ls(*, client: Client | None = None) -> Volumes:
    """All volumes of the engine."""
    client = client or connect()
    with engine_errors("list the volumes"):
        listed = client.api.volumes().get("Volumes") or ()
    by_name = users(client, _mounted)
    return Volumes((Volume(one["Name"], by_name.get(one["Name"], ()), one) for one in listed), _EMPTY)


def rm(names: str | Iterable[str], force: bool = False, *, client: Client | None = None) -> Removed:
    """Removes volumes with their files. force: one that is not there is no error. Raises NotFound; Conflict where one is in use."""
    client = client or connect()
    return removed("volume", names, force, client, _mounted, client.api.inspect_volume, client.api.remove_volume)


def _mounted(container: dict[str, Any]) -> Iterable[str]:
    return (str(mount["Name"]) for mount in container.get("Mounts") or () if mount.get("Name"))
