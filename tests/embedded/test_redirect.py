"""Socket addresses, rewritten."""

from __future__ import annotations

import os
import socket
import struct
from typing import Literal

import pytest

from dockerlab.engine.runtime.kernel import protocol
from dockerlab.engine.runtime.redirect import gateway, is_any, is_inet, restore, rewrite

OWN = "127.18.0.2"


def v4(address: str, port: int = 5000) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(address) + bytes(8)


def v6(address: str, port: int = 5000) -> bytes:
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 7) + socket.inet_pton(socket.AF_INET6, address) + bytes(4)


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
@pytest.mark.parametrize("operation", ["bind", "connect"])
def test_every_address_and_the_loopback_become_its_own(address: str, operation: str) -> None:
    assert rewrite(v4(address), OWN, operation) == v4(OWN)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"])
def test_so_do_those_of_ipv6(address: str) -> None:
    assert rewrite(v6(address), OWN, "bind") == v6(f"::ffff:{OWN}")


@pytest.mark.parametrize("address", ["127.18.0.3", "10.1.2.3", "127.0.0.53"])
def test_all_else_stays(address: str) -> None:
    assert rewrite(v4(address), OWN, "connect") is None
    assert rewrite(v6(f"::ffff:{address}"), OWN, "connect") is None


def test_the_gateway_is_the_host() -> None:
    assert gateway(OWN) == "127.18.0.1"
    assert rewrite(v4("127.18.0.1"), OWN, "connect") == v4("127.0.0.1")
    assert rewrite(v4("127.18.0.1"), OWN, "bind") is None


def test_a_name_server_on_the_loopback_stays_within_reach() -> None:
    assert rewrite(v4("127.0.0.1", 53), OWN, "connect") is None
    assert rewrite(v4("127.0.0.1", 53), OWN, "bind") == v4(OWN, 53)


def test_what_a_client_binds_before_it_sends() -> None:
    assert is_any(v4("0.0.0.0", 0))
    assert is_any(v6("::", 0))
    assert not is_any(v4("0.0.0.0", 53))
    assert not is_any(v4("127.0.0.1", 0))
    assert not is_any(b"")


def test_kinds_of_sockets_are_told_apart() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET6) as other:
        assert [protocol(os.getpid(), found.fileno()) for found in (one, other)] == ["UDP", "TCPv6"]
    with open(os.devnull) as none, pytest.raises(OSError, match="Operation not supported"):
        protocol(os.getpid(), none.fileno())


@pytest.mark.parametrize("asked", ["0.0.0.0", "127.0.0.1", OWN])
@pytest.mark.parametrize("operation", ["bind", "connect"])
def test_a_port_that_the_kernel_refuses_is_moved(asked: str, operation: Literal["bind", "connect"]) -> None:
    assert rewrite(v4(asked, 80), OWN, operation, 1024) == v4(OWN, 64592)
    assert rewrite(v6(f"::ffff:{asked}", 80), OWN, operation, 1024) == v6(f"::ffff:{OWN}", 64592)
    assert rewrite(v4(asked, 80), OWN, operation, 80) in (v4(OWN, 80), None)


def test_it_is_moved_for_other_containers_and_not_for_the_host_and_the_world() -> None:
    assert rewrite(v4("127.19.0.7", 80), OWN, "connect", 1024) == v4("127.19.0.7", 64592)
    assert rewrite(v4("127.18.0.1", 80), OWN, "connect", 1024) == v4("127.0.0.1", 80)
    for address in ("127.0.0.53", "10.1.2.3", "127.19.0.1"):
        assert rewrite(v4(address, 80), OWN, "connect", 1024) is None


@pytest.mark.parametrize("port", [1, 80, 1023, 1024, 5000, 64512, 64592])
def test_names_of_sockets_say_the_port_that_was_asked_for(port: int) -> None:
    bound = rewrite(v4("0.0.0.0", port), OWN, "bind", 1024)
    assert bound is not None
    assert restore(bound, 1024) == v4(OWN, port if port != 64592 else 80)
    assert restore(v4("10.1.2.3", 64592), 1024) == v4("10.1.2.3", 64592)
    assert restore(bound, 0) == bound


@pytest.mark.parametrize("raw", [b"", b"\x02", v4("0.0.0.0")[:7], v6("::")[:20], struct.pack("=H", socket.AF_UNIX) + b"/run/x"])
def test_what_is_no_address_stays(raw: bytes) -> None:
    assert rewrite(raw, OWN, "bind") is None


def test_families() -> None:
    assert is_inet(v4(OWN))
    assert is_inet(v6("::1"))
    assert not is_inet(struct.pack("=H", socket.AF_UNIX))
