"""Owners, modes and devices that an unprivileged user cannot give a file: recorded in an extended attribute.

The attribute, `user.containers.override_stat`, is containers/storage's (`storage/pkg/idtools`): "uid:gid:0MODE", then ":block-8-0" or
":char-1-3" for a device, whose file is empty. A file without it belongs to 0:0 and has the mode that it has. The real mode always lets
us in: files are u+rw, directories u+rwx; set-id and sticky bits are recorded only. Symbolic links, pipes and sockets cannot have such an
attribute: theirs is 0:0.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, replace

ATTRIBUTE = "user.containers.override_stat"
_NAME = ATTRIBUTE.encode()
_NONE = (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM)


@dataclass(frozen=True)
class Recorded:
    """mode: the twelve permission bits. device: (stat.S_IFCHR or S_IFBLK, major, minor)."""

    uid: int = 0
    gid: int = 0
    mode: int = 0
    device: tuple[int, int, int] | None = None


def parse(value: bytes) -> Recorded:
    """The attribute's value. Raises ValueError."""
    uid, gid, mode, *rest = value.decode("ascii").split(":")
    device = None
    if rest and rest[0].startswith(("block-", "char-")):
        kind, major, minor = rest[0].split("-")
        device = (stat.S_IFBLK if kind == "block" else stat.S_IFCHR, int(major), int(minor))
    return Recorded(int(uid), int(gid), int(mode, 8) & 0o7777, device)


def text(recorded: Recorded) -> bytes:
    """The inverse."""
    value = f"{recorded.uid}:{recorded.gid}:0{recorded.mode:o}"
    if recorded.device:
        kind, major, minor = recorded.device
        value += f":{'block' if kind == stat.S_IFBLK else 'char'}-{major}-{minor}"
    return value.encode()


def is_needed(uid: int, gid: int, mode: int, *, is_directory: bool) -> bool:
    """Whether a file of a layer needs the attribute where all is one user's: its owner is not root, or its mode would shut us out."""
    return (uid, gid) != (0, 0) or (is_directory and mode & 0o700 != 0o700)


def real_mode(mode: int, *, is_directory: bool) -> int:
    """The mode that a file with the recorded `mode` really gets."""
    if is_directory:
        return mode & 0o777 | 0o700
    return mode & 0o777 | 0o600 | (0o100 if mode & 0o111 else 0)


def attribute(path: bytes | str) -> Recorded | None:
    """What is recorded for a file, None where nothing is. A symbolic link is not followed."""
    try:
        return parse(os.getxattr(path, _NAME, follow_symlinks=False))
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise
    except ValueError:
        return None  # somebody else's text: the file is what it is


def read(path: bytes | str, found: os.stat_result) -> Recorded:
    """What a file is to show; found: its lstat."""
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        recorded = attribute(path)
        if recorded is not None:
            return recorded
    return Recorded(0, 0, stat.S_IMODE(found.st_mode))


def read_open(link: bytes, found: os.stat_result) -> Recorded:
    """As `read`, of a file that is open and has no path any more; link: in /proc/<pid>/fd, which is followed."""
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        try:
            return parse(os.getxattr(link, _NAME))
        except OSError as error:
            if error.errno not in _NONE:
                raise
        except ValueError:
            pass  # somebody else's text
    return Recorded(0, 0, stat.S_IMODE(found.st_mode))


def write(path: bytes | str, recorded: Recorded, *, is_directory: bool) -> None:
    """Gives a file or a directory what is to be shown. The file must be no other's (no hard link to a lower)."""
    real = real_mode(recorded.mode, is_directory=is_directory)
    os.chmod(path, real)
    if recorded == Recorded(0, 0, real):
        try:
            os.removexattr(path, _NAME, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NONE:
                raise
        return
    os.setxattr(path, _NAME, text(recorded), follow_symlinks=False)


def change(path: bytes | str, found: os.stat_result, *, uid: int = -1, gid: int = -1, mode: int = -1) -> None:
    """chown and chmod of a file or directory; -1 leaves as it is. Of what can have no attribute the mode alone is changed."""
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        if mode >= 0 and not stat.S_ISLNK(found.st_mode):
            os.chmod(path, mode & 0o777 | 0o600)
        return
    is_directory = stat.S_ISDIR(found.st_mode)
    old = read(path, found)
    new = replace(
        old, uid=old.uid if uid < 0 else uid, gid=old.gid if gid < 0 else gid, mode=old.mode if mode < 0 else mode & 0o7777
    )
    if new != old:
        write(path, new, is_directory=is_directory)


def change_open(link: bytes, found: os.stat_result, *, uid: int = -1, gid: int = -1, mode: int = -1) -> None:
    """As `change`, of a file that is open here and has no path any more; link: in /proc/self/fd, which is followed."""
    old = read_open(link, found)
    is_directory = stat.S_ISDIR(found.st_mode)
    new = replace(
        old, uid=old.uid if uid < 0 else uid, gid=old.gid if gid < 0 else gid, mode=old.mode if mode < 0 else mode & 0o7777
    )
    real = real_mode(new.mode, is_directory=is_directory)
    os.chmod(link, real)
    if not (stat.S_ISREG(found.st_mode) or is_directory):
        return
    if new != Recorded(0, 0, real):
        os.setxattr(link, _NAME, text(new))
    elif old != new:
        try:
            os.removexattr(link, _NAME)
        except OSError as error:
            if error.errno not in _NONE:
                raise
