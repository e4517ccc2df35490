"""The engine's networks: which there are, who is in which, with which address and under which names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.events import Events
from dockerlab.engine.filters import Filters
from dockerlab.engine.home import Home
from dockerlab.engine.networks import Link, Networks, links
from dockerlab.engine.networks.addresses import Closeable
from dockerlab.engine.runtime import claims, plan
from dockerlab.errors import Conflict, DockerlabError, EngineError, NotFound, UsageError

WEB, DB, OTHER = "a" * 64, "b" * 64, "c" * 64


class Held:
    """A claim that is not made on the machine, which the tests share."""

    def close(self) -> None:
        """Nothing is held."""


def claim(address: str) -> Closeable:
    return Held()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "root", tmp_path / "run")
    home.create()
    host = tmp_path / "etc"
    host.mkdir()
    (host / "hosts").write_text("127.0.0.1 localhost thishost\n")
    (host / "resolv.conf").write_text("nameserver 10.0.0.53\nsearch example.org\n")
    return home


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def networks(home: Home, events: Events, tmp_path: Path) -> Iterator[Networks]:
    networks = Networks(home, events, claim, tmp_path / "etc")
    yield networks
    networks.close()


def again(home: Home, tmp_path: Path) -> Networks:
    return Networks(home, Events(), claim, tmp_path / "etc")


def add(networks: Networks, id: str, name: str, mode: str = "default", /, **more: Any) -> list[str]:
    config: dict[str, Any] = {key: more[key] for key in ("Hostname", "Domainname") if key in more}
    host = {key: value for key, value in more.items() if key not in (*config, "endpoints")}
    return networks.add(id, name, config, {"NetworkMode": mode, **host}, more.get("endpoints"))


def start(networks: Networks, home: Home, id: str) -> plan.Network:
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


def test_three_networks_are_always_there(networks: Networks) -> None:
    assert [(n.name, n.driver) for n in networks.all()] == [("none", "null"), ("host", "host"), ("bridge", "bridge")]
    shown = networks.get("bridge").to_json()
    assert shown["IPAM"] == {"Driver": "default", "Options": None, "Config": [{"Subnet": "127.18.0.0/16", "Gateway": "127.18.0.1"}]}
    assert networks.get("none").to_json()["IPAM"]["Config"] is None


def test_networks_last(networks: Networks, home: Home, tmp_path: Path) -> None:
    network, warning = networks.create({"Name": "net", "Labels": {"a": "b"}, "Options": {"o": "p"}})
    assert warning == ""
    later = again(home, tmp_path)
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


def test_a_subnet_that_was_asked_for_is_shown_and_warned_about(networks: Networks) -> None:
    network, warning = networks.create({"Name": "net", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}]}, "Internal": True})
    assert network.to_json()["IPAM"]["Config"] == [{"Subnet": "10.1.0.0/16"}]
    assert "127.19.0.0/16, not of 10.1.0.0/16" in warning
    assert "not isolated" in warning


def test_addresses_are_each_ones_own(networks: Networks, home: Home) -> None:
    for id, name in ((WEB, "web"), (DB, "db"), (OTHER, "other")):
        add(networks, id, name)
    found = [start(networks, home, id) for id in (WEB, DB, OTHER)]
    assert found == [plan.Network("loopback", f"127.18.0.{last}") for last in (2, 3, 4)]
    assert networks.address(DB) == "127.18.0.3"


def test_an_address_that_was_just_given_back_rests(networks: Networks, home: Home) -> None:
    add(networks, WEB, "web")
    assert start(networks, home, WEB).address == "127.18.0.2"
    networks.stop(WEB)
    networks.stop(WEB)
    assert networks.address(WEB) == ""
    assert start(networks, home, WEB).address == "127.18.0.3"


def test_a_running_container_keeps_its_address_over_a_restart_of_the_engine(networks: Networks, home: Home, tmp_path: Path) -> None:
    networks.create({"Name": "net"})
    config: dict[str, Any] = {}
    host = {"NetworkMode": "net"}
    ends = {"net": {"Aliases": ["alias"]}}
    networks.add(WEB, "web", config, host, ends)
    address = start(networks, home, WEB).address
    assert address == "127.19.0.2"
    networks.close()

    later = again(home, tmp_path)
    later.restore(WEB, "web", config, host, home.container(WEB), address)
    later.restore(DB, "db", config, host, home.container(DB), None)
    assert later.settings(WEB)["Networks"]["net"]["IPAddress"] == address
    assert later.settings(WEB)["Networks"]["net"]["Aliases"] == ["alias"]
    assert later.settings(DB)["Networks"]["net"]["IPAddress"] == ""
    assert start(later, home, DB).address == "127.19.0.3"
    assert names_in(home, WEB)["127.19.0.3"] == ["db", DB[:12]]


def test_host_and_none_have_no_address(networks: Networks, home: Home) -> None:
    add(networks, WEB, "web", "host")
    add(networks, DB, "db", "none")
    assert start(networks, home, WEB) == plan.Network("host")
    assert start(networks, home, DB) == plan.Network("none")
    assert (home.container(WEB) / "hosts").read_text() == "127.0.0.1 localhost thishost\n"
    assert names_in(home, DB) == {}
    assert networks.settings(WEB)["Networks"]["host"]["NetworkID"] == networks.get("host").id


def test_a_container_may_share_the_network_of_another(networks: Networks, home: Home) -> None:
    add(networks, WEB, "web", Hostname="shop")
    add(networks, DB, "db", f"container:{WEB}")
    with pytest.raises(Conflict, match="cannot join network of a non running container"):
        start(networks, home, DB)
    assert start(networks, home, WEB) == start(networks, home, DB) == plan.Network("loopback", "127.18.0.2")
    assert (home.container(DB) / "hosts").read_text() == (home.container(WEB) / "hosts").read_text()
    assert (home.container(DB) / "hostname").read_text() == "shop\n"
    assert networks.settings(DB)["Networks"] == {}
    networks.stop(WEB)
    add(networks, OTHER, "other")
    assert start(networks, home, OTHER).address == "127.18.0.3"


def test_the_files_of_a_container(networks: Networks, home: Home) -> None:
    more = {"ExtraHosts": ["foo:1.2.3.4", "gw:host-gateway"], "Dns": ["9.9.9.9"], "DnsSearch": ["a.b"]}
    add(networks, WEB, "web", Hostname="shop", Domainname="example.org", **more)
    start(networks, home, WEB)
    assert (home.container(WEB) / "hosts").read_text() == (
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::\tip6-localnet\n"
        "ff00::\tip6-mcastprefix\n"
        "ff02::1\tip6-allnodes\n"
        "ff02::2\tip6-allrouters\n"
        "1.2.3.4\tfoo\n"
        "127.18.0.1\tgw\n"
        "127.18.0.2\tshop.example.org shop\n"
    )
    assert (home.container(WEB) / "hostname").read_text() == "shop\n"
    assert (home.container(WEB) / "resolv.conf").read_text() == "nameserver 9.9.9.9\nsearch a.b\n"


def test_without_dns_options_the_hosts_name_servers_are_asked(networks: Networks, home: Home) -> None:
    add(networks, WEB, "web")
    start(networks, home, WEB)
    assert (home.container(WEB) / "resolv.conf").read_text() == "nameserver 10.0.0.53\nsearch example.org\n"


def test_containers_of_a_user_network_know_each_other(networks: Networks, home: Home) -> None:
    networks.create({"Name": "net"})
    add(networks, WEB, "web", "net", Hostname="shop", endpoints={"net": {"Links": ["db:data"]}})
    add(networks, DB, "db", "net", endpoints={"net": {"Aliases": ["database", "sql"]}})
    add(networks, OTHER, "other")
    for id in (WEB, DB, OTHER):
        start(networks, home, id)
    assert names_in(home, WEB) == {
        "127.19.0.2": ["shop", "web", WEB[:12]],
        "127.19.0.3": ["db", "database", "sql", DB[:12], "data"],
    }
    assert names_in(home, DB) == {
        "127.19.0.2": ["web", WEB[:12], "shop"],
        "127.19.0.3": [DB[:12], "db", "database", "sql"],
    }
    assert names_in(home, OTHER) == {"127.18.0.2": [OTHER[:12]]}
    assert networks.settings(WEB)["Networks"]["net"]["DNSNames"] == ["web", WEB[:12], "shop"]


def test_hosts_files_follow_in_place(networks: Networks, home: Home) -> None:
    networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    add(networks, DB, "db", "net")
    add(networks, OTHER, "other")
    start(networks, home, WEB)
    path = home.container(WEB) / "hosts"
    inode = path.stat().st_ino
    start(networks, home, DB)
    assert names_in(home, WEB)["127.19.0.3"] == ["db", DB[:12]]
    networks.rename(DB, "base")
    assert names_in(home, WEB)["127.19.0.3"] == ["base", DB[:12]]
    start(networks, home, OTHER)
    networks.connect("net", "other", {"Aliases": ["guest"]})
    assert names_in(home, WEB)["127.18.0.2"] == ["other", "guest", OTHER[:12]]
    assert names_in(home, OTHER)["127.19.0.2"] == ["web", WEB[:12]]
    networks.disconnect("net", OTHER)
    networks.stop(DB)
    assert names_in(home, WEB) == {"127.19.0.2": [WEB[:12], "web"]}
    assert path.stat().st_ino == inode


def test_what_a_container_writes_into_its_hosts_file_stays(networks: Networks, home: Home) -> None:
    networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    add(networks, DB, "db", "net")
    start(networks, home, WEB)
    with (home.container(WEB) / "hosts").open("a") as file:
        file.write("6.6.6.6 mine")
    start(networks, home, DB)
    networks.stop(DB)
    assert names_in(home, WEB) == {"127.19.0.2": [WEB[:12], "web"], "6.6.6.6": ["mine"]}


def test_a_hosts_file_that_became_a_link_is_not_followed(networks: Networks, home: Home, tmp_path: Path) -> None:
    networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    add(networks, DB, "db", "net")
    start(networks, home, WEB)
    (tmp_path / "victim").write_text("precious")
    (home.container(WEB) / "hosts").unlink()
    (home.container(WEB) / "hosts").symlink_to(tmp_path / "victim")
    start(networks, home, DB)
    networks.stop(DB)
    assert (tmp_path / "victim").read_text() == "precious"


def test_links_of_the_default_bridge(networks: Networks, home: Home) -> None:
    add(networks, DB, "db", Hostname="sql")
    add(networks, WEB, "web", Links=["db:data"])
    with pytest.raises(EngineError, match="Cannot link to a non running container: /db AS /web/data"):
        start(networks, home, WEB)
    start(networks, home, DB)
    start(networks, home, WEB)
    assert names_in(home, WEB)["127.18.0.2"] == ["data", "sql", "db"]
    assert names_in(home, DB) == {"127.18.0.2": ["sql"]}
    with pytest.raises(UsageError, match="could not get container for zzz: No such container: zzz"):
        add(networks, OTHER, "other", Links=["zzz:x"])


def test_what_a_link_says_in_the_environment(networks: Networks, home: Home) -> None:
    add(networks, DB, "db")
    add(networks, WEB, "web", Links=["db:my-data"])
    assert networks.links(WEB) == []
    start(networks, home, DB)
    link = Link(DB, "my-data", "127.18.0.2")
    assert networks.links(WEB) == [link]
    assert networks.links(DB) == []
    assert list(links.environment(link, "web", ["53/udp", "80/tcp"], ["A=b=c", "PATH=/bin", "HOME=/root"])) == [
        "MY_DATA_PORT=tcp://127.18.0.2:80",
        "MY_DATA_PORT_53_UDP=udp://127.18.0.2:53",
        "MY_DATA_PORT_53_UDP_ADDR=127.18.0.2",
        "MY_DATA_PORT_53_UDP_PORT=53",
        "MY_DATA_PORT_53_UDP_PROTO=udp",
        "MY_DATA_PORT_80_TCP=tcp://127.18.0.2:80",
        "MY_DATA_PORT_80_TCP_ADDR=127.18.0.2",
        "MY_DATA_PORT_80_TCP_PORT=80",
        "MY_DATA_PORT_80_TCP_PROTO=tcp",
        "MY_DATA_NAME=/web/my-data",
        "MY_DATA_ENV_A=b=c",
    ]


def test_two_networks_one_address(networks: Networks, home: Home) -> None:
    networks.create({"Name": "one"})
    networks.create({"Name": "two"})
    add(networks, WEB, "web", "one", endpoints={"two": {}, "one": {}})
    assert start(networks, home, WEB).address == "127.19.0.2"
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
    ],
)
def test_what_cannot_be_connected(networks: Networks, network: str, container: str, settings: Any, status: int, text: str) -> None:
    networks.create({"Name": "net"})
    networks.create({"Name": "two"})
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


def test_a_network_that_is_missing_fails_the_start(networks: Networks, home: Home) -> None:
    add(networks, WEB, "web", "zzz")
    with pytest.raises(NotFound, match="failed to set up container networking: network zzz not found"):
        start(networks, home, WEB)
    network, _ = networks.create({"Name": "zzz"})
    assert start(networks, home, WEB).address == "127.19.0.2"
    assert networks.settings(WEB)["Networks"]["zzz"]["NetworkID"] == network.id


def test_a_network_in_use_stays(networks: Networks, home: Home) -> None:
    network, _ = networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    start(networks, home, WEB)
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


def test_prune_leaves_what_is_used_labelled_otherwise_or_too_new(networks: Networks, home: Home) -> None:
    for name, labels in (("plain", {}), ("kept", {"keep": ""}), ("used", {})):
        networks.create({"Name": name, "Labels": labels})
    add(networks, WEB, "web", "used")
    start(networks, home, WEB)
    assert networks.prune(Filters(), until=1) == []
    assert networks.prune(Filters({"label!": ("keep",)})) == ["plain"]
    assert networks.prune(Filters({"label": ("keep",)})) == ["kept"]
    assert {n.name for n in networks.all()} == {"none", "host", "bridge", "used"}


def test_what_is_told(networks: Networks, home: Home, events: Events) -> None:
    subscription = events.subscribe()
    network, _ = networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    start(networks, home, WEB)
    networks.forget(WEB)
    networks.remove("net")
    events.unsubscribe(subscription)
    told = [subscription._queue.get_nowait() for _ in range(4)]
    assert [(e.action, e.id, e.attributes.get("container")) for e in told if e] == [
        ("create", network.id, None),
        ("connect", network.id, WEB),
        ("disconnect", network.id, WEB),
        ("destroy", network.id, None),
    ]


def test_addresses_of_other_engines_and_of_their_containers_are_left_alone(home: Home, tmp_path: Path) -> None:
    """Claims are made on the machine: these addresses are not those of containers."""

    def far_away(address: str) -> str:
        return f"{address} {tmp_path}"

    engine, container = claims.for_engine(far_away("127.18.0.2")), claims.for_monitor(far_away("127.18.0.3"))
    assert engine is not None
    assert container is not None
    networks = Networks(home, Events(), lambda address: claims.for_engine(far_away(address)), tmp_path / "etc")
    add(networks, WEB, "web")
    assert start(networks, home, WEB).address == "127.18.0.4"
    assert claims.for_engine(far_away("127.18.0.4")) is None
    networks.close()
    again = claims.for_engine(far_away("127.18.0.4"))
    assert again is not None
    for claim in (engine, container, again):
        claim.close()
