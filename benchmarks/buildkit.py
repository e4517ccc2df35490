"""How long a build through BuildKit takes: ours beside `docker buildx build` and docker-py's, on one Docker Engine, in one run.

    make engines
    .venv/bin/python benchmarks/buildkit.py [ROUNDS [PART...]]          parts: large, small, memory

- large: a context of 2,000 files of 25 KB; small: one of 20,000 files of 100 bytes; five steps, one of which copies all of it.
  Cold: after `POST /build/prune?all=true`, so that the engine knows nothing of the context; all cached; and one file changed.
  docker-py, which takes minutes for a cold build of the small ones, has one round of them: all cached, after a build that does not count.
- memory: how much this process grows by while a context of 1 GB is sent.

Ours is `dockerlab.build`, called in this process; buildx is the command, as it comes with the engine, told to print plain text; docker-py's
is `images.build`. All three read the same folder. The rounds are interleaved; before each measurement what others wrote is on the disk.
Medians and minima in seconds, and ratios to buildx and to docker-py. The engine may be another: DOCKERLAB_BENCHMARK_ENGINE.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import docker

import dockerlab

ENGINE28 = "unix:///run/dockerlab-engines/engine28.sock"
ENGINE = os.environ.get("DOCKERLAB_BENCHMARK_ENGINE", ENGINE28)
PLUGIN = Path("/var/lib/dockerlab-engines/engine28-root/usr/libexec/docker/cli-plugins/docker-buildx")
TAG = "dockerlab-benchmark"
DOCKERFILE = """\
FROM busybox
RUN mkdir /data
COPY files /files
RUN ls /files | wc -l > /data/count
RUN echo done > /data/done
CMD ["true"]
"""
# files, bytes of each
_PARTS = {"large": (2_000, 25_000), "small": (20_000, 100)}
_FOLDER = 200  # files in each
_SLOW = 10_000  # files: docker-py has one round of so many
_GIGABYTE = 1 << 30


def filled(folder: Path, files: int, size: int) -> Path:
    """A context."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    for number in range(files):
        path = folder / "files" / str(number // _FOLDER) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    return folder


class Ways:
    """The ways of building a folder."""

    def __init__(self, buildx: str | None) -> None:
        self._client = dockerlab.connect(ENGINE)
        self._classic = docker.DockerClient(ENGINE, timeout=900)
        self._buildx = buildx

    def all(self) -> dict[str, Callable[[Path], object]]:
        """By name; the first one is ours."""
        found: dict[str, Callable[[Path], object]] = {"dockerlab": self._ours}
        if self._buildx:
            found["docker buildx"] = self._plugin
        return {**found, "docker-py": self._docker_py}

    def prune(self) -> None:
        """Nothing is known of a context, and of its steps."""
        self._classic.images.prune(filters={"dangling": True})
        api: Any = self._classic.api
        api._raise_for_status(api._post(api._url("/build/prune"), params={"all": "true"}))

    def close(self) -> None:
        """Nothing is left."""
        for image in self._classic.images.list(name=TAG):
            self._classic.images.remove(image.id, force=True)
        self.prune()

    def _ours(self, folder: Path) -> None:
        dockerlab.build(folder / "Dockerfile", context=folder, tag=f"{TAG}:ours", client=self._client)

    def _plugin(self, folder: Path) -> None:
        assert self._buildx
        argv = [self._buildx, "build", "--builder", "default", "--progress", "plain", "--load", "-t", f"{TAG}:buildx", str(folder)]
        environment = {**os.environ, "DOCKER_HOST": ENGINE}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(argv)}: {done.stderr}")

    def _docker_py(self, folder: Path) -> None:
        self._classic.images.build(path=str(folder), tag=f"{TAG}:classic", rm=True)


def timed(action: Callable[[], object]) -> float:
    """Seconds."""
    os.sync()
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measured(ways: Ways, folder: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    """By what is measured and by way."""
    found: dict[str, dict[str, list[float]]] = {}
    files = sum(1 for path in (folder / "files").rglob("*") if path.is_file())
    for number in range(rounds):
        for name, build in ways.all().items():
            if name == "docker-py" and files >= _SLOW:
                if not number:
                    build(folder)
                    found["all cached"].setdefault(name, []).append(timed(lambda build=build: build(folder)))
                continue
            ways.prune()
            times = {"cold": timed(lambda build=build: build(folder)), "all cached": timed(lambda build=build: build(folder))}
            (folder / "files" / "0" / "0").write_bytes(os.urandom(100 + number))
            times["one file changed"] = timed(lambda build=build: build(folder))
            for what, seconds in times.items():
                found.setdefault(what, {}).setdefault(name, []).append(seconds)
    return found


def show(title: str, found: dict[str, dict[str, list[float]]]) -> None:
    """A table."""
    for what, by_way in found.items():
        head = f"{title}, {what} ({len(by_way['dockerlab'])} rounds)"
        print(f"\n{head:<44}{'median':>9}{'min':>9}")
        medians = {name: statistics.median(times) for name, times in by_way.items()}
        for name, times in by_way.items():
            ratios = "".join(f"   {medians[name] / medians[other]:.2f} x {other}" for other in medians if other != "dockerlab")
            print(f"{name:<44}{medians[name]:9.3f}{min(times):9.3f}{ratios if name == 'dockerlab' else ''}")


def memory(ways: Ways, folder: Path) -> None:
    """How much this process's peak grows by. It builds something small first."""
    (folder / "files").mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "files" / "small").write_bytes(b"1")
    build = ways.all()["dockerlab"]
    build(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open(folder / "files" / "big", "wb") as file:
        file.writelines(os.urandom(1 << 24) for _ in range(_GIGABYTE >> 24))
    build(folder)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    print(f"\na context of 1 GB: this process's peak grows by {grown} MB")


def main(arguments: Sequence[str]) -> None:
    """See the file's head."""
    rounds = int(arguments[0]) if arguments else 5
    parts = arguments[1:] or [*_PARTS, "memory"]
    buildx = str(PLUGIN) if PLUGIN.exists() else shutil.which("docker-buildx")
    ways = Ways(buildx)
    load = os.getloadavg()[0]
    print(f"{ENGINE}, buildx {'from ' + buildx if buildx else 'is not there'}, Python {platform.python_version()}, load {load:.1f}")
    try:
        for part in parts:
            with tempfile.TemporaryDirectory(prefix="dockerlab-benchmark-") as name:
                if part == "memory":
                    memory(ways, Path(name))
                else:
                    show(part, measured(ways, filled(Path(name), *_PARTS[part]), rounds))
    finally:
        ways.close()


if __name__ == "__main__":
    main(sys.argv[1:])
