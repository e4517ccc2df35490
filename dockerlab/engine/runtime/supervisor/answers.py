"""What an answer to a system call is, and how its path is found: what all who answer have in common."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from dockerlab.engine.runtime.supervisor.folders import Place
from dockerlab.engine.runtime.supervisor.members import Member
from dockerlab.engine.runtime.supervisor.view import View

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x100, 0x200, 0x400, 0x1000


@dataclass(frozen=True)
class Given:
    """The call gives a descriptor: a duplicate of this one, which is closed then."""

    fd: int
    close_on_exec: bool


@dataclass(frozen=True)
class Later:
    """An answer that has to be waited for, by a thread: a pipe is opened when its other end is."""

    wait: Callable[[], int]
    close_on_exec: bool


class Through(Enum):
    """The kernel makes the call as it is."""

    LET = 0


Answer = int | Given | Later | Through
# Who asks, its task, and the six arguments. An OSError is an answer too.
Handler = Callable[[Member, int, tuple[int, ...]], Answer]


def error(number: int) -> OSError:
    """An answer that is an error."""
    return OSError(number, os.strerror(number))


def signed(value: int) -> int:
    """An argument that is a C int."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


class Paths:
    """Paths in arguments, absolute in the container."""

    def __init__(self, view: View) -> None:
        self.view = view

    def at(self, member: Member, task: int, fd: int, address: int) -> bytes:
        """What openat(2) and its like name by a descriptor and a text. Raises OSError."""
        text = member.text(address)
        if text[:1] == b"/":
            return text
        if not text:
            raise error(errno.ENOENT)
        return self.base(task, fd) + b"/" + text

    def base(self, task: int, fd: int) -> bytes:
        """The directory that a relative path starts from."""
        number = signed(fd)
        link = b"/proc/%d/cwd" % task if number == AT_FDCWD else b"/proc/%d/fd/%d" % (task, number)
        try:
            host = os.readlink(link)
        except OSError:
            raise error(errno.EBADF) from None
        guest = self.view.guest(host)
        if guest is None:
            raise error(errno.ENOENT if host[:1] == b"/" else errno.ENOTDIR)
        return guest

    def of_descriptor(self, task: int, fd: int) -> bytes | None:
        """The path of an open file, None where it has none (any more). Raises OSError (EBADF)."""
        try:
            host = os.readlink(b"/proc/%d/fd/%d" % (task, signed(fd)))
        except OSError:
            raise error(errno.EBADF) from None
        return self.view.guest(host) if host[:1] == b"/" and not host.endswith(b" (deleted)") else None

    def there(self, path: bytes, member: Member, *, follow: bool = True) -> Place:
        """As `View.locate`, of what must be there."""
        place = self.view.locate(path, member, follow=follow)
        if place[3] is None:
            raise error(errno.ENOENT)
        return place

    def parent(self, place: Place, member: Member) -> None:
        """Raises OSError where the directory of an entry may not be changed by who asks, and makes it one that can be."""
        folder, name, _, _ = place
        if folder.area.kind in ("proc", "sys"):
            raise error(errno.EPERM)
        if not name:
            raise error(errno.EBUSY if folder.is_file or not folder.guest else errno.EEXIST)
        if folder.area.readonly:
            raise error(errno.EROFS)
        if not self.view.allows(folder, member.identity, 3):
            raise error(errno.EACCES)
        self.view.own(folder, member)
