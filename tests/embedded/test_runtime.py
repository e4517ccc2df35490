"""Containers by the real runtime, without an engine: streams, exit codes, signals, what they see, and that nothing is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.runtime import StartFailed, capabilities
from dockerlab.engine.runtime.limits import find
from dockerlab.engine.runtime.plan import Forward, Limits, Mount, Network
from dockerlab.engine.runtime.probe import probe
from tests.embedded.rig import SECONDS, Rig, read_all, rig


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    if probe(tmp_path_factory.mktemp("probe")).isolation != "namespaces":
        pytest.skip("namespaces or overlay mounts are not allowed here")
    with rig("namespaces") as box:
        yield box


def test_output_and_exit_code(box: Rig) -> None:
    ran = box.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (ran.code, ran.out, ran.err) == (3, b"out\n", b"err\n")


def test_input_is_fed_and_ended(box: Rig) -> None:
    data = b"0123456789abcde\n" * 65536
    assert box.run("cat", given=data).out == data


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH'),
        ("/nosuch", 127, 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        ("/etc", 126, 'exec: "/etc": is a directory: permission denied'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'),
    ],
)
def test_what_cannot_be_started(box: Rig, command: str, code: int, text: str) -> None:
    plan = box.plan(command)
    with pytest.raises(StartFailed) as caught, box.started(plan):
        pass
    assert (caught.value.message, caught.value.exit_code) == (text, code)
    assert not Path(plan.directory, "exit.json").exists()


def test_an_unknown_user_cannot_start(box: Rig) -> None:
    with pytest.raises(StartFailed, match="unable to find user nobodyknows: no matching entries in passwd file"):
        box.run("true", user="nobodyknows")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_a_signal_is_128_and_its_number(box: Rig, number: int) -> None:
    assert box.run("sh", "-c", f"sh -c 'kill -{int(number)} $$'; exit $?").code == 128 + number
    with box.started(box.plan("sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")) as container:
        assert container.stream.recv(100).endswith(b"ready\n")
        container.running.signal(signal.SIGTERM)
        assert container.await_event("exit")["code"] == 7


def test_it_is_process_one_of_its_own_world(box: Rig) -> None:
    ran = box.run("sh", "-c", "echo $$; hostname; id -u; ls /proc | grep -c '^[0-9]'; pwd", cwd="/tmp")
    pid, hostname, uid, processes, folder = ran.out.split()
    assert (pid, hostname, uid, folder) == (b"1", b"box", b"0", b"/tmp")
    assert int(processes) <= 4


def test_a_user_and_environment(box: Rig) -> None:
    ran = box.run("sh", "-c", "id -u; id -g; echo $A $HOME", user="1000:1000", env=("PATH=/bin", "A=1"))
    assert ran.out == b"1000\n1000\n1 /\n"


def test_devices_and_what_is_mounted(box: Rig) -> None:
    script = "echo x > /dev/null && head -c 3 /dev/zero | wc -c && ls /dev/stdout /dev/ptmx && touch /dev/shm/x /sys/x"
    ran = box.run("sh", "-c", script)
    assert ran.out == b"3\n/dev/ptmx\n/dev/stdout\n"
    assert ran.err == b"touch: /sys/x: Read-only file system\n"


def test_capabilities_are_taken_and_privileges_stay_as_they_are(box: Rig) -> None:
    def status(field: str, **settings: Any) -> str:
        return box.run("sh", "-c", f"sed -n 's/^{field}:[[:space:]]*//p' /proc/self/status", **settings).out.decode().strip()

    chown, none = f"{1:016x}", f"{0:016x}"
    assert status("CapBnd", cap_drop=("ALL",), cap_add=("cap_chown",)) == chown
    assert status("CapEff", cap_drop=("ALL",), cap_add=("CHOWN",)) == chown
    assert status("CapEff", cap_drop=("ALL",), user="7:7") == status("CapBnd", cap_drop=("ALL",), user="7:7") == none
    assert int(status("CapBnd", cap_drop=("NET_RAW",)), 16) == int(status("CapBnd"), 16) & ~(
        1 << capabilities.NAMES.index("NET_RAW")
    )
    assert (status("NoNewPrivs"), status("NoNewPrivs", no_new_privileges=True)) == ("0", "1")


def test_how_soon_it_is_ended_where_memory_is_short(box: Rig) -> None:
    assert box.run("cat", "/proc/self/oom_score_adj", oom_score_adj=321).out == b"321\n"


def test_writes_stay_above_the_image(box: Rig) -> None:
    plan = box.plan("sh", "-c", "echo changed > /etc/passwd; rm /etc/group; mkdir /new")
    with box.started(plan) as container:
        assert container.finish().code == 0
    assert Path(plan.root.upper, "etc", "passwd").read_text() == "changed\n"
    assert Path(plan.root.upper, "new").is_dir()
    assert (box.lower / "etc" / "group").exists()
    assert "changed" not in (box.lower / "etc" / "passwd").read_text()


def test_a_read_only_root(box: Rig) -> None:
    ran = box.run("sh", "-c", "touch /x", readonly=True)
    assert (ran.code, ran.err) == (1, b"touch: /x: Read-only file system\n")


def test_binds_files_directories_and_tmpfs(box: Rig, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("from the host\n")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    mounts = (
        Mount("bind", str(tmp_path / "data"), "/deep/er/data"),
        Mount("bind", str(tmp_path / "hosts"), "/etc/hosts", readonly=True),
        Mount("tmpfs", "", "/scratch", options={"size": "65536", "mode": "0700"}),
    )
    script = """cat /deep/er/data/a /etc/hosts; echo b > /deep/er/data/b; echo >> /etc/hosts
        dd if=/dev/zero of=/scratch/x bs=4096 count=64; stat -c %a /scratch"""
    ran = box.run("sh", "-c", script, mounts=mounts)
    assert ran.out == b"from the host\n127.0.0.1 localhost\n700\n"
    assert b"Read-only file system" in ran.err
    assert b"No space left on device" in ran.err
    assert (tmp_path / "data" / "b").read_text() == "b\n"


def test_an_image_cannot_point_a_mount_at_the_host(box: Rig, tmp_path: Path) -> None:
    plan = box.plan("sh", "-c", "cat /evil/file", mounts=(Mount("bind", str(tmp_path / "in"), "/evil"),))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("inside\n")
    (tmp_path / "out").mkdir()
    Path(plan.root.upper, "evil").symlink_to(tmp_path / "out")
    with box.started(plan) as container:
        assert container.finish().out == b"inside\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_terminal(box: Rig) -> None:
    plan = box.plan("sh", "-c", "tty; stty size; read x; echo got $x", tty=True, stdin=True, size=(24, 80))
    with box.started(plan, stdin=True) as container:
        assert receive(container.stream, b"24 80\r\n") == b"/dev/pts/0\r\n24 80\r\n"
        container.stream.sendall(b"word\n")
        assert container.read()[1] == b"word\r\ngot word\r\n"
        assert container.await_event("exit")["code"] == 0


def test_a_terminal_can_be_resized(box: Rig) -> None:
    with box.started(box.plan("sh", "-c", "read x; stty size", tty=True, stdin=True), stdin=True) as container:
        container.running.resize(50, 132)
        container.stream.sendall(b"\n")
        assert b"50 132" in container.read()[1]


def test_commands_are_added_and_their_codes_are_told(box: Rig) -> None:
    with box.started(box.plan("sleep", "60")) as container:
        name, stream = container.exec("sh", "-c", "hostname; echo err >&2; exit 5")
        with stream:
            assert read_all(stream) == {1: b"box\n", 2: b"err\n"}
        event = container.await_event("exec_exit")
        assert (event["exec"], event["code"]) == (name, 5)
        with pytest.raises(StartFailed, match="executable file not found") as caught:
            container.exec("nosuch")
        assert caught.value.exit_code == 127
        _, stream = container.exec("cat", stdin=True)
        with stream:
            stream.sendall(b"fed")
            stream.shutdown(socket.SHUT_WR)
            assert read_all(stream)[1] == b"fed"
        _, stream = container.exec("sh", "-c", "tty; id -u", tty=True, user="1000")
        with stream:
            assert read_all(stream, tty=True)[1] == b"/dev/pts/0\r\n1000\r\n"


def test_what_ends_the_container_ends_what_was_added(box: Rig) -> None:
    with box.started(box.plan("sleep", "60")) as container:
        _, stream = container.exec("sleep", "61")
        pids = container.running.pids()
        assert len(pids) == 2
        container.running.signal(signal.SIGKILL)
        assert container.await_event("exit")["code"] == 137
        with stream:
            assert read_all(stream) == {1: b"", 2: b""}
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_pause_stops_and_resume_lets_go_on(box: Rig) -> None:
    with box.started(box.plan("sh", "-c", "while :; do echo tick; sleep 0.02; done")) as container:
        assert container.stream.recv(8)
        container.running.pause()
        drain(container.stream)
        time.sleep(0.3)
        assert drain(container.stream) == b""
        container.running.resume()
        container.stream.settimeout(SECONDS)
        assert container.stream.recv(65536)


def receive(stream: socket.socket, end: bytes) -> bytes:
    """What comes, up to `end`."""
    data = b""
    stream.settimeout(SECONDS)
    while not data.endswith(end):
        data += stream.recv(1)
    return data


def drain(stream: socket.socket) -> bytes:
    """What is there by now."""
    stream.setblocking(False)
    try:
        return stream.recv(1 << 20)
    except BlockingIOError:
        return b""
    finally:
        stream.settimeout(SECONDS)


@pytest.mark.parametrize(("port", "first_port"), [(5000, 0), (80, 1024)])
def test_three_listen_on_one_port_and_each_is_reached(box: Rig, port: int, first_port: int) -> None:
    script = f"mkdir /w; hostname > /w/index.html; exec httpd -f -p {port} -h /w"
    addresses = [Network("loopback", f"127.98.{os.getpid() % 250}.{last}", first_port) for last in (2, 3, 4)]
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in addresses]
    ports = [listener.getsockname()[1] for listener in listeners]
    plans = [
        box.plan("sh", "-c", script, network=network, hostname=f"web{number}", ports=(Forward(port),))
        for number, network in enumerate(addresses)
    ]
    with (
        box.started(plans[0], listeners=listeners[:1]) as first,
        box.started(plans[1], listeners=listeners[1:2]),
        box.started(plans[2], listeners=listeners[2:]),
    ):
        for listener in listeners:
            listener.close()
        assert [fetch(port) for port in ports] == [b"web0\n", b"web1\n", b"web2\n"]
        # Inside, 127.0.0.1 is the container itself, and the others are reached by their addresses.
        _, stream = first.exec("wget", "-qO-", f"http://127.0.0.1:{port}/", f"http://{addresses[1].address}:{port}/")
        with stream:
            assert read_all(stream)[1] == b"web0\nweb1\n"


def fetch(port: int) -> bytes:
    """The page at a published port, as soon as somebody listens behind it."""
    deadline = time.monotonic() + SECONDS
    data = b""
    while not data and time.monotonic() < deadline:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection, suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while piece := connection.recv(4096):
                data += piece
        time.sleep(0.05)
    return data.partition(b"\r\n\r\n")[2]


def test_without_a_network_there_is_only_itself(box: Rig) -> None:
    ran = box.run("sh", "-c", "ip -o addr | grep -c inet; nc 192.0.2.1 80 </dev/null", network=Network("none"))
    assert ran.code == 1
    assert ran.out.strip() in (b"1", b"2")
    assert b"Network is unreachable" in ran.err


def test_an_init_reaps_and_hands_signals_on(box: Rig) -> None:
    with box.started(box.plan("sh", "-c", "trap 'exit 9' TERM; echo $$; while :; do sleep 0.05; done", init=True)) as container:
        assert container.stream.recv(100)[8:].strip() == b"2"
        container.running.signal(signal.SIGTERM)
        assert container.await_event("exit")["code"] == 9


def test_an_init_has_a_name(box: Rig) -> None:
    ran = box.run("sh", "-c", "cat /proc/1/comm; tr '\\0' ' ' < /proc/1/cmdline", init=True)
    assert ran.out.split()[:4] == [b"docker-init", b"/sbin/docker-init", b"--", b"sh"]


def test_jobs_run_in_a_stopped_and_in_a_running_container(box: Rig) -> None:
    plan = box.plan("sleep", "60")
    job = box.runtime.job(plan, "archive_stat", {"path": "/etc/passwd"})
    assert job.wait()["name"] == "passwd"
    with box.started(plan) as container:
        assert container.running.job("archive_stat", {"path": "/bin/sh"}).wait()["name"] == "sh"


def test_the_log_and_the_end_are_written_down(box: Rig) -> None:
    plan = box.plan("sh", "-c", "echo one; echo two >&2; exit 4")
    with box.started(plan) as container:
        container.finish()
    lines = [json.loads(line) for line in Path(plan.directory, "log.jsonl").read_text().splitlines()]
    assert sorted((line["stream"], line["log"]) for line in lines) == [("stderr", "two\n"), ("stdout", "one\n")]
    assert json.loads(Path(plan.directory, "exit.json").read_text())["code"] == 4


def test_a_monitor_is_found_again_by_another_engine(box: Rig) -> None:
    with box.started(box.plan("sleep", "60")) as container:
        other = box.runtime.find(container.plan.id, lambda event: None)
        assert other
        assert (other.pid, other.started_at) == (container.running.pid, container.running.started_at)
    assert not box.home.monitor_socket(container.plan.id).exists()


def test_a_slow_reader_slows_the_container_down_and_loses_nothing(box: Rig) -> None:
    plan = replace(box.plan("sh", "-c", "head -c 8000000 /dev/zero; echo end >&2"), log=False)
    with box.started(plan) as container:
        time.sleep(0.5)
        ran = container.finish()
    assert (len(ran.out), ran.err) == (8_000_000, b"end\n")


def test_a_fork_bomb_can_be_stopped(box: Rig) -> None:
    with box.started(
        box.plan("sh", "-c", "f() { f | f & }; f; sleep 60", user="4321", rlimits=(("nproc", 200, 200),))
    ) as container:
        time.sleep(0.5)
        container.running.signal(signal.SIGKILL)
        assert container.await_event("exit")["code"] == 137


def test_memory_is_limited_and_who_takes_more_is_killed(box: Rig) -> None:
    if "memory" not in find(counts_processes=os.getuid() != 0).controllers:
        pytest.skip("no control group for memory may be made here")
    plan = box.plan("sh", "-c", "x=a; while :; do x=$x$x; done", limits=Limits(memory=16 << 20))
    with box.started(plan) as container:
        event = container.await_event("exit")
    assert (event["code"], event["oom"]) == (137, True)
