"""How long a push and a pull of a 500 MB image take: ours beside `docker push` and `pull` and skopeo, in one run.

    apt-get install --no-install-recommends docker-registry skopeo          and a Docker Engine, which DOCKER_HOST names
    .venv/bin/python benchmarks/sharing.py [ROUNDS [MEGABYTES]]

One image of four layers of random bytes. On the Docker Engine the work is the engine's, whoever asks: there `dockerlab.images.push` and
`pull`, progress included, are held against the `docker` command. dockerlab's own engine (a user without rights, the distribution's
Python) does the work itself: it is held against skopeo, which like it keeps the blobs as they come (see `registry.py`). A push goes to a
registry that is empty; before a pull the image is removed. The rounds are interleaved, and the first does not count. Medians in seconds,
the ratio to the faster of the others, and peak memory in MB: of this process, and of our engine's.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.registry import layout, registry, skopeo, timed
from dockerlab import images
from dockerlab.client import Client, connect
from dockerlab.errors import NotFound
from tests.embedded import rungs

_LAYERS = 4
_PLAIN = "--src-tls-verify=false", "--dest-tls-verify=false"


def command(host: str, *words: str) -> None:
    done = subprocess.run(["docker", "-H", host, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"docker {' '.join(words)}: {done.stderr}")


def forget(name: str, client: Client) -> None:
    try:
        images.rm(name, force=True, client=client)
    except NotFound:
        return


def peak(pid: int, action: Callable[[], object]) -> float:
    """Megabytes of the engine's process, the most while something is done."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    action()
    return int(Path(f"/proc/{pid}/status").read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]) / 1024


class Round:
    """Every way, once. times: by what is done and by whom."""

    def __init__(self, folder: Path, source: Path, own: rungs.OwnEngine) -> None:
        self.folder, self.source, self.own = folder, source, own
        self.times: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.peaks: list[float] = []

    def run(self, docker: Client | None, ours: Client) -> None:
        clients = [("dockerlab's engine", ours)] + ([("Docker Engine", docker)] if docker else [])
        # In each registry the image is as skopeo puts it there.
        with registry(self.folder) as address:
            self._note("push", "skopeo", lambda: skopeo(_PLAIN[1], f"oci:{self.source}:app", f"docker://{address}/app:1"))
            target = Path(tempfile.mkdtemp(dir=self.folder))
            self._note("pull", "skopeo", lambda: skopeo(_PLAIN[0], f"docker://{address}/app:1", f"oci:{target}:app"))
            name = f"{address}/app:1"
            for engine, client in clients:
                self._measured(
                    client, "pull", f"dockerlab on {engine}", lambda c=client: images.pull(name, progress=_seen, client=c)
                )
            if docker:
                forget(name, docker)
                self._note("pull", "docker", lambda: command(docker.endpoint.url, "pull", "-q", name))
            subprocess.run(["rm", "-rf", str(target)], check=True)
            for engine, client in clients:
                self._push(client, name, f"dockerlab on {engine}")
            if docker:
                with registry(self.folder) as empty:
                    images.tag(name, f"{empty}/app:1", client=docker)
                    self._note("push", "docker", lambda: command(docker.endpoint.url, "push", "-q", f"{empty}/app:1"))
                    forget(f"{empty}/app:1", docker)
            for _, client in clients:
                forget(name, client)

    def _push(self, client: Client, name: str, who: str) -> None:
        with registry(self.folder) as empty:
            images.tag(name, f"{empty}/app:1", client=client)
            self._measured(client, "push", who, lambda: images.push(f"{empty}/app:1", progress=_seen, client=client))
            forget(f"{empty}/app:1", client)

    def _measured(self, client: Client, what: str, who: str, action: Callable[[], object]) -> None:
        if client.endpoint.url.endswith(str(self.own.home.socket)):
            self.peaks.append(peak(self.own.pid, lambda: self._note(what, who, action)))
        else:
            self._note(what, who, action)

    def _note(self, what: str, who: str, action: Callable[[], object]) -> None:
        self.times[what, who].append(timed(action))


def _seen(progress: images.PullProgress) -> None:
    """Progress is rendered as a page has it."""
    progress._repr_html_()


def report(times: dict[tuple[str, str], list[float]]) -> None:
    others = {"dockerlab on Docker Engine": ("docker",), "dockerlab on dockerlab's engine": ("skopeo",)}
    for what in ("push", "pull"):
        for (doing, who), found in times.items():
            if doing == what:
                median = statistics.median(found)
                faster = [statistics.median(times[what, other]) for other in others.get(who, ()) if (what, other) in times]
                print(f"{f'{what}, {who}':<44}{median:>8.2f}" + (f"{median / min(faster):>8.2f}" if faster else ""), flush=True)


def main(rounds: int, megabytes: int) -> None:
    with tempfile.TemporaryDirectory(prefix="dl-") as name, rungs.engine("user") as own:
        source = Path(name, "source")
        layout(source, _LAYERS, is_text=False, size=megabytes << 20)
        docker = connect(os.environ["DOCKER_HOST"]) if "DOCKER_HOST" in os.environ else None
        with closing(connect(f"unix://{own.home.socket}")) as ours:
            measured = Round(Path(name), source, own)
            for number in range(rounds + 1):
                if number == 1:
                    measured.times.clear()
                measured.run(docker, ours)
    print(f"{megabytes} MB in {_LAYERS} layers, {rounds} round(s), load {os.getloadavg()[0]:.1f}: medians in seconds, to its rival")
    report(measured.times)
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: this process {mine:.0f} MB, our engine {max(measured.peaks):.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, int(sys.argv[2]) if len(sys.argv) > 2 else 500)
