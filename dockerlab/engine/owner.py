"""The process for whose sake an engine runs that is only for a while: as that ends, killed or not, the engine ends, and its folder goes.

owner = Owner.of(pid, folder)          of a process that runs
with owner.watched() as descriptor:    readable once it has ended; None where this kernel has no pidfd_open(2)
    owner.has_ended()
owner.clear()                          removes the folder
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dockerlab.engine.rootfs.removal import remove
from dockerlab.errors import EngineError

_ATTEMPTS = 50
_STEP = 0.1
_STATE, _STARTED = 0, 19  # of what stands behind the name in /proc/<pid>/stat, proc(5)


@dataclass(frozen=True)
class Owner:
    """started: in the kernel's ticks, so that no later process of its number is taken for it. folder: all that is the engine's."""

    pid: int
    started: int
    folder: Path

    @classmethod
    def of(cls, pid: int, folder: Path) -> Owner:
        """Raises EngineError where no such process runs any more; the folder is gone then."""
        started = _started(pid)
        if started is None:
            remove(folder)
            raise EngineError(f"process {pid}, for which the engine is to run, has ended")
        return cls(pid, started, folder)

    def has_ended(self) -> bool:
        """Also where nobody has waited for it yet."""
        return _started(self.pid) != self.started

    @contextmanager
    def watched(self) -> Iterator[int | None]:
        """Within the block, what becomes readable as it ends. None where there is no such thing, or it has ended: ask `has_ended`."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            yield None
            return
        try:
            # Only now is the number certain to be no other's.
            yield None if self.has_ended() else descriptor
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Removes the folder. Raises OSError where something in it stays."""
        for _ in range(_ATTEMPTS):
            # What ends just now, a monitor, may still write there.
            with suppress(OSError):
                remove(self.folder)
                return
            time.sleep(_STEP)
        remove(self.folder)


def _started(pid: int) -> int | None:
    """When a process was started; None for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[_STATE] in (b"Z", b"X") else int(fields[_STARTED])
