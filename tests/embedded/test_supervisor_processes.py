"""Containers without namespaces and mounts: how programs start and end in one, and what its monitor sees."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dockerlab.engine.runtime.plan import Limits, Network, Process
from dockerlab.engine.runtime.supervisor.guard import SupervisedGuard
from tests.embedded.supervised import PATH, Container, Ran, Started, finish, guarded, start, wait


class TestPrograms:
    """How it starts, and how it ends."""

    @pytest.mark.parametrize(
        ("argv", "code", "text"),
        [
            (["nosuch"], 127, 'exec: "nosuch": executable file not found in $PATH'),
            (["/nosuch"], 127, 'exec: "/nosuch": stat /nosuch: no such file or directory'),
            (["/data/file"], 126, 'exec: "/data/file": permission denied'),
            (["/data"], 126, 'exec: "/data": is a directory: permission denied'),
        ],
    )
    def test_what_cannot_start(self, container: Container, argv: list[str], code: int, text: str) -> None:
        ran = container.run(*argv)
        assert ran.problem == {"error": text, "exit_code": code}

    def test_a_missing_directory(self, container: Container) -> None:
        ran = container.run("true", cwd="/nosuch")
        assert "chdir to cwd" in ran.problem["error"]
        assert container.run("pwd", cwd="/made/for/it", make_cwd=True).out == "/made/for/it\n"

    def test_scripts(self, container: Container) -> None:
        script = 'printf "#!/bin/sh -e\\necho \\$0 \\$@\\n" > /s; printf "#!/s two\\n" > /t; printf "#!/nosuch\\n" > /u; chmod +x /[stu]; '
        ran = container.sh(script + "/s a 'b c'; cd /; ./t x; /u; printf garbage > /v; chmod +x /v; exec /v")
        assert ran.out == "/s a b c\n/s two ./t x\n"
        assert "not found" in ran.err

    def test_names(self, container: Container) -> None:
        ran = container.sh("readlink /proc/self/exe; cat /proc/self/comm; cat /proc/1/comm; cat /proc/self/cmdline")
        assert ran.out == "/usr/bin/busybox\ncat\nsh\ncat\0/proc/self/cmdline\0"

    def test_exit_codes_and_signals(self, container: Container) -> None:
        assert container.sh("exit 7").code == 7
        assert container.sh("kill -9 $$").code == 137
        assert container.sh("trap 'echo got; exit 3' TERM; kill $$; sleep 5").out == "got\n"
        ran = container.sh("sleep 100 & kill -STOP $!; kill -CONT $!; kill $!; wait $!; echo $?")
        assert ran.out == "143\n"

    def test_signals_stay_inside(self, container: Container) -> None:
        # The list goes to a file: in a pipe, who reads it may be there already, or not yet.
        script = "ls -d /proc/{0}; ls /proc > /listed; grep -c '^[0-9]' /listed"
        ran = container.sh(f"kill -0 {os.getpid()}; kill -0 1 && echo own; {script.format(os.getpid())}")
        assert ran.out == "own\n2\n"
        assert "No such process" in ran.err

    def test_host_names(self, container: Container) -> None:
        assert container.sh("hostname; uname -n; cat /proc/sys/kernel/hostname", hostname="web").out == "web\n" * 3

    def test_what_only_a_true_root_may(self, container: Container) -> None:
        ran = container.sh("mount -t tmpfs none /mnt; chroot / true; hostname x; mknod /b b 7 0 && cat /b")
        assert ran.code != 0
        assert len(ran.err.splitlines()) == 4


class TestNetwork:
    """Addresses."""

    def test_it_has_an_address_of_its_own(self, container: Container) -> None:
        network = Network("loopback", "127.18.77.3")
        script = """(echo hello | nc -l -p 45001) &
            for i in $(seq 100); do nc 127.0.0.1 45001 < /dev/null && break; sleep 0.1; done"""
        ran = container.sh(script, network=network)
        assert ran.out.splitlines()[0] == "hello", ran.err

    @pytest.mark.parametrize("address", ["10.255.255.1", "127.18.0.2", "127.19.0.1"])
    def test_none_reaches_itself_alone(self, container: Container, address: str) -> None:
        ran = container.sh(f"nc -w 1 {address} 80 < /dev/null", network=Network("none", first_port=1024))
        assert "unreachable" in ran.err


class TestGuard:
    """What the monitor sees."""

    def test_processes_are_added_and_killed(self, container: Container) -> None:
        def work() -> tuple[int, str, int, int, list[int]]:
            with guarded(container.plan()) as guard:
                first = start(guard, Process(("sleep", "100"), env=(PATH,)))
                second = finish(guard, start(guard, Process(("sh", "-c", "cat /proc/1/comm; exit 4"), env=(PATH,))))
                alive = len(guard.pids())
                other = start(guard, Process(("sleep", "100"), env=(PATH,)))
                os.kill(first.pid, signal.SIGTERM)  # as PID 1 it is spared
                os.kill(other.pid, signal.SIGTERM)
                code = wait(guard, other.pid)
                os.kill(first.pid, signal.SIGKILL)
                assert wait(guard, first.pid) == 137
                for started in (first, other):
                    _close(started)
                return second.code or 0, second.out, alive, code, guard.pids()

        assert container.box.do(work) == (4, "sleep\n", 1, 143, [])

    def test_a_terminal(self, container: Container) -> None:
        def work() -> tuple[int, bytes]:
            with guarded(container.plan()) as guard:
                process = Process(
                    ("sh", "-c", "tty; stty size; echo > /dev/tty; test -t 0 && read x && echo got $x"),
                    env=(PATH,),
                    tty=True,
                    size=(33, 99),
                )
                started = start(guard, process)
                assert started.tty is not None
                os.write(started.tty, b"typed\n")
                code = wait(guard, started.pid)
                said = b""
                try:
                    while data := os.read(started.tty, 4096):
                        said += data
                except OSError:
                    pass  # EIO: the terminal is closed
                _close(started)
                os.close(started.tty)
                return code, said

        code, said = container.box.do(work)
        assert code == 0
        assert said.startswith(b"/dev/pts/") or b"\r\n/dev/pts/" in said
        assert b"33 99" in said
        assert b"got typed" in said

    def test_a_job_works_inside(self, container: Container) -> None:
        ran = container.run(job="archive_stat", arguments={"path": "/data/link"})
        assert (ran.code, json.loads(ran.err)["linkTarget"]) == (0, "/data/file")
        ran = container.run(job="archive_get", arguments={"path": "/data/folder"})
        assert ran.code == 0
        assert "inside" in ran.out

    def test_what_forks_without_end_is_stopped(self, container: Container) -> None:
        def work() -> int:
            plan = container.plan()
            guard = SupervisedGuard(type(plan)(**{**plan.__dict__, "limits": Limits(pids=50)}))
            bomb = start(guard, Process(("sh", "-c", "b() { b | b & b; }; b"), env=(PATH,)))
            time.sleep(0.5)
            guard.close()
            _close(bomb)
            return sum(_belongs_to(int(name), container.identifier) for name in os.listdir("/proc") if name.isdigit())

        assert container.box.do(work) == 0

    def test_a_fork_too_many_is_refused(self, container: Container) -> None:
        script = """
            (i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i + 1)); done); echo full; read x
            killall sleep; while pidof sleep > /dev/null; do :; done
            i=0; while [ $i -lt 28 ]; do sleep 0 & i=$((i + 1)); done; wait; echo again"""

        def work() -> tuple[bytes, list[int], Ran]:
            counts = []
            with guarded(replace(container.plan(), limits=Limits(pids=30))) as guard:
                started = start(guard, Process(("sh", "-c", script), env=(PATH,), stdin=True))
                while not select.select([started.outputs[1]], [], [], 0)[0]:
                    counts.append(len(guard.pids()))
                said = os.read(started.outputs[1], 100)
                counts.append(len(guard.pids()))
                # Who is put in from outside is let in, and cannot fork.
                beside = finish(guard, start(guard, Process(("sh", "-c", "exec echo in"), env=(PATH,))))
                assert (beside.out, beside.err) == ("in\n", "")
                return said, counts, finish(guard, started, b"\n")

        said, counts, ran = container.box.do(work)
        assert (said, counts[-1]) == (b"full\n", 29)  # the shell that was refused a fork has ended
        assert max(counts) in (29, 30)  # whether it was seen
        assert ran.err.count("can't fork") == 1
        assert ran.out == "again\n"

    @pytest.mark.parametrize("ended", [True, False], ids=["zombies", "living"])
    def test_three_thousand_children_leave_nothing(self, container: Container, ended: bool) -> None:
        script = "exec 3<&0; i=0; while [ $i -lt 3000 ]; do read x <&3 & i=$((i + 1)); done; echo done; exec sleep 60"

        def work() -> tuple[int, list[str]]:
            with guarded(container.plan()) as guard:
                started = start(guard, Process(("sh", "-c", script), env=(PATH,), stdin=True))
                assert os.read(started.outputs[1], 100) == b"done\n"
                pids = guard.pids()
                if ended:
                    os.close(started.stdin)
                    started.stdin = os.dup(started.outputs[1])
                    deadline = time.monotonic() + 30
                    while _states(pids).count("Z") < 3000:
                        assert time.monotonic() < deadline, "nobody may wait for them"
                        time.sleep(0.1)
            _close(started)
            return len(pids), _states(pids)

        assert container.box.do(work) == (3001, [])

    def test_nothing_outlives_its_supervisor(self, container: Container) -> None:
        def work() -> bool:
            guard = SupervisedGuard(container.plan())
            started = start(guard, Process(("sleep", "100"), env=(PATH,)))
            os.kill(guard._supervisor, signal.SIGKILL)
            code = wait(guard, started.pid)
            guard.close()
            _close(started)
            deadline = time.monotonic() + 10
            while os.path.exists(f"/proc/{started.pid}") and time.monotonic() < deadline:
                time.sleep(0.01)
            return code == 137

        assert container.box.do(work)

    def test_limits_and_environment(self, container: Container) -> None:
        ran = container.sh("ulimit -n; echo $A $HOME", env=(PATH, "A=b c"), rlimits=(("nofile", 77, 88),))
        assert ran.out == "77\nb c /root\n"


def _close(started: Started) -> None:
    for fd in (started.stdin, *started.outputs.values()):
        os.close(fd)


def _states(pids: list[int]) -> list[str]:
    """Of those that are there."""
    found = []
    for pid in pids:
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0])
    return found


def _belongs_to(pid: int, identifier: str) -> bool:
    try:
        return identifier in os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
