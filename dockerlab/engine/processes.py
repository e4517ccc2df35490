"""The table that `docker top` shows: what `ps` with some arguments would print of a container's processes. Pure.

    wanted = parse("-eo pid,user=WHO,args")       the columns
    titles, rows = table(wanted, processes, …)

The ways of ps(1) to choose columns are understood: -f, -F, -l, -j, u, and any list for -o; which processes are shown is not its choice.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dockerlab.engine.procfs import Names, Process
from dockerlab.errors import EngineError

_DAY = 86400
_SELECTING = set("eAadxTNrgHwcny")  # flags without an argument that choose processes, their order, or the width
_WITH_ARGUMENT = set("pCGgUustqkO")


@dataclass(frozen=True)
class Column:
    """name: of a specifier. title: its header."""

    name: str
    title: str


@dataclass(frozen=True)
class Wanted:
    """pids: only these, or none for all."""

    columns: tuple[Column, ...]
    pids: frozenset[int] = frozenset()


@dataclass(frozen=True)
class View:
    """What a cell is computed from, besides its process. now: seconds since 1970. memory: the machine's, bytes."""

    names: Names
    now: float
    memory: int

    def user(self, number: int) -> str:
        """A user's name, or the number."""
        return self.names.users.get(number, str(number))

    def group(self, number: int) -> str:
        """A group's name, or the number."""
        return self.names.groups.get(number, str(number))


_Cell = Callable[[Process, View], object]


def _share(process: Process, view: View) -> float:
    """Of processor time since its start, in per cent, cut after one decimal as ps does."""
    age = view.now - process.started
    return min(int(1000 * process.time / age) / 10, 9999.0) if age > 0 else 0.0


def _memory(process: Process, view: View) -> float:
    """Of the machine's memory, in per cent."""
    return int(1000 * process.rss / view.memory) / 10 if view.memory else 0.0


def _clock(seconds: float) -> str:
    """[days-]hours:minutes:seconds."""
    days, rest = divmod(int(seconds), _DAY)
    text = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}-{text}" if days else text


def _elapsed(process: Process, view: View) -> str:
    text = _clock(max(0.0, view.now - process.started))
    return text.removeprefix("00:") if text.startswith("00:") else text


def _start(process: Process, view: View, today: str) -> str:
    started, now = time.localtime(process.started), time.localtime(view.now)
    if started.tm_year != now.tm_year:
        return time.strftime("%Y", started)
    return time.strftime(today if started.tm_yday == now.tm_yday else "%b%d", started)


_CELLS: Mapping[str, tuple[str, _Cell]] = {
    "pid": ("PID", lambda p, v: p.pid),
    "ppid": ("PPID", lambda p, v: p.ppid),
    "pgid": ("PGID", lambda p, v: p.pgid),
    "pgrp": ("PGRP", lambda p, v: p.pgid),
    "sid": ("SID", lambda p, v: p.sid),
    "sess": ("SESS", lambda p, v: p.sid),
    "lwp": ("LWP", lambda p, v: p.pid),
    "user": ("USER", lambda p, v: v.user(p.uids[1])),
    "uname": ("USER", lambda p, v: v.user(p.uids[1])),
    "euser": ("EUSER", lambda p, v: v.user(p.uids[1])),
    "ruser": ("RUSER", lambda p, v: v.user(p.uids[0])),
    "uid": ("UID", lambda p, v: p.uids[1]),
    "euid": ("EUID", lambda p, v: p.uids[1]),
    "ruid": ("RUID", lambda p, v: p.uids[0]),
    "group": ("GROUP", lambda p, v: v.group(p.gids[1])),
    "egroup": ("EGROUP", lambda p, v: v.group(p.gids[1])),
    "rgroup": ("RGROUP", lambda p, v: v.group(p.gids[0])),
    "gid": ("GID", lambda p, v: p.gids[1]),
    "egid": ("EGID", lambda p, v: p.gids[1]),
    "rgid": ("RGID", lambda p, v: p.gids[0]),
    "comm": ("COMMAND", lambda p, v: p.name),
    "ucmd": ("CMD", lambda p, v: p.name),
    "ucomm": ("COMMAND", lambda p, v: p.name),
    "args": ("COMMAND", lambda p, v: p.command),
    "command": ("COMMAND", lambda p, v: p.command),
    "cmd": ("CMD", lambda p, v: p.command),
    "pcpu": ("%CPU", lambda p, v: f"{_share(p, v):.1f}"),
    "%cpu": ("%CPU", lambda p, v: f"{_share(p, v):.1f}"),
    "c": ("C", lambda p, v: int(_share(p, v))),
    "pmem": ("%MEM", lambda p, v: f"{_memory(p, v):.1f}"),
    "%mem": ("%MEM", lambda p, v: f"{_memory(p, v):.1f}"),
    "vsz": ("VSZ", lambda p, v: p.vsz // 1024),
    "vsize": ("VSZ", lambda p, v: p.vsz // 1024),
    "rss": ("RSS", lambda p, v: p.rss // 1024),
    "rssize": ("RSS", lambda p, v: p.rss // 1024),
    "rsz": ("RSZ", lambda p, v: p.rss // 1024),
    "sz": ("SZ", lambda p, v: p.vsz // 4096),
    "tty": ("TT", lambda p, v: p.tty or "?"),
    "tt": ("TT", lambda p, v: p.tty or "?"),
    "tname": ("TTY", lambda p, v: p.tty or "?"),
    "stat": ("STAT", lambda p, v: p.state + p.flags),
    "s": ("S", lambda p, v: p.state),
    "state": ("S", lambda p, v: p.state),
    "start": ("STARTED", lambda p, v: _start(p, v, "%H:%M:%S")),
    "start_time": ("START", lambda p, v: _start(p, v, "%H:%M")),
    "bsdstart": ("START", lambda p, v: _start(p, v, "%H:%M")),
    "stime": ("STIME", lambda p, v: _start(p, v, "%H:%M")),
    "lstart": ("STARTED", lambda p, v: time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(p.started))),
    "time": ("TIME", lambda p, v: _clock(p.time)),
    "cputime": ("TIME", lambda p, v: _clock(p.time)),
    "bsdtime": ("TIME", lambda p, v: f"{int(p.time) // 60}:{int(p.time) % 60:02d}"),
    "etime": ("ELAPSED", _elapsed),
    "etimes": ("ELAPSED", lambda p, v: int(max(0.0, v.now - p.started))),
    "nlwp": ("NLWP", lambda p, v: p.threads),
    "thcount": ("THCNT", lambda p, v: p.threads),
    "ni": ("NI", lambda p, v: p.nice),
    "nice": ("NI", lambda p, v: p.nice),
    "pri": ("PRI", lambda p, v: 39 - p.priority),
    "opri": ("PRI", lambda p, v: 60 + p.priority),
    "psr": ("PSR", lambda p, v: p.processor),
    "wchan": ("WCHAN", lambda p, v: "-" if p.wchan in ("", "0") else p.wchan[:6]),
    "f": ("F", lambda p, v: f"{p.kernel_flags >> 6 & 7:o}"),
    "flags": ("F", lambda p, v: f"{p.kernel_flags >> 6 & 7:o}"),
    "addr": ("ADDR", lambda p, v: "-"),
}


def _columns(text: str, **titles: str) -> tuple[Column, ...]:
    return tuple(Column(name, titles.get(name, _CELLS[name][0])) for name in text.split())


_FULL = _columns("user pid ppid c stime tname time cmd", user="UID")
_EXTRA_FULL = _columns("user pid ppid c sz rss psr stime tname time cmd", user="UID")
_LONG = _columns("f s uid pid ppid c opri ni addr sz wchan tname time ucmd")
_JOBS = _columns("pid pgid sid tname time ucmd")
_SHORT = _columns("pid tname time ucmd")
_USER = _columns("user pid pcpu pmem vsz rss tname stat start_time bsdtime args")
_BSD = _columns("pid tname stat bsdtime args")


def parse(arguments: str) -> Wanted:
    """The columns that `ps` with these arguments shows; none are as -ef. Raises EngineError with the words of ps."""
    try:
        words = shlex.split(arguments) or ["-ef"]
    except ValueError as error:
        raise _refused(str(error)) from error
    asked: list[Column] = []
    pids: set[int] = set()
    format = _BSD if not words[0].startswith("-") else _SHORT
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            name, given, value = word[2:].partition("=")
            if name == "format":
                asked += _specified(value if given else _argument(words))
            elif name not in ("forest", "cols", "columns", "width", "sort", "no-headers", "headers", "no-heading", "heading"):
                raise _refused("unknown gnu long option")
            continue
        letters, is_unix = word.removeprefix("-"), word.startswith("-")
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter == "o":
                asked += _specified(letters or _argument(words))
                letters = ""
            elif letter == "p":
                pids |= _numbers(letters or _argument(words))
                letters = ""
            elif found := (_UNIX_FORMATS if is_unix else _BSD_FORMATS).get(letter):
                format = found
            elif is_unix and letter in _WITH_ARGUMENT:
                _ = letters or _argument(words)
                letters = ""
            elif letter not in _SELECTING and not (not is_unix and letter == "f"):
                raise _refused("unsupported SysV option" if is_unix else "unsupported option (BSD syntax)")
    columns = tuple(asked) or format
    if not any(column.title == "PID" for column in columns):
        raise EngineError("Couldn't find PID field in ps output", status=500)
    return Wanted(columns, frozenset(pids))


_UNIX_FORMATS = {"f": _FULL, "F": _EXTRA_FULL, "l": _LONG, "j": _JOBS}
_BSD_FORMATS = {"u": _USER, "l": _LONG, "j": _JOBS}


def _specified(text: str) -> list[Column]:
    found = []
    for part in text.replace(" ", ",").split(","):
        name, given, title = part.partition("=")
        if not name:
            continue
        if name not in _CELLS:
            raise _refused(f'unknown user-defined format specifier "{name}"')
        found.append(Column(name, title if given else _CELLS[name][0]))
    if not found:
        raise _refused("improper format list")
    return found


def _argument(words: list[str]) -> str:
    if not words:
        raise _refused("option requires an argument")
    return words.pop(0)


def _numbers(text: str) -> set[int]:
    try:
        return {int(part) for part in text.replace(" ", ",").split(",") if part}
    except ValueError:
        raise _refused("process ID list syntax error") from None


def _refused(text: str) -> EngineError:
    return EngineError(f"ps: error: {text}", status=500)


def table(wanted: Wanted, processes: Sequence[Process], view: View) -> tuple[list[str], list[list[str]]]:
    """Titles, and a row for each process."""
    shown = [process for process in processes if not wanted.pids or process.pid in wanted.pids]
    rows = [[str(_CELLS[column.name][1](process, view)) for column in wanted.columns] for process in shown]
    return [column.title for column in wanted.columns], rows
