"""`docker top` without a ps: which columns, and what is in them."""

from __future__ import annotations

import os
import time

import pytest

from dockerlab.engine import procfs
from dockerlab.engine.processes import View, parse, table
from dockerlab.engine.procfs import Names, Process
from dockerlab.errors import EngineError

NOW = time.mktime((2026, 3, 4, 12, 0, 0, 0, 0, -1))
VIEW = View(Names({0: "root", 33: "www-data"}, {0: "root"}), NOW, 1 << 30)


def process(pid: int, **more: object) -> Process:
    fields = {
        "pid": pid,
        "ppid": 1,
        "pgid": pid,
        "sid": pid,
        "name": "sleep",
        "command": "sleep 300",
        "state": "S",
        "flags": "s",
        "tty": "",
        "user_time": 61.0,
        "system_time": 0.0,
        "children_time": 0.0,
        "started": NOW - 1220,
        "priority": 20,
        "nice": 0,
        "threads": 1,
        "vsz": 2268 * 1024,
        "rss": 107374183,
        "processor": 0,
        "kernel_flags": 0x400000,
        **more,
    }
    return Process(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "titles", "row"),
    [
        ("", "UID PID PPID C STIME TTY TIME CMD", ["root", "7", "1", "5", "11:39", "?", "00:01:01", "sleep 300"]),
        ("-ef", "UID PID PPID C STIME TTY TIME CMD", ["root", "7", "1", "5", "11:39", "?", "00:01:01", "sleep 300"]),
        (
            "aux",
            "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND",
            ["root", "7", "5.0", "10.0", "2268", "104857", "?", "Ss", "11:39", "1:01", "sleep 300"],
        ),
        ("faux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND", None),
        (
            "-el",
            "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD",
            ["0", "S", "0", "7", "1", "5", "80", "0", "-", "567", "-", "?", "00:01:01", "sleep"],
        ),
        ("-e", "PID TTY TIME CMD", ["7", "?", "00:01:01", "sleep"]),
        ("ax", "PID TTY STAT TIME COMMAND", ["7", "?", "Ss", "1:01", "sleep 300"]),
        ("-eo pid,user=WHO,args", "PID WHO COMMAND", ["7", "root", "sleep 300"]),
        ("-o pid -o comm", "PID COMMAND", ["7", "sleep"]),
        ("-opid,etime", "PID ELAPSED", ["7", "20:20"]),
        ("axo 'pid etimes nlwp'", "PID ELAPSED NLWP", ["7", "1220", "1"]),
        ("--format=pid,gid,group", "PID GID GROUP", ["7", "0", "root"]),
    ],
)
def test_columns(arguments: str, titles: str, row: list[str] | None) -> None:
    found, rows = table(parse(arguments), [process(7)], VIEW)
    assert " ".join(found) == titles
    assert row is None or rows == [row]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("-zzz", "ps: error: unsupported SysV option"),
        ("-eo user", "Couldn't find PID field in ps output"),
        ("-eo pid=X,args", "Couldn't find PID field in ps output"),
        ("-eo pid,zzz", 'ps: error: unknown user-defined format specifier "zzz"'),
        ("aux -foo", 'ps: error: unknown user-defined format specifier "o"'),
        ("-o", "ps: error: option requires an argument"),
        ("-p x", "ps: error: process ID list syntax error"),
        ("--zzz", "ps: error: unknown gnu long option"),
        ("'", "ps: error: No closing quotation"),
        ("; ls", "ps: error: unsupported option (BSD syntax)"),
    ],
)
def test_what_ps_refuses(arguments: str, text: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse(arguments)
    assert caught.value.message == text
    assert caught.value.status == 500


def test_processes_may_be_chosen_by_number() -> None:
    assert table(parse("-p 8"), [process(7), process(8)], VIEW)[1] == [["8", "?", "00:01:01", "sleep"]]


@pytest.mark.parametrize(
    ("ago", "shown"), [(60, "11:59"), (2 * 86400, time.strftime("%b%d", time.localtime(NOW - 2 * 86400))), (400 * 86400, "2025")]
)
def test_start_times_become_dates(ago: int, shown: str) -> None:
    assert table(parse("-eo pid,stime"), [process(7, started=NOW - ago)], VIEW)[1] == [["7", shown]]


def test_long_times_and_unknown_users() -> None:
    one = process(7, user_time=90061.0, uids=(33, 1234), gids=(0, 55))
    row = table(parse("-eo pid,time,bsdtime,ruser,euser,egroup"), [one], VIEW)[1]
    assert row == [["7", "1-01:01:01", "1501:01", "www-data", "1234", "55"]]


def test_this_process_as_the_kernel_shows_it() -> None:
    machine = procfs.machine()
    one = procfs.process(os.getpid(), machine.boot)
    assert one is not None
    assert (one.pid, one.ppid, one.pgid, one.sid) == (os.getpid(), os.getppid(), os.getpgid(0), os.getsid(0))
    assert one.command.split(" ")[0].split("/")[-1].startswith("python")
    assert one.uids[1] == os.geteuid()
    assert 0 < procfs.share_of_memory(one) <= one.rss
    assert machine.boot < one.started <= time.time() + 1
    assert machine.processors == os.cpu_count()


def test_what_has_ended_is_left_out() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    assert [one.pid for one in procfs.processes([pid, os.getpid()], 0.0)] == [os.getpid()]
