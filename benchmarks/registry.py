"""How long a pull and a push of 200 MB take: ours beside skopeo, on Debian's docker-registry, in one run.

    apt-get install --no-install-recommends docker-registry skopeo
    .venv/bin/python benchmarks/registry.py [ROUNDS]

Images of one layer and of four, of random bytes and of text, gzipped, as registries have them. Pull: `skopeo copy docker://… oci:…`,
which like us writes the blobs as they come into an OCI layout and verifies their digests. (We verify diff_ids, too, and read each
layer's tar through; skopeo does that only for containers-storage, where it unpacks.) Push: the same blobs from skopeo's layout and from
our store, each to a registry that is empty. A second push is of layers as a build leaves them, uncompressed: both compress them on the
way, skopeo from a docker-archive.

Our engine runs as a user without rights under the distribution's Python, and is asked by docker-py. Registry, engine and skopeo have their
files on one file system. The rounds are interleaved; before each measurement what others wrote is on the disk. Medians and minima in
seconds, ratios, and the peak memory of the engine's process in MB.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.embedded import rungs
from tests.embedded.registries import docker_registry

_SIZE = 200 << 20
_FILE = 1 << 20
_SECONDS = 900


def layer(size: int, *, is_text: bool) -> bytes:
    """A tar of files of 1 MB; random, or text that gzip makes half of."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(size // _FILE):
            data = os.urandom(_FILE)
            if is_text:
                data = data[: _FILE // 2].hex().encode()
            info = tarfile.TarInfo(f"data/{os.urandom(4).hex()}-{number}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def layout(folder: Path, layers: int, *, is_text: bool, size: int = _SIZE) -> None:
    """An OCI layout with one image, `app`. size: bytes of its layers."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> tuple[str, int]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return f"sha256:{digest}", len(data)

    def described(kind: str, found: tuple[str, int], **more: object) -> dict[str, object]:
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": found[0], "size": found[1], **more}

    parts, diff_ids = [], []
    for _ in range(layers):
        tar = layer(size // layers, is_text=is_text)
        diff_ids.append(f"sha256:{hashlib.sha256(tar).hexdigest()}")
        parts.append(described("layer.v1.tar+gzip", put(gzip.compress(tar, 6, mtime=0))))
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = {
        "architecture": machine,
        "os": "linux",
        "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json", put(encoded(config))),
        "layers": parts,
    }
    entry = described("manifest.v1+json", put(encoded(manifest)), annotations={"org.opencontainers.image.ref.name": "app"})
    (folder / "index.json").write_bytes(encoded({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_bytes(encoded({"imageLayoutVersion": "1.0.0"}))


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


@dataclass
class Figures:
    """Seconds of one way of doing it; the engine's peaks."""

    times: list[float]
    peaks: list[float]


def timed(action: Callable[[], object]) -> float:
    os.sync()
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def skopeo(*argv: str) -> None:
    done = subprocess.run(["skopeo", "copy", "--insecure-policy", *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"skopeo copy {' '.join(argv)}: {done.stderr}")


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """An empty one; what it got is gone in the end."""
    with tempfile.TemporaryDirectory(dir=folder) as name, docker_registry(Path(name)) as address:
        yield address


class Ours:
    """Our engine, asked by docker-py."""

    def __init__(self, own: rungs.OwnEngine) -> None:
        self._pid = own.pid
        self._client = docker.APIClient(f"unix://{own.home.socket}", timeout=_SECONDS)

    def pull(self, name: str) -> None:
        self._read(self._client.pull(name, stream=True, decode=True))

    def push(self, name: str) -> None:
        self._read(self._client.push(name, stream=True, decode=True))

    def _read(self, messages: Iterator[dict[str, object]]) -> None:
        for message in messages:
            if "error" in message:
                sys.exit(str(message["error"]))

    def tag(self, name: str, wanted: str) -> None:
        self._client.tag(name, wanted)

    def forget(self) -> None:
        """Removes all images."""
        for image in self._client.images():
            self._client.remove_image(image["Id"], force=True)

    def load(self, path: Path) -> str:
        """The id of the image that a docker-archive holds."""
        with path.open("rb") as archive:
            self._read(self._client.load_image(archive))  # type: ignore[no-untyped-call]
        return str(self._client.images()[0]["Id"])

    def peak(self, action: Callable[[], object]) -> float:
        """Megabytes, the most while something is done."""
        Path(f"/proc/{self._pid}/clear_refs").write_text("5", encoding="ascii")
        action()
        return int(Path(f"/proc/{self._pid}/status").read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]) / 1024


def pulls_and_pushes(ours: Ours, folder: Path, layers: int, rounds: int, *, is_text: bool) -> None:
    source = folder / "source"
    layout(source, layers, is_text=is_text)
    size = sum(path.stat().st_size for path in (source / "blobs" / "sha256").iterdir()) >> 20
    found = {
        (what, who): Figures([], []) for what in ("pull", "push", "push of uncompressed layers") for who in ("dockerlab", "skopeo")
    }

    counted = False

    def note(what: str, who: str, action: Callable[[], object]) -> None:
        took = 0.0

        def measured() -> None:
            nonlocal took
            took = timed(action)

        peak = ours.peak(measured)
        if counted:
            found[what, who].times.append(took)
            found[what, who].peaks.append(peak)

    archive, target = folder / "archive.tar", folder / "target"
    skopeo(f"oci:{source}:app", f"docker-archive:{archive}:app:1")
    for number in range(rounds + 1):
        counted = number > 0  # the first brings modules and files into memory
        ours.forget()
        with registry(folder) as address:
            skopeo("--dest-tls-verify=false", f"oci:{source}:app", f"docker://{address}/app:1")
            note("pull", "skopeo", lambda: skopeo("--src-tls-verify=false", f"docker://{address}/app:1", f"oci:{target}:app"))
            shutil.rmtree(target)
            note("pull", "dockerlab", lambda: ours.pull(f"{address}/app:1"))
            pulled = f"{address}/app:1"
        with registry(folder) as address:
            note("push", "skopeo", lambda: skopeo("--dest-tls-verify=false", f"oci:{source}:app", f"docker://{address}/app:1"))
        with registry(folder) as address:
            ours.tag(pulled, f"{address}/app:1")
            note("push", "dockerlab", lambda: ours.push(f"{address}/app:1"))
        ours.forget()
        what = "push of uncompressed layers"
        with registry(folder) as address:
            note(
                what, "skopeo", lambda: skopeo("--dest-tls-verify=false", f"docker-archive:{archive}", f"docker://{address}/app:1")
            )
        loaded = ours.load(archive)
        with registry(folder) as address:
            ours.tag(loaded, f"{address}/app:1")
            note(what, "dockerlab", lambda: ours.push(f"{address}/app:1"))
        ours.forget()
    shutil.rmtree(source)
    archive.unlink()
    kind = "text" if is_text else "random"
    print(f"\n{f'{layers} layer(s), {kind}, {size} MB':<40}{'median':>9}{'min':>9}{'/skopeo':>9}{'peak MB':>9}")
    for (what, who), figures in found.items():
        median = statistics.median(figures.times)
        own = (
            f"{median / statistics.median(found[what, 'skopeo'].times):>9.2f}{max(figures.peaks):>9.1f}"
            if who == "dockerlab"
            else ""
        )
        print(f"{f'{what}, {who}':<40}{median:>9.3f}{min(figures.times):>9.3f}{own}", flush=True)


def main(rounds: int) -> None:
    version = subprocess.run(["skopeo", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    python = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    load = os.getloadavg()[0]
    print(f"{version}, engine's Python {python}, Linux {platform.release()}, {os.cpu_count()} CPUs, load {load:.1f}")
    with rungs.engine("user") as own, tempfile.TemporaryDirectory(prefix="dl-") as name:
        ours = Ours(own)
        for is_text in (False, True):
            for layers in (1, 4):
                pulls_and_pushes(ours, Path(name), layers, rounds, is_text=is_text)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
