"""The subnets, ranges and addresses that `POST /networks/create` asks for, held against each other as Docker does, in its words. Pure.

Networks of this engine do not use them; who writes a file for Docker finds out here what Docker refuses there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from dockerlab.errors import EngineError, UsageError

Block = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_FORBIDDEN = 403
# Without Python's other notations: a netmask, no prefix at all, an interface of the host.
_PREFIX = re.compile(r"[0-9A-Fa-f:.]+/(?:0|[1-9][0-9]*)")
_NO_CIDR = "invalid CIDR block notation"


def check(configs: Sequence[Mapping[str, Any]], *, ipv6: bool) -> None:
    """Of one network. ipv6: it has IPv6; where it has not, subnets of it are not looked at. Raises UsageError with all that is wrong."""
    wrong = [line for config in configs for line in _wrong(config, ipv6)]
    if wrong:
        raise UsageError("invalid network config:\n" + lines(wrong))


def check_pools(configs: Sequence[Mapping[str, Any]], versions: set[int]) -> None:
    """Whether a bridge can have what `check` let pass. versions: 4, 6 or both, that the network has. Raises EngineError."""
    used = [(config, block) for config in configs if (block := _block(config["Subnet"])) and block.version in versions]
    pairs = [(one.network, other.network) for (_, one), (_, other) in combinations(used, 2) if one.version == other.version]
    if any(one.overlaps(other) for one, other in pairs):
        raise EngineError("invalid pool request: Pool overlaps with other one on this address space", status=_FORBIDDEN)
    for config, block in used:
        if (gateway := config.get("Gateway")) and _is_reserved(_address(gateway), block.network):
            raise EngineError(f"failed to allocate gateway ({gateway}): Address already in use", status=500)
    if pairs:
        raise EngineError("bridge driver doesn't support multiple subnets", status=_FORBIDDEN)


def lines(wrong: Sequence[str]) -> str:
    """As Docker joins what is wrong."""
    return wrong[0] if len(wrong) == 1 else "\n".join(f"* {line}" for line in wrong)


def _wrong(config: Mapping[str, Any], ipv6: bool) -> Iterator[str]:
    text = config.get("Subnet") or ""
    subnet = _block(text)
    if subnet is None:
        yield f"invalid subnet {text}: {_NO_CIDR}"
        return
    if subnet.version == 6 and not ipv6:
        return
    if subnet.ip != subnet.network.network_address:
        yield f"invalid subnet {subnet}: it should be {subnet.network}"
    if inner := config.get("IPRange"):
        for reason in _wrong_range(_block(inner), subnet):
            yield f"invalid ip-range {inner}: {reason}"
    if gateway := config.get("Gateway"):
        for reason in _wrong_address(gateway, subnet):
            yield f"invalid gateway {gateway}: {reason}"
    for name, address in (config.get("AuxiliaryAddresses") or {}).items():
        for reason in _wrong_address(address, subnet):
            yield f"invalid auxiliary address {name}: {reason}"


def _wrong_range(inner: Block | None, subnet: Block) -> Iterator[str]:
    if inner is None:
        yield _NO_CIDR
    elif inner.version != subnet.version:
        yield f"parent subnet is an IPv{subnet.version} block"
    else:
        if inner.network.prefixlen < subnet.network.prefixlen:
            yield f"CIDR block is bigger than its parent subnet {subnet}"
        if inner.ip != inner.network.network_address:
            yield f"it should be {inner.network}"
        if inner.ip not in subnet.network:
            yield f"parent subnet {subnet} doesn't contain ip-range"


def _wrong_address(text: str, subnet: Block) -> Iterator[str]:
    address = _address(text)
    if address is None:
        yield "invalid address"
    elif address.version != subnet.version:
        yield f"parent subnet is an IPv{subnet.version} block"
    elif address not in subnet.network:
        yield f"parent subnet {subnet} doesn't contain this address"


def _block(text: str) -> Block | None:
    """A prefix with the address as it was written; None where it is no prefix."""
    try:
        return ipaddress.ip_interface(text) if _PREFIX.fullmatch(text) else None
    except ValueError:
        return None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_reserved(address: Address | None, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """The network's own address, and of IPv4 the broadcast address."""
    if network.version == 6:
        return address == network.network_address
    return network.prefixlen < 31 and address in (network.network_address, network.broadcast_address)
