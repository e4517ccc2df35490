"""A network: a name, and which containers see each other by theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dockerlab.engine.networks import addresses

Driver = Literal["bridge", "host", "null"]
PREDEFINED: Mapping[str, Driver] = {"none": "null", "host": "host", "bridge": "bridge"}


@dataclass(frozen=True)
class Network:
    """block: the second number of its addresses, 0 for `host` and `none`. ipam: the address configuration that was asked for, which
    is shown and not used. created: RFC 3339."""

    id: str
    name: str
    driver: Driver
    created: str
    block: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    ipam: Mapping[str, Any] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False

    @property
    def is_predefined(self) -> bool:
        """Whether it is one of the three that are always there."""
        return self.name in PREDEFINED

    @property
    def has_names(self) -> bool:
        """Whether its containers find each other by name."""
        return self.driver == "bridge" and not self.is_predefined

    @property
    def gateway(self) -> str:
        """The address that stands for the host."""
        return addresses.gateway(self.block) if self.block else ""

    def to_json(self, containers: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As the Engine API has it."""
        own = [{"Subnet": addresses.subnet(self.block), "Gateway": self.gateway}] if self.block else None
        return {
            "Name": self.name,
            "Id": self.id,
            "Created": self.created,
            "Scope": "local",
            "Driver": self.driver,
            "EnableIPv4": True,
            "EnableIPv6": self.ipv6,
            "IPAM": {
                "Driver": self.ipam.get("Driver") or "default",
                "Options": self.ipam.get("Options"),
                "Config": self.ipam.get("Config") or own,
            },
            "Internal": self.internal,
            "Attachable": self.attachable,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": dict(containers or {}),
            "Options": dict(self.options),
            "Labels": dict(self.labels),
        }

    def stored(self) -> dict[str, Any]:
        """What its file holds."""
        return asdict(self)


def from_stored(value: Mapping[str, Any]) -> Network:
    """The inverse of `Network.stored`."""
    return Network(**value)
