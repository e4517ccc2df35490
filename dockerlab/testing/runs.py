"""The test runs on an engine that others use, too: what each of them made there goes with it, also where it is killed.

    place = place_of(os.environ, sys.platform, url)
    run, swept = begin(client, place)           the run; and what runs that were killed had left
    …                                           with DOCKERLAB_LEDGER=run.made
    swept = run.end(client)

<place>/mutex             held while a run begins or ends
<place>/<moment>-<pid>/   a run: `lock`, held while its process lives; `before`, what the engine had; `made`, its ledger; `ended`

Containers and networks have ids, and go with their run. Tags, images and volumes go by names or content, which runs that overlap may
share: they go with the last of these. What was there before the first run that made a thing counts as there before.

A run that is killed is cleaned up after at once, by a process that waits for its end (`aftermath`). Where that was killed as well, the
next run does it. By then the user may have given a tag anew, or filled a volume: of these that run removes only tags of which the engine
says that they are as old as the run.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from dockerlab import ledger
from dockerlab.builds import memory
from dockerlab.client import Client
from dockerlab.testing.cleaning import Before, Cleaned, Made, clean

_BY_ID = ("container", "network")
_END_SECONDS = 5.0
_STEP = 0.05
_LONGEST = 600.0  # seconds that another run may take to begin or to end
_SLACK = 60.0  # seconds that an engine's clock may be ahead of ours


@dataclass(frozen=True)
class Swept:
    """cleaned: what was removed. others: how many runs go on, so that what may be theirs, too, stays."""

    cleaned: Cleaned
    others: int = 0


def place_of(environ: Mapping[str, str], platform: str, url: str) -> Path:
    """Where the runs on the engine at `url` are written down, in the user's state folder."""
    return memory.folder(environ, platform).with_name("runs") / blake2b(url.encode(), digest_size=8).hexdigest()


class Run:
    """One that goes on in this process."""

    def __init__(self, folder: Path, lock: sqlite3.Connection) -> None:
        self._folder, self._lock = folder, lock

    @property
    def folder(self) -> Path:
        """What is known of it."""
        return self._folder

    @property
    def made(self) -> Path:
        """Its ledger."""
        return self._folder / "made"

    def end(self, client: Client) -> Swept:
        """Removes what it has made. Raises EngineGone, OSError."""
        with _mutex(self._folder.parent):
            (self._folder / "ended").touch()
            self._lock.close()
            return _sweep(client, self._folder.parent)


def begin(client: Client, place: Path) -> tuple[Run, Swept]:
    """A run of this process. Raises EngineError, EngineGone, OSError."""
    place.mkdir(parents=True, exist_ok=True)
    with _mutex(place):
        swept = _sweep(client, place)
        folder = place / f"{time.time_ns():020}-{os.getpid()}"
        before = Before.of(client)
        folder.mkdir(mode=0o700)
        lock = _locked(folder / "lock", 0)
        (folder / "made").touch()
        (folder / "before").write_text(json.dumps({"url": client.endpoint.url, **before.to_json()}), encoding="utf-8")
    return Run(folder, lock), swept


def bury(client: Client, folder: Path) -> Swept | None:
    """Ends the run of a process that was killed just now; None where nothing is known of it any more. Raises EngineGone, OSError."""
    with _mutex(folder.parent):
        if not folder.exists() or _lives(folder):
            return None
        _end_processes(folder)
        (folder / "ended").touch()
        return _sweep(client, folder.parent)


def _sweep(client: Client, place: Path) -> Swept:
    """Removes what runs have made that go on no longer: without a run that does, all of it. The mutex is held."""
    runs = sorted(path for path in place.iterdir() if path.is_dir())
    dead = [path for path in runs if not _lives(path)]
    others = len(runs) - len(dead)
    first: dict[ledger.Entry, Made] = {}
    for folder in dead:
        _end_processes(folder)
        for made in _made_by(folder):
            first.setdefault(made.entry, made)
    cleaned = clean(client, [made for made in first.values() if not others or made.entry.kind in _BY_ID])
    for folder in dead if not others else ():
        shutil.rmtree(folder)
    return Swept(cleaned, others)


def _made_by(folder: Path) -> Iterator[Made]:
    """What a run has made; nothing for one that was killed as it began."""
    path = folder / "made"
    with suppress(FileNotFoundError, json.JSONDecodeError):
        said = json.loads((folder / "before").read_text(encoding="utf-8"))
        before = Before.from_json(said)
        until = None if (folder / "ended").exists() else path.stat().st_mtime + _SLACK
        for entry in ledger.entries(path, said["url"]):
            yield Made(entry, before, until)


def _end_processes(folder: Path) -> None:
    """Ends the kernels of a run that was killed: no others were told of its ledger."""
    if (folder / "ended").exists() or not Path("/proc/self/environ").exists():
        return  # elsewhere they end by themselves, a moment after their parent
    wanted = os.fsencode(f"{ledger.VARIABLE}={folder / 'made'}")
    deadline = time.monotonic() + _END_SECONDS
    while found := [pid for pid in _processes() if pid != os.getpid() and wanted in _environ(pid)]:
        is_late = time.monotonic() > deadline
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
        if is_late:
            return
        time.sleep(_STEP)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _environ(pid: int) -> list[bytes]:
    with suppress(OSError):  # it has ended, or is somebody else's
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


# Locks end with the process that holds them, however it ends. They are SQLite's, which are the same on every platform.


def _locked(path: Path, seconds: float) -> sqlite3.Connection:
    """Holds a lock until it is closed. Raises sqlite3.OperationalError where another one has it for all that time."""
    held = sqlite3.connect(path, timeout=seconds, isolation_level=None, check_same_thread=False)
    try:
        held.execute("BEGIN EXCLUSIVE")
    except BaseException:
        held.close()
        raise
    return held


@contextmanager
def _mutex(place: Path) -> Iterator[None]:
    with closing(_locked(place / "mutex", _LONGEST)):
        yield


def _lives(folder: Path) -> bool:
    try:
        _locked(folder / "lock", 0).close()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return True
    return False
