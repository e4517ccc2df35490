"""Many clients of one engine at once, on names that they all use, and clients that leave in the middle: answers stay those of a
state that there is, and nothing of them is left in the engine."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dockerlab.engine import workers
from tests.embedded.containing import Client, by_stream
from tests.embedded.rungs import OwnEngine, engine, eventually
from tests.embedded.serving import Talk

UPGRADE = "Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
SLEEP = {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": {"Init": True}}
FINE = {200, 201, 204, 304}
# A name that another has taken, removed, or put into another state.
OVERTAKEN = {404, 409}


@pytest.fixture(scope="module", params=["root", "supervised"])
def own(request: pytest.FixtureRequest) -> Iterator[OwnEngine]:
    with engine(request.param) as own:
        yield own


@pytest.fixture
def api(own: OwnEngine) -> Iterator[Client]:
    yield own.client
    own.clear()
    eventually(lambda: not own.leftovers(), f"left: {own.leftovers()}")


def together(*work: Callable[[], object]) -> None:
    """Runs all of it at the same moment; fails where one of them does."""
    gate = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> object:
        gate.wait()
        return one()

    with ThreadPoolExecutor(len(work)) as threads:
        list(threads.map(run, work))


def test_a_few_names_and_everything_at_once(own: OwnEngine, api: Client) -> None:
    names = ("one", "two", "six")

    def act(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(60):
            name, other = chosen.choice(names), chosen.choice(names)
            action = chosen.choice(("create", "start", "rename", "kill", "remove", "stop", "inspect", "list"))
            match action:
                case "create":
                    reply = api.post("/containers/create", SLEEP, name=name)
                case "remove":
                    reply = api.ask("DELETE", f"/containers/{name}", force=1)
                case "rename":
                    reply = api.post(f"/containers/{name}/rename", name=other)
                    assert reply.status != 400 or b"same name" in reply.body
                    continue
                case "inspect":
                    reply = api.ask("GET", f"/containers/{name}/json")
                case "list":
                    reply = api.ask("GET", "/containers/json", all=1)
                    there = [one["Names"][0] for one in reply.json()]
                    assert len(there) == len(set(there)), there
                case _:
                    reply = api.post(f"/containers/{name}/{action}", **({"t": 0} if action == "stop" else {}))
            assert reply.status in FINE | OVERTAKEN, (action, reply)

    together(*(lambda seed=seed: act(seed) for seed in range(4)))
    # Whoever is there can be used.
    for one in api.get("/containers/json", all=1):
        assert api.post(f"/containers/{one['Id']}/start").status in (204, 304)


@pytest.mark.parametrize("end", ["stop?t=0", "kill", "?force=1"])
def test_an_end_that_meets_a_start(own: OwnEngine, api: Client, end: str) -> None:
    for _ in range(6):
        made = api.create("sleep", "600", host={"Init": True})
        answers: list[int] = []

        def start(made: str = made, answers: list[int] = answers) -> None:
            answers.append(api.post(f"/containers/{made}/start").status)

        def finish(made: str = made, answers: list[int] = answers) -> None:
            if end.startswith("?"):
                answers.append(api.ask("DELETE", f"/containers/{made}{end}").status)
            else:
                answers.append(api.post(f"/containers/{made}/{end}").status)

        together(start, finish)
        assert set(answers) <= FINE | OVERTAKEN, answers
        if end.startswith("?"):
            assert api.ask("GET", f"/containers/{made}/json").status == 404
        else:
            # It runs where the end came first, and has ended where it came second.
            assert api.inspect(made)["State"]["Status"] in ("created", "running", "exited")
            api.ask("DELETE", f"/containers/{made}", force=1)


def test_two_starts_and_two_removals(own: OwnEngine, api: Client) -> None:
    made = api.create("sleep", "600", host={"Init": True})
    answers: list[int] = []
    together(*[lambda: answers.append(api.post(f"/containers/{made}/start").status)] * 4)
    assert sorted(answers) == [204, 304, 304, 304]
    answers.clear()
    together(*[lambda: answers.append(api.ask("DELETE", f"/containers/{made}", force=1).status)] * 4)
    assert 204 in answers
    assert set(answers) <= {204, 404, 409}
    assert api.get("/containers/json", all=1) == []


def test_many_wait_read_and_are_attached(own: OwnEngine, api: Client) -> None:
    script = "echo begun; read x; i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i + 1)); done; exit 7"
    made = api.create("sh", "-c", script, OpenStdin=True, StdinOnce=True)
    expected = b"begun\n" + b"".join(b"line %d\n" % number for number in range(200))
    found: list[tuple[str, object]] = []

    def wait() -> None:
        with Talk(api.path) as talk:
            talk.send(f"POST /containers/{made}/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n")
            assert talk.head().status == 200
            there.release()
            found.append(("wait", json.loads(talk.chunk())["StatusCode"]))

    def attach() -> None:
        with api.attached(made) as talk:
            there.release()
            found.append(("attach", by_stream(talk.file.read())[1]))

    def follow() -> None:
        reply = api.ask("GET", f"/containers/{made}/logs", stdout=1, follow=1)
        found.append(("logs", by_stream(reply.body)[1]))

    there = threading.Semaphore(0)
    with ThreadPoolExecutor(24) as pool:
        work = [pool.submit(one) for one in [wait] * 8 + [attach] * 8]
        for _ in work:
            assert there.acquire(timeout=30)
        assert api.post(f"/containers/{made}/start").status == 204
        work += [pool.submit(follow) for _ in range(8)]
        with api.attached(made, stdin=1) as talk:
            talk.send(b"go\n")
            for one in work:
                one.result(60)
    assert sorted(found, key=str) == sorted([("wait", 7)] * 8 + [("attach", expected)] * 8 + [("logs", expected)] * 8, key=str)


def left_in_the_middle(api: Client, request: str, until: bytes = b"") -> None:
    """A client that reads the head, or as far as `until`, and closes."""
    with Talk(api.path) as talk:
        talk.send(request)
        assert talk.head().status in (101, 200)
        seen = b""
        while until not in seen:
            seen += talk.file.read1(1 << 16)
        talk.sock.shutdown(socket.SHUT_RDWR)


def test_clients_that_leave_take_their_threads_and_descriptors_along(own: OwnEngine, api: Client) -> None:
    endless = ("sh", "-c", "trap 'exit 0' TERM; while :; do echo line; sleep 0.01; done")
    made, quiet, tty = api.ready(*endless), api.run("sleep", "600", host={"Init": True}), api.run("cat", Tty=True, OpenStdin=True)
    waiting = api.create("true")

    def get(path: str) -> str:
        return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"

    def leave_all() -> None:
        for container, until in ((made, b"line"), (quiet, b"")):
            left_in_the_middle(api, get(f"/containers/{container}/logs?stdout=1&follow=1"), until)
            left_in_the_middle(
                api, f"POST /containers/{container}/attach?stream=1&stdout=1&stdin=1 HTTP/1.1\r\n{UPGRADE}\r\n", until
            )
            run = api.post(f"/containers/{container}/exec", {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True}).json()[
                "Id"
            ]
            left_in_the_middle(api, f"POST /exec/{run}/start HTTP/1.1\r\n{UPGRADE}\r\n")
            left_in_the_middle(api, get(f"/containers/{container}/stats"), b"cpu_stats")
            left_in_the_middle(api, get(f"/containers/{container}/export"))
            left_in_the_middle(api, get(f"/containers/{container}/archive?path=/bin"), b"\0")
            left_in_the_middle(api, f"POST /containers/{container}/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        left_in_the_middle(api, f"POST /containers/{tty}/attach?stream=1&stdout=1&stdin=1 HTTP/1.1\r\n{UPGRADE}\r\n")
        left_in_the_middle(api, f"POST /containers/{waiting}/attach?stream=1&stdout=1 HTTP/1.1\r\n{UPGRADE}\r\n")
        left_in_the_middle(api, f"POST /containers/{waiting}/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n")
        left_in_the_middle(api, get("/events"))
        with Talk(api.path) as talk:  # half of a request
            talk.send("POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")

    leave_all()
    eventually(lambda: own.counts()[1] <= _THREADS, f"{own.counts()} descriptors and threads")
    before = own.counts()
    for _ in range(3):
        leave_all()
    eventually(lambda: own.counts()[0] <= before[0] and own.counts()[1] <= _THREADS, f"{before} have become {own.counts()}")
    assert api.inspect(made)["State"]["Running"]
    # What was attached before it left is in nobody's way.
    assert api.post(f"/containers/{waiting}/start").status == 204
    assert api.wait(waiting) == 0


# The main one, the watcher of clients that leave, the collector, and one for each container that runs.
_THREADS = 8 + 3 * workers.KEPT  # of connections, monitors and removals
