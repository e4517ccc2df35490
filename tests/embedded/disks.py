"""A small disk for an engine's data, and what an engine may leave on it when it was full.

with disk() as small, engine("user", small.path / "root") as own:
    small.fill(TIGHT)
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.embedded.building import small_disk
from tests.embedded.rungs import OwnEngine
from tests.embedded.serving import Reply

FULL = "no space left on device"
SIZE = 160 << 20
TIGHT = 70 << 20  # a little more than what the store leaves to others


class Disk:
    """A file system of its own, small."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, left: int) -> None:
        with (self.path / "filler").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, (self.path / "filler").stat().st_size + self.free() - left)

    def clear(self) -> None:
        (self.path / "filler").unlink()


@contextmanager
def disk() -> Iterator[Disk]:
    """Where every user gets at it; skips where none can be mounted."""
    with tempfile.TemporaryDirectory(prefix="dl-") as folder:
        os.chmod(folder, 0o755)
        with small_disk(Path(folder, "disk"), SIZE) as path:
            yield Disk(path)


def refused(reply: Reply) -> None:
    """An error with Docker's words: its status says so, or, once the answer has begun, its last line."""
    assert reply.status == 500 or (reply.status == 200 and b'"errorDetail"' in reply.body), (reply.status, reply.body)
    assert FULL in reply.body.decode()


def files(own: OwnEngine) -> set[str]:
    """What the engine holds of images and containers, and what it has half made."""
    root, snapshots = own.home.root, ("layers", "trees")
    found = [
        path for name in ("blobs/sha256", *snapshots, "containers") if (root / name).exists() for path in (root / name).iterdir()
    ]
    return {str(path.relative_to(root)) for path in found} | {f"left over: {path.name}" for path in left(own)}


def left(own: OwnEngine) -> list[Path]:
    """What is half made."""
    return [*own.home.tmp.iterdir(), *own.half_written()]
