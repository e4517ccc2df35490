"""What clients ask of networks, checked as Docker checks it: JSON of the Engine API to values. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from dockerlab.engine.json_shapes import NUMBER, TEXT, TEXT_BY_NAME, TEXTS, YES_NO, List, Struct, read
from dockerlab.engine.networks import addresses, ipam
from dockerlab.engine.networks.endpoint import Endpoint
from dockerlab.engine.networks.hosts import check_extra_hosts
from dockerlab.engine.networks.network import PREDEFINED, Network
from dockerlab.errors import EngineError, NotFound, UsageError

_FORBIDDEN = 403
_USER_ADDRESS = "user specified IP address is supported only when connecting to networks with user configured subnets"
_OWN_ADDRESS = "user specified IP address is supported on user defined networks only"
_ALIAS = "network-scoped alias is supported only for containers in user defined networks"
_NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
)


_ADDRESSES = Struct("network.EndpointIPAMConfig", {"IPv4Address": TEXT, "IPv6Address": TEXT, "LinkLocalIPs": TEXTS})
ENDPOINT = Struct(
    "network.EndpointSettings",
    {
        "IPAMConfig": _ADDRESSES,
        **dict.fromkeys(("Links", "Aliases", "DNSNames"), TEXTS),
        **dict.fromkeys(
            ("MacAddress", "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPv6Gateway", "GlobalIPv6Address"), TEXT
        ),
        **dict.fromkeys(("IPPrefixLen", "GlobalIPv6PrefixLen", "GwPriority"), NUMBER),
        "DriverOpts": TEXT_BY_NAME,
    },
)
CONNECT = Struct("network.ConnectOptions", {"Container": TEXT, "EndpointConfig": ENDPOINT})
DISCONNECT = Struct("network.DisconnectOptions", {"Container": TEXT, "Force": YES_NO})
_POOL = Struct("network.IPAMConfig", {"Subnet": TEXT, "IPRange": TEXT, "Gateway": TEXT, "AuxiliaryAddresses": TEXT_BY_NAME})
_CREATE = Struct(
    "network.CreateRequest",
    {
        **dict.fromkeys(("Name", "Driver", "Scope"), TEXT),
        **dict.fromkeys(("EnableIPv4", "EnableIPv6", "Internal", "Attachable", "Ingress", "ConfigOnly"), YES_NO),
        "IPAM": Struct("network.IPAM", {"Driver": TEXT, "Options": TEXT_BY_NAME, "Config": List(_POOL, "[]network.IPAMConfig")}),
        "ConfigFrom": Struct("network.ConfigReference", {"Network": TEXT}),
        "Options": TEXT_BY_NAME,
        "Labels": TEXT_BY_NAME,
    },
)


def new_network(body: Mapping[str, Any], id: str, created: str, block: int) -> Network:
    """The network that `POST /networks/create` asks for. Raises UsageError, NotFound, EngineError."""
    body = read(body, _CREATE)
    name, driver = body.get("Name", ""), body.get("Driver") or "bridge"
    asked = body.get("IPAM") or {}
    pools = asked.get("Config") or []
    has_ipv4, has_ipv6 = body.get("EnableIPv4", True), body.get("EnableIPv6", False)
    if name in PREDEFINED or name == "default":
        raise EngineError(f"operation is not permitted on predefined {name} network ", status=_FORBIDDEN)
    if driver == "overlay" or body.get("Ingress"):
        raise EngineError(_NO_MANAGER, status=_FORBIDDEN)
    ipam.check(pools, ipv6=has_ipv6)
    if not name.strip():
        raise UsageError("invalid name: name is empty")
    if body.get("Scope") == "swarm":
        raise EngineError("cannot create a swarm scoped network when swarm is not active", status=_FORBIDDEN)
    if driver in ("host", "null"):
        raise EngineError(f'only one instance of "{driver}" network is allowed', status=_FORBIDDEN)
    if driver != "bridge":
        raise NotFound(f'plugin "{driver}" not found', hint="This engine has the network drivers bridge, host and null.")
    if body.get("ConfigOnly") or (body.get("ConfigFrom") or {}).get("Network"):
        raise EngineError("networks that are configurations of others are not supported by this engine", status=501)
    if (manager := asked.get("Driver") or "default") != "default":
        raise NotFound(f'plugin "{manager}" not found')
    if not has_ipv4 and not has_ipv6:
        raise UsageError("IPv4 or IPv6 must be enabled")
    ipam.check_pools(pools, {version for version, is_on in ((4, has_ipv4), (6, has_ipv6)) if is_on})
    return Network(
        id=id,
        name=name,
        driver="bridge",
        created=created,
        block=block,
        labels=body.get("Labels", {}),
        options=body.get("Options", {}),
        ipam={"Driver": "default", "Options": asked.get("Options"), "Config": pools or None},
        internal=bool(body.get("Internal")),
        attachable=bool(body.get("Attachable")),
        ipv6=has_ipv6,
    )


def subnets(network: Network) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The subnets that were asked for."""
    configs = network.ipam.get("Config") or ()
    return [ipaddress.ip_network(config["Subnet"], strict=False) for config in configs if config.get("Subnet")]


def warnings(network: Network) -> list[str]:
    """What a new network does not do although it was asked for."""
    found = []
    if asked := subnets(network):
        own = addresses.subnet(network.block)
        found.append(f"containers of this network have addresses of {own}, not of {', '.join(map(str, asked))}")
    if network.internal:
        found.append("an internal network is not isolated: its containers share the host's network")
    if network.ipv6:
        found.append("containers of this network have no IPv6 addresses")
    return found


def endpoint(settings: Mapping[str, Any] | None, network: Network | None) -> Endpoint:
    """The EndpointSettings of a connect or of a container's NetworkingConfig. network: None where it does not exist (yet).

    Raises UsageError.
    """
    asked = read(settings or {}, ENDPOINT)
    aliases = tuple(dict.fromkeys(str(alias) for alias in asked.get("Aliases") or ()))
    addressing = asked.get("IPAMConfig") or None
    given = [(label, str(address)) for label in ("IPv4", "IPv6") if (address := (addressing or {}).get(f"{label}Address"))]
    wrong = [_OWN_ADDRESS] if network and network.is_predefined and given else []
    for label, address in given:
        if not _is_address(address):
            wrong.append(f"invalid {label} address: {address}")
        if network and not network.is_predefined and not (network.ipam.get("Config") or ()):
            wrong.append(_USER_ADDRESS)
        elif network and not _is_within(address, subnets(network)):
            wrong.append(f"no configured subnet or ip-range contain the IP address {address}")
    if network and network.is_predefined and aliases:
        wrong.append(_ALIAS)
    if wrong:
        raise UsageError("invalid endpoint settings:\n" + ipam.lines(wrong))
    return Endpoint(
        aliases=aliases,
        links=tuple(str(link) for link in asked.get("Links") or ()),
        ipam=addressing,
        driver_options=asked.get("DriverOpts") or None,
        mac_address=str(asked.get("MacAddress") or ""),
        gateway_priority=int(asked.get("GwPriority") or 0),
    )


def endpoint_warnings(network: str, end: Endpoint) -> list[str]:
    """What of an endpoint's settings is not done."""
    asked = [str(address) for key in ("IPv4Address", "IPv6Address") if (address := (end.ipam or {}).get(key))]
    asked += [end.mac_address] if end.mac_address else []
    return [f"network {network}: this engine chooses a container's address itself; {address} is not used" for address in asked]


def check_container(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> None:
    """What a new container asks of networks, apart from which there are. Raises UsageError."""
    mode = str(host_config.get("NetworkMode") or "")
    check_extra_hosts(host_config.get("ExtraHosts") or ())
    if mode == "host" and host_config.get("Links"):
        raise UsageError(
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
        )
    if not mode.startswith("container:"):
        return
    conflicts = (
        (host_config.get("Links"), "container type network can't be used with links. This would result in undefined behavior"),
        (host_config.get("Dns"), "dns and the network mode"),
        (host_config.get("ExtraHosts"), "custom host-to-IP mapping and the network mode"),
        (
            host_config.get("PortBindings") or host_config.get("PublishAllPorts"),
            "port publishing and the container type network mode",
        ),
        (config.get("ExposedPorts"), "port exposing and the container type network mode"),
    )
    for given, text in conflicts:
        if given:
            raise UsageError(f"conflicting options: {text}")


def _is_within(text: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return _is_address(text) and any(ipaddress.ip_address(text) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
