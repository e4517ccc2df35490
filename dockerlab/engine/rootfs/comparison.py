"""Whether two directories hold the same files: an unpacked layer, and the same layer unpacked anew."""

from __future__ import annotations

import os
import stat
from typing import Final

_CHUNK: Final = 1 << 20
# Of what else there is, the times are those of the unpacking.
_KEEPS_TIME = (stat.S_IFREG, stat.S_IFLNK)


def difference(made: bytes, there: bytes, *, links: bool = True) -> str:
    """What is first found to differ, in words; "" for nothing. made: as it should be; nobody changes either meanwhile.

    A file of `made` that is a hard link to one elsewhere (of a lower tree) has to be the very same file `there`; without `links` one that
    is alike will do, as on a file system that does not keep hard links.
    """
    found = _Comparison(made, there, links=links)
    waiting = [b""]
    while waiting:
        text, inner = found.directory(waiting.pop())
        if text:
            return text
        waiting += inner
    return found.links()


class _Comparison:
    def __init__(self, made: bytes, there: bytes, *, links: bool) -> None:
        self._made, self._there, self._has_links = made, there, links
        self._pairs: dict[int, tuple[int, int, int, bytes]] = {}  # by inode of `made`: that there, links left and in all, path

    def directory(self, path: bytes) -> tuple[str, list[bytes]]:
        """What differs in a directory, and the directories in it."""
        ours, theirs = self._made + path, self._there + path
        if text := self._file(path, os.lstat(ours), os.lstat(theirs)):
            return text, []
        names, found = set(os.listdir(ours)), set(os.listdir(theirs))
        for name in sorted(names ^ found):
            return f"{_shown(path + b'/' + name)} {'is missing' if name in names else 'is none of its files'}", []
        inner = []
        for name in names:
            child = path + b"/" + name
            status = os.lstat(self._made + child)
            if stat.S_ISDIR(status.st_mode):
                inner.append(child)
            elif text := self._file(child, status, os.lstat(self._there + child)):
                return text, []
        return "", inner

    def links(self) -> str:
        """Where files have other names than they should."""
        for inode, (there, left, _, path) in self._pairs.items():
            if left and there != inode:
                return f"{_shown(path)} is another file than the lower layer's"
        return ""

    def _file(self, path: bytes, made: os.stat_result, there: os.stat_result) -> str:
        if stat.S_IFMT(made.st_mode) != stat.S_IFMT(there.st_mode):
            return f"{_shown(path)} is of another kind"
        is_directory = stat.S_ISDIR(made.st_mode)
        if not is_directory:
            if self._has_links:
                other, left, _, _ = self._pairs.get(made.st_ino, (there.st_ino, made.st_nlink, 0, path))
                if other != there.st_ino:
                    return f"{_shown(path)} is a file of its own"
                self._pairs[made.st_ino] = (other, left - 1, made.st_nlink, path)
                if made.st_ino == there.st_ino:
                    return ""
            if made.st_size != there.st_size:
                return f"{_shown(path)} has {there.st_size} bytes, not {made.st_size}"
        for name in ("st_mode", "st_uid", "st_gid", "st_rdev"):
            if getattr(made, name) != getattr(there, name):
                return f"{_shown(path)} has another {_WORDS[name]}"
        if stat.S_IFMT(made.st_mode) in _KEEPS_TIME and made.st_mtime_ns != there.st_mtime_ns:
            return f"{_shown(path)} has another time"
        return self._inside(path, made)

    def _inside(self, path: bytes, made: os.stat_result) -> str:
        ours, theirs = self._made + path, self._there + path
        if stat.S_ISLNK(made.st_mode):
            return f"{_shown(path)} leads elsewhere" if os.readlink(ours) != os.readlink(theirs) else ""
        try:
            if _attributes(ours) != _attributes(theirs):
                return f"{_shown(path)} has other extended attributes"
            if stat.S_ISREG(made.st_mode) and not _same_bytes(ours, theirs):
                return f"{_shown(path)} has other content"
        except PermissionError:
            return ""  # its mode keeps us out, and a container that sees the layer is not to see another mode
        return ""


_WORDS = {"st_mode": "mode", "st_uid": "owner", "st_gid": "group", "st_rdev": "device"}


def _attributes(path: bytes) -> dict[str, bytes]:
    names = os.listxattr(path, follow_symlinks=False)
    # What else there is belongs to the system: security labels, access lists that are inherited.
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names if name.startswith(("user.", "security.cap"))}


def _same_bytes(ours: bytes, theirs: bytes) -> bool:
    with open(ours, "rb", buffering=0) as one, open(theirs, "rb", buffering=0) as other:
        while True:
            data = one.read(_CHUNK)
            if data != other.read(_CHUNK):
                return False
            if not data:
                return True


def _shown(path: bytes) -> str:
    return os.fsdecode(path) or "/"
