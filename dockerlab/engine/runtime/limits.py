"""Limits of a container: what can be enforced on this machine, and the doing of it. Planned first, done after.

    means = find()                              which control groups this process may make (cgroups(7), versions 1 and 2)
    enforcement = plan(limits, means, id)       pure: directories, values to write, and what works without control groups
    warnings(limits, means)                     pure: what is asked for and cannot be enforced
    group = Group(enforcement); group.create()  in the monitor, before the container's first process
    group.take_in(pid); group.enter()           the container's first process; in each one more, before it enters its namespaces
    group.update(enforcement, pids)             in the monitor, for processes that run
    group.oom_kills(), group.remove()           in the monitor, once all processes have gone

Without control groups there is an affinity to processors for `--cpuset-cpus`, and in a user namespace of the container's own a resource
limit that counts its processes. A control group is only made where a limit is asked for: making one costs more than a container's start.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from dockerlab.engine.runtime import kernel
from dockerlab.engine.runtime.plan import Limits

_PERIOD = 100_000  # microseconds
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
_MEASURED = ("cpuacct",)
_DISCARDED = "Limitation discarded."
# What lifts a limit that is asked for no more; the others can only be changed.
_LIFTED = {"pids.max": "max", "cpu.cfs_quota_us": "-1", "cpu.max": f"max {_PERIOD}"}
_REMOVALS = 50  # tries, a hundredth of a second apart


@dataclass(frozen=True)
class Means:
    """What there is to enforce limits with.

    version: of the control groups, 0 where there are none for us. controllers: the directory in which groups can be made for each. swap:
    whether swap is counted. counts_processes: whether they can be counted without: by RLIMIT_NPROC in a user namespace of the container's
    own, or by its supervisor.
    """

    version: int = 0
    controllers: Mapping[str, str] = field(default_factory=dict)
    swap: bool = False
    counts_processes: bool = False


@dataclass(frozen=True)
class Enforcement:
    """directories: to be made, one a hierarchy. writes: (file, value), in order; files of those directories. rlimits: as `Process` has
    them. affinity: the processors, or none for all."""

    directories: tuple[str, ...] = ()
    writes: tuple[tuple[str, str], ...] = ()
    rlimits: tuple[tuple[str, int, int], ...] = ()
    affinity: frozenset[int] = frozenset()


# Finding


def find(counts_processes: bool = False, mountinfo: str | None = None, own: str | None = None) -> Means:
    """What this process may use, tried by making a group. mountinfo, own: the texts of /proc/self/mountinfo and /proc/self/cgroup."""
    mounts = _text("/proc/self/mountinfo") if mountinfo is None else mountinfo
    places = candidates(mounts, _text("/proc/self/cgroup") if own is None else own)
    first = {name: path for name, path in places.items() if name != "" and _can_make(path)}
    if first.keys() & set(_CONTROLLERS):
        swap = os.path.exists(os.path.join(first.get("memory", "/"), "memory.memsw.limit_in_bytes"))
        return Means(1, first, swap, counts_processes)
    if "" in places:
        # A group that holds processes has no groups with controllers below it, so that its siblings are what can be made.
        for base in (os.path.dirname(places[""]), places[""]):
            there = set(_text(os.path.join(base, "cgroup.subtree_control")).split()) & set(_CONTROLLERS)
            if there and _can_make(base) and os.access(os.path.join(base, "cgroup.procs"), os.W_OK):
                swap = "memory" in there and os.path.exists("/proc/swaps")
                return Means(2, dict.fromkeys(sorted(there), base), swap, counts_processes)
    return Means(counts_processes=counts_processes)


def candidates(mountinfo: str, own: str) -> dict[str, str]:
    """Where this process's own groups are: a directory for each controller of version 1, "" for version 2. Pure."""
    groups: dict[str, str] = {}
    for line in own.splitlines():
        _, hierarchy, path = line.split(":", 2)
        groups |= dict.fromkeys(hierarchy.split(","), path)
    found: dict[str, str] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        kind, *_, options = after.split()
        root, mountpoint = _unescaped(fields[3]), _unescaped(fields[4])
        names = [""] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for name in names:
            if name in groups and (name == "" or name in (*_CONTROLLERS, *_MEASURED)):
                within = groups[name].removeprefix(root) if root != "/" else groups[name]
                found.setdefault(name, os.path.normpath(f"{mountpoint}/{within}"))
    return found


def _unescaped(text: str) -> str:
    return text.replace(r"\040", " ").replace(r"\134", "\\")


def _can_make(directory: str) -> bool:
    path = os.path.join(directory, f"dockerlab-probe-{os.getpid()}")
    try:
        os.mkdir(path)
        os.rmdir(path)
    except OSError:
        return False
    return True


# Planning


def plan(limits: Limits, means: Means, id: str) -> Enforcement:
    """How the limits of a container are enforced with these means. Pure, but for the names of processors that are there."""
    affinity = frozenset(processors(limits.cpuset)) if limits.cpuset and "cpuset" not in means.controllers else frozenset()
    rlimits: tuple[tuple[str, int, int], ...] = ()
    if limits.pids > 0 and "pids" not in means.controllers and means.counts_processes:
        rlimits = (("nproc", limits.pids, limits.pids),)
    wanted = {name: path for name, path in means.controllers.items() if name in _CONTROLLERS and _is_limited(limits, name)}
    if not wanted:
        return Enforcement(rlimits=rlimits, affinity=affinity)
    measured = {name: path for name, path in means.controllers.items() if name in _MEASURED and "memory" in means.controllers}
    places = {name: os.path.join(path, group_name(id)) for name, path in (wanted | _for_stats(means) | measured).items()}
    values = _values_of_2(limits, means) if means.version == 2 else _values_of_1(limits, means)
    writes = [(os.path.join(places[name], file), value) for name, file, value in values if name in wanted]
    if means.version == 1 and "cpuset" in places:
        # A new group has no memory nodes, and nothing runs in it until it has.
        writes.insert(0, (os.path.join(places["cpuset"], "cpuset.mems"), ""))
    return Enforcement(tuple(dict.fromkeys(places.values())), tuple(writes), rlimits, affinity)


def group_name(id: str) -> str:
    """The name of a container's group, in each hierarchy."""
    return f"dockerlab-{id[:16]}"


def processors(text: str) -> list[int]:
    """The numbers in "0-2,4". Raises ValueError."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _is_limited(limits: Limits, controller: str) -> bool:
    return {
        "memory": limits.memory > 0,
        "pids": limits.pids > 0,
        "cpu": limits.cpus > 0 or limits.cpu_shares > 0,
        "cpuset": bool(limits.cpuset),
    }[controller]


def _for_stats(means: Means) -> dict[str, str]:
    """A container that has a group is measured by it, and so by all of these."""
    return {name: means.controllers[name] for name in ("cpu", "memory", "pids") if name in means.controllers}


def _swap(limits: Limits) -> int:
    """Memory and swap together; Docker gives as much swap as memory."""
    return limits.swap or 2 * limits.memory


def _values_of_1(limits: Limits, means: Means) -> Iterator[tuple[str, str, str]]:
    if limits.memory > 0:
        yield "memory", "memory.limit_in_bytes", str(limits.memory)
        if means.swap:
            yield "memory", "memory.memsw.limit_in_bytes", str(_swap(limits))
    if limits.cpus > 0:
        yield "cpu", "cpu.cfs_period_us", str(_PERIOD)
        yield "cpu", "cpu.cfs_quota_us", str(max(1000, round(limits.cpus * _PERIOD)))
    if limits.cpu_shares > 0:
        yield "cpu", "cpu.shares", str(limits.cpu_shares)
    if limits.cpuset:
        yield "cpuset", "cpuset.cpus", limits.cpuset
    if limits.pids > 0:
        yield "pids", "pids.max", str(limits.pids)


def _values_of_2(limits: Limits, means: Means) -> Iterator[tuple[str, str, str]]:
    if limits.memory > 0:
        yield "memory", "memory.max", str(limits.memory)
        if means.swap:
            both = _swap(limits)
            yield "memory", "memory.swap.max", "max" if both < 0 else str(both - limits.memory)
    if limits.cpus > 0:
        yield "cpu", "cpu.max", f"{max(1000, round(limits.cpus * _PERIOD))} {_PERIOD}"
    if limits.cpu_shares > 0:
        yield "cpu", "cpu.weight", str(1 + (max(2, limits.cpu_shares) - 2) * 9999 // 262142)
    if limits.cpuset:
        yield "cpuset", "cpuset.cpus", limits.cpuset
    if limits.pids > 0:
        yield "pids", "pids.max", str(limits.pids)


def warnings(limits: Limits, means: Means) -> list[str]:
    """What is asked for and cannot be enforced, for the answer to a create request. Pure."""
    lack = "this engine may not make control groups here" if not means.version else "the control group of this engine lacks it"
    found = []
    if limits.memory > 0 and "memory" not in means.controllers:
        found.append(f"Memory cannot be limited: {lack}. {_DISCARDED}")
    elif limits.memory > 0 and limits.swap and not means.swap:
        found.append(f"Swap is not counted by this kernel. Memory is limited, swap is not. {_DISCARDED}")
    if (limits.cpus > 0 or limits.cpu_shares > 0) and "cpu" not in means.controllers:
        found.append(f"Processor time cannot be limited: {lack}. {_DISCARDED}")
    if limits.pids > 0 and "pids" not in means.controllers and not means.counts_processes:
        found.append(f"The number of processes cannot be limited: {lack}. {_DISCARDED}")
    return found


# Doing


class Group:
    """The control group of a container, if its limits need one. Its methods do nothing where there is none."""

    def __init__(self, enforcement: Enforcement) -> None:
        self._enforcement = enforcement

    @property
    def directories(self) -> Sequence[str]:
        """Where it is, in each hierarchy."""
        return self._enforcement.directories

    @property
    def rlimits(self) -> tuple[tuple[str, int, int], ...]:
        """What each process sets for itself."""
        return self._enforcement.rlimits

    def create(self) -> None:
        """Makes it, with its limits. Raises OSError; then nothing is left."""
        try:
            for directory in self.directories:
                # A group of this name is what a monitor that was killed left.
                with suppress(FileExistsError):
                    os.mkdir(directory)
            self._write(self._enforcement.writes)
        except OSError:
            self.remove()
            raise

    def update(self, enforcement: Enforcement, pids: Callable[[], Iterable[int]]) -> None:
        """Other limits for what runs already, in a group that is made now if there was none. pids: gives its processes. Raises OSError."""
        before = self._enforcement
        if enforcement.rlimits != before.rlimits:
            _limit_processes(pids(), enforcement.rlimits)
        asked = {path for path, _ in enforcement.writes}
        lifted = [
            (path, _LIFTED[name]) for path, _ in before.writes if path not in asked and (name := os.path.basename(path)) in _LIFTED
        ]
        made = [directory for directory in enforcement.directories if directory not in before.directories]
        for directory in made:
            with suppress(FileExistsError):
                os.mkdir(directory)
        self._enforcement = replace(enforcement, directories=(*before.directories, *made))
        self._write([*lifted, *enforcement.writes])
        moves = enforcement.affinity != before.affinity
        moved: set[int] = set()
        # What forks meanwhile is found in the next round.
        while found := set(pids()) - moved:
            for pid in found:
                with suppress(ProcessLookupError):
                    self._take_in(pid, made, moves=moves)
            moved |= found

    def take_in(self, pid: int) -> None:
        """Moves a process of ours into it, and to its processors. Raises OSError."""
        self._take_in(pid, self.directories, moves=bool(self._enforcement.affinity))

    def _take_in(self, pid: int, directories: Sequence[str], *, moves: bool) -> None:
        for directory in directories:
            kernel.write_text(os.path.join(directory, "cgroup.procs"), str(pid))
        if moves:
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), self._enforcement.affinity or range(os.cpu_count() or 1))

    def enter(self) -> None:
        """Moves the calling process into it, and to its processors. Raises OSError."""
        for directory in self.directories:
            kernel.write_text(os.path.join(directory, "cgroup.procs"), "0")
        if self._enforcement.affinity:
            os.sched_setaffinity(0, self._enforcement.affinity)

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for lack of memory."""
        for directory in self.directories:
            for file in ("memory.events", "memory.oom_control"):
                counters = dict(line.split() for line in _text(os.path.join(directory, file)).splitlines())
                if "oom_kill" in counters:
                    return int(counters["oom_kill"])
        return 0

    def remove(self) -> None:
        """Removes it. Processes that are just ending are waited for; what others keep is left to them."""
        for directory in self.directories:
            for _ in range(_REMOVALS):
                try:
                    os.rmdir(directory)
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                else:
                    break

    def _write(self, writes: Sequence[tuple[str, str]]) -> None:
        refused: list[tuple[str, str]] = []
        for path, value in writes:
            if not value:
                value = _text(os.path.join(os.path.dirname(path), os.pardir, os.path.basename(path))).strip()
            try:
                kernel.write_text(path, value)
            except OSError:
                # Memory may not be above memory with swap at any moment: a higher limit of both begins with the other.
                if "memory." not in os.path.basename(path) or not os.path.exists(path):
                    raise
                refused.append((path, value))
        for path, value in refused:
            kernel.write_text(path, value)


def _limit_processes(pids: Iterable[int], rlimits: Sequence[tuple[str, int, int]]) -> None:
    most = next((hard for _, _, hard in rlimits), resource.RLIM_INFINITY)
    for pid in pids:
        try:
            resource.prlimit(pid, resource.RLIMIT_NPROC, (most, most))
        except ProcessLookupError:
            continue
        except PermissionError:
            raise OSError("who is not root cannot let what runs have more processes: stop the container before") from None


def _text(path: str) -> str:
    with suppress(OSError):  # not there: then it says nothing
        return Path(path).read_text(encoding="utf-8")
    return ""
