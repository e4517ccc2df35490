"""How long a build takes: ours beside Docker's classic builder and Charliecloud's ch-image, in one run.

    make engines && apt-get install --no-install-recommends charliecloud python3-lark python3-requests
    .venv/bin/python benchmarks/build.py [ROUNDS [PART...]]          parts: facts, found, growth, memory

- facts: FROM busybox, four RUN of which one writes 2,000 files, COPY of 1,000 files; cold, and once more with all steps cached.
- found: how long after the last word of a RUN its layer is there, on an image of 60,000 files of which it changes a few; the 60,000
  files come by an ADD, whose time is told too.
- growth: 100, 1,000 and 10,000 files of context; 1, 10 and 50 steps, cold and cached.
- memory: the engine's peak while a layer of 50 and of 500 MB is copied, and written by a RUN.

Our engine runs as a user without rights, under the distribution's Python, in user namespaces ("user") and without any ("supervised").
Both engines are asked by docker-py with a context that is a tar already, so that none of the client's work is measured; ch-image, which
is a command and reads the folder itself, is compared with the `docker build` command (DOCKER_BUILDKIT=0) on the same folder. Cold: the
image, its steps and their layers were removed before, ch-image's build cache too; only the base is there. ch-image has its defaults.
The rounds are interleaved; before each measurement what others wrote is on the disk. Medians and minima in seconds, and ratios.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import docker

from dockerlab import standins
from tests.embedded import rungs

ENGINE28 = "unix:///run/dockerlab-engines/engine28.sock"
TAG = "dockerlab-benchmark"
FACTS = """\
FROM busybox
RUN mkdir /data
COPY files /files
RUN i=0; while [ $i -lt 2000 ]; do echo "$i" > /data/$i; i=$((i+1)); done
RUN ls /files | wc -l > /count
RUN echo done > /done
"""
_BIG = b"FROM busybox\nCOPY big /big\n"
_SECONDS = 900
_DOCKER = "docker classic"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # ch-image is written for the distribution's Python


# What is built


def tar_of(dockerfile: str, files: int = 0, size: int = 1000) -> bytes:
    """A context: a Dockerfile, and files in `files/`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in (
            ("Dockerfile", dockerfile.encode()),
            *((f"files/{one}", b"%d\n" % one * (size // 5)) for one in range(files)),
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def big_tar(path: Path, megabytes: int) -> None:
    """A context with one file of random bytes."""
    with tarfile.open(path, "w") as tar, open("/dev/urandom", "rb") as random:
        sources: tuple[tuple[str, int, IO[bytes]], ...] = (
            ("Dockerfile", len(_BIG), io.BytesIO(_BIG)),
            ("big", megabytes << 20, random),
        )
        for name, size, data in sources:
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, data)


# Who builds it


class Engine:
    """An engine, asked by docker-py."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = docker.APIClient(url, timeout=_SECONDS)

    def build(self, context: bytes | IO[bytes], tag: str = TAG, told: Callable[[str], object] = lambda text: None) -> None:
        """told: hears what is streamed."""
        body = io.BytesIO(context) if isinstance(context, bytes) else context
        for message in self.client.build(fileobj=body, custom_context=True, tag=tag, rm=True, decode=True):
            if "error" in message:
                sys.exit(f"{self.url}: {message['error']}")
            told(message.get("stream", ""))

    def load(self, archive: IO[bytes]) -> None:
        """Images of an archive."""
        for message in self.client.load_image(archive):  # type: ignore[no-untyped-call]
            if "error" in message:
                sys.exit(f"{self.url}: {message['error']}")

    def forget(self, tag: str = TAG) -> None:
        """Removes an image and the steps that it was made of."""
        with suppress(docker.errors.ImageNotFound):
            self.client.remove_image(tag, force=True)


def command(*argv: str, environment: Mapping[str, str], uid: int | None = None) -> None:
    who: dict[str, Any] = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    done = subprocess.run(argv, env={"PATH": _PATH, **environment}, capture_output=True, text=True, check=False, cwd="/", **who)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}:\n{done.stdout}{done.stderr}")


@dataclass(frozen=True)
class Side:
    """build: measured. forget: leaves it nothing but the base image."""

    build: Callable[[], object]
    forget: Callable[[], object]


def by_api(engine: Engine, context: bytes) -> Side:
    return Side(lambda: engine.build(context), engine.forget)


def by_command(engine: Engine, folder: Path) -> Side:
    program = shutil.which("docker") or "docker"
    given = {"DOCKER_HOST": engine.url, "DOCKER_BUILDKIT": "0", "HOME": str(folder.parent)}
    return Side(lambda: command(program, "build", "-t", TAG, str(folder), environment=given), engine.forget)


def charliecloud(folder: Path, base: Path, uid: int) -> Side:
    """base: a tar of busybox's files."""
    home = folder.parent / "charliecloud"
    home.mkdir()
    os.chown(home, uid, uid)
    given = {"CH_IMAGE_STORAGE": str(home / "storage"), "HOME": str(home), "USER": "somebody"}
    # What its build cache is kept with.
    given |= {f"GIT_{who}_{what}": "somebody@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def run(*argv: str) -> None:
        command("ch-image", *argv, uid=uid, environment=given)

    def forget() -> None:
        if (home / "storage").exists():
            run("reset")
        run("import", str(base), "busybox")

    return Side(lambda: run("build", "-t", TAG, "-f", str(folder / "Dockerfile"), str(folder)), forget)


# How it is measured


def timed(action: Callable[[], object]) -> float:
    os.sync()
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def table(title: str, times: Mapping[str, Sequence[float]], against: Mapping[str, str]) -> None:
    """against: whom each is compared with."""
    print(f"\n{title:<44}{'median':>9}{'min':>9}")
    for name, found in times.items():
        median = statistics.median(found)
        line = f"{name:<44}{median:>9.3f}{min(found):>9.3f}"
        for other in against.get(name, "").split("|"):
            if times.get(other):
                line += f"   {median / statistics.median(times[other]):.2f} x {other}"
        print(line, flush=True)


@contextmanager
def started() -> Iterator[dict[str, tuple[Engine, int]]]:
    """Ours, with the process of each; and Docker, with 0."""
    with ExitStack() as stack:
        found = {}
        for rung in ("user", "supervised"):
            own = stack.enter_context(rungs.engine(rung))
            found[rung] = (Engine(f"unix://{own.home.socket}"), own.pid)
        found[_DOCKER] = (Engine(ENGINE28), 0)
        with standins.archive("busybox") as archive:
            found[_DOCKER][0].load(archive)
        try:
            yield found
        finally:
            found[_DOCKER][0].forget()


Engines = Mapping[str, tuple[Engine, int]]


def facts(engines: Engines, rounds: int) -> None:
    context = tar_of(FACTS, 1000)
    uid = rungs.SOMEBODY if os.getuid() == 0 else os.getuid()
    with tempfile.TemporaryDirectory(prefix="dl-", ignore_cleanup_errors=True) as name:
        folder = Path(name, "context")
        with tarfile.open(fileobj=io.BytesIO(context)) as tar:
            tar.extractall(folder, filter="data")
        base = Path(name, "busybox.tar")
        plain = docker.DockerClient(ENGINE28)
        container = plain.containers.create("busybox", "true")
        base.write_bytes(b"".join(iter(container.export())))  # type: ignore[arg-type]  # bytes, whatever the stubs say
        container.remove()
        plain.close()
        subprocess.run(["chmod", "-R", "a+rX", name], check=True)
        sides = {rung: by_api(engine, context) for rung, (engine, _) in engines.items()}
        sides |= {f"docker build, {rung}": by_command(engines[rung][0], folder) for rung in ("user", "supervised", _DOCKER)}
        if Path("/usr/bin/ch-image").exists():
            sides["ch-image build"] = charliecloud(folder, base, uid)
        cold: dict[str, list[float]] = {side: [] for side in sides}
        cached: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(rounds + 1):
            for side, one in sides.items():
                one.forget()
                first, second = timed(one.build), timed(one.build)
                one.forget()
                if number:  # the first brings modules and files into memory
                    cold[side].append(first)
                    cached[side].append(second)
        against = {
            **dict.fromkeys(("user", "supervised"), _DOCKER),
            **{f"docker build, {rung}": f"docker build, {_DOCKER}|ch-image build" for rung in ("user", "supervised")},
        }
        table(f"the facts' build, cold ({rounds} rounds)", cold, against)
        table("all cached", cached, against)


def found(engines: Engines, rounds: int) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        for number in range(60_000):
            info = tarfile.TarInfo(f"{number // 200}/{number % 200}")
            info.size = len(data := b"%d\n" % number)
            tar.addfile(info, io.BytesIO(data))
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, data in (("Dockerfile", b"FROM busybox\nADD tree.tar /tree\n"), ("tree.tar", inner.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    step = tar_of(
        f"FROM {TAG}-base\nRUN echo 1 > /tree/1/1; rm /tree/2/2; chmod 700 /tree/3/3; mkdir /new; echo 2 > /new/2; echo LAST\n"
    )
    times: dict[str, list[float]] = {name: [] for name in engines}
    whole: dict[str, list[float]] = {name: [] for name in engines}
    adding: dict[str, list[float]] = {name: [] for name in engines}
    first: dict[str, list[float]] = {name: [] for name in engines}
    for name, (engine, _) in engines.items():
        adding[name].append(timed(lambda engine=engine: engine.build(context.getvalue(), f"{TAG}-base")))  # type: ignore[misc]
    try:
        for number in range(rounds + 1):
            for name, (engine, _) in engines.items():
                moments: dict[str, float] = {}

                def told(text: str, moments: dict[str, float] = moments) -> None:
                    moments[text.strip() if text.strip() == "LAST" else text[:6]] = time.perf_counter()

                took = timed(lambda engine=engine, told=told: engine.build(step, told=told))  # type: ignore[misc]
                engine.forget()
                (whole if number else first)[name].append(took)
                if number:
                    times[name].append(moments[" ---> "] - moments["LAST"])
    finally:
        for engine, _ in engines.values():
            engine.forget(f"{TAG}-base")
    against = dict.fromkeys(("user", "supervised"), _DOCKER)
    table("60,000 files: ADD of them", adding, against)
    table("a step on them, the first", first, against)
    table("a step on them, whole", whole, against)
    table("from its last word to its layer", times, against)


def growth(engines: Engines, rounds: int) -> None:
    against = dict.fromkeys(("user", "supervised"), _DOCKER)
    for files in (100, 1000, 10_000):
        context = tar_of("FROM busybox\nCOPY files /files\n", files)
        cold, cached = measured(engines, context, rounds)
        table(f"COPY of {files} files, cold", cold, against)
        table(f"COPY of {files} files, cached", cached, against)
    for steps in (1, 10, 50):
        context = tar_of("FROM busybox\n" + "".join(f"RUN echo {one} > /{one}\n" for one in range(steps)))
        cold, cached = measured(engines, context, rounds if steps < 50 else 1)
        table(f"{steps} steps, cold", cold, against)
        table(f"{steps} steps, cached", cached, against)


def measured(engines: Engines, context: bytes, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    cold: dict[str, list[float]] = {name: [] for name in engines}
    cached: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, (engine, _) in engines.items():
            engine.forget()
            cold[name].append(timed(lambda engine=engine: engine.build(context)))  # type: ignore[misc]
            cached[name].append(timed(lambda engine=engine: engine.build(context)))  # type: ignore[misc]
            engine.forget()
    return cold, cached


def peak(pid: int) -> float:
    """Megabytes, the most since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def memory(engines: Engines) -> None:
    print(f"\n{'peak memory, MB':<44}{'at rest':>9}{'50 MB':>9}{'500 MB':>9}")
    with tempfile.TemporaryDirectory(prefix="dl-") as name:
        for rung in ("user", "supervised"):
            engine, pid = engines[rung]
            for what in ("COPY", "RUN"):
                forget_peak(pid)
                found = [peak(pid)]
                for megabytes in (50, 500):
                    path = Path(name, "context.tar")
                    if what == "COPY":
                        big_tar(path, megabytes)
                    else:
                        path.write_bytes(tar_of(f"FROM busybox\nRUN dd if=/dev/urandom of=/big bs=1M count={megabytes}\n"))
                    forget_peak(pid)
                    with path.open("rb") as context:
                        engine.build(context)
                    found.append(peak(pid))
                    engine.forget()
                print(f"{f'{rung}, {what}':<44}" + "".join(f"{one:>9.1f}" for one in found), flush=True)


def versions(engines: Engines) -> None:
    version = engines[_DOCKER][0].client.version()["Version"]
    charlie = ""
    if Path("/usr/bin/ch-image").exists():
        asked = subprocess.run(
            ["ch-image", "--version"], env={"PATH": _PATH, "USER": "x", "HOME": "/tmp"}, capture_output=True, text=True, check=False
        )
        charlie = f", ch-image {(asked.stdout + asked.stderr).strip()}"
    python = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, text=True, check=False).stdout.split()[-1]
    load = os.getloadavg()[0]
    print(
        f"Docker Engine {version}{charlie}, engine's Python {python}, Linux {platform.release()}, {os.cpu_count()} CPUs, load {load:.1f}"
    )


def main(rounds: int, parts: Sequence[str]) -> None:
    with started() as engines:
        versions(engines)
        if "facts" in parts:
            facts(engines, rounds)
        if "found" in parts:
            found(engines, rounds)
        if "growth" in parts:
            growth(engines, max(1, rounds // 2))
        if "memory" in parts:
            memory(engines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:] or ("facts", "found", "growth", "memory"))
