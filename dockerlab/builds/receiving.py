"""A folder that an engine sends, written to disk: file sync's receiver (see `dockerlab.wire.filesync`).

    service = Receiving(exchange, "out", failed)      failed: called with a ContextError for what could not be written

The sender is not believed. What comes is gathered in a hidden folder inside the destination, under numbers; when all of it is there it is
put in place, one path after the other. So a build that fails leaves the destination as it was, and nothing is ever written outside of it:
paths are relative and in order, a folder on the way to one is a folder and no link whenever something is put into it, links are made but
never followed.

As Docker does, the result lies over what is there already: what is in its way is replaced, the rest remains, and what is written belongs
to who writes it. Unlike it, setuid, setgid, sticky bits and extended attributes stay behind (an archive keeps them), and a device, a pipe
or a socket is an error.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

from dockerlab.builds.session import Exchange
from dockerlab.errors import ContextError
from dockerlab.wire.filesync import DATA, ERR, FIN, FINISHED, REQ, STAT, Packet, Stat, packet
from dockerlab.wire.protobuf import MalformedError, encode

_AT_ONCE: Final = 32  # files that are asked for at a time
_MOST: Final = 1_000_000  # files; what is told is kept in memory
_LONGEST: Final = 4096
_KINDS: Final = ("file", "directory", "symlink")
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in "123456789¹²³")}
)
_FORBIDDEN: Final = frozenset('<>:"|?*\\') | {chr(code) for code in range(32)}


@dataclass(frozen=True, slots=True)
class _Told:
    """A path that the sender told. number: of the STAT. link: of a symbolic link; target: of a hard link, the other's number."""

    path: str
    number: int
    kind: str
    mode: int
    time: int
    link: str = ""
    target: int | None = None


class Receiving:
    """One call. Raises ContextError for a destination that cannot be written to."""

    def __init__(self, exchange: Exchange, directory: str, failed: Callable[[ContextError], object]) -> None:
        self._exchange, self._failed = exchange, failed
        self._root = os.path.abspath(directory)
        self._told: list[_Told] = []
        self._files: dict[str, int] = {}
        self._folders = {""}
        self._last: list[bytes] = []
        self._wanted: deque[int] = deque()
        self._open: dict[int, IO[bytes]] = {}
        self._count = 0
        self._is_told = self._is_done = False
        try:
            os.makedirs(self._root, exist_ok=True)
            self._stage = tempfile.mkdtemp(prefix=".dockerlab-", dir=self._root)
        except OSError as error:
            raise unwritable(directory, error) from error

    def received(self, message: bytes) -> None:
        try:
            self._take(packet(message))
        except (OSError, MalformedError) as error:
            self.close()
            found = unwritable(self._root, error) if not isinstance(error, ContextError) else error
            self._failed(found)
            self._exchange.send(encode(Packet(ERR, data=found.message.encode("utf-8", "replace"))))
            raise found from error

    def ended(self) -> None:
        """The sender has nothing more to say; it says FIN first."""
        if not self._is_done:
            self.close()
        self._exchange.finish()

    def more(self) -> bool:
        return False

    def close(self) -> None:
        """The call is over."""
        for file in self._open.values():
            with suppress(OSError):
                file.close()
        self._open.clear()
        shutil.rmtree(self._stage, ignore_errors=True)

    def _take(self, got: Packet) -> None:
        if got.type == STAT and got.stat is None:
            self._is_told = True
        elif got.type == STAT and got.stat is not None and not self._is_told:
            self._tell(got.stat)
        elif got.type == DATA and got.id in self._open:
            self._write(got.id, got.data)
        elif got.type == FIN and self._is_done:
            self._exchange.finish()
            return
        elif got.type == ERR:
            raise _refused(f"the engine could not read what it was to send: {got.data.decode('utf-8', 'replace')}")
        else:
            raise _refused("the engine sent what does not belong there")
        while self._wanted and len(self._open) < _AT_ONCE:
            number = self._wanted.popleft()
            self._open[number] = _created(self._staged(number))
            self._exchange.send(encode(Packet(REQ, id=number)))
        if self._is_told and not self._open and not self._is_done:
            self._place()
            self._is_done = True
            self._exchange.send(FINISHED)

    # What is told

    def _tell(self, told: Stat) -> None:
        if len(self._told) >= _MOST:
            raise _refused(f"the result has more than {_MOST} files; write an archive instead: --output type=tar,dest=FILE")
        path, number = told.path, self._count
        self._count += 1
        parts = _parts(path)
        if parts <= self._last:
            raise _refused(f"the engine sent '{path}' out of order")
        self._last = parts
        if path.rpartition("/")[0] not in self._folders:
            raise _refused(f"the engine sent '{path}' without the folder that it is in")
        if told.kind not in _KINDS:
            raise _refused(
                f"'{path}' is a {told.kind}, which is not made in a folder; write an archive instead: --output type=tar,dest=FILE"
            )
        target = None
        if told.kind == "file" and told.linkname:
            target = self._files.get(told.linkname)
            if target is None:
                raise _refused(f"the engine sent '{path}' as a link to '{told.linkname}', which is no file that it sent before")
        elif told.kind == "file":
            self._wanted.append(number)
            self._files[path] = number
        elif told.kind == "directory":
            self._folders.add(path)
        link = told.linkname if told.kind == "symlink" else ""
        if "\0" in link:
            raise _refused(f"the engine sent '{path}' as a link to nowhere")
        self._told.append(_Told(path, number, told.kind, told.permissions & 0o777, told.mod_time, link, target))

    def _write(self, number: int, data: bytes) -> None:
        file = self._open[number]
        if data:
            file.write(data)
        else:
            del self._open[number]
            file.close()

    def _staged(self, number: int) -> str:
        return os.path.join(self._stage, str(number))

    # What is put in place

    def _place(self) -> None:
        for one in self._told:
            if one.target is not None:
                _linked(self._staged(one.target), self._staged(one.number))
        for one in self._told:
            try:
                self._put(one)
            except OSError as error:
                raise error if isinstance(error, ContextError) else unwritable(one.path, error) from error
        # Last, and the innermost first: a folder may be one that nothing can be put into, and its time is that of its last change.
        shutil.rmtree(self._stage)
        for one in reversed(self._told):
            if one.kind == "directory":
                final = self._final(f"{one.path}/.")
                _marked(final, one)

    def _final(self, path: str) -> str:
        """Where a path is. Raises ContextError unless all folders above it are folders, and no links."""
        at = self._root
        *folders, name = path.split("/")
        for part in folders:
            at = os.path.join(at, part)
            if not _is_folder(os.lstat(at)):
                # Two names that are one here: case, or ways to write an accent.
                raise _refused(f"'{path}' cannot be written: another file of the result has the name of its folder here")
        return os.path.join(at, name)

    def _put(self, one: _Told) -> None:
        final = self._final(one.path)
        try:
            there: os.stat_result | None = os.lstat(final)
        except FileNotFoundError:
            there = None
        if one.kind == "directory":
            if there is not None and not _is_folder(there):
                os.unlink(final)
            if there is None or not _is_folder(there):
                os.mkdir(final, 0o700)
            elif sys.platform != "win32" and there.st_mode & 0o700 != 0o700:
                os.chmod(final, stat.S_IMODE(there.st_mode) | 0o700)
            return
        staged = self._staged(one.number)
        if one.kind == "symlink":
            inside = os.path.normpath(os.path.join(os.path.dirname(one.path), one.link)).replace(os.sep, "/")
            os.symlink(one.link, staged, target_is_directory=inside in self._folders)
        else:
            _marked(staged, one)
        if there is not None and _is_folder(there):
            shutil.rmtree(final)
        elif there is not None and not stat.S_ISREG(there.st_mode):
            os.unlink(final)  # Windows does not put a file in the place of a link to a folder
        os.replace(staged, final)


def unwritable(path: str, error: Exception) -> ContextError:
    """The error for a result that cannot be written."""
    return ContextError(f"cannot write the build's result to '{path}': {getattr(error, 'strerror', None) or error}")


def _refused(message: str) -> ContextError:
    return ContextError(f"cannot write the build's result: {message}")


def _parts(path: str) -> list[bytes]:
    """A path's names, in the order of which paths come. Raises ContextError for one that is not relative and plain."""
    names = path.split("/")
    encoded = os.fsencode(path) if "\0" not in path else b""
    if not encoded or len(encoded) > _LONGEST or any(name in ("", ".", "..") for name in names):
        raise _refused(f"the engine sent the path '{path[:200]}', which is none")
    if sys.platform == "win32" and any(not _is_name_on_windows(name) for name in names):
        raise _refused(f"'{path}' cannot be the name of a file on Windows; write an archive instead: --output type=tar,dest=FILE")
    return encoded.split(b"/")


def _is_name_on_windows(name: str) -> bool:
    is_reserved = name.partition(".")[0].rstrip().lower() in _RESERVED
    return not (_FORBIDDEN & set(name) or name.endswith((".", " ")) or is_reserved)


def _is_folder(status: os.stat_result) -> bool:
    """A real one: no symbolic link, nor Windows' junction."""
    return stat.S_ISDIR(status.st_mode) and not getattr(status, "st_reparse_tag", 0)


def _created(path: str) -> IO[bytes]:
    return open(path, "xb")


def _linked(source: str, link: str) -> None:
    try:
        os.link(source, link)
    except OSError:
        shutil.copyfile(source, link)  # not every file system has hard links


def _marked(path: str, told: _Told) -> None:
    """Gives a file or folder of ours its mode and time."""
    if sys.platform != "win32":
        os.chmod(path, told.mode)
    with suppress(OverflowError, OSError):  # of a time that the file system has not
        os.utime(path, ns=(told.time, told.time))
