"""Functions of ours that run inside a container's root instead of a command: `docker cp`, `docker export`, the user of an exec.

They see what the container sees, on every rung, and cannot leave it: the kernel (or the supervisor) resolves every path inside. Bytes come
by standard input and go by standard output; what came out of it is one JSON object on standard error, with "error" and "status" (HTTP)
where it failed. Every module that is needed is imported above: inside, Python's own files are not to be had.

Archives: Docker's `archive` endpoints and GNU tar's extraction rules.
"""

from __future__ import annotations

import errno
import io
import json
import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from dockerlab.engine.runtime.entry import account_of
from dockerlab.engine.runtime.plan import Process
from dockerlab.errors import EngineError

_CHUNK = 1 << 20
_SKIPPED_BY_EXPORT = frozenset({"proc", "sys", "dev"})


class Refused(Exception):
    """What the caller asked for cannot be; status: of the HTTP answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def run(name: str, arguments: Mapping[str, Any]) -> int:
    """Runs a job and reports on standard error. Gives the exit code: 0, or 1 where it failed."""
    try:
        result = JOBS[name](arguments)
    except Refused as refused:
        result = {"error": str(refused), "status": refused.status}
    except (tarfile.TarError, EOFError) as error:
        cut = isinstance(error, EOFError) or any(word in str(error) for word in ("truncated", "unexpected end", "empty"))
        result = {"error": "unexpected EOF" if cut else "archive/tar: invalid tar header", "status": 500}
    except OSError as error:
        result = {"error": "no space left on device" if error.errno == errno.ENOSPC else _text(error), "status": 500}
    with suppress(BrokenPipeError):
        os.write(2, json.dumps(result).encode())
    return 1 if "error" in result else 0


def archive_stat(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What is at a path: Docker's ContainerPathStat. The last component is not followed, unless the path ends in a slash."""
    path = _absolute(arguments["path"])
    try:
        found = os.lstat(path)
    except OSError as error:
        raise _missing(arguments["path"], error) from error
    # A symbolic link is told apart, with where it leads.
    target = _target(path) if stat.S_ISLNK(found.st_mode) else ""
    return {
        "name": "." if arguments["path"].endswith("/.") else posixpath.basename(path.rstrip("/")) or "/",
        "size": found.st_size,
        "mode": _go_mode(found.st_mode),
        "mtime": found.st_mtime,
        "linkTarget": target,
    }


def archive_get(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Writes what is at a path as a tar; names start with its last component."""
    path = _absolute(arguments["path"])
    try:
        os.lstat(path)
    except OSError as error:
        raise _missing(arguments["path"], error) from error
    follow = arguments["path"].endswith(("/", "/."))
    name = posixpath.basename(posixpath.normpath(path)) or "."
    if arguments["path"].endswith("/."):
        name = "."
    with (
        os.fdopen(1, "wb", buffering=_CHUNK, closefd=False) as out,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        _add(tar, os.path.realpath(path) if follow else path, name)
    return {}


def export(_: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the whole root as a tar, without what is mounted at /proc, /sys and /dev."""
    with (
        os.fdopen(1, "wb", buffering=_CHUNK, closefd=False) as out,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(os.listdir("/")):
            if name in _SKIPPED_BY_EXPORT:
                _add(tar, f"/{name}", name, deep=False)
            else:
                _add(tar, f"/{name}", name)
    return {}


def archive_put(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Unpacks a tar into a directory. no_overwrite: nothing of another kind is replaced. owned: owners are kept."""
    path = _absolute(arguments["path"])
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused("EvalSymlinks: too many links", 500) from error
        raise _missing(arguments["path"], error) from error
    if not is_directory:
        raise Refused("extraction point is not a directory", 400)
    os.chdir(path)
    owners = bool(arguments.get("owned", True))
    with io.BufferedReader(io.FileIO(0, closefd=False), _CHUNK) as source:
        times: list[tuple[str, float]] = []
        if not source.peek(1):
            return {}
        with tarfile.open(fileobj=source, mode="r|*") as tar:
            for entry in tar:
                _extract(tar, entry, bool(arguments.get("no_overwrite")), owners, times)
        for name, when in reversed(times):
            os.utime(name, (when, when))
        while source.read(_CHUNK):
            pass
    return {}


def find_user(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Looks up whom a command is to run as. Refused with Docker's words where there is no such user or group."""
    try:
        account_of(Process((), user=arguments["user"]))
    except EngineError as error:
        raise Refused(error.message, error.status or 400) from error
    return {}


JOBS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "archive_stat": archive_stat,
    "archive_get": archive_get,
    "archive_put": archive_put,
    "export": export,
    "find_user": find_user,
}


def _add(tar: tarfile.TarFile, path: str, name: str, *, deep: bool = True) -> None:
    """Adds a file, or a directory with what is in it: not by recursion, for directories may lie deeper than Python calls itself."""
    within: set[tuple[int, int]] = set()  # the directories that are being added: what is mounted in itself has no end
    waiting: list[tuple[str, str, tuple[int, int] | None]] = [(path, name, None)]
    while waiting:
        path, name, left = waiting.pop()
        if left:
            within.discard(left)
        elif (inner := _add_one(tar, path, name)) and deep and inner not in within:
            within.add(inner)
            waiting.append((path, name, inner))
            children = sorted(os.listdir(path), reverse=True)
            waiting += [(posixpath.join(path, child), posixpath.join(name, child), None) for child in children]


def _add_one(tar: tarfile.TarFile, path: str, name: str) -> tuple[int, int] | None:
    """Adds a file, or a directory without what is in it; device and inode of a directory."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None  # ended while it was read, as with GNU tar
    if stat.S_ISSOCK(found.st_mode):
        return None
    info = tar.gettarinfo(path, arcname=name)
    info.uname = info.gname = ""
    info.mtime = int(info.mtime)  # whole seconds, as Docker has them: no header more for each file
    for attribute in _attributes(path):
        with suppress(OSError):
            value = os.getxattr(path, attribute, follow_symlinks=False)
            info.pax_headers = {f"SCHILY.xattr.{attribute}": value.decode("utf-8", "surrogateescape")}
    if info.isreg():
        try:
            with open(path, "rb") as file:
                tar.addfile(info, _Exactly(file, info.size))  # type: ignore[arg-type]  # tarfile only reads from it
        except PermissionError as error:
            raise Refused(f"{path}: {_text(error)}", 500) from error
        return None
    tar.addfile(info)
    return (found.st_dev, found.st_ino) if info.isdir() else None


class _Exactly:
    """A file of just `size` bytes, whatever is written to it meanwhile: what is missing is zeros, as with GNU tar."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        data = self._file.read(min(count, self._left))
        if len(data) < min(count, self._left):
            data += bytes(min(count, self._left) - len(data))
        self._left -= len(data)
        return data


def _extract(
    tar: tarfile.TarFile, entry: tarfile.TarInfo, no_overwrite: bool, owners: bool, times: list[tuple[str, float]]
) -> None:
    name = posixpath.normpath(entry.name.lstrip("/"))
    if name.startswith("../") or name == "..":
        raise Refused(f"invalid tar entry: {entry.name} leaves the directory", 400)
    parent = posixpath.dirname(name)
    if parent:
        os.makedirs(parent, 0o755, exist_ok=True)
    _make_room(name, entry, no_overwrite)
    if entry.isdir():
        os.makedirs(name, 0o755, exist_ok=True)
    elif entry.isreg():
        with open(name, "wb") as file, tar.extractfile(entry) as source:  # type: ignore[union-attr]  # a regular file has one
            while data := source.read(_CHUNK):
                file.write(data)
    elif entry.issym():
        os.symlink(entry.linkname, name)
    elif entry.islnk():
        target = posixpath.normpath(entry.linkname.lstrip("/"))
        if target.startswith("../"):
            raise Refused(f"invalid tar entry: {entry.name} links to outside", 400)
        os.link(target, name, follow_symlinks=False)
        return
    elif entry.isfifo():
        os.mkfifo(name)
    elif entry.ischr() or entry.isblk():
        kind = stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
        os.mknod(name, kind | entry.mode, os.makedev(entry.devmajor, entry.devminor))
    if owners:
        with suppress(PermissionError, OSError):  # a user namespace with one id has no other
            os.lchown(name, entry.uid, entry.gid)
    if not entry.issym():
        os.chmod(name, entry.mode & 0o7777)
        if entry.isdir():
            times.append((name, entry.mtime))
        else:
            os.utime(name, (entry.mtime, entry.mtime))


def _make_room(name: str, entry: tarfile.TarInfo, no_overwrite: bool) -> None:
    try:
        found = os.lstat(name)
    except FileNotFoundError:
        return
    is_directory = stat.S_ISDIR(found.st_mode)
    if is_directory and entry.isdir():
        return
    if no_overwrite and is_directory != entry.isdir():
        kinds = ("directory", "non-directory") if is_directory else ("non-directory", "directory")
        raise Refused(f"cannot overwrite {kinds[0]} {name!r} with {kinds[1]}", 400)
    if is_directory:
        shutil.rmtree(name)
    else:
        os.unlink(name)


def _absolute(path: str) -> str:
    """From the root, with the last component as it is written."""
    joined = posixpath.join("/", path)
    return posixpath.normpath(joined) + ("/" if joined.endswith(("/", "/.")) and posixpath.normpath(joined) != "/" else "")


def _target(path: str) -> str:
    """Where a symbolic link leads; that nothing is there is no error."""
    try:
        return os.path.realpath(path, strict=True)
    except FileNotFoundError:
        return os.path.realpath(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused(f"evalSymlinksInScope: too many links in {path}", 500) from error
        raise Refused(f"lstat {error.filename}: {_text(error)}", 500) from error


def _missing(path: str, error: OSError) -> Refused:
    if error.errno == errno.ENOENT:
        return Refused(f"Could not find the file {path} in container", 404)
    return Refused(f"lstat {path}: {_text(error)}", 500)


def _attributes(path: str) -> list[str]:
    try:
        return [name for name in os.listxattr(path, follow_symlinks=False) if name == "security.capability"]
    except OSError:
        return []


def _go_mode(mode: int) -> int:
    """Go's os.FileMode, which Docker's API speaks: permission bits, and the kind in the high bits."""
    kinds = {stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFBLK: 1 << 26, stat.S_IFIFO: 1 << 25, stat.S_IFSOCK: 1 << 24,
             stat.S_IFCHR: (1 << 26) | (1 << 21)}  # fmt: skip
    bits = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}
    return (mode & 0o777) | kinds.get(stat.S_IFMT(mode), 0) | sum(high for low, high in bits.items() if mode & low)


def _text(error: BaseException) -> str:
    return os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
