"""The engine's networks: which there are, how they come and go, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.events import Events
from dockerlab.engine.filters import Filters
from dockerlab.engine.home import Home
from dockerlab.engine.networks import Networks
from dockerlab.errors import DockerlabError, EngineError, NotFound, UsageError
from tests.embedded.networking import WEB, add, again, start


def test_three_networks_are_always_there(networks: Networks) -> None:
    assert [(n.name, n.driver) for n in networks.all()] == [("none", "null"), ("host", "host"), ("bridge", "bridge")]
    shown = networks.get("bridge").to_json()
    assert shown["IPAM"] == {"Driver": "default", "Options": None, "Config": [{"Subnet": "127.18.0.0/16", "Gateway": "127.18.0.1"}]}
    assert networks.get("none").to_json()["IPAM"]["Config"] is None


def test_networks_last(networks: Networks, net_home: Home, tmp_path: Path) -> None:
    network, warning = networks.create({"Name": "net", "Labels": {"a": "b"}, "Options": {"o": "p"}})
    assert warning == ""
    later = again(net_home, tmp_path)
    assert later.get("net") == network
    assert [n.id for n in later.all()] == [n.id for n in networks.all()]


def test_networks_are_found_by_name_and_by_the_beginning_of_the_id(networks: Networks) -> None:
    network, _ = networks.create({"Name": "net"})
    assert networks.get("net") is networks.get(network.id) is networks.get(network.id[:12]) is network
    for nothing in ("ne", "", "zzz"):
        with pytest.raises(NotFound, match=f"network {nothing} not found"):
            networks.get(nothing)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "invalid name: name is empty"),
        ({"Name": "bridge"}, 403, "operation is not permitted on predefined bridge network "),
        ({"Name": "default"}, 403, "operation is not permitted on predefined default network "),
        ({"Name": "x", "Driver": "host"}, 403, 'only one instance of "host" network is allowed'),
        ({"Name": "x", "Driver": "foo"}, 404, 'plugin "foo" not found'),
        ({"Name": "x", "Driver": "overlay"}, 403, "This node is not a swarm manager."),
        ({"Name": "x", "Scope": "swarm"}, 403, "cannot create a swarm scoped network when swarm is not active"),
        ({"Name": "x", "IPAM": {"Config": [{"Subnet": "zz"}]}}, 400, "invalid subnet zz: invalid CIDR block notation"),
        ({"Name": "x", "Labels": {"a": 1}}, 400, "Labels"),
        ({"Name": "net"}, 409, "network with name net already exists"),
    ],
)
def test_what_cannot_be_created(networks: Networks, body: Mapping[str, Any], status: int, text: str) -> None:
    networks.create({"Name": "net"})
    with pytest.raises(DockerlabError) as caught:
        networks.create(body)
    assert caught.value.status == status
    assert text in caught.value.message


NET = "10.9.0.0/24"
ODD = {"Subnet": "10.9.0.5/24", "IPRange": "10.8.0.3/16", "Gateway": "10.8.0.1", "AuxiliaryAddresses": {"a": "x"}}


@pytest.mark.parametrize(
    ("pools", "text"),
    [
        ([{"Gateway": "10.9.0.1"}], "invalid subnet : invalid CIDR block notation"),
        ([{"Subnet": "10.9.0.0"}], "invalid subnet 10.9.0.0: invalid CIDR block notation"),
        ([{"Subnet": "10.9.0.0/255.255.255.0"}], "invalid subnet 10.9.0.0/255.255.255.0: invalid CIDR block notation"),
        ([{"Subnet": "10.9.0.0/024"}], "invalid subnet 10.9.0.0/024: invalid CIDR block notation"),
        ([{"Subnet": "10.9.0.0/99"}], "invalid subnet 10.9.0.0/99: invalid CIDR block notation"),
        ([{"Subnet": "10.9.0.5/24"}], "invalid subnet 10.9.0.5/24: it should be 10.9.0.0/24"),
        ([{"Subnet": NET, "Gateway": "x"}], "invalid gateway x: invalid address"),
        ([{"Subnet": NET, "Gateway": "fd00::1"}], "invalid gateway fd00::1: parent subnet is an IPv4 block"),
        ([{"Subnet": NET, "Gateway": "10.8.0.1"}], f"invalid gateway 10.8.0.1: parent subnet {NET} doesn't contain this address"),
        ([{"Subnet": NET, "IPRange": "10.9.0.0"}], "invalid ip-range 10.9.0.0: invalid CIDR block notation"),
        ([{"Subnet": NET, "IPRange": "fd00::/64"}], "invalid ip-range fd00::/64: parent subnet is an IPv4 block"),
        (
            [ODD],
            "* invalid subnet 10.9.0.5/24: it should be 10.9.0.0/24\n"
            "* invalid ip-range 10.8.0.3/16: CIDR block is bigger than its parent subnet 10.9.0.5/24\n"
            "* invalid ip-range 10.8.0.3/16: it should be 10.8.0.0/16\n"
            "* invalid ip-range 10.8.0.3/16: parent subnet 10.9.0.5/24 doesn't contain ip-range\n"
            "* invalid gateway 10.8.0.1: parent subnet 10.9.0.5/24 doesn't contain this address\n"
            "* invalid auxiliary address a: invalid address",
        ),
    ],
)
def test_subnets_that_do_not_fit_together(networks: Networks, pools: list[Mapping[str, Any]], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        networks.create({"Name": "net", "IPAM": {"Config": pools}})
    assert caught.value.message == f"invalid network config:\n{text}"


OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"IPAM": {"Config": [{"Subnet": NET}, {"Subnet": "10.9.1.0/24"}]}}, 403, "bridge driver doesn't support multiple subnets"),
        ({"IPAM": {"Config": [{"Subnet": NET}, {"Subnet": "10.9.0.0/16"}]}}, 403, OVERLAP),
        (
            {"IPAM": {"Config": [{"Subnet": NET, "Gateway": "10.9.0.255"}]}},
            *(500, "failed to allocate gateway (10.9.0.255): Address already in use"),
        ),
        ({"EnableIPv4": False}, 400, "IPv4 or IPv6 must be enabled"),
        ({"IPAM": {"Driver": "nosuch"}}, 404, 'plugin "nosuch" not found'),
    ],
)
def test_pools_that_a_bridge_cannot_have(networks: Networks, body: Mapping[str, Any], status: int, text: str) -> None:
    with pytest.raises(DockerlabError) as caught:
        networks.create({"Name": "net", **body})
    assert (caught.value.status, caught.value.message) == (status, text)


@pytest.mark.parametrize(
    "body",
    [
        {"IPAM": {"Config": [{"Subnet": "10.9.0.0/31", "Gateway": "10.9.0.0"}]}},
        {"IPAM": {"Config": [{"Subnet": "fd00::5/64", "Gateway": "10.0.0.1"}]}},  # without IPv6 it is not looked at
        {"IPAM": {"Config": [{"Subnet": NET}, {"Subnet": "fd00::/64", "Gateway": "fd00::ffff"}]}, "EnableIPv6": True},
        {"IPAM": {"Config": [{"Subnet": NET, "Gateway": "10.9.0.9", "IPRange": "10.9.0.128/25"}]}},
    ],
)
def test_pools_that_fit(networks: Networks, body: Mapping[str, Any]) -> None:
    network, _ = networks.create({"Name": "net", **body})
    assert network.to_json()["IPAM"]["Config"] == body["IPAM"]["Config"]


def test_a_subnet_that_was_asked_for_is_shown_and_warned_about(networks: Networks) -> None:
    network, warning = networks.create({"Name": "net", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}]}, "Internal": True})
    assert network.to_json()["IPAM"]["Config"] == [{"Subnet": "10.1.0.0/16"}]
    assert "127.19.0.0/16, not of 10.1.0.0/16" in warning
    assert "not isolated" in warning


def test_a_network_in_use_stays(networks: Networks, net_home: Home) -> None:
    network, _ = networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    start(networks, net_home, WEB)
    end = networks.settings(WEB)["Networks"]["net"]["EndpointID"]
    with pytest.raises(EngineError) as caught:
        networks.remove("net")
    assert caught.value.status == 403
    assert caught.value.message == (f'error while removing network: network net has active endpoints (name:"web" id:"{end[:12]}")')
    assert networks.prune(Filters()) == []
    networks.stop(WEB)
    networks.remove(network.id)
    with pytest.raises(EngineError, match="bridge is a pre-defined network and cannot be removed"):
        networks.remove("bridge")


def test_prune_leaves_what_is_used_labelled_otherwise_or_too_new(networks: Networks, net_home: Home) -> None:
    for name, labels in (("plain", {}), ("kept", {"keep": ""}), ("used", {})):
        networks.create({"Name": name, "Labels": labels})
    add(networks, WEB, "web", "used")
    start(networks, net_home, WEB)
    assert networks.prune(Filters(), until=1) == []
    assert networks.prune(Filters({"label!": ("keep",)})) == ["plain"]
    assert networks.prune(Filters({"label": ("keep",)})) == ["kept"]
    assert {n.name for n in networks.all()} == {"none", "host", "bridge", "used"}


def test_what_is_told(networks: Networks, net_home: Home, net_events: Events) -> None:
    subscription = net_events.subscribe()
    network, _ = networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    start(networks, net_home, WEB)
    networks.forget(WEB)
    networks.remove("net")
    net_events.unsubscribe(subscription)
    told = [subscription._queue.get_nowait() for _ in range(4)]
    assert [(e.action, e.id, e.attributes.get("container")) for e in told if e] == [
        ("create", network.id, None),
        ("connect", network.id, WEB),
        ("disconnect", network.id, WEB),
        ("destroy", network.id, None),
    ]
