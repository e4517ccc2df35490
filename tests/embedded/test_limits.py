"""Limits: what is planned with which means, and that the kernel enforces it where this machine lets us ask it to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.engine.runtime import limits
from dockerlab.engine.runtime.limits import Enforcement, Group, Means
from dockerlab.engine.runtime.plan import Limits

ID = "0123456789abcdef" * 4
NAME = "dockerlab-0123456789abcdef"
FIRST = Means(1, {name: f"/cg/{name}" for name in ("cpu", "cpuacct", "cpuset", "memory", "pids")}, swap=True)
SECOND = Means(2, dict.fromkeys(("cpu", "memory", "pids"), "/cg/own"), swap=True)
MIB = 1 << 20

MOUNTS_1 = """\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /pod /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
"""
OWN_1 = "9:name=systemd:/\n4:memory:/pod/one\n2:cpu,cpuacct:/\n"


def test_without_limits_nothing_is_done() -> None:
    assert limits.plan(Limits(), FIRST, ID) == Enforcement()
    assert limits.warnings(Limits(), Means()) == []


def test_version_1() -> None:
    wanted = Limits(memory=64 * MIB, cpus=0.5, cpu_shares=512, cpuset="0-1", pids=10)
    found = limits.plan(wanted, FIRST, ID)
    assert set(found.directories) == {f"/cg/{name}/{NAME}" for name in FIRST.controllers}
    assert found.writes == (
        (f"/cg/cpuset/{NAME}/cpuset.mems", ""),  # as the group above
        (f"/cg/memory/{NAME}/memory.limit_in_bytes", str(64 * MIB)),
        (f"/cg/memory/{NAME}/memory.memsw.limit_in_bytes", str(128 * MIB)),
        (f"/cg/cpu/{NAME}/cpu.cfs_period_us", "100000"),
        (f"/cg/cpu/{NAME}/cpu.cfs_quota_us", "50000"),
        (f"/cg/cpu/{NAME}/cpu.shares", "512"),
        (f"/cg/cpuset/{NAME}/cpuset.cpus", "0-1"),
        (f"/cg/pids/{NAME}/pids.max", "10"),
    )
    assert limits.warnings(wanted, FIRST) == []


def test_version_2() -> None:
    wanted = Limits(memory=64 * MIB, swap=-1, cpus=2, cpu_shares=1024, cpuset="1", pids=10)
    found = limits.plan(wanted, SECOND, ID)
    assert found.directories == (f"/cg/own/{NAME}",)
    assert found.writes == (
        (f"/cg/own/{NAME}/memory.max", str(64 * MIB)),
        (f"/cg/own/{NAME}/memory.swap.max", "max"),
        (f"/cg/own/{NAME}/cpu.max", "200000 100000"),
        (f"/cg/own/{NAME}/cpu.weight", "39"),
        (f"/cg/own/{NAME}/pids.max", "10"),
    )
    assert found.affinity == {1}  # that controller was not given to us


def test_a_limited_container_is_measured_by_its_group() -> None:
    found = limits.plan(Limits(pids=5), FIRST, ID)
    assert set(found.directories) == {f"/cg/{name}/{NAME}" for name in ("cpu", "cpuacct", "memory", "pids")}
    assert found.writes == ((f"/cg/pids/{NAME}/pids.max", "5"),)


def test_without_control_groups() -> None:
    wanted = Limits(memory=64 * MIB, cpus=1, cpuset="0,2-3", pids=10)
    assert limits.plan(wanted, Means(), ID) == Enforcement(affinity=frozenset({0, 2, 3}))
    assert [text.partition(" cannot")[0] for text in limits.warnings(wanted, Means())] == [
        "Memory",
        "Processor time",
        "The number of processes",
    ]
    own = Means(counts_processes=True)
    assert limits.plan(wanted, own, ID).rlimits == (("nproc", 10, 10),)
    assert len(limits.warnings(wanted, own)) == 2


def test_own_groups_are_found_in_what_the_kernel_says() -> None:
    assert limits.candidates(MOUNTS_1, OWN_1) == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory/one",
    }


def test_version_2_needs_controllers_that_were_handed_down(tmp_path: Path) -> None:
    own = tmp_path / "user slice" / "scope"
    own.mkdir(parents=True)
    mounts = f"30 29 0:26 / {str(tmp_path).replace(' ', chr(92) + '040')} rw - cgroup2 cgroup2 rw,nsdelegate\n"
    assert limits.find(False, mounts, "0::/user slice/scope\n") == Means()
    (own.parent / "cgroup.subtree_control").write_text("cpu memory pids hugetlb\n")
    (own.parent / "cgroup.procs").write_text("")
    found = limits.find(False, mounts, "0::/user slice/scope\n")
    assert (found.version, found.controllers) == (2, dict.fromkeys(("cpu", "memory", "pids"), str(own.parent)))
    assert sorted(path.name for path in own.parent.iterdir()) == ["cgroup.procs", "cgroup.subtree_control", "scope"]


@pytest.mark.parametrize(("text", "numbers"), [("0", [0]), ("0-2", [0, 1, 2]), ("0,2-3", [0, 2, 3])])
def test_processors(text: str, numbers: list[int]) -> None:
    assert limits.processors(text) == numbers


# With the kernel

MEANS = limits.find()
needs = {
    name: pytest.mark.skipif(name not in MEANS.controllers, reason=f"no group of {name} may be made") for name in FIRST.controllers
}


@pytest.fixture
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    group = Group(limits.plan(request.param, MEANS, os.urandom(8).hex()))
    group.create()
    yield group
    group.remove()
    assert not any(os.path.exists(directory) for directory in group.directories)


def run_in(group: Group, code: str) -> int:
    """The exit code of a Python program in the group."""
    pid = os.fork()
    if not pid:
        try:
            group.enter()
            os.execv(sys.executable, [sys.executable, "-S", "-c", code])
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@needs["memory"]
@pytest.mark.parametrize("group", [Limits(memory=48 * MIB)], indirect=True)
def test_who_takes_too_much_memory_is_killed(group: Group) -> None:
    assert run_in(group, "pass") == 0
    assert group.oom_kills() == 0
    assert run_in(group, "x = bytearray(100 << 20)") == -9
    assert group.oom_kills() == 1


@needs["memory"]
@pytest.mark.parametrize("group", [Limits(memory=48 * MIB)], indirect=True)
def test_memory_is_raised_and_lowered(group: Group) -> None:
    name = os.path.basename(group.directories[0]).removeprefix("dockerlab-")
    for memory in (256 * MIB, 64 * MIB):
        group.update(limits.plan(Limits(memory=memory), MEANS, name), lambda: ())
    assert run_in(group, "x = bytearray(40 << 20)") == 0
    assert run_in(group, "x = bytearray(200 << 20)") == -9


@needs["pids"]
@pytest.mark.parametrize("group", [Limits(pids=4)], indirect=True)
def test_who_forks_too_often_is_refused(group: Group) -> None:
    code = """
import os, sys
children = 0
try:
    while children < 50:
        pid = os.fork()
        if not pid:
            sys.stdin.read()
            os._exit(0)
        children += 1
except BlockingIOError:
    pass
finally:
    import signal
    os.killpg(0, signal.SIGKILL) if children >= 50 else None
sys.exit(children)
"""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setsid()
            os.dup2(read, 0)
            os.close(write)
            group.enter()
            os.execv(sys.executable, [sys.executable, "-S", "-c", code])
        finally:
            os._exit(99)
    os.close(read)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    os.close(write)


@pytest.mark.parametrize("group", [Limits(cpuset="0")], indirect=True)
def test_a_set_of_processors(group: Group) -> None:
    assert run_in(group, "import os, sys; sys.exit(sorted(os.sched_getaffinity(0)) != [0])") == 0


def test_the_affinity_alone() -> None:
    group = Group(Enforcement(affinity=frozenset({0})))
    group.create()
    assert run_in(group, "import os, sys; sys.exit(sorted(os.sched_getaffinity(0)) != [0])") == 0
    group.remove()
