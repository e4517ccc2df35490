"""What this machine lets us do, found by doing it: never by a version, a name, or a file that says so.

Each probe forks a child that tries the real thing, the calls that a container's start makes, and reports what failed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dockerlab.engine.home import spend_reserve
from dockerlab.engine.runtime import kernel
from dockerlab.engine.runtime.inside import Abilities, map_ids
from dockerlab.errors import UsageError

_NEEDED = 1 << 16  # bytes of disk to try an overlay


@dataclass(frozen=True)
class Capabilities:
    """What containers get here.

    isolation: "namespaces", "supervised", or "" where neither works. rootfs: "overlay" or "tree". reasons: what was tried and failed,
    a line each: name → what the kernel said, "" where it worked.
    """

    isolation: str
    rootfs: str
    is_root: bool
    own_pids: bool
    findings: dict[str, str]

    @property
    def abilities(self) -> Abilities:
        """What the launcher needs to know."""
        return Abilities(self.isolation, self.is_root, self.own_pids)

    def to_json(self) -> dict[str, Any]:
        """Values that `json` writes."""
        return asdict(self)


def probe(root: Path, *, everything: bool = False) -> Capabilities:
    """Tries what there is until something works; with `everything`, the rest too. root: of the engine; an overlay must work just there."""
    wanted, is_root = os.environ.get("DOCKERLAB_ENGINE_ISOLATION", ""), os.getuid() == 0
    if wanted not in ("", "supervised"):
        raise UsageError(f"DOCKERLAB_ENGINE_ISOLATION knows 'supervised' alone: {wanted!r}")
    root.mkdir(parents=True, exist_ok=True)
    findings = {"namespaces": _attempt(lambda: _namespaces(is_root))}
    usable = not findings["namespaces"]
    findings["proc"] = _attempt(lambda: _proc(is_root)) if usable else findings["namespaces"]
    findings["overlay"] = _attempt(lambda: _overlay(is_root, root)) if usable else findings["namespaces"]
    is_named = wanted == "supervised"
    if everything or is_named or findings["overlay"]:
        findings["supervisor"] = _attempt(lambda: _supervisor(root))
    supervised = findings.get("supervisor") == ""
    # Named by the environment, the lower rung serves where the higher one would work, too: for tests of what it does.
    namespaces = usable and not findings["overlay"] and not (supervised and is_named)
    isolation = "namespaces" if namespaces else "supervised" if supervised else ""
    return Capabilities(isolation, "overlay" if namespaces else "tree", is_root, not findings["proc"], findings)


class Probing:
    """A probe in a process of its own, while this one goes on; it has one thread. root: as for `probe`."""

    def __init__(self, root: Path) -> None:
        self._read, write = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            with suppress(BaseException):  # who asks probes again, and is told what is wrong
                os.write(write, json.dumps(probe(root).to_json()).encode())
            os._exit(0)
        os.close(write)

    def result(self) -> Capabilities | None:
        """What it found; None where it failed. To be called once, by this process or one that it has forked."""
        with os.fdopen(self._read, "rb") as pipe:
            said = pipe.read()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        return Capabilities(**json.loads(said)) if said else None


def _attempt(action: Callable[[], None]) -> str:
    """Runs `action` in a child; what went wrong, or ""."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        text = ""
        try:
            action()
        except BaseException as error:  # noqa: BLE001  the child ends here, and this is its report
            text = str(error) or type(error).__name__
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        text = pipe.read()
    status = os.waitpid(pid, 0)[1]
    return text or (f"ended with {os.waitstatus_to_exitcode(status)}" if status else "")


def _enter(is_root: bool, flags: int) -> None:
    uid, gid = os.getuid(), os.getgid()
    if is_root:
        kernel.unshare(flags)
        return
    kernel.unshare(kernel.CLONE_NEWUSER | flags)
    map_ids((0, uid), (0, gid))


def _namespaces(is_root: bool) -> None:
    _enter(is_root, kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", "/tmp", "tmpfs", kernel.MS_NODEV)


def _proc(is_root: bool) -> None:
    _enter(is_root, kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    text = _attempt(lambda: kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC))
    if text:
        raise OSError(text)


def _overlay(is_root: bool, root: Path) -> None:
    found = os.statvfs(root)
    if found.f_bavail * found.f_frsize < _NEEDED:
        spend_reserve(root / "engine.lock")  # else a full disk would look like a kernel that cannot
    folder = Path(tempfile.mkdtemp(prefix=".probe-", dir=root))
    text = _attempt(lambda: _mount_overlay(is_root, folder))
    # What the kernel made in `work` may be closed to us.
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(folder)
    if text:
        raise OSError(text)


def _mount_overlay(is_root: bool, folder: Path) -> None:
    _enter(is_root, kernel.CLONE_NEWNS)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    for name in ("lower", "upper", "work", "merged"):
        (folder / name).mkdir()
    (folder / "lower" / "file").write_text("lower", encoding="ascii")
    os.chdir(folder)
    kernel.mount("overlay", "merged", "overlay", kernel.MS_NODEV, "lowerdir=lower,upperdir=upper,workdir=work,userxattr")
    (folder / "merged" / "file").write_text("upper", encoding="ascii")
    (folder / "merged" / "file").unlink()


def _supervisor(root: Path) -> None:
    from dockerlab.engine.runtime.supervisor.probe import probe as probe_supervisor

    probe_supervisor(root)


def main() -> None:
    """For a process of its own: the root is its argument, the answer its output."""
    json.dump(probe(Path(sys.argv[1])).to_json(), sys.stdout)
