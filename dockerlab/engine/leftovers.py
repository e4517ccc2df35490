"""What an engine that was killed leaves beside the store: half-written files, containers that were being made or removed."""

from __future__ import annotations

from collections.abc import Iterator

from dockerlab.engine import journal
from dockerlab.engine.finding import Finding
from dockerlab.engine.home import Home
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.rootfs.unpacked import HALF_MADE, TRASH
from dockerlab.engine.store.blobs import TEMPORARY

_HALF_WRITTEN = ".*.json*.*"  # see `home.write_json`
_TOLD = (HALF_MADE, TRASH, TEMPORARY)  # by the store's own check


def find(home: Home, *, repair: bool) -> Iterator[Finding]:
    """All findings; with `repair` they are removed. No engine may run here meanwhile."""
    half_written = [
        path for pattern in (_HALF_WRITTEN, f"*/{_HALF_WRITTEN}", f"*/*/{_HALF_WRITTEN}") for path in home.root.glob(pattern)
    ]
    in_tmp = [path for path in home.tmp.iterdir() if not path.name.startswith(_TOLD)]
    for path in sorted([*in_tmp, *home.root.glob(".probe-*"), *half_written]):
        if repair and path.is_dir():
            remove(path)
        elif repair:
            path.unlink()
        yield Finding(str(path.relative_to(home.root)), "left by a crash", repair)
    for directory in sorted(home.containers.iterdir()):
        try:
            journal.read(directory / "record.jsonl")
        except FileNotFoundError:
            if repair:
                remove(directory)
            yield Finding(f"container {directory.name[:12]}", "half-made, or half-removed", repair)
        except ValueError:
            yield Finding(f"container {directory.name[:12]}", f"its record cannot be read; what it wrote is in {directory}", False)
