"""The handlers of /_ping, /version, /info, /events, /system/df, /networks, /volumes, top and stats: requests to answers, no socket."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockerlab import __version__
from dockerlab.engine.api import events as events_api
from dockerlab.engine.api import networks as networks_api
from dockerlab.engine.api import observation, system
from dockerlab.engine.api import volumes as volumes_api
from dockerlab.engine.containers.container import Condition, Waiter
from dockerlab.engine.events import Events
from dockerlab.engine.home import Home
from dockerlab.engine.http.router import Router
from dockerlab.engine.http.types import Answer, Body, Query, Request, Stream
from dockerlab.engine.networks import Networks
from dockerlab.engine.runtime.forwarding import Traffic
from dockerlab.engine.runtime.limits import Means
from dockerlab.engine.runtime.probe import Capabilities
from dockerlab.engine.store import Use
from dockerlab.engine.store.values import Image, Layer
from dockerlab.engine.volumes import Volumes
from dockerlab.errors import Conflict, DockerlabError, NotFound
from tests.embedded.networking import claim

ROUTES = (*system.ROUTES, *events_api.ROUTES, *networks_api.ROUTES, *volumes_api.ROUTES, *observation.ROUTES)
NAMESPACES = Capabilities("namespaces", "overlay", True, True, {})
SUPERVISED = Capabilities("supervised", "tree", False, False, {"namespaces": "unshare: Operation not permitted"})
ALL = Means(1, dict.fromkeys(("cpu", "cpuset", "memory", "pids"), "/nowhere"), swap=True)


@dataclass(eq=False)
class FakeContainer:
    """A container that this process stands in for, or one that has ended."""

    id: str
    name: str
    status: str = "running"
    running: Any = field(
        default_factory=lambda: SimpleNamespace(pids=lambda: [os.getpid()], measured=lambda: ([os.getpid()], Traffic(1, 2, 3, 4)))
    )
    waiters: list[Waiter] = field(default_factory=list)
    address: str = "127.18.0.2"

    @property
    def record(self) -> Any:
        return SimpleNamespace(state=SimpleNamespace(status=self.status), address=self.address)

    def needs_running(self) -> Any:
        if self.running is None:
            raise Conflict(f"container {self.id} is not running")
        return self.running

    def waiter(self, condition: Condition) -> Waiter:
        self.waiters.append(Waiter(condition))
        return self.waiters[-1]

    def forget(self, waiter: Waiter) -> None:
        self.waiters.remove(waiter)


class FakeContainers:
    """Containers that are only known by name."""

    def __init__(self, events: Events) -> None:
        self.found: dict[str, FakeContainer] = {}
        self.parts = SimpleNamespace(index=self, means=ALL, emit=lambda c, action: events.emit("container", action, c.id))

    def get(self, name: str) -> FakeContainer:
        for container in self.found.values():
            if name in (container.id, container.name):
                return container
        raise NotFound(f"No such container: {name}")

    def find(self, id: str) -> FakeContainer | None:
        return self.found.get(id)

    def all(self) -> list[FakeContainer]:
        return list(self.found.values())

    def images(self) -> dict[str, list[FakeContainer]]:
        return {"sha256:1": self.all()}

    def listed(self, filters: object, *, all: bool, size: bool) -> list[dict[str, Any]]:
        return [{"Id": container.id} for container in self.found.values()]


class House:
    """An engine without a store and without a runtime."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path / "root", path / "run")
        self.home.create()
        self.events = Events()
        self.networks = Networks(self.home, self.events, claim)
        self.volumes = Volumes(self.home, self.events, lambda name: ["a" * 64] if name == "used" else [])
        self.containers = FakeContainers(self.events)
        base, top = (Layer(f"sha256:{n}", f"chain{n}", f"sha256:{n}", "tar", 10, size) for n, size in ((1, 100), (2, 20)))
        config = {"created": "2000-01-01T00:00:00Z", "config": {"Labels": {"a": "b"}}}
        first = Image("sha256:1", config, "sha256:m", (base,), ("docker.io/library/busybox:latest",))
        self.images = [first, Image("sha256:2", {}, "sha256:n", (base, top), parent="sha256:1")]
        self.store = SimpleNamespace(images=lambda: self.images)
        self.runtime = SimpleNamespace(capabilities=NAMESPACES)
        self._router = Router(self, ROUTES)

    def request(self, method: Any, path: str, body: object = None, **query: str) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        asked = Query({name.replace("_", "-"): [value] for name, value in query.items()})
        return self._router(Request(method, path, query=asked, body=Body.of(data)))

    def ask(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """The value of an answer."""
        answer = self.request(method, path, body, **query)
        assert isinstance(answer, Answer)
        return answer.value

    def uses(self) -> list[Use]:
        """What needs which image."""
        return [Use("a" * 64, "sha256:2", True)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.networks.close()


def filters(**terms: str) -> str:
    return json.dumps({name: [value] for name, value in terms.items()})


def test_ping(house: House) -> None:
    answer = house.request("GET", "/_ping")
    assert (answer.value, answer.status, answer.headers["Builder-Version"]) == ("OK", 200, "1")
    assert house.ask("HEAD", "/_ping") == ""


def test_version_says_which_engine_it_is(house: House) -> None:
    shown = house.ask("GET", "/v1.41/version")
    assert shown["Platform"] == {"Name": "dockerlab engine"}
    assert shown["Components"][0]["Name"] == "dockerlab engine"
    assert shown["Version"] == __version__
    assert (shown["ApiVersion"], shown["MinAPIVersion"], shown["Os"]) == ("1.48", "1.24", "linux")


def test_info_counts(house: House) -> None:
    for number, status in enumerate(("running", "paused", "exited", "created", "restarting")):
        house.containers.found[str(number)] = FakeContainer(str(number), f"c{number}", status)
    shown = house.ask("GET", "/info")
    counts = {name: shown[name] for name in ("Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped", "Images")}
    assert counts == {"Containers": 5, "ContainersRunning": 2, "ContainersPaused": 1, "ContainersStopped": 2, "Images": 2}
    assert (shown["Driver"], shown["CgroupVersion"], shown["MemoryLimit"], shown["SecurityOptions"]) == ("overlay", "1", True, [])
    assert shown["ID"] == house.ask("GET", "/info")["ID"]
    assert shown["Warnings"] == system.warnings(NAMESPACES, ALL)
    assert len(shown["Warnings"]) == 1
    assert (shown["BridgeNfIptables"], shown["BridgeNfIp6tables"]) == (False, False)


def test_info_is_honest_about_a_place_without_rights(house: House) -> None:
    house.runtime.capabilities = SUPERVISED
    house.containers.parts.means = Means()
    shown = house.ask("GET", "/info")
    assert (shown["Driver"], shown["CgroupDriver"], shown["MemoryLimit"]) == ("tree", "none", False)
    assert shown["SecurityOptions"] == ["name=rootless"]
    text = "\n".join(shown["Warnings"])
    for said in (
        "No network isolation",
        "unshare: Operation not permitted",
        "No PID namespace",
        "pretended",
        "No memory limit support",
    ):
        assert said in text


def test_info_where_nothing_can_run() -> None:
    nothing = Capabilities("", "", False, False, {"namespaces": "no", "supervisor": "ptrace: no"})
    assert system.warnings(nothing, Means()) == [
        "No container can run here: namespaces: no",
        "No container can run here: supervisor: ptrace: no",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [('NAME="X"\nPRETTY_NAME="Debian GNU/Linux 12"\n', "Debian GNU/Linux 12"), ("NAME=Arch\n", "Arch"), ("", "Linux")],
)
def test_the_name_of_the_system(text: str, name: str) -> None:
    assert system.operating_system(text) == name


def test_disk_usage(house: House) -> None:
    house.containers.found["c"] = FakeContainer("c", "web")
    house.volumes.create("used")
    shown = house.ask("GET", "/system/df")
    assert shown["LayersSize"] == 120
    first, second = shown["Images"]
    assert (first["Id"], first["Containers"], first["Size"], first["SharedSize"]) == ("sha256:1", 1, 100, 100)
    assert (first["RepoTags"], first["Created"], first["Labels"]) == (["busybox:latest"], 946684800, {"a": "b"})
    assert (second["Size"], second["SharedSize"], second["RepoTags"], second["ParentId"]) == (120, 100, None, "sha256:1")
    assert shown["Containers"] == [{"Id": "c"}]
    assert [(v["Name"], v["UsageData"]) for v in shown["Volumes"]] == [("used", {"RefCount": 1, "Size": 0})]
    only = house.ask("GET", "/system/df", type="volume")
    assert (only["LayersSize"], only["Images"], only["Containers"], len(only["Volumes"])) == (0, None, None, 1)
    with pytest.raises(DockerlabError, match="unknown object type: zzz"):
        house.ask("GET", "/system/df", type="zzz")


def test_steps_of_builds_are_cache_in_the_disk_usage(house: House) -> None:
    """Of four steps one is used, one has an image's layer, and one is on the way to an image; pruning takes the last one."""
    base, own, more = (Layer(f"sha256:{n}", f"chain{n}", f"sha256:{n}", "tar", 10, size) for n, size in ((1, 100), (3, 30), (4, 4)))
    told = {"created": "2000-01-01T00:00:00Z", "history": [{}, {"created_by": "RUN true"}]}
    house.images += [
        Image("sha256:3", told, "sha256:3", (base, own), parent="sha256:1", is_cache=True),
        Image("sha256:4", {}, "sha256:4", (base,), is_cache=True),
        Image("sha256:5", {}, "sha256:5", (base, own), parent="sha256:3"),
        Image("sha256:6", {}, "sha256:6", (base, own, more), parent="sha256:5", is_cache=True),
    ]
    shown = house.ask("GET", "/system/df")
    assert shown["LayersSize"] == 150
    assert [image["Id"] for image in shown["Images"]] == ["sha256:1", "sha256:2", "sha256:5"]
    cache = {item["ID"]: (item["Size"], item["Shared"], item["InUse"]) for item in shown["BuildCache"]}
    assert cache == {"3": (30, True, False), "4": (100, True, False), "6": (4, False, False)}
    first = shown["BuildCache"][0]
    assert (first["Type"], first["Description"], first["CreatedAt"]) == ("regular", "RUN true", "2000-01-01T00:00:00Z")
    assert house.ask("GET", "/info")["Images"] == 3


def test_events_are_lines_of_json(house: House) -> None:
    house.ask("POST", "/volumes/create", {"Name": "data"})
    house.ask("POST", "/networks/create", {"Name": "net"})
    stream = house.request("GET", "/events", since="1", until="2000000000", filters=filters(type="volume"))
    assert isinstance(stream, Stream)
    line = next(stream.chunks)
    assert line.endswith(b"}\n")
    assert json.loads(line)["Actor"] == {"ID": "data", "Attributes": {"driver": "local"}}
    assert house.events.listeners == 1
    assert stream.cancel is not None
    stream.cancel()
    assert list(stream.chunks) == []
    assert house.events.listeners == 0


def test_events_that_are_waited_for_are_cancelled(house: House) -> None:
    stream = house.request("GET", "/events")
    reader = threading.Thread(target=lambda: list(stream.chunks))
    reader.start()
    stream.cancel()
    reader.join(20)
    assert not reader.is_alive()


@pytest.mark.parametrize(
    ("query", "status"), [({"since": "zz"}, 500), ({"since": "10", "until": "5"}, 400), ({"filters": "zz"}, 400)]
)
def test_events_that_make_no_sense(house: House, query: dict[str, str], status: int) -> None:
    with pytest.raises(DockerlabError) as caught:
        house.request("GET", "/events", **query)
    assert caught.value.status == status
    assert house.events.listeners == 0


def test_networks(house: House) -> None:
    made = house.request("POST", "/networks/create", {"Name": "net", "Labels": {"a": "b"}})
    assert made.status == 201
    assert made.value["Warning"] == ""
    assert house.ask("GET", "/networks/net")["Id"] == made.value["Id"]
    assert [n["Name"] for n in house.ask("GET", "/networks")] == ["none", "host", "bridge", "net"]

    def chosen(**terms: str) -> list[str]:
        return [n["Name"] for n in house.ask("GET", "/networks", filters=filters(**terms))]

    assert chosen(driver="bridge") == ["bridge", "net"]
    assert chosen(type="custom") == chosen(label="a=b") == chosen(name="^net$") == chosen(dangling="1") == ["net"]
    assert chosen(dangling="false") == chosen(type="builtin") == ["none", "host", "bridge"]
    assert chosen(id=made.value["Id"][:5]) == ["net"]
    assert chosen(scope="swarm") == []
    for terms, text in (
        ({"foo": "x"}, "invalid filter 'foo'"),
        ({"type": "x"}, "invalid filter: 'type'='x'"),
        ({"dangling": "x"}, "invalid value for filter 'dangling', must be"),
    ):
        with pytest.raises(DockerlabError, match=text):
            chosen(**terms)
    with pytest.raises(NotFound, match="network net not found"):
        house.ask("GET", "/networks/net", scope="swarm")
    assert house.request("DELETE", "/networks/net").status == 204


def test_networks_connect_and_disconnect(house: House, tmp_path: Path) -> None:
    house.ask("POST", "/networks/create", {"Name": "net"})
    house.networks.add("c" * 64, "web", {}, {})
    house.networks.start("c" * 64, tmp_path)
    assert house.request("POST", "/networks/net/connect", {"Container": "web", "EndpointConfig": {"Aliases": ["x"]}}).status == 200
    shown = house.ask("GET", "/networks/net")["Containers"]["c" * 64]
    assert (shown["Name"], shown["IPv4Address"]) == ("web", "127.18.0.2/16")
    assert house.ask("GET", "/networks", filters=filters(dangling="true")) == []
    house.ask("POST", "/networks/net/disconnect", {"Container": "web"})
    assert house.ask("GET", "/networks/net")["Containers"] == {}
    assert house.ask("POST", "/networks/prune", filters=filters(until="10m")) == {"NetworksDeleted": None}
    assert house.ask("POST", "/networks/prune") == {"NetworksDeleted": ["net"]}


def test_volumes(house: House) -> None:
    made = house.request("POST", "/volumes/create", {"Name": "data", "Labels": {"a": "b"}})
    assert (made.status, made.value["Name"], made.value["Labels"]) == (201, "data", {"a": "b"})
    assert len(house.ask("POST", "/volumes/create")["Name"]) == 64
    house.ask("POST", "/volumes/create", {"Name": "used"})
    assert [v["Name"] for v in house.ask("GET", "/volumes", filters=filters(name="dat"))["Volumes"]] == ["data"]
    assert house.ask("GET", "/volumes/data")["Mountpoint"].endswith("/volumes/data/_data")
    with pytest.raises(Conflict, match="volume is in use"):
        house.ask("DELETE", "/volumes/used")
    assert house.request("DELETE", "/volumes/nothing", force="1").status == 204
    pruned = house.ask("POST", "/volumes/prune")
    assert [len(name) for name in pruned["VolumesDeleted"]] == [64]
    assert house.ask("POST", "/volumes/prune", filters=filters(all="true")) == {"VolumesDeleted": ["data"], "SpaceReclaimed": 0}
    with pytest.raises(DockerlabError, match=r"invalid filter 'all': strconv\.ParseBool: parsing \"z\""):
        house.ask("POST", "/volumes/prune", filters=filters(all="z"))


def test_older_clients_prune_named_volumes_too(house: House) -> None:
    house.ask("POST", "/volumes/create", {"Name": "data"})
    assert house.ask("POST", "/v1.41/volumes/prune")["VolumesDeleted"] == ["data"]


@pytest.mark.parametrize("text", ["zz", "[]"])
def test_volume_filters_that_are_none(house: House, text: str) -> None:
    with pytest.raises(DockerlabError, match="error reading volume filters: invalid filter"):
        house.ask("GET", "/volumes", filters=text)


def test_top(house: House) -> None:
    house.containers.found["c"] = FakeContainer("c", "web")
    house.containers.found["d"] = FakeContainer("d", "old", "exited", None)
    shown = house.ask("GET", "/containers/web/top", ps_args_="")
    assert shown["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [row[1] for row in shown["Processes"]] == [str(os.getpid())]
    with pytest.raises(Conflict, match="container d is not running"):
        house.ask("GET", "/containers/old/top")
    with pytest.raises(NotFound, match="No such container: zzz"):
        house.ask("GET", "/containers/zzz/top")


def test_stats_once(house: House) -> None:
    house.containers.found["c"] = FakeContainer("c", "web")
    house.containers.found["d"] = FakeContainer("d", "old", "exited", None)
    single = house.ask("GET", "/containers/web/stats", stream="0", one_shot="1")
    assert "system_cpu_usage" not in single["precpu_stats"]
    both = house.ask("GET", "/containers/web/stats", stream="false")
    assert both["cpu_stats"]["system_cpu_usage"] > both["precpu_stats"]["system_cpu_usage"] > 0
    assert both["memory_stats"]["usage"] > 0
    counted = both["networks"]["eth0"]
    assert (counted["rx_bytes"], counted["rx_packets"], counted["tx_bytes"], counted["tx_packets"]) == (1, 2, 3, 4)
    assert house.ask("GET", "/containers/old/stats", stream="0")["memory_stats"] == {}
    with pytest.raises(DockerlabError, match="cannot have stream=true and one-shot=true"):
        house.ask("GET", "/containers/web/stats", one_shot="1")


def test_stats_as_a_stream_end_with_the_container_or_the_client(house: House) -> None:
    container = house.containers.found["c"] = FakeContainer("c", "web")
    stream = house.request("GET", "/containers/web/stats")
    assert json.loads(next(stream.chunks))["name"] == "/web"
    container.running = None
    second = json.loads(next(stream.chunks))
    assert second["pids_stats"] == {}
    (waiter,) = container.waiters
    assert waiter.condition == "removed"
    waiter.tell(0)
    assert list(stream.chunks) == []
    assert not container.waiters

    house.containers.found["c"] = FakeContainer("c", "web")
    stream = house.request("GET", "/containers/web/stats")
    assert next(stream.chunks)
    stream.cancel()
    assert list(stream.chunks) == []
