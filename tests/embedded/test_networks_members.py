"""Containers as members of networks: their addresses, what they may join and leave."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.events import Events
from dockerlab.engine.home import Home
from dockerlab.engine.networks import Networks
from dockerlab.engine.runtime import claims, plan
from dockerlab.engine.runtime.kernel import first_port
from dockerlab.errors import Conflict, DockerlabError, NotFound, UsageError
from tests.embedded.networking import DB, OTHER, WEB, add, again, names_in, start


def test_addresses_are_each_ones_own(networks: Networks, net_home: Home) -> None:
    for id, name in ((WEB, "web"), (DB, "db"), (OTHER, "other")):
        add(networks, id, name)
    found = [start(networks, net_home, id) for id in (WEB, DB, OTHER)]
    assert [(one.mode, one.address) for one in found] == [("loopback", f"127.18.0.{last}") for last in (2, 3, 4)]
    assert networks.settings(DB)["Networks"]["bridge"]["IPAddress"] == "127.18.0.3"


def test_an_address_that_was_just_given_back_rests(networks: Networks, net_home: Home) -> None:
    add(networks, WEB, "web")
    assert start(networks, net_home, WEB).address == "127.18.0.2"
    networks.stop(WEB)
    networks.stop(WEB)
    assert networks.settings(WEB)["Networks"]["bridge"]["IPAddress"] == ""
    assert start(networks, net_home, WEB).address == "127.18.0.3"


def test_a_running_container_keeps_its_address_over_a_restart_of_the_engine(
    networks: Networks, net_home: Home, tmp_path: Path
) -> None:
    networks.create({"Name": "net"})
    config: dict[str, Any] = {}
    host = {"NetworkMode": "net"}
    ends = {"net": {"Aliases": ["alias"]}}
    networks.add(WEB, "web", config, host, ends)
    address = start(networks, net_home, WEB).address
    assert address == "127.19.0.2"
    networks.close()

    later = again(net_home, tmp_path)
    later.restore(WEB, "web", config, host, net_home.container(WEB), address)
    later.restore(DB, "db", config, host, net_home.container(DB), None)
    assert later.settings(WEB)["Networks"]["net"]["IPAddress"] == address
    assert later.settings(WEB)["Networks"]["net"]["Aliases"] == ["alias"]
    assert later.settings(DB)["Networks"]["net"]["IPAddress"] == ""
    assert start(later, net_home, DB).address == "127.19.0.3"
    assert names_in(net_home, WEB)["127.19.0.3"] == ["db", DB[:12]]


def test_an_address_from_before_a_restart_of_the_engine_rests_too(networks: Networks, net_home: Home, tmp_path: Path) -> None:
    add(networks, WEB, "web")
    address = start(networks, net_home, WEB).address
    networks.close()
    later = again(net_home, tmp_path)
    later.restore(WEB, "web", {}, {"NetworkMode": "bridge"}, net_home.container(WEB), address)
    later.stop(WEB)
    assert [start(later, net_home, WEB).address, address] == ["127.18.0.3", "127.18.0.2"]


def test_host_and_none_have_no_address(networks: Networks, net_home: Home) -> None:
    add(networks, WEB, "web", "host")
    add(networks, DB, "db", "none")
    assert start(networks, net_home, WEB) == plan.Network("host", first_port=first_port())
    assert start(networks, net_home, DB) == plan.Network("none", first_port=first_port())
    assert (net_home.container(WEB) / "hosts").read_text() == "127.0.0.1 localhost thishost\n"
    assert names_in(net_home, DB) == {}
    assert networks.settings(WEB)["Networks"]["host"]["NetworkID"] == networks.get("host").id


def test_a_container_may_share_the_network_of_another(networks: Networks, net_home: Home) -> None:
    add(networks, WEB, "web", Hostname="shop")
    add(networks, DB, "db", f"container:{WEB}")
    with pytest.raises(Conflict, match="cannot join network of a non running container"):
        start(networks, net_home, DB)
    assert start(networks, net_home, WEB) == start(networks, net_home, DB) == plan.Network("loopback", "127.18.0.2", first_port())
    assert (net_home.container(DB) / "hosts").read_text() == (net_home.container(WEB) / "hosts").read_text()
    assert (net_home.container(DB) / "hostname").read_text() == "shop\n"
    assert networks.settings(DB)["Networks"] == {}
    networks.stop(WEB)
    add(networks, OTHER, "other")
    assert start(networks, net_home, OTHER).address == "127.18.0.3"


def test_two_networks_one_address(networks: Networks, net_home: Home) -> None:
    networks.create({"Name": "one"})
    networks.create({"Name": "two"})
    add(networks, WEB, "web", "one", endpoints={"two": {}, "one": {}})
    assert start(networks, net_home, WEB).address == "127.19.0.2"
    ends = networks.settings(WEB)["Networks"]
    assert list(ends) == ["one", "two"]
    assert {end["IPAddress"] for end in ends.values()} == {"127.19.0.2"}
    assert {end["Gateway"] for end in ends.values()} == {"127.19.0.1", "127.20.0.1"}


@pytest.mark.parametrize(
    ("network", "container", "settings", "status", "text"),
    [
        ("zzz", "web", None, 404, "network zzz not found"),
        ("net", "zzz", None, 404, "No such container: zzz"),
        ("net", "", None, 400, 'invalid name or ID supplied: ""'),
        ("net", "web", None, 403, "endpoint with name web already exists in network net"),
        ("host", "web", None, 400, "container must be created in host network mode"),
        ("none", "web", None, 400, "in private (none) mode"),
        ("net", "db", None, 400, "container sharing network namespace with another container or host"),
        ("bridge", "web", {"Aliases": ["x"]}, 400, "network-scoped alias is supported only for containers in user defined"),
        ("two", "web", {"IPAMConfig": {"IPv4Address": "172.18.0.5"}}, 400, "networks with user configured subnets"),
        ("two", "web", {"IPAMConfig": {"IPv4Address": "zz"}}, 400, "* invalid IPv4 address: zz"),
        (
            "own",
            "web",
            {"IPAMConfig": {"IPv4Address": "10.2.0.5"}},
            400,
            "no configured subnet or ip-range contain the IP address 10.2",
        ),
        ("own", "web", {"IPAMConfig": {"IPv6Address": "zz"}}, 400, "* no configured subnet or ip-range contain the IP address zz"),
    ],
)
def test_what_cannot_be_connected(networks: Networks, network: str, container: str, settings: Any, status: int, text: str) -> None:
    networks.create({"Name": "net"})
    networks.create({"Name": "two"})
    networks.create({"Name": "own", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}]}})
    add(networks, WEB, "web", "net")
    add(networks, DB, "db", "host")
    with pytest.raises(DockerlabError) as caught:
        networks.connect(network, container, settings)
    assert caught.value.status == status
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("network", "container", "force", "status", "text"),
    [
        ("net", "zzz", False, 404, "No such container: zzz"),
        ("net", "zzz", True, 404, "endpoint zzz not found"),
        ("net", "web", False, 500, f"container {WEB} is not connected to network net"),
        ("host", "db", False, 400, "container was created in host network mode"),
    ],
)
def test_what_cannot_be_disconnected(networks: Networks, network: str, container: str, force: bool, status: int, text: str) -> None:
    networks.create({"Name": "net"})
    add(networks, WEB, "web")
    add(networks, DB, "db", "host")
    with pytest.raises(DockerlabError) as caught:
        networks.disconnect(network, container, force)
    assert caught.value.status == status
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("mode", "more", "text"),
    [
        ("default", {"ExtraHosts": ["a"]}, 'bad format for add-host: "a"'),
        ("default", {"ExtraHosts": ["a:b"]}, 'invalid IP address in add-host: "b"'),
        ("bridge", {"endpoints": {"bridge": {"Aliases": ["x"]}}}, "invalid config for network bridge: invalid endpoint settings:"),
        ("container:x", {"Dns": ["1.1.1.1"]}, "conflicting options: dns and the network mode"),
        ("container:x", {"PortBindings": {"80/tcp": []}}, "conflicting options: port publishing and the container type"),
        ("host", {"Links": ["a"]}, "host type networking can't be used with links"),
    ],
)
def test_what_a_new_container_cannot_ask(networks: Networks, mode: str, more: Mapping[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        add(networks, WEB, "web", mode, **more)
    assert text in caught.value.message


def test_an_address_of_ones_choice_is_warned_about(networks: Networks) -> None:
    networks.create({"Name": "net", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}]}})
    warnings = add(networks, WEB, "web", "net", endpoints={"net": {"IPAMConfig": {"IPv4Address": "10.1.0.5"}}})
    assert len(warnings) == 1
    assert "10.1.0.5 is not used" in warnings[0]


def test_a_network_that_is_missing_fails_the_start(networks: Networks, net_home: Home) -> None:
    add(networks, WEB, "web", "zzz")
    with pytest.raises(NotFound, match="failed to set up container networking: network zzz not found"):
        start(networks, net_home, WEB)
    network, _ = networks.create({"Name": "zzz"})
    assert start(networks, net_home, WEB).address == "127.19.0.2"
    assert networks.settings(WEB)["Networks"]["zzz"]["NetworkID"] == network.id


def test_addresses_of_other_engines_and_of_their_containers_are_left_alone(net_home: Home, tmp_path: Path) -> None:
    """Claims are made on the machine: these addresses are not those of containers."""

    def far_away(address: str) -> str:
        return f"{address} {tmp_path}"

    engine, container = claims.for_engine(far_away("127.18.0.2")), claims.for_monitor(far_away("127.18.0.3"))
    assert engine is not None
    assert container is not None
    networks = Networks(net_home, Events(), lambda address: claims.for_engine(far_away(address)), tmp_path / "etc")
    add(networks, WEB, "web")
    assert start(networks, net_home, WEB).address == "127.18.0.4"
    assert claims.for_engine(far_away("127.18.0.4")) is None
    networks.close()
    again = claims.for_engine(far_away("127.18.0.4"))
    assert again is not None
    for claim in (engine, container, again):
        claim.close()
