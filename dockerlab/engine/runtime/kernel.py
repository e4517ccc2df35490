"""The kernel's calls that Python 3.11 has no name for, by ctypes. Each raises OSError, as `os` does, and names what failed.

namespaces(7), syncfs(2), mount(2), pivot_root(2), prctl(2), capset(2), seccomp(2), seccomp_unotify(2). x86-64 and arm64.
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_RELATIME = 1024, 2048, 1 << 21
MS_BIND, MS_REC, MS_PRIVATE, MS_STRICTATIME = 4096, 16384, 1 << 18, 1 << 24
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_NAME, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 15, 24, 36, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 8, 32

_CALLS = {"x86_64": {"pivot_root": 155, "seccomp": 317}, "aarch64": {"pivot_root": 41, "seccomp": 277}}
_PIDFD_GETFD = 438  # on every architecture
_CAPABILITY_VERSION_3 = 0x20080522
_PRIVILEGED_PORTS = 1024
_LONGEST_ADDRESS = 128  # sizeof(struct sockaddr_storage)
_ARG_START = 45  # arg_start of /proc/PID/stat, counted from the state
_PIECE = 65536

# Loaded once; a handle to the C library of this very process, not state.
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def syscall_number(name: str) -> int:
    """The number of one of the calls that have no wrapper in the C library. Raises OSError where it is not known."""
    try:
        return _CALLS[os.uname().machine][name]
    except KeyError:
        raise OSError(f"{name}: unknown on {os.uname().machine}") from None


def unshare(flags: int) -> None:
    """Moves this process (for CLONE_NEWPID: its future children) into new namespaces."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def syncfs(path: str | os.PathLike[str]) -> None:
    """Writes all of the file system of `path` to its disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.syncfs(ctypes.c_int(fd)), "syncfs")
    finally:
        os.close(fd)


def setns(fd: int, kind: int = 0) -> None:
    """Moves this process into the namespace that `fd` refers to."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); strings may hold any bytes that a path holds."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), os.fsencode(data) or None
    )
    _check(result, f"mount {kind or source} on {target}")


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """Makes `new` the root of this mount namespace; what was the root appears at `old`."""
    number = ctypes.c_long(syscall_number("pivot_root"))
    _check(_libc.syscall(number, os.fsencode(new), os.fsencode(old)), "pivot_root")


def sethostname(name: str) -> None:
    """The host name of this UTS namespace."""
    raw = name.encode()
    _check(_libc.sethostname(raw, ctypes.c_size_t(len(raw))), "sethostname")


def setdomainname(name: str) -> None:
    """The NIS domain name of this UTS namespace."""
    raw = name.encode()
    _check(_libc.setdomainname(raw, ctypes.c_size_t(len(raw))), "setdomainname")


def prctl(option: int, *arguments: int) -> int:
    """prctl(2) with numbers."""
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    return _check(_libc.prctl(ctypes.c_int(option), *padded), f"prctl {option}")


def set_title(name: str, argv: Sequence[str]) -> None:
    """What `ps` shows of this process, as far as there is room. Raises OSError."""
    write_text("/proc/self/comm", name)
    fields = open_text("/proc/self/stat").rpartition(")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
    text = b"".join(os.fsencode(word) + b"\0" for word in argv)[: end - start - 1].ljust(end - start, b"\0")
    memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(memory, text, start)
    finally:
        os.close(memory)


def keep_capabilities(numbers: frozenset[int], until_exec: frozenset[int] = frozenset()) -> None:
    """Gives up all capabilities but `numbers`: the bounding set, and the permitted, effective and inheritable ones.

    until_exec: this process has these, too, as long as it runs no other program.
    """
    last = int(open_text("/proc/sys/kernel/cap_last_cap"))
    for number in range(last + 1):
        if number not in numbers:
            prctl(PR_CAPBSET_DROP, number)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    mask = sum(1 << number for number in numbers | until_exec if number <= last)
    set_capabilities(mask, mask, 0)


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of this process, as bit masks."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    halves = [(mask >> shift) & 0xFFFFFFFF for shift in (0, 32) for mask in (effective, permitted, inheritable)]
    _check(_libc.capset(header, struct.pack("=6I", *halves)), "capset")


def seccomp(program: bytes, flags: int = 0) -> int:
    """Installs a BPF program (of `bpf.assemble`); with NEW_LISTENER gives the file descriptor of its notifications.

    Needs CAP_SYS_ADMIN in this user namespace, or no_new_privs.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    argument = _Program(len(program) // 8, ctypes.addressof(buffer))
    number = ctypes.c_long(syscall_number("seccomp"))
    result = _libc.syscall(number, ctypes.c_uint(SECCOMP_SET_MODE_FILTER), ctypes.c_uint(flags), ctypes.byref(argument))
    return _check(result, "seccomp")


def protocol(task: int, fd: int) -> str:
    """Of a socket of another process: "TCP", "UDPv6". Raises OSError, also where it is no socket."""
    return os.getxattr(f"/proc/{task}/fd/{fd}", "system.sockprotoname").rstrip(b"\0").decode()


def borrow_socket(task: int, fd: int) -> socket.socket:
    """Another process's socket, to be closed. Raises OSError where there is none, or the process may not be asked."""
    tgid = re.search(r"^Tgid:\s*(\d+)", open_text(f"/proc/{task}/status"), re.MULTILINE)
    process = os.pidfd_open(int(tgid[1]) if tgid else task)
    try:
        number = ctypes.c_long(_PIDFD_GETFD)
        copy = _check(_libc.syscall(number, ctypes.c_int(process), ctypes.c_int(fd), ctypes.c_uint(0)), "pidfd_getfd")
    finally:
        os.close(process)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def socket_name(fd: int, *, is_own: bool) -> bytes:
    """What getsockname(2) says, or getpeername(2), as the kernel writes it. Raises OSError."""
    buffer, size = ctypes.create_string_buffer(_LONGEST_ADDRESS), ctypes.c_uint(_LONGEST_ADDRESS)
    call = _libc.getsockname if is_own else _libc.getpeername
    _check(call(ctypes.c_int(fd), buffer, ctypes.byref(size)), "getsockname" if is_own else "getpeername")
    return buffer.raw[: size.value]


def bind(fd: int, address: bytes) -> None:
    """bind(2) with a socket address as the kernel reads it."""
    _check(_libc.bind(ctypes.c_int(fd), address, ctypes.c_uint(len(address))), "bind")


def first_port() -> int:
    """The lowest port that the kernel gives to this process where it refuses one, else 0."""
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", 1))
        except PermissionError:
            with suppress(OSError):  # this kernel has no such setting
                return int(open_text("/proc/sys/net/ipv4/ip_unprivileged_port_start"))
            return _PRIVILEGED_PORTS
        except OSError:
            return 0  # somebody has it, and so could we
    return 0


def open_text(path: str) -> str:
    """A small file, read by the system calls that it takes and no other. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(fd, _PIECE):
            pieces.append(piece)
        return os.fsdecode(b"".join(pieces))
    finally:
        os.close(fd)


def write_text(path: str, text: str) -> None:
    """One write to a file of /proc or /sys, which take a value as a whole. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
