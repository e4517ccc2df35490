"""Which networks there are, in memory and on disk. Not locked: `Networks` is.

<root>/networks/<id>.json                   a network
<root>/networks/endpoints/<container>.json  what a container is connected to, where its mode does not say it
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from dockerlab.engine import timestamps
from dockerlab.engine.home import read_json, write_json
from dockerlab.engine.networks import addresses, endpoint
from dockerlab.engine.networks.endpoint import Endpoint
from dockerlab.engine.networks.network import PREDEFINED, Network, from_stored
from dockerlab.errors import NotFound, UsageError


class Registry:
    """The networks, and the file of each container's endpoints."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "endpoints").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._networks = {network.name: network for network in self._load()}
        for name in PREDEFINED:
            if name not in self._networks:
                self.add(_predefined(name))

    @property
    def by_name(self) -> Mapping[str, Network]:
        """All networks."""
        return self._networks

    @property
    def blocks(self) -> set[int]:
        """The blocks of addresses that are taken."""
        return {network.block for network in self._networks.values()}

    def ordered(self) -> list[Network]:
        """All networks, the oldest first."""
        return sorted(self._networks.values(), key=lambda network: (timestamps.nanoseconds(network.created), network.name))

    def get(self, name: str) -> Network:
        """A network by its name, its id or the beginning of its id. Raises NotFound, UsageError."""
        if name in self._networks:
            return self._networks[name]
        found = [network for network in self._networks.values() if name and network.id.startswith(name)]
        if len(found) > 1:
            raise UsageError(f"network {name} is ambiguous ({len(found)} matches found based on ID prefix)")
        if not found:
            raise NotFound(f"network {name} not found")
        return found[0]

    def find(self, name: str) -> Network | None:
        """As `get`; None where there is none."""
        try:
            return self.get(name)
        except NotFound:
            return None

    def add(self, network: Network) -> None:
        """Keeps a network."""
        write_json(self._directory / f"{network.id}.json", network.stored())
        self._networks[network.name] = network

    def remove(self, network: Network) -> None:
        """Forgets a network."""
        (self._directory / f"{network.id}.json").unlink(missing_ok=True)
        del self._networks[network.name]

    def endpoints(self, container: str) -> dict[str, Endpoint] | None:
        """What a container is connected to; None where it has no file."""
        try:
            return endpoint.endpoints_from_stored(read_json(self._file_of(container)))
        except FileNotFoundError:
            return None

    def keep_endpoints(self, container: str, endpoints: Mapping[str, Endpoint]) -> None:
        """Writes a container's file."""
        write_json(self._file_of(container), endpoint.endpoints_stored(endpoints))

    def forget_endpoints(self, container: str) -> None:
        """Removes a container's file, if there is one."""
        self._file_of(container).unlink(missing_ok=True)

    def _file_of(self, container: str) -> Path:
        return self._directory / "endpoints" / f"{container}.json"

    def _load(self) -> Iterator[Network]:
        for path in sorted(self._directory.glob("[0-9a-f]*.json")):
            yield from_stored(read_json(path))


def _predefined(name: str) -> Network:
    driver = PREDEFINED[name]
    if driver != "bridge":
        return Network(secrets.token_hex(32), name, driver, timestamps.now())
    options = {"com.docker.network.bridge.default_bridge": "true", "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"}
    return Network(secrets.token_hex(32), name, driver, timestamps.now(), addresses.BRIDGE, options=options)
