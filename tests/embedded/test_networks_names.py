"""How containers know each other by name: their hosts files, resolv.conf, links."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerlab.engine.home import Home
from dockerlab.engine.networks import Link, Networks, links
from dockerlab.errors import EngineError, UsageError
from tests.embedded.networking import DB, OTHER, WEB, add, names_in, start


def test_the_files_of_a_container(networks: Networks, net_home: Home) -> None:
    more = {"ExtraHosts": ["foo:1.2.3.4", "gw:host-gateway"], "Dns": ["9.9.9.9"], "DnsSearch": ["a.b"]}
    add(networks, WEB, "web", Hostname="shop", Domainname="example.org", **more)
    start(networks, net_home, WEB)
    assert (net_home.container(WEB) / "hosts").read_text() == (
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
    assert (net_home.container(WEB) / "hostname").read_text() == "shop\n"
    assert (net_home.container(WEB) / "resolv.conf").read_text() == "nameserver 9.9.9.9\nsearch a.b\n"


def test_without_dns_options_the_hosts_name_servers_are_asked(networks: Networks, net_home: Home) -> None:
    add(networks, WEB, "web")
    start(networks, net_home, WEB)
    assert (net_home.container(WEB) / "resolv.conf").read_text() == "nameserver 10.0.0.53\nsearch example.org\n"


def test_containers_of_a_user_network_know_each_other(networks: Networks, net_home: Home) -> None:
    networks.create({"Name": "net"})
    add(networks, WEB, "web", "net", Hostname="shop", endpoints={"net": {"Links": ["db:data"]}})
    add(networks, DB, "db", "net", endpoints={"net": {"Aliases": ["database", "sql"]}})
    add(networks, OTHER, "other")
    for id in (WEB, DB, OTHER):
        start(networks, net_home, id)
    assert names_in(net_home, WEB) == {
        "127.19.0.2": ["shop", "web", WEB[:12]],
        "127.19.0.3": ["db", "database", "sql", DB[:12], "data"],
    }
    assert names_in(net_home, DB) == {
        "127.19.0.2": ["web", WEB[:12], "shop"],
        "127.19.0.3": [DB[:12], "db", "database", "sql"],
    }
    assert names_in(net_home, OTHER) == {"127.18.0.2": [OTHER[:12]]}
    assert networks.settings(WEB)["Networks"]["net"]["DNSNames"] == ["web", WEB[:12], "shop"]


def test_hosts_files_follow_in_place(networks: Networks, net_home: Home) -> None:
    networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    add(networks, DB, "db", "net")
    add(networks, OTHER, "other")
    start(networks, net_home, WEB)
    path = net_home.container(WEB) / "hosts"
    inode = path.stat().st_ino
    start(networks, net_home, DB)
    assert names_in(net_home, WEB)["127.19.0.3"] == ["db", DB[:12]]
    networks.rename(DB, "base")
    assert names_in(net_home, WEB)["127.19.0.3"] == ["base", DB[:12]]
    start(networks, net_home, OTHER)
    networks.connect("net", "other", {"Aliases": ["guest"]})
    assert names_in(net_home, WEB)["127.18.0.2"] == ["other", "guest", OTHER[:12]]
    assert names_in(net_home, OTHER)["127.19.0.2"] == ["web", WEB[:12]]
    networks.disconnect("net", OTHER)
    networks.stop(DB)
    assert names_in(net_home, WEB) == {"127.19.0.2": [WEB[:12], "web"]}
    assert path.stat().st_ino == inode


def test_what_a_container_writes_into_its_hosts_file_stays(networks: Networks, net_home: Home) -> None:
    networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    add(networks, DB, "db", "net")
    start(networks, net_home, WEB)
    with (net_home.container(WEB) / "hosts").open("a") as file:
        file.write("6.6.6.6 mine")
    start(networks, net_home, DB)
    networks.stop(DB)
    assert names_in(net_home, WEB) == {"127.19.0.2": [WEB[:12], "web"], "6.6.6.6": ["mine"]}


def test_a_hosts_file_that_became_a_link_is_not_followed(networks: Networks, net_home: Home, tmp_path: Path) -> None:
    networks.create({"Name": "net"})
    add(networks, WEB, "web", "net")
    add(networks, DB, "db", "net")
    start(networks, net_home, WEB)
    (tmp_path / "victim").write_text("precious")
    (net_home.container(WEB) / "hosts").unlink()
    (net_home.container(WEB) / "hosts").symlink_to(tmp_path / "victim")
    start(networks, net_home, DB)
    networks.stop(DB)
    assert (tmp_path / "victim").read_text() == "precious"


def test_links_of_the_default_bridge(networks: Networks, net_home: Home) -> None:
    add(networks, DB, "db", Hostname="sql")
    add(networks, WEB, "web", Links=["db:data"])
    with pytest.raises(EngineError, match="Cannot link to a non running container: /db AS /web/data"):
        start(networks, net_home, WEB)
    start(networks, net_home, DB)
    start(networks, net_home, WEB)
    assert names_in(net_home, WEB)["127.18.0.2"] == ["data", "sql", "db"]
    assert names_in(net_home, DB) == {"127.18.0.2": ["sql"]}
    with pytest.raises(UsageError, match="could not get container for zzz: No such container: zzz"):
        add(networks, OTHER, "other", Links=["zzz:x"])


def test_what_a_link_says_in_the_environment(networks: Networks, net_home: Home) -> None:
    add(networks, DB, "db")
    add(networks, WEB, "web", Links=["db:my-data"])
    assert networks.links(WEB) == []
    start(networks, net_home, DB)
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
