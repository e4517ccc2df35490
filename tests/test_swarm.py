"""A Swarm of three engines, each a machine by itself (`tests.swarm`), through the magics: the article's app on all of them.

One story, told in order: each test goes on where the one before it stopped. At its end two of three engines have no power any more.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import images, services, swarm
from dockerlab.errors import Conflict, NotFound, ServiceFailed, SwarmError, UsageError
from dockerlab.testing.shell import Shell
from tests.engines import Engine
from tests.swarm import Machine, has_ipvs, machines, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

NAME = "swarm-test-hello"
PASSWORD = "correct-horse-battery"
APP = """
from pathlib import Path
from flask import Flask

app = Flask(__name__)

@app.route("/")
def hello():
    return "Hello from version {}"

@app.route("/secret")
def secret():
    return str(len(Path("/run/secrets/db-password").read_text()))

@app.route("/names")
def names():
    import socket
    return str(len(socket.gethostbyname_ex("web")[2]))
"""
DOCKERFILE = """FROM python:3.10
EXPOSE 5000
WORKDIR /app
RUN pip install flask
COPY . .
STOPSIGNAL SIGINT
CMD ["flask", "run", "--host", "0.0.0.0"]
"""
SECONDS = 90.0
ONE_BY_ONE = "--update-parallelism 1 --update-delay 10s --update-monitor 3s"
QUICK = (
    "--update-monitor 1s --update-parallelism 2 --rollback-monitor 1s --rollback-parallelism 0"
    " --stop-grace-period 1s --restart-delay 1s"
)


@pytest.fixture(scope="module")
def archive(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The app's first and second version, and a third that ends at once, built where there is a network."""
    path = tmp_path_factory.mktemp("images") / "app.tar"
    texts = {"1": DOCKERFILE, "2": DOCKERFILE, "bad": f'FROM {NAME}:1\nCMD ["sh", "-c", "echo no such table >&2; exit 3"]\n'}
    tags = [f"{NAME}:{version}" for version in texts]
    with engine.configured() as client:
        try:
            for version, text in texts.items():
                files = {"app.py": APP.replace("{}", version)}
                dockerlab.build(text, tag=f"{NAME}:{version}", context=None, files=files, client=client)
            images.save(path, tags, client=client)
            yield path
        finally:
            for tag in tags:
                with suppress(NotFound):
                    images.rm(tag, force=True, client=client)


@pytest.fixture(scope="module")
def three(archive: Path) -> Iterator[list[Machine]]:
    with machines() as three:

        def load(machine: Machine) -> None:
            with machine.client() as client:
                images.load(archive, client=client)

        with ThreadPoolExecutor() as pool:
            list(pool.map(load, three))
        yield three


@pytest.fixture(scope="module")
def shell(three: list[Machine]) -> Iterator[Shell]:
    """A notebook whose engine is the first machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", three[0].url)
        with Shell() as shell:
            yield shell


def until(condition: Callable[[], Any]) -> Any:
    """What it gives, once that is something."""
    end = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.2)
    return found


def page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def answers(url: str) -> str:
    """The page, once the app behind it listens."""

    def asked() -> str:
        with suppress(OSError):
            return page(url)
        return ""

    return str(until(asked))


def pages(service: services.Service) -> list[str]:
    return [answers(url) for url in service.urls(5000)]


def spread(service: services.Service) -> dict[str, int]:
    """node → how many replicas run there."""
    nodes = [task.facts.node for task in service.running]
    return {node: nodes.count(node) for node in sorted(nodes)}


def test_an_engine_in_no_swarm_says_what_to_do(shell: Shell) -> None:
    for line in ("%swarm nodes", "%service ls", "%service create busybox", "%swarm secret ls", "%swarm leave"):
        with pytest.raises(SwarmError, match="this engine is in no Swarm") as caught:
            shell.run(line)
        assert "%swarm init" in str(caught.value.hint)


def test_three_engines_become_one(shell: Shell, three: list[Machine], monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = three
    made = shell.run(f"%swarm init --advertise-addr {first.address} --dispatcher-heartbeat 2s")
    assert repr(made.value) == "node machine1: ready, leader"
    tokens = shell.run("%swarm join-token manager")
    assert "SWMTKN" not in f"{tokens.value}{tokens.value!r}{tokens.displays}"
    shell.namespace.update(manager=tokens.value.manager, worker=tokens.value.worker)
    for machine, token in zip(others, ("manager", "worker"), strict=True):
        monkeypatch.setenv("DOCKER_HOST", machine.url)
        with pytest.raises(SwarmError, match="the token is not of that Swarm"):
            shell.run(f"%swarm join --token {PASSWORD} {first.address}")
        assert repr(shell.run(f"%swarm join --var {token} {first.address}").value) == f"this engine is a {token} of its Swarm"
        with pytest.raises(Conflict, match="the engine is in a Swarm already"):
            shell.run("%swarm init")
    with pytest.raises(SwarmError, match="this engine is a worker of its Swarm, and a manager decides") as caught:
        shell.run("%service ls")
    assert f"a manager: {first.address}:2377" in caught.value.evidence
    monkeypatch.setenv("DOCKER_HOST", first.url)
    with pytest.raises(NotFound, match="no such node 'machine9'"):
        shell.run("%swarm drain machine9")
    shell.run("%swarm promote machine3")
    until(lambda: [node.reachability for node in swarm.nodes()] == ["reachable"] * 3)
    listed = shell.run("%swarm nodes")
    assert repr(listed.value) == "\n".join(
        ["node machine1: ready, leader", "node machine2: ready, manager", "node machine3: ready, manager"]
    )
    assert "3 of 3 nodes ready" in listed.displays[-1]["text/html"]


def test_secrets_and_configs_show_no_value(shell: Shell, tmp_path: Path) -> None:
    shell.namespace["password"] = PASSWORD
    (tmp_path / "motd").write_text("be kind")
    shown = [
        shell.run("%swarm secret create db-password --var password -l tier=db"),
        shell.run(f"%swarm config create motd --file {tmp_path / 'motd'}"),
        shell.run("%swarm secret inspect db-password"),
        shell.run("%swarm secret ls"),
        shell.run("%swarm config ls"),
    ]
    said = "".join(f"{one.value}{one.value!r}{one.displays}{one.stdout}{one.stderr}" for one in shown)
    assert "db-password" in said
    assert PASSWORD not in said
    assert "be kind" not in said
    assert swarm.configs.get("motd").data == b"be kind"
    with pytest.raises(UsageError, match="no engine gives away"):
        _ = swarm.secrets.get("db-password").data
    with pytest.raises(Conflict, match="there is one of that name already"):
        shell.run("%swarm secret create db-password --var password")
    for line in ("{password}", "other {password}", "other --var {password}"):
        with pytest.raises((UsageError, NotFound)) as caught:
            shell.run(f"%swarm secret create {line}")
        assert PASSWORD not in "".join(caught.value.lines()).replace(f"secret '{PASSWORD}' would", "")


def test_the_app_on_three_engines(shell: Shell) -> None:
    assert shell.run("%network create -d overlay --attachable cafe").value.attrs["Driver"] == "overlay"
    line = (
        f"%service create --name web --replicas 3 -p mode=host,target=5000 --endpoint-mode dnsrr --network cafe {QUICK}"
        f" --secret db-password --config source=motd,target=/etc/motd -e MODE=test --limit-memory 256m {NAME}:1"
    )
    made = shell.run(line).value
    assert repr(made) == f"service web ({NAME}:1): 3 of 3 run"
    assert spread(made) == {"machine1": 1, "machine2": 1, "machine3": 1}
    assert pages(made) == ["Hello from version 1"] * 3
    # A secret is a file; the name is that of all replicas, wherever they are.
    assert answers(f"{made.urls(5000)[2]}secret") == str(len(PASSWORD))
    assert answers(f"{made.urls(5000)[0]}names") == "3"
    with pytest.raises(Conflict, match="it is in use by web"):
        shell.run("%swarm secret rm db-password")
    assert repr(shell.run("%swarm secret ls").value) == "secret db-password: web"
    found = shell.run("%service inspect web")
    assert "MODE=***" in str(found.value)
    assert found.value["Spec"]["TaskTemplate"]["Resources"]["Limits"]["MemoryBytes"] == 256 << 20


def test_rolled_to_a_new_image_and_back(shell: Shell) -> None:
    seen: list[str] = []
    new = services.update("web", image=f"{NAME}:2", progress=lambda web: seen.append(web.update.state))
    assert "updating" in seen
    assert (new.update.word, new.image) == ("updated", f"{NAME}:2")
    assert pages(new) == ["Hello from version 2"] * 3
    back = shell.run("%service rollback web").value
    assert (back.update.word, back.image) == ("rolled back", f"{NAME}:1")
    assert pages(back) == ["Hello from version 1"] * 3


def test_an_update_that_fails_is_paused_and_fails_its_cell(shell: Shell) -> None:
    with pytest.raises(ServiceFailed, match=r"^the update of service 'web' failed and is paused") as caught:
        shell.run(f"%service update --image {NAME}:bad {ONE_BY_ONE} --update-failure-action pause web")
    said = "\n".join(caught.value.lines())
    assert "non-zero exit (3)" in said
    assert "%service rollback web" in said
    assert repr(caught.value.service).endswith("update paused")
    # Those whose turn had not come go on.
    assert set(pages(services.get("web"))) == {"Hello from version 1"}
    assert pages(shell.run("%service rollback web").value) == ["Hello from version 1"] * 3


def test_an_update_that_fails_and_is_rolled_back(shell: Shell) -> None:
    with pytest.raises(ServiceFailed, match=r"^the update of service 'web' failed and was rolled back") as caught:
        shell.run(f"%service update --image {NAME}:bad {ONE_BY_ONE} --update-failure-action rollback web")
    assert "non-zero exit (3)" in "\n".join(caught.value.lines())
    assert pages(services.get("web")) == ["Hello from version 1"] * 3


def test_a_service_that_cannot_run(shell: Shell) -> None:
    with pytest.raises(ServiceFailed, match=r"^service 'broken' does not run: broken\.1 failed 3 times") as caught:
        shell.run(f"%service create --name broken --restart-delay 0s {NAME}:bad")
    assert "non-zero exit (3)" in "\n".join(caught.value.evidence)
    assert "no such table" in shell.run("%service logs broken").stderr
    assert repr(shell.run("%service rm broken").value) == "removed service broken"
    with pytest.raises(NotFound, match="no such service 'broken'"):
        shell.run("%service ps broken")


@pytest.mark.skipif(missing() is None and not has_ipvs(), reason="the routing mesh needs IPVS, which this kernel has not")
def test_the_routing_mesh(shell: Shell) -> None:
    made = shell.run(f"%service create --name mesh -p 8080:5000 {QUICK} {NAME}:1").value
    assert [answers(url) for url in made.urls(5000)] == ["Hello from version 1"] * 3
    shell.run("%service rm mesh")


@pytest.mark.skipif(missing() is None and has_ipvs(), reason="this kernel has IPVS")
def test_a_kernel_without_ipvs_is_told(shell: Shell) -> None:
    made = shell.run(f"%service create --detach --name mesh -p 5000 {NAME}:1").value
    assert "no IPVS" in str(made)
    assert "no IPVS" in made._repr_html_()
    with pytest.raises(UsageError, match="dnsrr and a port of the routing mesh exclude one another"):
        shell.run("%service update --endpoint-mode dnsrr mesh")
    shell.run("%service rm mesh")


def test_scaled_to_six(shell: Shell) -> None:
    scaled = shell.run("%service scale web=6").value
    assert spread(scaled) == {"machine1": 2, "machine2": 2, "machine3": 2}
    assert pages(scaled) == ["Hello from version 1"] * 6
    picture = shell.run("%service show web")
    assert all(f"<b>machine{n}</b>" in picture.displays[-1]["text/html"] for n in (1, 2, 3))
    assert picture.displays[-1]["text/html"].count("● running") == 6
    assert repr(shell.run("%service ls").value) == f"service web ({NAME}:1): 6 of 6 run"
    assert repr(shell.run("%service ps web").value) == "\n".join(f"web.{n}: running" for n in range(1, 7))
    said = until(lambda: (out := shell.run("%service logs --tail 3 web").stdout + shell.run("%service logs web").stderr) and out)
    assert re.search(r"^web\.\d@machine\d  ", said, re.MULTILINE)


def test_a_drained_node(shell: Shell) -> None:
    def moved() -> services.Service | None:
        web = services.get("web")
        return web if len(web.running) == 6 and "machine2" not in spread(web) else None

    assert repr(shell.run("%swarm drain machine2").value) == "node machine2: drained, manager"
    found = until(moved)
    assert spread(found) == {"machine1": 3, "machine3": 3}
    assert pages(found) == ["Hello from version 1"] * 6
    assert repr(shell.run("%swarm activate machine2").value) == "node machine2: ready, manager"


def test_a_killed_engine_s_tasks_move_and_the_others_answer_meanwhile(shell: Shell, three: list[Machine]) -> None:
    before = services.get("web")
    kept = [url for url in before.urls(5000) if three[2].address not in url]
    three[2].kill()

    def moved() -> services.Service | None:
        assert {page(url) for url in kept} == {"Hello from version 1"}
        web = services.get("web")
        return web if len(web.running) == 6 and "machine3" not in spread(web) else None

    found = until(moved)
    assert pages(found) == ["Hello from version 1"] * 6
    assert "node machine3: down, manager, unreachable" in repr(shell.run("%swarm nodes").value)


def test_a_swarm_without_its_quorum(shell: Shell, three: list[Machine]) -> None:
    three[1].kill()
    with pytest.raises(SwarmError, match="the Swarm has lost its quorum") as caught:
        # A manager that was just left alone does not know it yet.
        until(lambda: bool(shell.run("%service scale --detach web=3").displays) and None)
    assert any(line.startswith("the engine says: ") for line in caught.value.evidence)
    assert "--force-new-cluster" in str(caught.value.hint)
    # What runs goes on.
    with closing(dockerlab.connect()) as client:
        assert client.containers.list()
