"""ptrace(2): registers and stops of the container's processes. Each call raises OSError as the kernel's."""

from __future__ import annotations

import ctypes
import os
import struct

from dockerlab.engine.runtime.supervisor.machine import Machine

_CONT, _SYSCALL, _GETEVENTMSG, _GETREGSET, _SETREGSET = 7, 24, 0x4201, 0x4204, 0x4205
_SEIZE, _LISTEN = 0x4206, 0x4208
_PRSTATUS, _ARM_SYSTEM_CALL = 1, 0x404
WALL = 0x40000000  # __WALL of waitpid: threads too

EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_SECCOMP, EVENT_STOP = 1, 2, 3, 4, 7, 128
_OPTIONS = 1 | 2 | 4 | 8 | 16 | 0x80 | 0x100000  # SYSGOOD, FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL

_libc = ctypes.CDLL(None, use_errno=True)
_ptrace = _libc.ptrace
_ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_ptrace.restype = ctypes.c_long


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _check(result: int, call: str = "ptrace") -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def seize(pid: int) -> None:
    """Becomes the tracer of `pid` and of all its descendants; when this process ends, they do."""
    _check(_ptrace(_SEIZE, pid, None, _OPTIONS))


def resume(pid: int, signal: int = 0, *, until_exit: bool = False) -> None:
    """Lets a stopped task go on; until_exit: it stops again when its system call is done."""
    _check(_ptrace(_SYSCALL if until_exit else _CONT, pid, None, signal))


def listen(pid: int) -> None:
    """Leaves a task in the group stop that it is in, until SIGCONT."""
    _check(_ptrace(_LISTEN, pid, None, None))


def event_message(pid: int) -> int:
    """What belongs to the event: the new task's id, or the former one of a task that ran execve."""
    value = ctypes.c_ulong()
    _check(_ptrace(_GETEVENTMSG, pid, None, ctypes.addressof(value)))
    return value.value


def signal_descriptor(number: int) -> int:
    """A descriptor that can be read when a blocked signal waits: signalfd(2)."""
    mask = (1 << number - 1).to_bytes(128, "little")
    return _check(_libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC), "signalfd")


class Registers:
    """The registers of a stopped task: read at once, written by `store` where they were changed."""

    def __init__(self, machine: Machine, pid: int) -> None:
        self._machine, self._pid = machine, pid
        self._buffer = (ctypes.c_ulong * machine.registers)()
        self._vector = _Vector(ctypes.addressof(self._buffer), ctypes.sizeof(self._buffer))
        _check(_ptrace(_GETREGSET, pid, _PRSTATUS, ctypes.addressof(self._vector)))

    @property
    def number(self) -> int:
        """Of the system call."""
        return self._buffer[self._machine.number]

    @property
    def stack(self) -> int:
        """The stack pointer."""
        return self._buffer[self._machine.stack]

    @property
    def result(self) -> int:
        """Of the system call that was made: negative for an error."""
        value = self._buffer[self._machine.result]
        return value - (1 << 64) if value >> 63 else value

    def argument(self, index: int) -> int:
        """An argument of the system call."""
        return self._buffer[self._machine.arguments[index]]

    def arguments(self) -> tuple[int, ...]:
        """All six."""
        return tuple(self._buffer[index] for index in self._machine.arguments)

    def set_argument(self, index: int, value: int) -> None:
        """Exchanges an argument."""
        self._buffer[self._machine.arguments[index]] = value

    def set_result(self, value: int) -> None:
        """What the call gives."""
        self._buffer[self._machine.result] = value & (2**64 - 1)

    def skip(self, result: int) -> None:
        """The call is not made; it gives `result`."""
        if self._machine.number_apart:
            number = ctypes.c_int(-1)
            vector = _Vector(ctypes.addressof(number), ctypes.sizeof(number))
            _check(_ptrace(_SETREGSET, self._pid, _ARM_SYSTEM_CALL, ctypes.addressof(vector)))
        else:
            self._buffer[self._machine.number] = 2**64 - 1
        self.set_result(result)

    def store(self) -> None:
        """Writes them back."""
        _check(_ptrace(_SETREGSET, self._pid, _PRSTATUS, ctypes.addressof(self._vector)))


def signed(value: int) -> int:
    """An argument that is a C int."""
    return struct.unpack("=i", struct.pack("=I", value & 0xFFFFFFFF))[0]  # type: ignore[no-any-return]
