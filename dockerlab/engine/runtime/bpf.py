"""Seccomp filters as values: which system calls get which answer → a classic BPF program. Pure.

A filter here is a decision by the call's number, and by whether a pointer is null; everything that is not named is allowed, and so is
every call of a foreign architecture's table, unless said otherwise. Layout of a decision: seccomp(2), `struct seccomp_data`; actions by
seccomp_unotify(2).
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping, Sequence

ALLOW, TRACE, USER_NOTIF, ERRNO = 0x7FFF0000, 0x7FF00000, 0x7FC00000, 0x00050000

_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ADDRESS_OF_SENDTO = 4
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# The calls that this rung answers itself; on arm64 the old ones without `at` do not exist.
_NUMBERS = {
    "x86_64": {
        "connect": 42, "sendto": 44, "bind": 49, "getsockname": 51, "getpeername": 52,
        "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260, "capset": 126,
        "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getgroups": 115, "getresuid": 118, "getresgid": 120,
        "setuid": 105, "setgid": 106, "setreuid": 113, "setregid": 114, "setgroups": 116, "setresuid": 117, "setresgid": 119,
        "setfsuid": 122, "setfsgid": 123,
    },
    "aarch64": {
        "connect": 203, "sendto": 206, "bind": 200, "getsockname": 204, "getpeername": 205,
        "fchown": 55, "fchownat": 54, "capset": 91,
        "getuid": 174, "getgid": 176, "geteuid": 175, "getegid": 177, "getgroups": 158, "getresuid": 148, "getresgid": 150,
        "setuid": 146, "setgid": 144, "setreuid": 145, "setregid": 143, "setgroups": 159, "setresuid": 147, "setresgid": 149,
        "setfsuid": 151, "setfsgid": 152,
    },
}  # fmt: skip

SOCKETS = ("bind", "connect", "sendto")
NAMES_OF_SOCKETS = ("getsockname", "getpeername")
# What a root with a single id cannot do, and installers do all the time: it is told that it was done.
OWNERSHIP = ("chown", "fchown", "lchown", "fchownat")


def number(name: str) -> int | None:
    """A call's number on this machine, None where it does not exist. Raises OSError on an architecture that is not known."""
    try:
        return _NUMBERS[os.uname().machine].get(name)
    except KeyError:
        raise OSError(errno.ENOSYS, f"no system call numbers for {os.uname().machine}") from None


def numbers(names: Sequence[str]) -> list[int]:
    """The numbers of those calls that exist here."""
    return [found for name in names if (found := number(name)) is not None]


def assemble(actions: Mapping[int, int], pointers: Mapping[int, int] | None = None) -> bytes:
    """number → action as a program for `kernel.seccomp`. pointers: number → which of the arguments must not be null for it."""
    lines = [_line(_LOAD, _ARCHITECTURE), _line(_JUMP_EQUAL, _AUDIT[os.uname().machine], 1, 0), _line(_RETURN, ALLOW)]
    lines.append(_line(_LOAD, _NUMBER))
    for call, action in actions.items():
        body = [_line(_RETURN, action)]
        if (index := (pointers or {}).get(call)) is not None:
            low, high = _ARGUMENTS + 8 * index, _ARGUMENTS + 8 * index + 4
            body = [_line(_LOAD, low), _line(_JUMP_EQUAL, 0, 0, 2), _line(_LOAD, high), _line(_JUMP_EQUAL, 0, 1, 0), *body]
            body.append(_line(_RETURN, ALLOW))
        lines += [_line(_JUMP_EQUAL, call, 0, len(body)), *body]
    return b"".join([*lines, _line(_RETURN, ALLOW)])


def namespace_filter(reported: Sequence[str], fake_root: bool) -> bytes | None:
    """The filter of the namespace rung, or None where none is needed. reported: calls that its listener answers."""
    actions = dict.fromkeys(numbers(OWNERSHIP), ERRNO) if fake_root else {}
    actions |= dict.fromkeys(numbers(reported), USER_NOTIF)
    # Without an address it is send(), which goes where the socket is connected to.
    return assemble(actions, dict.fromkeys(numbers(["sendto"]), _ADDRESS_OF_SENDTO)) if actions else None


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
