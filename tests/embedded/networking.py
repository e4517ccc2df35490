"""Networks and containers in them, without an engine around: for tests of who is where and under which name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dockerlab.engine.events import Events
from dockerlab.engine.home import Home
from dockerlab.engine.networks import Networks
from dockerlab.engine.networks.addresses import Closeable
from dockerlab.engine.runtime import plan

WEB, DB, OTHER = "a" * 64, "b" * 64, "c" * 64


class Held:
    """A claim that is not made on the machine, which the tests share."""

    def close(self) -> None:
        """Nothing is held."""


def claim(address: str) -> Closeable:
    """For `Networks`: every address is free."""
    return Held()


def again(home: Home, tmp_path: Path) -> Networks:
    """As the next engine finds them."""
    return Networks(home, Events(), claim, tmp_path / "etc")


def add(networks: Networks, id: str, name: str, mode: str = "default", /, **more: Any) -> list[str]:
    """A new container, by fields of its config and of its HostConfig; its warnings."""
    config: dict[str, Any] = {key: more[key] for key in ("Hostname", "Domainname") if key in more}
    host = {key: value for key, value in more.items() if key not in (*config, "endpoints")}
    return networks.add(id, name, config, {"NetworkMode": mode, **host}, more.get("endpoints"))


def start(networks: Networks, home: Home, id: str) -> plan.Network:
    """Starts a container, as far as networks are concerned."""
    home.container(id).mkdir(exist_ok=True)
    return networks.start(id, home.container(id))


def names_in(home: Home, id: str) -> dict[str, list[str]]:
    """The hosts file of a container beyond the localhost lines, by address."""
    lines = (home.container(id) / "hosts").read_text().splitlines()[6:]
    found: dict[str, list[str]] = {}
    for line in lines:
        address, *names = line.split()
        found.setdefault(address, []).extend(names)
    return found
