"""What it costs to look into an image of 1 GB and 60,000 files: python benchmarks/explorer.py [RUNS]

Makes an image of six layers as `docker save` writes it, in a folder that is gone afterwards, and compares, round by round:

    tar -tvf over its layers      the yardstick of a file: twice that is allowed. tar skips what is in files, and so do we
    tar -tvf - over its layers    the yardstick of a stream, which has to be read: each layer comes through a pipe
    explore                       headers, files that were stored twice, waste
    explore, and its page         the same with its HTML
    explore a stream              the same archive through a pipe, as an engine sends it, with a fingerprint of each file
    explore a stream, its page    the same with its HTML

and `dive --json` where it is installed. Each of ours twice: as a process of its own, Python's start and imports included; and in a process
that has dockerlab loaded, as a notebook's kernel has. Medians and, in brackets, the least of all rounds; of the processor (of the process
itself, without that which fills a pipe) and of the wall. Memory is the process's peak.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FILES, LAYERS, BYTES = 60_000, 6, 1_000_000_000
IMPORTS = "from dockerlab.images.exploring import explore, passing\n"
MEASURES = {
    "explore": "assert explore(PATH).waste.stored",
    "explore, and its page": "found = explore(PATH)\nassert found.waste.stored and found._repr_html_()",
    "explore a stream": "assert passing(STREAM, 'saved').waste.stored",
    "explore a stream, its page": "found = passing(STREAM, 'saved')\nassert found.waste.stored and found._repr_html_()",
}
TAR, PIPED = "tar -tvf over its layers", "tar -tvf - over its layers"
# In a process that has it loaded: the seconds that it took, of the processor and of the wall.
LOADED = """import sys, time
processor, wall = time.process_time(), time.perf_counter()
WORK
print(time.process_time() - processor, time.perf_counter() - wall)
"""


def make(folder: Path) -> tuple[Path, list[Path]]:
    """The archive, and its layers as files of their own."""
    chance = random.Random(1)
    noise = chance.randbytes(1 << 20)
    layers = []
    for number in range(LAYERS):
        path = folder / f"layer{number}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for place in range(FILES // LAYERS):
                if place % 20 == 0:
                    directory = tarfile.TarInfo(f"usr/lib/python3/dist-packages/package{number}/part{place // 20}")
                    directory.type, directory.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(directory)
                # One in fifty is stored again by every layer.
                home = 0 if place % 50 == 0 else number
                file = tarfile.TarInfo(f"usr/lib/python3/dist-packages/package{home}/part{place // 20}/module{place}.py")
                file.size, file.mtime = chance.randrange(2 * BYTES // FILES), 1_700_000_000 + place
                tar.addfile(file, io.BytesIO(noise[: file.size]))
        layers.append(path)
    config = json.dumps(
        {
            "history": [{"created_by": f"RUN step {number}"} for number in range(LAYERS)],
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(str(layer).encode()).hexdigest()}" for layer in layers],
            },
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["big:1"], "Layers": [layer.name for layer in layers]}]).encode()
    saved = folder / "saved.tar"
    with tarfile.open(saved, "w") as tar:
        for layer in layers:
            tar.add(layer, layer.name)
        for name, data in (("config.json", config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return saved, layers


@dataclass
class Cost:
    """Seconds of the processor, of the wall; MB at most."""

    processor: float = 0.0
    wall: float = 0.0
    memory: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.processor + other.processor, self.wall + other.wall, max(self.memory, other.memory))


def run(command: list[str], piped: Path | None = None, *, is_loaded: bool = False) -> Cost:
    """piped: a file that is its input, through a pipe. is_loaded: the command says itself how long it took."""
    started = time.perf_counter()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(subprocess.Popen(["cat", piped], stdout=subprocess.PIPE)).stdout if piped else None
        output = stack.enter_context(tempfile.TemporaryFile())
        process = stack.enter_context(subprocess.Popen(command, stdin=source, stdout=output if is_loaded else subprocess.DEVNULL))
        if source:
            source.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"failed: {command}")
        wall = time.perf_counter() - started
        output.seek(0)
        said = [float(word) for word in output.read().split()]
    processor, wall = said if is_loaded else (used.ru_utime + used.ru_stime, wall)
    return Cost(processor, wall, used.ru_maxrss // 1024)


def rounds(saved: Path, layers: list[Path], runs: int) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {}

    def add(what: str, cost: Cost) -> None:
        found.setdefault(what, []).append(cost)

    for _ in range(runs):
        add(TAR, sum((run(["tar", "-tvf", str(layer)]) for layer in layers), Cost()))
        add(PIPED, sum((run(["tar", "-tvf", "-"], layer) for layer in layers), Cost()))
        for what, work in MEASURES.items():
            piped = saved if "STREAM" in work else None
            code = work.replace("PATH", repr(str(saved))).replace("STREAM", "sys.stdin.buffer.raw")
            add(what, run([sys.executable, "-c", f"import sys\n{IMPORTS}{code}"], piped))
            code = IMPORTS + LOADED.replace("WORK", code)
            add(f"{what}, loaded", run([sys.executable, "-c", code], piped, is_loaded=True))
        add("(Python and its imports)", run([sys.executable, "-c", IMPORTS]))
        if dive := shutil.which("dive"):
            add("dive --json", run([dive, f"docker-archive://{saved}", "--json", f"{saved.parent}/dive.json"]))
    return found


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        saved, layers = make(Path(name))
        found = rounds(saved, layers, runs)
    print(f"{saved.name}: {LAYERS} layers, {FILES:,} files; medians of {runs} rounds, and the least of them")
    print(f"{'':<34}{'processor':>16}{'wall':>18}{'':>9}   x tar: processor, wall")

    def middle(what: str, name: str) -> float:
        return statistics.median(getattr(cost, name) for cost in found[what])

    def least(what: str, name: str) -> float:
        return min(getattr(cost, name) for cost in found[what])

    for what in found:
        times = "".join(f"{middle(what, name):8.2f} s ({least(what, name):4.2f})" for name in ("processor", "wall"))
        ratios = []
        for yardstick, of in ((TAR, "files"), *([(PIPED, "piped")] if "stream" in what else [])):
            parts = (f"{middle(what, name) / middle(yardstick, name):4.1f}" for name in ("processor", "wall"))
            ratios.append(f"{' '.join(parts)} of {of}")
        print(f"{what:<34}{times} {middle(what, 'memory'):5.0f} MB   {', '.join(ratios)}")


if __name__ == "__main__":
    main()
