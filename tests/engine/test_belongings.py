"""Networks and volumes: made, listed with those that have them, refused while in use, removed; by function and by magic."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dockerlab import containers, networks, volumes
from dockerlab.client import Client
from dockerlab.errors import Conflict, NotFound, UsageError
from dockerlab.testing.shell import Shell

pytestmark = pytest.mark.contract


@pytest.fixture
def shell(client: Client) -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


@pytest.fixture
def box(client: Client, prefix: str) -> Iterator[str]:
    """A container in a network and with a volume, all of one name."""
    name = f"{prefix}box"
    networks.create(name, client=client)
    containers.run("busybox", ["sleep", "60"], detach=True, name=name, network=name, volume=[f"{name}:/data"], client=client)
    yield name
    containers.rm(name, force=True, client=client)
    networks.rm(name, force=True, client=client)
    volumes.rm(name, force=True, client=client)


def test_what_a_container_has_says_so_and_stays(client: Client, box: str) -> None:
    assert repr(networks.get(box, client=client)) == f"network {box}: {box}"
    assert networks.get(box, client=client).subnets
    volume = volumes.get(box, client=client)
    assert (repr(volume), volume.containers) == (f"volume {box}: {box}", (box,))
    assert [one.containers for one in networks.ls(client=client) if one.name == box] == [(box,)]
    assert [one.containers for one in volumes.ls(client=client) if one.name == box] == [(box,)]
    with pytest.raises(Conflict, match=f"^network '{box}' is in use by {box}"):
        networks.rm(box, client=client)
    with pytest.raises(Conflict, match=f"^volume '{box}' is in use by {box}") as caught:
        volumes.rm(box, client=client)
    assert caught.value.hint == f"Remove what has it first: `%container rm -f {box}`."


def test_the_magics(shell: Shell, client: Client, prefix: str) -> None:
    name = f"{prefix}made"
    for kind in ("network", "volume"):
        assert repr(shell.run(f"%{kind} create {name}").value) == f"{kind} {name}"
        assert repr(shell.run(f"%{kind} inspect {name}").value) == f"{kind} {name}"
        listed = shell.run(f"%{kind} ls").displays[-1]["text/html"]
        assert f"<b>{name}</b>" in listed
        removed = shell.run(f"%{kind} rm -f {name} {name}-not").value
        assert repr(removed) == f"removed {kind} {name}\nthere was no {kind} '{name}-not'"
        with pytest.raises(NotFound, match=f"^no such {kind} '{name}'"):
            shell.run(f"%{kind} rm {name}")
        with pytest.raises(UsageError, match="is no name for"):
            shell.run(f"%{kind} create a/b")


def test_a_second_network_of_a_name_is_refused_and_a_volume_is_the_same(client: Client, prefix: str) -> None:
    name = f"{prefix}twice"
    networks.create(name, client=client)
    with pytest.raises(Conflict, match=f"^there is a network '{name}' already"):
        networks.create(name, client=client)
    networks.rm(name, client=client)
    assert volumes.create(name, client=client).place == volumes.create(name, client=client).place
    volumes.rm(name, client=client)


def test_the_beginning_of_a_name_or_of_an_id_is_nobodys_name(client: Client, prefix: str) -> None:
    name = f"{prefix}whole"
    volumes.create(name, client=client)
    networks.create(name, client=client)
    number = str(networks.get(name, client=client).attrs["Id"])
    for kind, get, rm, near in (
        ("volume", volumes.get, volumes.rm, name[:-1]),
        ("network", networks.get, networks.rm, name[:-1]),
        ("network", networks.get, networks.rm, number[:20]),
    ):
        with pytest.raises(NotFound, match=f"^no such {kind} '{near}'"):
            get(near, client=client)
        with pytest.raises(NotFound, match=f"^no such {kind} '{near}'"):
            rm(near, client=client)
        assert rm(near, force=True, client=client).absent == (near,)
    assert volumes.rm([name, name], client=client).names == (name,)
    assert networks.rm([name, name], client=client).names == (name,)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_what_is_no_name(client: Client, name: str) -> None:
    for act in (volumes.create, volumes.get, volumes.rm, networks.create, networks.get, networks.rm):
        with pytest.raises(UsageError, match="is no name for"):
            act(name, client=client)
