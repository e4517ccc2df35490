"""How long a container takes, and what the engine weighs: ours beside Docker, Podman and a bare launch, in one run.

    make engines && .venv/bin/python benchmarks/engine_run.py [ROUNDS]

`run --rm busybox true` on our three engines through docker-py, against `docker run` on Docker Engine 28 and `podman run --network none`;
the rounds are interleaved, so that what else the machine does hits all alike, and each run begins when the one before has been cleaned up.
A bare launch is bubblewrap's, or unshare's where that is not installed; docker-py's own part are its seven requests with nothing to do
(`ping`). Then: the engine's start to its first answer, its memory when idle, how both grow over 1,000 runs one after the other, and 100
containers started at once. Prints medians in milliseconds and ratios.

Measured with the Python that a distribution ships: one that was built without profile-guided optimization takes a fifth longer.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import docker

import dockerlab
import dockerlab.standins
from dockerlab.client import connect

STARTED = Path("/run/dockerlab-engines")
OURS = ("embedded", "embedded-user", "embedded-pod")


def socket(name: str) -> str:
    return f"unix://{STARTED}/{name}.sock"


_REST = 0.2  # seconds, between two runs
_REQUESTS = 7  # of docker-py, for one run
_MANY = 1000
_CLIENT = f"docker-py, {_REQUESTS} x ping"


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def ours(name: str) -> Callable[[], object]:
    with connect_to(name) as client:
        dockerlab.prepare("busybox", client=client)
    plain = docker.DockerClient(socket(name))
    return lambda: plain.containers.run("busybox", "true", remove=True)


def requests(name: str) -> Callable[[], object]:
    plain = docker.DockerClient(socket(name))
    return lambda: [plain.ping() for _ in range(_REQUESTS)]


@contextmanager
def connect_to(name: str) -> Iterator[dockerlab.Client]:
    client = connect(socket(name))
    try:
        yield client
    finally:
        client.close()


def command(*argv: str, **environment: str) -> Callable[[], object]:
    return lambda: subprocess.run(
        argv, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def bare() -> tuple[str, Callable[[], object]]:
    if shutil.which("bwrap"):
        return "bwrap --unshare-all", command("bwrap", "--unshare-all", "--ro-bind", "/", "/", "true")
    return "unshare -Umpf", command("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "true")


def runs(rounds: int) -> None:
    launch, bare_run = bare()
    podman = ["podman", "--root", "/var/lib/dockerlab-engines/podman", "--runroot", str(STARTED / "podman")]
    contenders: dict[str, Callable[[], object]] = {
        launch: bare_run,
        _CLIENT: requests("embedded-user"),
        **{name: ours(name) for name in OURS},
        "docker run (28)": command("docker", "run", "--rm", "busybox", "true", DOCKER_HOST=socket("engine28")),
        "podman run --network none": command(
            *podman, "run", "--rm", "--network", "none", "busybox", "true", CONTAINERS_CONF="/var/lib/dockerlab-engines/podman.conf"
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            time.sleep(_REST)
            times[name].append(timed(run))
    medians = {name: statistics.median(found) for name, found in times.items()}
    print(f"{'run --rm busybox true':<28}{'median':>9}{'min':>8}{'/docker':>9}{'/podman':>9}   over the bare launch, and docker-py")
    for name, found in times.items():
        ratios = [medians[name] / medians[other] for other in ("docker run (28)", "podman run --network none")]
        over = medians[name] - medians[launch]
        own = f"   {over:>6.1f} {over - medians[_CLIENT]:>6.1f} ms" if name in OURS else ""
        print(f"{name:<28}{medians[name]:>6.1f} ms{min(found):>8.1f}{ratios[0]:>9.3f}{ratios[1]:>9.3f}{own}")


@contextmanager
def engine() -> Iterator[tuple[str, int, float]]:
    """A fresh engine of this user: its address, its process, and milliseconds from the command to the first answer."""
    with tempfile.TemporaryDirectory(prefix="dl-") as folder:
        environment = os.environ | {"DOCKERLAB_ENGINE_ROOT": f"{folder}/root", "DOCKERLAB_ENGINE_RUNTIME": f"{folder}/run"}
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "dockerlab.engine", "start"], env=environment, check=True, capture_output=True)
        url = f"unix://{folder}/run/engine.sock"
        docker.DockerClient(url).ping()
        took = (time.perf_counter() - began) * 1000
        pid = int(Path(folder, "run", "engine.lock").read_text(encoding="utf-8").partition('"pid": ')[2].split(",")[0])
        try:
            yield url, pid, took
        finally:
            subprocess.run([sys.executable, "-m", "dockerlab.engine", "stop"], env=environment, check=True, capture_output=True)


def resident(pid: int) -> float:
    """Megabytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors(pid: int) -> int:
    """Once the connections of a client that has just left are gone."""
    time.sleep(1)
    return len(os.listdir(f"/proc/{pid}/fd"))


def weight() -> None:
    starts = []
    for _ in range(5):
        with engine() as (_, _, took):
            starts.append(took)
    print(f"\nstart to first answer       {statistics.median(starts):>6.0f} ms, min {min(starts):.0f}")
    with engine() as (url, pid, _):
        client = docker.DockerClient(url)
        with dockerlab.standins.archive("busybox") as archive:
            client.images.load(archive)
        client.containers.run("busybox", "true", remove=True)
        client.close()
        idle, files = resident(pid), descriptors(pid)
        client = docker.DockerClient(url)
        took = timed(lambda: [client.containers.run("busybox", "true", remove=True) for _ in range(_MANY)])
        print(f"{_MANY} runs in a row         {took / _MANY:>8.1f} ms each")
        client.close()
        print(f"resident when idle          {idle:>6.1f} MB; after {_MANY} runs {resident(pid):.1f} MB")
        print(f"descriptors                 {files:>6}; after {_MANY} runs {descriptors(pid)}")

        def one(_: int) -> None:
            docker.DockerClient(url).containers.run("busybox", "sleep 60", detach=True)

        with ThreadPoolExecutor(100) as pool:
            made = timed(lambda: list(pool.map(one, range(100))))
        client = docker.DockerClient(url)
        running = client.containers.list()
        print(f"100 containers at once      {made:>6.0f} ms; {len(running)} run")
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda container: container.remove(force=True), running))


if __name__ == "__main__":
    runs(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    weight()
