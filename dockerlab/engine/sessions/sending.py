"""File sync, the sender's side: a tree of the engine's goes to the client, by numbers, and only the files that it asks for.

    with session.call(FILE_SEND, {}, cancellation) as call:
        send(call, files, read, folder, progress)          files: (stat, key) in file sync's order; read(key): a file's bytes

Follows tonistiigi/fsutil (see `dockerlab.wire.filesync`), `syncing` is the other side. What is kept of a file until it is asked for, or
until the end, is its key in a file without a name: a tree of any size takes no more memory than eight bytes for each.

What a client asks for is not believed: each file once, and only what is one. A client that stops reading stops the walk.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dockerlab.engine.store.disk import full_disk_is_an_error
from dockerlab.errors import EngineError
from dockerlab.wire import filesync
from dockerlab.wire.filesync import ERR, FIN, REQ, STAT, Stat
from dockerlab.wire.protobuf import MalformedError, encode

if TYPE_CHECKING:
    from dockerlab.engine.sessions.session import Call

# Told how many bytes have gone.
Progress = Callable[[int], object]

_PIECE: Final = 1 << 16
_IN_MEMORY: Final = 1 << 20
_NOTHING: Final = (1 << 64) - 1  # there is no file of that number, or it has been asked for


class LeftEarly(EngineError):
    """The client ended the transfer, and says no error."""

    def __init__(self) -> None:
        super().__init__("the client ended the transfer before all was there", status=500)


def send(call: Call, files: Iterable[tuple[Stat, str]], read: Callable[[str], IO[bytes]], folder: Path, progress: Progress) -> None:
    """Sends. folder: for the file without a name. Raises EngineError for what the client says, CallFailed, SessionEnded, Cancelled."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder)) as file:
        _Sender(call, _Keys(file), read, progress).run(files)


class _Sender:
    """One call. Messages go in handfuls."""

    def __init__(self, call: Call, keys: _Keys, read: Callable[[str], IO[bytes]], progress: Progress) -> None:
        self._call, self._keys, self._read, self._progress = call, keys, read, progress
        self._asked: deque[int] = deque()
        self._handful: list[bytes] = []
        self._size = self._went = 0
        self._is_over = False

    def run(self, files: Iterable[tuple[Stat, str]]) -> None:
        for stat, key in files:
            is_file = filesync.is_regular(stat.mode) and not stat.linkname
            self._keys.add(key if is_file else None)
            self._put(encode(filesync.Packet(STAT, stat)))
        self._put(filesync.STATS_END)
        while not self._is_over:
            if self._asked:
                self._serve(self._asked.popleft())
                continue
            self._flush()
            if not (self._asked or self._is_over):
                self._take(self._received())
        self._put(filesync.FINISHED)
        self._flush()
        self._call.finish()
        while self._call.receive() is not None:
            pass

    def _put(self, message: bytes) -> None:
        self._handful.append(message)
        self._size += len(message)
        if self._size >= _PIECE:
            self._flush()

    def _serve(self, number: int) -> None:
        with self._read(self._keys.taken(number)) as file:
            while piece := file.read(_PIECE):
                self._put(filesync.data_packet(number, piece))
        self._put(filesync.data_packet(number))

    def _flush(self) -> None:
        """Sends what there is, and hears what the client has said meanwhile: it never waits to be heard while it is spoken to."""
        self._call.send(*self._handful)
        self._went += self._size
        self._handful, self._size = [], 0
        self._progress(self._went)
        for message in self._call.receive_ready():
            self._take(message)
        if self._call.has_ended and not self._is_over:
            self._received()

    def _received(self) -> bytes:
        message = self._call.receive()
        if message is None:
            raise LeftEarly
        return message

    def _take(self, message: bytes) -> None:
        try:
            packet = filesync.packet(message)
        except MalformedError as error:
            raise EngineError(f"file sync: {error.message}", status=400) from error
        if packet.type == REQ:
            # Each number once: what waits cannot be more than what was told.
            self._keys.ask(packet.id)
            self._asked.append(packet.id)
        elif packet.type == FIN:
            self._is_over = True
        elif packet.type == ERR:
            text = packet.data.decode("utf-8", "replace")[:1000]
            raise EngineError(f"error from receiver: {text}", hint="The build's client cannot write the result.", status=500)
        else:
            raise EngineError(f"file sync: a packet of type {packet.type} is not expected", status=400)


class _Keys:
    """The keys of files by their numbers."""

    def __init__(self, file: tempfile.SpooledTemporaryFile[bytes]) -> None:
        self._file = file
        self._at = array("Q")
        self._open = bytearray()
        self._end = 0

    def add(self, key: str | None) -> None:
        """The next number's; None for what has no bytes."""
        self._open.append(key is not None)
        if key is None:
            self._at.append(_NOTHING)
            return
        data = key.encode("utf-8", "surrogateescape")
        self._at.append(self._end)
        with full_disk_is_an_error():
            self._file.seek(self._end)
            self._file.write(len(data).to_bytes(4, "big") + data)
        self._end += 4 + len(data)

    def ask(self, number: int) -> None:
        """Raises EngineError for what is no file, or was asked for before."""
        if not 0 <= number < len(self._open) or not self._open[number]:
            raise EngineError(f"invalid file id {number}", status=400)
        self._open[number] = False

    def taken(self, number: int) -> str:
        """The key of a number that was asked for."""
        self._file.seek(self._at[number])
        size = int.from_bytes(self._file.read(4), "big")
        return self._file.read(size).decode("utf-8", "surrogateescape")
