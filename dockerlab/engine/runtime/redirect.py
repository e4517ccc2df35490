"""A container's address of its own, without a network of its own: socket addresses, rewritten. Pure.

All containers share the host's network. Each has an address in 127.0.0.0/8, and what it binds or connects to is rewritten before the
kernel sees it: "every address" and the loopback become the container's own address, so that three containers listen on port 5000 at
once, and none reaches what another, or the host, has on 127.0.0.1. The gateway stands for the host: a connection to it goes to the
host's loopback. Everything else (other containers' addresses, the world) is left as it is.

A rewritten address has the same length as the original, because it is written over it. An IPv6 one becomes the IPv4-mapped form.
Layouts: sockaddr_in (ip(7)), sockaddr_in6 (ipv6(7)).
"""

from __future__ import annotations

import socket
import sys
from typing import Literal

_ANY4, _LOOP4 = bytes(4), bytes([127, 0, 0, 1])
_ANY6, _LOOP6 = bytes(16), bytes(15) + b"\x01"
_MAPPED = bytes(10) + b"\xff\xff"
_DNS = 53


def rewrite(sockaddr: bytes, address: str, operation: Literal["bind", "connect"]) -> bytes | None:
    """`sockaddr` as the container with `address` (dotted IPv4) must see it, or None where it stays as it is."""
    family = int.from_bytes(sockaddr[:2], sys.byteorder)
    own = socket.inet_aton(address)
    if family == socket.AF_INET and len(sockaddr) >= 8:
        new = _translated(sockaddr[4:8], own, operation, int.from_bytes(sockaddr[2:4], "big"))
        return None if new is None else sockaddr[:4] + new + sockaddr[8:]
    if family == socket.AF_INET6 and len(sockaddr) >= 24:
        asked = sockaddr[8:24]
        if asked[:12] == _MAPPED:
            old = asked[12:]
        elif asked in (_ANY6, _LOOP6):
            old = _LOOP4
        else:
            return None
        new = _translated(old, own, operation, int.from_bytes(sockaddr[2:4], "big"))
        return None if new is None else sockaddr[:8] + _MAPPED + new + sockaddr[24:]
    return None


def is_any(sockaddr: bytes) -> bool:
    """Whether it is every address and no port in particular: what a client may bind, too, before it sends into the world."""
    family = int.from_bytes(sockaddr[:2], sys.byteorder)
    if sockaddr[2:4] != bytes(2):
        return False
    return (family == socket.AF_INET and sockaddr[4:8] == _ANY4) or (family == socket.AF_INET6 and sockaddr[8:24] == _ANY6)


def is_inet(sockaddr: bytes) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    return int.from_bytes(sockaddr[:2], sys.byteorder) in (socket.AF_INET, socket.AF_INET6)


def gateway(address: str) -> str:
    """The address that stands for the host in the network of `address`: the first of its 16-bit network."""
    return ".".join([*address.split(".")[:2], "0", "1"])


def _translated(old: bytes, own: bytes, operation: str, port: int) -> bytes | None:
    if operation == "connect" and old == socket.inet_aton(gateway(socket.inet_ntoa(own))):
        return _LOOP4
    # A name server that the host runs for itself stays within reach.
    if operation == "connect" and port == _DNS and old == _LOOP4:
        return None
    return own if old in (_ANY4, _LOOP4) else None
