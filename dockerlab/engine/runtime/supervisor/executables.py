"""Which file the kernel must run for a program, so that the container's dynamic linker loads it, not the host's.

An ELF file names its linker by an absolute path, which the kernel would look up on the host. So a program is run from a copy whose
PT_INTERP says where the container's linker is on the host; the text that the program itself sees of it stays as it was. Copies are
kept, and made once for a program and a linker. What needs no linker is run where it lies, or by a link of the right name: the kernel
calls a process by the last component of the path.

elf(5), execve(2).
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dockerlab.engine.rootfs.tree import copy_content
from dockerlab.engine.runtime.supervisor.answers import error
from dockerlab.engine.runtime.supervisor.machine import Machine

_HEAD = 4096
_SCRIPT_LINE = 256
_PT_INTERP = 3
_EXECUTABLE, _SHARED = 2, 3
_COPY = b".program"


@dataclass(frozen=True)
class Script:
    """`#!interpreter argument`."""

    interpreter: bytes
    argument: bytes | None


@dataclass(frozen=True)
class Elf:
    """interpreter: its dynamic linker, b"" where it has none. place: of the program header that says so."""

    interpreter: bytes = b""
    place: int = 0


def inspect(path: bytes, machine: Machine) -> Script | Elf:
    """What kind of program a file is. Raises OSError (ENOEXEC)."""
    # Links have been followed, but for those of /proc to what has no path.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if path.startswith(b"/proc/") else os.O_NOFOLLOW))
    try:
        head = os.read(fd, _HEAD)
        if head[:2] == b"#!":
            return script(head)
        return _elf(fd, head, machine)
    finally:
        os.close(fd)


def script(head: bytes) -> Script:
    """The first line of a script. Raises OSError (ENOEXEC)."""
    line = head[2:_SCRIPT_LINE].partition(b"\n")[0].strip(b" \t")
    words = line.split(None, 1)
    if not words:
        raise error(errno.ENOEXEC)
    return Script(words[0], words[1].strip(b" \t") if len(words) > 1 else None)


class Executables:
    """shared: where copies of images' programs are kept, for images' linkers; own: those of what is the container's own."""

    def __init__(self, shared: bytes, own: bytes, machine: Machine) -> None:
        self._shared, self._own, self._machine = shared, own, machine

    def prepare(self, host: bytes, name: bytes, elf: Elf, is_image: bool, find: Callable[[bytes], tuple[bytes, bool]]) -> bytes:
        """The path to give to the kernel. name: the last component of the program's path. is_image: the program is its image's.
        find: where its linker is, and whether that is the image's. Raises OSError."""
        found = os.stat(host)
        linker, is_image_linker = find(elf.interpreter) if elf.interpreter else (b"", True)
        if not linker and host.rpartition(b"/")[2] == name:
            return host
        text = repr((found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, linker or host)).encode()
        folder = (
            (self._shared if is_image and is_image_linker else self._own) + b"/" + hashlib.sha256(text).hexdigest()[:32].encode()
        )
        path = folder + b"/" + name
        if os.path.lexists(path):
            return path
        os.makedirs(folder, 0o700, exist_ok=True)
        if linker and not os.path.exists(folder + b"/" + _COPY):
            _patch(host, folder, linker, elf.place, found.st_size)
        with suppress(FileExistsError):  # another container was first
            os.symlink(_COPY if linker else host, path)
        return path


def _patch(host: bytes, folder: bytes, linker: bytes, place: int, size: int) -> None:
    beside = folder + b"/.%d" % os.getpid()
    read = os.open(host, os.O_RDONLY | os.O_CLOEXEC)
    try:
        write = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o700)
        try:
            copy_content(read, write, size)
            os.pwrite(write, linker + b"\0", size)
            os.pwrite(write, struct.pack("=Q", size), place + 8)
            os.pwrite(write, struct.pack("=Q", len(linker) + 1), place + 32)
        finally:
            os.close(write)
    finally:
        os.close(read)
    os.rename(beside, folder + b"/" + _COPY)


def _elf(fd: int, head: bytes, machine: Machine) -> Elf:
    if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
        raise error(errno.ENOEXEC)
    kind, architecture = struct.unpack_from("=HH", head, 16)
    if kind not in (_EXECUTABLE, _SHARED) or architecture != machine.elf:
        raise error(errno.ENOEXEC)
    (start,) = struct.unpack_from("=Q", head, 32)
    size, count = struct.unpack_from("=HH", head, 54)
    if size != 56:
        raise error(errno.ENOEXEC)
    table = os.pread(fd, size * count, start)
    for index in range(len(table) // size):
        segment, _, offset, _, _, length = struct.unpack_from("=IIQQQQ", table, index * size)
        if segment == _PT_INTERP:
            text = os.pread(fd, min(length, _HEAD), offset)
            return Elf(text.rstrip(b"\0"), start + index * size)
    return Elf()
