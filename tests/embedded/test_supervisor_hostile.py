"""What a program in a supervised container tries, and must not succeed in: to change its image, to leave, to reach others, to stay.

Each attempt is a function that runs inside, as a job: with the filter, the tracer and the answers of any other process.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import stat
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from dockerlab.engine.rootfs.tree import Tree
from dockerlab.engine.runtime import bpf, jobs, kernel
from dockerlab.engine.runtime.plan import Limits, Process
from dockerlab.engine.runtime.supervisor.answers import Later, Paths
from dockerlab.engine.runtime.supervisor.machine import this_machine
from dockerlab.engine.runtime.supervisor.members import Members
from dockerlab.engine.runtime.supervisor.opening import Opening
from dockerlab.engine.runtime.supervisor.view import View
from tests.embedded.supervised import Container, finish, guarded, start, state_of

_SETFLAGS, _NODUMP = 0x40086602, 0x40
_UNTRACED, _SIGCHLD = 0x00800000, 17
_NUMBERS = this_machine().numbers


def inside(container: Container, attempt: Callable[[], object], pids: int = 0) -> Any:
    """What an attempt gives, inside of the container: a value that JSON has, or the name of its error."""

    def work() -> str:
        cast(dict[str, Any], jobs.JOBS)["attempt"] = lambda arguments: {"said": outcome(attempt)}
        with guarded(replace(container.plan(), limits=Limits(pids=pids))) as guard:
            return finish(guard, start(guard, Process(("attempt",), job="attempt"))).err

    return json.loads(container.box.do(work))["said"]


def outcome(attempt: Callable[[], object]) -> object:
    try:
        return attempt()
    except OSError as failure:
        return errno.errorcode[failure.errno or 0]


def call(name: str, *arguments: object) -> int:
    """A system call. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    number = _NUMBERS[name] if name in _NUMBERS else int(name)
    result = library.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return int(result)


@pytest.fixture
def other() -> Iterator[int]:
    """A process outside, which any process of whoever runs it may reach."""
    made = os.fork()
    if not made:
        signal.pause()
        os._exit(0)
    yield made
    os.kill(made, signal.SIGKILL)
    os.waitpid(made, 0)


def _removed() -> int:
    fd = os.open("/data/file", os.O_RDONLY)
    os.unlink("/data/file")
    return fd


def _become_somebody() -> None:
    os.setgid(77)
    os.setuid(77)


def _nameless() -> list[int]:
    """What somebody sees of their own file that has lost its name, once they have changed it. gunicorn's workers do that all the time."""
    _become_somebody()
    fd, name = tempfile.mkstemp(dir="/tmp")
    os.unlink(name)
    os.utime(fd, (5, 5))
    os.fchmod(fd, 0o640)
    os.fchown(fd, 77, 77)
    now = os.fstat(fd)
    return [now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode), int(now.st_mtime)]


def test_a_file_without_a_name_is_still_its_owners(container: Container) -> None:
    assert inside(container, _nameless) == [77, 77, 0o640, 5]


def test_a_file_without_a_name_that_was_given_to_root_is_roots(container: Container) -> None:
    def attempt() -> list[int]:
        fd, name = tempfile.mkstemp(dir="/tmp")
        os.unlink(name)
        os.fchmod(fd, 0o600)
        os.fchown(fd, 77, 77)
        os.fchown(fd, 0, 0)
        now = os.fstat(fd)
        return [now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)]

    assert inside(container, attempt) == [0, 0, 0o600]


@pytest.mark.parametrize(
    "change", [lambda fd: os.utime(fd, (5, 5)), lambda fd: os.fchmod(fd, 0o777), lambda fd: os.fchown(fd, 77, 77)]
)
def test_a_file_without_a_name_is_nobody_elses(container: Container, change: Callable[[int], None]) -> None:
    assert container.sh("mkdir -m 777 /open; echo roots > /open/file").code == 0

    def attempt() -> None:
        _become_somebody()
        fd = os.open("/open/file", os.O_RDONLY)
        os.unlink("/open/file")
        change(fd)

    assert inside(container, attempt) == "EPERM"


@pytest.mark.parametrize(
    "change",
    [
        lambda fd: os.fchmod(fd, 0o777),
        lambda fd: os.fchown(fd, 5, 6),
        lambda fd: os.utime(fd, (1, 1)),
        lambda fd: os.setxattr(fd, "user.x", b"1"),
    ],
    ids=["chmod", "chown", "times", "attributes"],
)
def test_a_descriptor_that_becomes_another_file_while_it_is_looked_at(
    container: Container, lowers: tuple[str, ...], change: Callable[[int], None]
) -> None:
    before = [state_of(Path(lower)) for lower in lowers]

    def attempt() -> int:
        images, (own, name) = _removed(), tempfile.mkstemp(dir="/tmp")
        os.unlink(name)
        changing = os.dup(own)
        is_over = threading.Event()

        def exchange() -> None:
            while not is_over.is_set():
                os.dup2(images, changing)
                os.dup2(own, changing)

        other = threading.Thread(target=exchange)
        other.start()
        done = 0
        for _ in range(1500):
            with suppress(OSError):
                change(changing)
                done += 1
        is_over.set()
        other.join()
        return done

    assert inside(container, attempt) > 0
    assert [state_of(Path(lower)) for lower in lowers] == before


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        (lambda: os.fchmod(_removed(), 0o777), "EPERM"),
        (lambda: os.fchown(_removed(), 5, 6), "EPERM"),
        (lambda: os.utime(_removed(), (1, 1)), "EPERM"),
        (lambda: os.setxattr(_removed(), "user.x", b"1"), "EPERM"),
        (lambda: os.open(f"/proc/self/fd/{_removed()}", os.O_WRONLY), "ENOENT"),
        (lambda: str(fcntl.ioctl(os.open("/data/file", os.O_RDONLY), _SETFLAGS, struct.pack("l", _NODUMP))), "ENOTSUP"),
        (lambda: fcntl.fcntl(os.open("/data/file", os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK), "EINVAL"),
    ],
    ids=["chmod", "chown", "times", "attributes", "reopen", "flags", "lease"],
)
def test_an_open_file_of_the_image_is_not_changed(
    container: Container, lowers: tuple[str, ...], attempt: Callable[[], object], error: str
) -> None:
    before = [state_of(Path(lower)) for lower in lowers]
    assert inside(container, attempt) == error
    assert [state_of(Path(lower)) for lower in lowers] == before


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        (lambda pid: os.kill(pid, 0), "ESRCH"),
        (lambda pid: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0)), "ESRCH"),
        (lambda pid: os.sched_setaffinity(pid, {0}), "ESRCH"),
        (lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19), "ESRCH"),
        (lambda pid: os.setpriority(os.PRIO_PGRP, os.getpgid(pid), 19), "ESRCH"),
        (lambda pid: os.setpriority(os.PRIO_USER, 0, 19), "EPERM"),
        (lambda pid: call("ioprio_set", 1, pid, 3 << 13), "ESRCH"),
        (lambda pid: call("pidfd_open", pid, 0), "ESRCH"),
        (lambda pid: call("kcmp", os.getpid(), pid, 0, 0, 0), "EPERM"),
        (lambda pid: os.listdir(f"/proc/{pid}"), "ENOENT"),
        (lambda pid: os.listdir(f"/proc/{os.getppid()}"), "ENOENT"),
        (lambda pid: call("ptrace", 16, pid, 0, 0), "EPERM"),
    ],
)
def test_processes_of_others_are_out_of_reach(
    container: Container, other: int, attempt: Callable[[int], object], error: str
) -> None:
    assert inside(container, lambda: attempt(other)) == error


def test_its_own_are_not(container: Container) -> None:
    def attempt() -> list[object]:
        resource.prlimit(os.getpid(), resource.RLIMIT_CORE, (0, 0))
        os.sched_setaffinity(0, os.sched_getaffinity(os.getpid()))
        os.setpriority(os.PRIO_PROCESS, 0, 5)
        os.setpriority(os.PRIO_PGRP, os.getpgrp(), 6)
        return [resource.getrlimit(resource.RLIMIT_CORE)[0], os.getpriority(os.PRIO_PROCESS, os.getpid())]

    assert inside(container, attempt) == [0, 6]


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        (lambda: call("openat2", -100, b"/etc/passwd", bytes(24), 24), "ENOSYS"),
        (lambda: call("io_uring_setup", 4, bytes(120)), "ENOSYS"),
        (lambda: call("name_to_handle_at", -100, b"/etc", bytes(128), bytes(8), 0), "EPERM"),
        (lambda: call("chroot", b"/data"), "EPERM"),
        (lambda: call("unshare", 0x10000000), "EPERM"),
        (lambda: call("463", 0, 0, 0, 0), "ENOSYS"),
        (lambda: os.open("/proc/self/exe", os.O_RDONLY), "EACCES"),  # still the engine's own Python, outside
        (lambda: os.open("/proc/sys/vm/swappiness", os.O_WRONLY), "EROFS"),
        (lambda: os.open("/sys/kernel/profiling", os.O_WRONLY), "EROFS"),
        (lambda: os.open("/dev/tty", os.O_RDWR), "ENXIO"),
    ],
)
def test_there_is_no_way_out(container: Container, attempt: Callable[[], object], error: str) -> None:
    assert inside(container, attempt) == error


@pytest.mark.skipif(this_machine().name != "x86_64", reason="only x86-64 has a second table of system calls")
def test_the_other_table_of_system_calls_is_empty(container: Container) -> None:
    assert inside(container, lambda: call(str(0x40000000 | 39))) == "ENOSYS"


def test_nobody_leaves_the_tracer(container: Container) -> None:
    assert inside(container, lambda: call("clone", _UNTRACED | _SIGCHLD, 0, 0, 0, 0) or os._exit(0)) == "EPERM"


def _forked_until_refused() -> list[int]:
    made: list[int] = []
    with suppress(BlockingIOError):
        while len(made) < 100:
            if not (pid := os.fork()):
                os._exit(0)
            made.append(pid)
    return made


def test_who_waits_for_no_child_is_refused_another(container: Container) -> None:
    def attempt() -> list[object]:
        zombies = _forked_until_refused()
        with suppress(RuntimeError):
            threading.Thread(target=print).start()
            zombies.append(0)
        spawned = outcome(lambda: os.posix_spawn("/bin/true", ["true"], {}))
        more = []
        for waited in (1, 5):
            for pid in zombies[:waited]:
                os.waitpid(pid, 0)
            zombies = zombies[waited:]
            more.append(len(made := _forked_until_refused()))
            zombies += made
        for pid in zombies:
            os.waitpid(pid, 0)
        return [len(zombies), spawned, *more, subprocess.run(["/bin/true"], check=False).returncode]

    assert inside(container, attempt, pids=30) == [29, "EAGAIN", 1, 5, 0]


# Both run as each user: half as often as one of them would have to.


def test_many_short_lives_are_not_too_many(container: Container) -> None:
    def attempt() -> int:
        for _ in range(150):
            if not (pid := os.fork()):
                os._exit(0)
            os.waitpid(pid, 0)
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
        return subprocess.run(["/bin/true"], check=False).returncode

    # A thread that was joined may still be on its way out.
    assert inside(container, attempt, pids=4) == 0


def test_a_child_of_one_that_is_killed_as_it_forks_is_not_left_behind(container: Container) -> None:
    def attempt() -> int:
        for _ in range(100):
            if not (forking := os.fork()):
                while True:
                    if not os.fork():
                        os._exit(0)
            os.kill(forking, signal.SIGKILL)
            os.waitpid(forking, 0)
        return len(_forked_until_refused())

    assert inside(container, attempt, pids=20) == 19


def test_a_filter_of_its_own_that_asks_for_a_tracer_finds_none(container: Container) -> None:
    getppid = {"x86_64": 110, "aarch64": 173}[this_machine().name]

    def attempt() -> int:
        kernel.seccomp(bpf.assemble({getppid: bpf.TRACE}))
        return call(str(getppid))

    assert inside(container, attempt) == "ENOSYS"


@pytest.mark.parametrize(
    "run",
    [
        lambda fd: os.execve(fd, ["sh", "/data/here"], {}),
        lambda fd: os.execve(f"/proc/self/fd/{fd}", ["sh", "/data/here"], {}),
    ],
    ids=["descriptor", "path"],
)
@pytest.mark.parametrize("content", ["program", "script"])
def test_a_program_in_memory_is_the_containers(container: Container, run: Callable[[int], object], content: str) -> None:
    def attempt() -> int:
        Path("/data/here").write_text("test -d /data && exit 7")
        Path("/only").mkdir()
        Path("/only/sh").symlink_to("/bin/busybox")  # where the host has none
        fd = os.memfd_create("program", 0)
        script = b"#!/only/sh\ntest -d /data && exit 7\n"
        os.write(fd, Path("/bin/busybox").read_bytes() if content == "program" else script)
        if child := os.fork():
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        outcome(lambda: run(fd))
        os._exit(1)

    assert inside(container, attempt) == 7


def test_a_pipe_is_not_swapped_for_a_link_while_it_is_opened(tmp_path: Path) -> None:
    """It is opened by a thread, which waits; what its path leads to by then may be a link to a file of the host."""
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    outside.touch()
    os.mkfifo(top / "pipe")
    members = Members()
    opening = Opening(Paths(View(Tree(os.fsencode(top), b"", b""), members)), {}, {})
    path = ctypes.create_string_buffer(b"/pipe")
    answer = opening.handlers()["openat"](members.start(os.getpid()), os.getpid(), (0, ctypes.addressof(path), os.O_WRONLY, 0))
    assert isinstance(answer, Later)
    reader = os.open(top / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    (top / "pipe").unlink()
    (top / "pipe").symlink_to(outside)
    writer = answer.wait()
    assert stat.S_ISFIFO(os.fstat(writer).st_mode)
    for fd in (reader, writer):
        os.close(fd)
    members.remove(os.getpid())
