"""Containers without namespaces and mounts: what a program in one sees, as root and as somebody without any rights."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.engine.runtime.plan import Limits, Mount, Network, Process
from dockerlab.engine.runtime.supervisor.guard import SupervisedGuard
from tests.embedded.supervised import PATH, SOMEBODY, Box, Container, Started, box, finish, guarded, image, layer, start, wait

_UIDS = sorted({os.geteuid(), SOMEBODY} if os.geteuid() == 0 else {os.geteuid()})


@pytest.fixture(scope="module", params=_UIDS, ids=lambda uid: f"uid{uid}")
def home(request: pytest.FixtureRequest) -> Iterator[Box]:
    """A home, of root and of somebody else where the tests run as root."""
    with box(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def lowers(home: Box) -> tuple[str, ...]:
    """busybox, and a layer on top of it."""
    more = layer(
        ("data", None, {}),
        ("data/file", b"from the image\n", {}),
        ("data/secret", b"secret\n", {"mode": 0o600}),
        ("data/folder", None, {}),
        ("data/folder/inside", b"inside\n", {}),
        ("data/link", "/data/file", {}),
        ("data/out", "../../../../etc/passwd", {}),
        ("data/suid", b"#!/bin/sh\nid -u\n", {"mode": 0o755}),
    )
    return home.prepare([*image("busybox"), more])


@pytest.fixture
def container(home: Box, lowers: tuple[str, ...]) -> Iterator[Container]:
    """A new container of busybox."""
    made = home.container(lowers)
    yield made
    made.remove()


class TestFiles:
    """What it reads and writes."""

    def test_it_sees_its_own_root(self, container: Container) -> None:
        ran = container.sh("cat /etc/os-release /data/file; ls /; cd data; pwd; cat ../data/./file")
        assert (ran.code, ran.err) == (0, "")
        assert "from the image\n" in ran.out
        assert "data\n" in ran.out
        assert ran.out.endswith("/data\nfrom the image\n")

    def test_nothing_leads_out_of_it(self, container: Container) -> None:
        ran = container.sh(
            "cat /data/out; cat /../../etc/passwd; cd /; cd ..; pwd; ls /proc/self/root/data; cat /data/../../../data/file"
        )
        assert str(Path(__file__).parents[2]) not in ran.out
        assert ran.out.count("nobody:x:65534") == 2
        assert "/\n" in ran.out
        assert ran.out.endswith("from the image\n")

    def test_what_it_writes_is_its_own(self, container: Container, lowers: tuple[str, ...]) -> None:
        ran = container.sh(
            "echo more >> /data/file; cat /data/file; chmod 700 /data/secret; rm /data/folder/inside; mkdir -p /new/deep"
        )
        assert (ran.code, ran.out) == (0, "from the image\nmore\n")
        assert container.changed() == [
            *("C /data", "C /data/file", "C /data/folder", "D /data/folder/inside", "C /data/secret", "A /new", "A /new/deep"),
        ]
        assert Path(lowers[0], "data/file").read_text() == "from the image\n"
        assert Path(lowers[0], "data/folder/inside").exists()

    def test_every_way_of_changing_a_file_leaves_the_image_alone(self, container: Container, lowers: tuple[str, ...]) -> None:
        before = _state(Path(lowers[0], "data"))
        ran = container.sh(
            "cd /data; truncate -s 3 file; touch -d @5 secret; chown 5:6 folder/inside; ln file hard; echo x > hard; mv secret moved;"
            "ln -sf /nowhere link; dd if=/dev/zero of=suid bs=1 count=1 conv=notrunc 2>/dev/null; echo changed > moved; rm -r folder; ls"
        )
        assert ran.code == 0, ran.err
        assert ran.out.split() == ["file", "hard", "link", "moved", "out", "suid"]
        assert _state(Path(lowers[0], "data")) == before
        assert container.sh("cat /data/file /data/hard; stat -c %h /data/file").out == "x\nx\n2\n"

    @pytest.mark.parametrize(
        "script",
        [
            *("mv file moved; echo x >> moved", "ln file hard; echo x >> hard", "ln file /hard; echo x > /hard", "echo x >> file"),
            *(
                "mv file /tmp/moved; echo x >> /tmp/moved",
                "ln -s file s; echo x >> s",
                "cp -f /etc/passwd file",
                "sed -i s/from/to/ file",
            ),
            *("chmod 1 file", "chown 1 file", "touch file", "truncate -s 0 file", "exec 3< file; touch -d @1 /proc/self/fd/3"),
            *(
                "chmod 700 .",
                "mv folder/inside file",
                "dd if=/dev/zero of=folder/inside bs=1 count=1 conv=notrunc",
                "rm file; echo > file",
            ),
            *("cd folder; rm inside; cd ..; rmdir folder; mkdir folder; touch folder/inside", "cp file file2; ln -f file2 file"),
        ],
    )
    def test_no_change_reaches_the_image(self, container: Container, lowers: tuple[str, ...], script: str) -> None:
        before = [_state(Path(lower)) for lower in lowers]
        container.sh(f"cd /data; {script}")
        assert [_state(Path(lower)) for lower in lowers] == before
        assert container.changed()

    def test_two_containers_do_not_see_each_other(self, home: Box, lowers: tuple[str, ...]) -> None:
        first, second = home.container(lowers), home.container(lowers)
        assert first.sh("echo one > /data/file; rm -r /data/folder").code == 0
        assert second.sh("cat /data/file; ls /data/folder").out == "from the image\ninside\n"

    def test_errors_are_those_of_the_kernel(self, container: Container) -> None:
        ran = container.sh(
            "cat /nosuch; cat /data/file/x; mkdir /data; rmdir /data; mv /data /data/folder/x; ln -s /loop /loop; cat /loop; cat /data; "
            "rm /proc/version; unlink /data; echo > /etc/"
        )
        expected = [
            "No such file",
            "Not a directory",
            "File exists",
            "not empty",
            "Invalid argument",
            "symbolic links",
            "Is a directory",
        ]
        assert [text for text in expected if text not in ran.err] == []

    def test_directories_of_the_image_are_moved_by_copying(self, container: Container) -> None:
        ran = container.sh("mv /data/folder /data/moved && cat /data/moved/inside; mkdir /own; mv /own /mine; ls -d /own /mine")
        assert ran.out == "inside\n/mine\n"

    def test_owners_and_modes_are_kept(self, container: Container) -> None:
        script = "cd /data; chown 33:44 file; chmod 4750 file; chmod 0 secret; mknod null c 1 3; echo x > null; mkfifo pipe; "
        assert container.sh(script).code == 0
        ran = container.sh("cd /data; stat -c '%n %u:%g %a %F' file secret null pipe; cat secret")
        assert ran.out == (
            "file 33:44 4750 regular file\nsecret 0:0 0 regular file\nnull 0:0 644 character special file\n"
            "pipe 0:0 644 fifo\nsecret\n"
        )

    def test_a_directory_keeps_its_number(self, container: Container) -> None:
        ran = container.sh("stat -c %i /data; touch /data/x; stat -c %i /data; rm -r /data; ls -d /data")
        first, second = ran.out.split()
        assert first == second
        assert "No such file" in ran.err

    def test_pipes_wait_for_their_other_end(self, container: Container) -> None:
        assert (
            container.sh("mkfifo /p; (sleep 0.1; echo through > /p) & cat /p; cat /p & echo again > /p; wait").out
            == "through\nagain\n"
        )

    def test_devices(self, container: Container) -> None:
        ran = container.sh(
            "echo x > /dev/null; head -c 3 /dev/zero | wc -c; ls -l /dev/fd; echo err > /dev/stderr; cat /dev/fd/0", stdin=b"in"
        )
        assert (ran.out.split()[0], ran.err) == ("3", "err\n")
        assert ran.out.endswith("/proc/self/fd\nin")


class TestMounts:
    """What is bound into it."""

    def test_binds_are_the_hosts(self, container: Container, home: Box) -> None:
        source = home.home.root / "source"

        def make() -> None:
            source.mkdir()
            (source / "a").write_text("a")

        home.do(make)
        mounts = [Mount("bind", str(source), "/mnt/rw"), Mount("bind", str(source), "/mnt/ro", readonly=True)]
        mounts.append(Mount("bind", str(source / "a"), "/etc/hosts", readonly=True))
        ran = container.sh(
            "echo b > /mnt/rw/b; cat /mnt/ro/b /etc/hosts; echo > /mnt/ro/c; echo > /etc/hosts; rm /etc/hosts", mounts=mounts
        )
        assert ran.out == "b\na"
        assert ran.err.count("Read-only file system") == 2
        assert "busy" in ran.err
        assert (source / "b").read_text() == "b\n"
        assert "A /mnt" in container.changed()
        assert not any("hosts" in change for change in container.changed())

    def test_temporary_file_systems_are_empty(self, container: Container) -> None:
        mounts = [Mount("tmpfs", "", "/data", options={"mode": "700"})]
        ran = container.sh("ls /data; stat -c %a /data; touch /data/x; mount | grep -c /data", mounts=mounts)
        assert ran.out == "700\n1\n"
        assert container.sh("ls /data").out.startswith("file\n")

    def test_a_read_only_root(self, container: Container) -> None:
        ran = container.sh("touch /x; rm /data/file; chmod 1 /data; true > /data/file; touch /dev/shm/x && echo shm", readonly=True)
        assert ran.out == "shm\n"
        assert ran.err.count("Read-only file system") == 4


class TestIdentity:
    """Who it is."""

    def test_root_and_users(self, container: Container) -> None:
        assert container.sh("id -u; id -g").out == "0\n0\n"
        ran = container.sh(
            "id; cat /data/file; cat /data/secret; echo > /data/x; touch /tmp/mine; stat -c %u:%g /tmp/mine", user="1234:56"
        )
        assert ran.out == "uid=1234 gid=56\nfrom the image\n1234:56\n"
        assert ran.err.count("Permission denied") == 2

    def test_a_user_may_change_what_is_its_own_alone(self, container: Container) -> None:
        ran = container.sh("cd /tmp; touch a; chmod 600 a; chown 0 a; chmod 777 /data/file; rm -r /data/folder", user="77")
        assert ran.err.count("not permitted") >= 2
        assert "Permission denied" in ran.err

    def test_what_proc_says_of_it(self, container: Container) -> None:
        ran = container.sh(
            "grep -E '^(Uid|Gid|TracerPid)' /proc/self/status; stat -L -c %u:%g /proc/self; umask 7; grep Umask /proc/$$/status",
            user="12:34",
        )
        assert ran.out == "TracerPid:\t0\nUid:\t12\t12\t12\t12\nGid:\t34\t34\t34\t34\n12:34\nUmask:\t0007\n"

    def test_unknown_users(self, container: Container) -> None:
        ran = container.run("id", user="nobody-knows")
        assert ran.problem["error"] == "unable to find user nobody-knows: no matching entries in passwd file"


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
        ran = container.sh(f"kill -0 {os.getpid()}; kill -0 1 && echo own; ls -d /proc/{os.getpid()}; ls /proc | grep -c '^[0-9]'")
        assert ran.out == "own\n3\n"
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

    def test_none_reaches_itself_alone(self, container: Container) -> None:
        ran = container.sh("nc -w 1 10.255.255.1 80 < /dev/null", network=Network("none"))
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


def _state(folder: Path) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found.append((str(path), status.st_ino, status.st_mode, status.st_uid, status.st_mtime_ns, content))
    return found


def _close(started: Started) -> None:
    for fd in (started.stdin, *started.outputs.values()):
        os.close(fd)


def _belongs_to(pid: int, identifier: str) -> bool:
    try:
        return identifier in os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
