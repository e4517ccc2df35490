"""What it costs to look into an image of 1 GB and 60,000 files: python benchmarks/explorer.py [RUNS]

Makes an image of six layers as `docker save` writes it, in a folder that is gone afterwards, and compares, run by run:

    tar -tvf over its layers      the yardstick: twice that is allowed
    explore                       headers, files that were stored twice, waste
    explore, and its page         the same with its HTML
    explore a stream              the same bytes as an engine sends them, hashed on the way

and `dive --json` where it is installed. Seconds are of the processor, so that other work on the machine counts less; wall time stands
beside. Each measure is a process of its own; memory is its peak.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

FILES, LAYERS, BYTES = 60_000, 6, 1_000_000_000
START = "from dockerlab.images.exploring import explore\n"
MEASURES = {
    "explore": START + "found = explore(PATH)\nassert found.waste.stored",
    "explore, and its page": START + "assert explore(PATH)._repr_html_()",
    "explore a stream": (
        "from dockerlab.image.archive import Archive\nfrom dockerlab.image.waste import measure\n"
        "archive = Archive.passing(open(PATH, 'rb'))\nassert measure(archive.layers(archive.images()[0])).stored"
    ),
}


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


def run(command: list[str]) -> tuple[float, float, int]:
    """Seconds of the processor, of the wall, and the peak of memory in MB."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {command}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, time.perf_counter() - started, used.ru_maxrss // 1024


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        saved, layers = make(Path(name))
        listing = "; ".join(f"tar -tvf {layer}" for layer in layers)
        commands = {"tar -tvf over its layers": ["sh", "-c", listing]}
        commands |= {what: [sys.executable, "-c", code.replace("PATH", repr(str(saved)))] for what, code in MEASURES.items()}
        # What a notebook has loaded already is not the explorer's.
        commands["(Python and its imports)"] = [sys.executable, "-c", START]
        if dive := shutil.which("dive"):
            commands["dive --json"] = [dive, f"docker-archive://{saved}", "--json", f"{name}/dive.json"]
        found: dict[str, list[tuple[float, float, int]]] = {what: [] for what in commands}
        for _ in range(runs):
            for what, command in commands.items():
                found[what].append(run(command))
    middle = {what: [statistics.median(column) for column in zip(*rows, strict=True)] for what, rows in found.items()}
    (yardstick, *_), (imports, *_) = middle["tar -tvf over its layers"], middle["(Python and its imports)"]
    print(f"{saved.name}: {LAYERS} layers, {FILES:,} files, medians of {runs}")
    for what, (seconds, wall, memory) in middle.items():
        own = seconds - imports if what in MEASURES else seconds
        print(f"{what:<26} {own:6.2f} s   wall {wall:6.2f} s   {memory:4.0f} MB   {own / yardstick:4.1f} x tar")


if __name__ == "__main__":
    main()
