"""Processes and the machine as /proc(5) shows them. No programs are run: they may not be there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_NANO = 1_000_000_000
_TERMINALS = range(136, 144)  # major numbers of pseudo terminals
_CONSOLES = 4


@dataclass(frozen=True)
class Process:
    """One process. Times in seconds: user, system, and of children that it has waited for; started: since 1970. rss, vsz: bytes.

    uids, gids: real, effective. flags: after the state, as ps shows them ("s": leads a session, …). tty: "" for none.
    """

    pid: int
    ppid: int
    pgid: int
    sid: int
    name: str
    command: str
    state: str
    flags: str
    tty: str
    user_time: float
    system_time: float
    children_time: float
    started: float
    priority: int
    nice: int
    threads: int
    vsz: int
    rss: int
    processor: int
    kernel_flags: int
    wchan: str = ""
    uids: tuple[int, int] = (0, 0)
    gids: tuple[int, int] = (0, 0)

    @property
    def time(self) -> float:
        """Processor time of its own."""
        return self.user_time + self.system_time


@dataclass(frozen=True)
class Machine:
    """boot: when it was started, seconds since 1970. memory: bytes. busy: processor time since then, idle time included, nanoseconds."""

    boot: float
    memory: int
    busy: int
    processors: int


@dataclass(frozen=True)
class Names:
    """The names of users and groups on this machine, by number."""

    users: Mapping[int, str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)


def machine() -> Machine:
    """This machine, now."""
    boot, busy, processors = 0.0, 0, 0
    for line in _text("/proc/stat").splitlines():
        name, *values = line.split()
        if name == "cpu":
            busy = sum(int(value) for value in values[:7]) * _NANO // _TICKS
        elif name.startswith("cpu"):
            processors += 1
        elif name == "btime":
            boot = float(values[0])
    return Machine(boot, memory(), busy, processors or os.cpu_count() or 1)


def memory() -> int:
    """This machine's memory in bytes."""
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def names() -> Names:
    """From /etc/passwd and /etc/group."""
    return Names(_numbered("/etc/passwd"), _numbered("/etc/group"))


def processes(pids: list[int], boot: float) -> list[Process]:
    """Those that are still there, by number."""
    found = (process(pid, boot) for pid in sorted(set(pids)))
    return [one for one in found if one is not None]


def process(pid: int, boot: float) -> Process | None:
    """One process; None where it has ended."""
    stat = _text(f"/proc/{pid}/stat")
    if not stat:
        return None
    before, _, after = stat.rpartition(")")
    name = before.partition("(")[2]
    values = after.split()
    numbers = [int(value) for value in values[1:]]
    ppid, pgid, sid, terminal, foreground, kernel_flags = numbers[:6]
    user, system, child_user, child_system, priority, nice, threads = numbers[10:17]
    status = dict(line.split(":\t", 1) for line in _text(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    arguments = _text(f"/proc/{pid}/cmdline").rstrip("\0").replace("\0", " ")
    flags = ("<" if nice < 0 else "N" if nice > 0 else "") + ("L" if _kilobytes(status.get("VmLck", "")) else "")
    flags += ("s" if sid == pid else "") + ("l" if threads > 1 else "") + ("+" if foreground == pgid else "")
    return Process(
        pid=pid,
        ppid=ppid,
        pgid=pgid,
        sid=sid,
        name=name,
        command=" ".join(arguments.split()) or f"[{name}]",
        state=values[0],
        flags=flags,
        tty=_terminal(terminal),
        user_time=user / _TICKS,
        system_time=system / _TICKS,
        children_time=(child_user + child_system) / _TICKS,
        started=boot + numbers[18] / _TICKS,
        priority=priority,
        nice=nice,
        threads=threads,
        vsz=numbers[19],
        rss=numbers[20] * _PAGE,
        processor=numbers[35] if len(numbers) > 35 else 0,
        kernel_flags=kernel_flags,
        wchan=_text(f"/proc/{pid}/wchan"),
        uids=_pair(pid, "uid", status.get("Uid", "")),
        gids=_pair(pid, "gid", status.get("Gid", "")),
    )


def share_of_memory(one: Process) -> int:
    """Bytes that a process has, what it shares divided among those that share it; all that it has where the kernel does not tell."""
    for line in _text(f"/proc/{one.pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return _kilobytes(line.partition(":")[2]) * 1024
    return one.rss


def transferred(pid: int) -> tuple[int, int]:
    """Bytes that a process and the children that it waited for have read from disks and written to them."""
    values = dict(line.split(": ", 1) for line in _text(f"/proc/{pid}/io").splitlines())
    return int(values.get("read_bytes", 0)), int(values.get("write_bytes", 0))


def _pair(pid: int, kind: str, text: str) -> tuple[int, int]:
    """Real and effective ids, as they are in the process's own user namespace."""
    numbers = [int(value) for value in text.split()[:2]] or [0, 0]
    ranges = [tuple(int(value) for value in line.split()) for line in _text(f"/proc/{pid}/{kind}_map").splitlines()]
    inside = [next((first + n - outside for first, outside, size in ranges if outside <= n < outside + size), n) for n in numbers]
    return inside[0], inside[-1]


def _terminal(number: int) -> str:
    major, minor = os.major(number), os.minor(number)
    if major in _TERMINALS:
        return f"pts/{minor + (major - _TERMINALS.start) * 256}"
    return f"tty{minor}" if major == _CONSOLES else ""


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) if text.split() else 0


def _numbered(path: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for line in _text(path).splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isdecimal():
            found.setdefault(int(fields[2]), fields[0])
    return found


def _text(path: str) -> str:
    # It has ended, or is not ours to look at: then there is nothing to say.
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return ""
