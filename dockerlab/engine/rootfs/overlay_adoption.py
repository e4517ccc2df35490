"""A container's upper directory → an unpacked layer: what unpacking the layer that was read from it would give, without writing it anew.

For the step of a build, whose container is gone and whose layer the next step stands on. `dockerlab engine check` compares unpacked
layers with the blobs of their images, and must not find a difference: so what the kernel noted for itself goes, and so do what an
archive cannot hold and the directories that were only copied up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import nullcontext

from dockerlab.engine.rootfs import Root, recorded
from dockerlab.engine.rootfs.differences import Difference, Folder
from dockerlab.engine.rootfs.overlay_changes import OURS, difference, readable
from dockerlab.engine.rootfs.overlay_layer import OPAQUE, copy_status, make_whiteout
from dockerlab.wire.tar import WHITEOUT

_LAST_SECOND = 1 << 33
# Not in a layer's tar, but they would decide who may do what.
_DECIDING = ("system.posix_acl", "trusted.")


class CannotBeAdopted(Exception):
    """Something that unpacking would make otherwise: the layer is to be unpacked."""


def adopt(root: Root, lowers: Sequence[bytes]) -> None:
    """Makes a container's upper directory an unpacked layer. lowers: the unpacked layers below it, the topmost first.

    The container is gone, and its layer was written. Raises CannotBeAdopted, OSError; then the directory is of no use any more.
    """
    top = os.fsencode(root.upper)
    stack = [_Level(root, Folder(b"", [os.fsencode(lower) for lower in root.lowers]), os.lstat(top))]
    while stack:
        inner = stack[-1].next()
        if inner is not None:
            stack.append(inner)
        else:
            done = stack.pop()
            done.finish()
            if stack and done.is_said:
                stack[-1].is_said = True
    for name in os.listxattr(top):
        os.removexattr(top, name)
    if lowers:
        copy_status(lowers[0], top)
    else:
        os.chmod(top, 0o755)


class _Level:
    """A directory, as far as it has been gone through."""

    def __init__(self, root: Root, folder: Folder[list[bytes]], found: os.stat_result) -> None:
        self._root, self._folder, self._found = root, folder, found
        self._host = os.fsencode(root.upper) + (b"/" + folder.path if folder.path else b"")
        if folder.path and os.getuid():
            # As unpacked: we must be able to look into it.
            os.chmod(self._host, stat.S_IMODE(found.st_mode) | 0o700)
        self._names = os.listdir(self._host)
        # The tar has a directory that was only copied up if it has something of what is in it.
        self.is_said = not folder.optional

    def next(self) -> _Level | None:
        """The next directory in it; None at the end."""
        while self._names:
            name = self._names.pop()
            if name.startswith(WHITEOUT.encode()):
                raise CannotBeAdopted(name)
            path = self._folder.path + b"/" + name if self._folder.path else name
            host = self._host + b"/" + name
            found = difference(self._root, path, name, self._folder.below)
            if isinstance(found, Folder):
                assert found.own
                assert found.own.found
                return _Level(self._root, found, found.own.found)
            if found is None:
                os.unlink(host)  # a whiteout of nothing
                continue
            self.is_said = True
            if found.found is None:
                # The kernel's whiteouts are hard links to one file.
                os.unlink(host)
                make_whiteout(host)
            elif stat.S_ISSOCK(found.found.st_mode):
                os.unlink(host)
            else:
                _settle(host, found, found.found)
        return None

    def finish(self) -> None:
        """All that is in it is as it should be."""
        own = self._folder.own
        if own is None:
            return
        if not self.is_said:
            os.rmdir(self._host)
            return
        _settle(self._host, own, self._found)
        os.utime(self._host, ns=(self._found.st_mtime_ns, self._found.st_mtime_ns))


def _settle(host: bytes, own: Difference, found: os.stat_result) -> None:
    """Of a file or a directory: attributes, owner."""
    uid = os.getuid()
    if not 0 <= found.st_mtime < _LAST_SECOND or (uid and (found.st_uid, found.st_gid) != (uid, os.getgid())):
        raise CannotBeAdopted(host)
    if stat.S_ISLNK(found.st_mode):
        return
    # A directory is open to us already.
    with nullcontext() if stat.S_ISDIR(found.st_mode) else readable(host, found, 0o600):
        _settle_owner(host, found)
        for name in os.listxattr(host, follow_symlinks=False):
            if name == recorded.ATTRIBUTE:
                continue
            if name.startswith(OURS) and not (own.opaque and name == OPAQUE.decode()):
                os.removexattr(host, name, follow_symlinks=False)
            elif name.startswith(_DECIDING):
                raise CannotBeAdopted(host)
        if own.opaque:
            os.setxattr(host, OPAQUE, b"y", follow_symlinks=False)


def _settle_owner(host: bytes, found: os.stat_result) -> None:
    """What is recorded has the mode of now."""
    noted = recorded.attribute(host)
    if noted is not None:
        if os.getuid() == 0:
            raise CannotBeAdopted(host)  # unpacked, it belongs to whom it was recorded for
        os.removexattr(host, recorded.ATTRIBUTE, follow_symlinks=False)
    owner = (noted.uid, noted.gid) if noted else (0, 0)
    is_directory = stat.S_ISDIR(found.st_mode)
    mode = stat.S_IMODE(found.st_mode)
    if (
        os.getuid()
        and (stat.S_ISREG(found.st_mode) or is_directory)
        and recorded.is_needed(*owner, mode, is_directory=is_directory)
    ):
        os.setxattr(host, recorded.ATTRIBUTE, recorded.text(recorded.Recorded(*owner, mode)), follow_symlinks=False)
