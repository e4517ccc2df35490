"""A container's address of its own, without a network of its own: socket addresses, rewritten. Pure.

All containers share the host's network. Each has an address in 127.0.0.0/8, and what it binds or connects to is rewritten before the
kernel sees it: "every address" and the loopback become the container's own address, so that three containers listen on port 5000 at
once, and none reaches what another, or the host, has on 127.0.0.1. The gateway stands for the host: a connection to it goes to the
host's loopback. Everything else (other containers' addresses, the world) is left as it is.

Where the kernel keeps the low ports for root, a container has them all the same: at its own address, and at every other container's,
port 80 is really 64592, in bind and in connect and for what forwards a published port; getsockname and getpeername say 80. `first` is
the lowest port that the kernel gives to everybody, 0 where it refuses none.

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
_GATEWAY = b"\0\x01"
_DNS = 53
_PRIVILEGED = 1024
_MOVED = 65536 - _PRIVILEGED


def rewrite(sockaddr: bytes, address: str, operation: Literal["bind", "connect"], first: int = 0) -> bytes | None:
    """`sockaddr` as the container with `address` (dotted IPv4) must see it, or None where it stays as it is."""
    old = _ipv4(sockaddr)
    if old is None:
        return None
    port = int.from_bytes(sockaddr[2:4], "big")
    new = _translated(old, socket.inet_aton(address), operation, port)
    moved = moved_port(port, first) if _is_containers(new) else port
    if (new, moved) == (old, port):
        return None
    return _changed(sockaddr, moved, new)


def restore(sockaddr: bytes, first: int) -> bytes:
    """What getsockname or getpeername says: a port that was moved is the one that was asked for."""
    found = _ipv4(sockaddr)
    port = int.from_bytes(sockaddr[2:4], "big")
    before = port - _MOVED
    if found is None or not _is_containers(found) or moved_port(before, first) != port:
        return sockaddr
    return sockaddr[:2] + before.to_bytes(2, "big") + sockaddr[4:]


def moved_port(port: int, first: int) -> int:
    """Where the kernel has a container's port: beyond those that it gives to clients."""
    return port + _MOVED if 0 < port < min(first, _PRIVILEGED) else port


def is_low(sockaddr: bytes) -> bool:
    """Whether its port is one that a kernel keeps for root."""
    return 0 < int.from_bytes(sockaddr[2:4], "big") < _PRIVILEGED


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


def _ipv4(sockaddr: bytes) -> bytes | None:
    """The IPv4 address that it stands for; the loopback for "every address" of IPv6. None for all else."""
    family = int.from_bytes(sockaddr[:2], sys.byteorder)
    if family == socket.AF_INET and len(sockaddr) >= 8:
        return sockaddr[4:8]
    if family == socket.AF_INET6 and len(sockaddr) >= 24:
        asked = sockaddr[8:24]
        return asked[12:] if asked[:12] == _MAPPED else _LOOP4 if asked in (_ANY6, _LOOP6) else None
    return None


def _changed(sockaddr: bytes, port: int, new: bytes) -> bytes:
    head = sockaddr[:2] + port.to_bytes(2, "big")
    if int.from_bytes(sockaddr[:2], sys.byteorder) == socket.AF_INET:
        return head + new + sockaddr[8:]
    return head + sockaddr[4:8] + _MAPPED + new + sockaddr[24:]


def _is_containers(found: bytes) -> bool:
    """Whether it is an address that containers have, rather than the host's own, a gateway's, or one of the world."""
    return found[0] == 127 and found[1] > 0 and found[2:] != _GATEWAY


def _translated(old: bytes, own: bytes, operation: str, port: int) -> bytes:
    if operation == "connect" and old == own[:2] + _GATEWAY:
        return _LOOP4
    # A name server that the host runs for itself stays within reach.
    if operation == "connect" and port == _DNS and old == _LOOP4:
        return old
    return own if old in (_ANY4, _LOOP4) else old
