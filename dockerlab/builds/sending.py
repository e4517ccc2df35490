"""The files of a build context for an engine that asks for them: file sync's sender (see `dockerlab.wire.filesync`).

    sender = Sender({"context": walk, "dockerfile": walk}, heavy=…)
    Session(client, {FILE_SYNC: sender.begin}, …)
    sender.sent          what travelled; sender.error: what could not be read, to be raised in place of the engine's words about it

All files are told before the first one's bytes travel, so that `heavy` can warn of a context that is too big before it is sent. A file
that goes away, or gets shorter while it is sent, fails the build; of one that gets longer what was told is sent.
"""

from __future__ import annotations

import heapq
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final
from urllib.parse import unquote_plus

from dockerlab.builds.session import Exchange, Metadata, Refused, Service
from dockerlab.builds.walking import Found, Walk, unreadable
from dockerlab.errors import ContextError
from dockerlab.wire import grpc
from dockerlab.wire.filesync import ERR, FIN, FINISHED, REQ, STATS_END, Packet, data_packet, packet, stat_packet
from dockerlab.wire.protobuf import encode

CONTEXT: Final = "context"
DOCKERFILE: Final = "dockerfile"

_TELL: Final = 500  # files at a time
_PIECE: Final = 1 << 15
_LISTED: Final = 10


@dataclass(frozen=True)
class Sent:
    """What an engine was told of a context, and what it took of it.

    files: regular files that it was told of, and `size`: their bytes. sent_files, sent_size: those that travelled. largest: the ten largest
    that travelled, as (path, size).
    """

    files: int = 0
    size: int = 0
    sent_files: int = 0
    sent_size: int = 0
    largest: tuple[tuple[str, int], ...] = ()


class Sender:
    """walks: by the name that the engine gives a folder. heavy: called with all files of a folder, once they are told.

    Used by the session's thread; `sent` and `error` are to be read when it is over.
    """

    def __init__(
        self, walks: Mapping[str, Walk], heavy: Callable[[str, Sequence[Found]], object] = lambda name, files: None
    ) -> None:
        self._walks, self._heavy = walks, heavy
        self.error: ContextError | None = None
        self._files = self._size = self._sent_files = self._sent_size = 0
        self._largest: list[tuple[int, str]] = []

    @property
    def sent(self) -> Sent:
        """So far."""
        largest = tuple((path, size) for size, path in sorted(self._largest, reverse=True))
        return Sent(self._files, self._size, self._sent_files, self._sent_size, largest)

    def begin(self, exchange: Exchange, metadata: Metadata) -> Service:
        """Serves FileSync/DiffCopy."""
        options = {key: _values(key, metadata) for key in ("dir-name", "include-patterns", "exclude-patterns", "followpaths")}
        name = next(iter(options["dir-name"]), "")
        walk = self._walks.get(name)
        if walk is None:
            raise Refused(grpc.NOT_FOUND, f'no access allowed to dir "{name}"')
        found = walk.selected(options["include-patterns"], options["exclude-patterns"], options["followpaths"])
        return _Sending(self, exchange, name, found)

    # What `_Sending` reports

    def told(self, name: str, files: Sequence[Found]) -> None:
        """All files of a folder are told."""
        if name == CONTEXT:
            self._files += len(files)
            self._size += sum(file.size for file in files)
            self._heavy(name, files)

    def took(self, name: str, file: Found) -> None:
        """A file has travelled."""
        if name == CONTEXT:
            self._sent_files += 1
            self._sent_size += file.size
            push = heapq.heappushpop if len(self._largest) == _LISTED else heapq.heappush
            push(self._largest, (file.size, file.path))


class _Sending:
    """One call."""

    def __init__(self, sender: Sender, exchange: Exchange, name: str, found: Iterator[Found]) -> None:
        self._sender, self._exchange, self._name = sender, exchange, name
        self._found: Iterator[Found] | None = found
        self._files: dict[int, Found] = {}
        self._count = 0
        self._asked: deque[int] = deque()
        self._current: tuple[int, Found, IO[bytes] | None, int] | None = None

    def received(self, message: bytes) -> None:
        got = packet(message)
        if got.type == REQ:
            if got.id not in self._files:
                raise Refused(grpc.INVALID_ARGUMENT, f"invalid file id {got.id}")
            self._asked.append(got.id)
        elif got.type == FIN:
            self._exchange.send(FINISHED)
            self._exchange.finish()
        elif got.type == ERR:
            raise Refused(grpc.UNKNOWN, f"error from receiver: {got.data.decode('utf-8', 'replace')}")

    def ended(self) -> None:
        """See `Service`: the engine sends FIN first."""

    def more(self) -> bool:
        try:
            if self._found is not None:
                self._tell(self._found)
                return True
            return self._send()
        except OSError as error:
            known = error if isinstance(error, ContextError) else ContextError(str(error))
            self._sender.error = self._sender.error or known
            self._exchange.send(encode(Packet(ERR, data=known.message.encode("utf-8", "replace"))))
            raise known from error

    def close(self) -> None:
        """The call is over."""
        if self._current and self._current[2]:
            self._current[2].close()
        self._current = None

    def _tell(self, found: Iterator[Found]) -> None:
        messages = []
        for file in found:
            if file.is_file:
                self._files[self._count] = file
            self._count += 1
            path, link = os.fsencode(file.path), os.fsencode(file.link)
            messages.append(stat_packet(path, file.mode, file.size, file.time, link))
            if len(messages) == _TELL:
                break
        else:
            self._found = None
            messages.append(STATS_END)
            self._sender.told(self._name, [*self._files.values()])
        self._exchange.send(*messages)

    def _send(self) -> bool:
        """Sends a piece of what was asked for. Whether there may be more."""
        if self._current is None:
            if not self._asked:
                return False
            number = self._asked.popleft()
            file = self._files.pop(number)
            self._current = (number, file, _opened(file), file.size)
        number, file, stream, left = self._current
        start = file.size - left
        data = file.source[start : start + _PIECE] if isinstance(file.source, bytes) else _read(file, stream, min(left, _PIECE))
        left -= len(data)
        # An empty file, and any file's end, is an empty piece.
        self._exchange.send(*((data_packet(number, data),) if data else ()), *((data_packet(number),) if not left else ()))
        self._current = (number, file, stream, left)
        if not left:
            self.close()
            self._sender.took(self._name, file)
        return bool(self._current or self._asked)


def _opened(file: Found) -> IO[bytes] | None:
    if isinstance(file.source, bytes):
        return None
    try:
        # Without waiting: a pipe may have taken the file's place.
        return open(
            os.open(file.source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb", buffering=0
        )
    except OSError as error:
        raise unreadable(file.path, error) from error


def _read(file: Found, stream: IO[bytes] | None, size: int) -> bytes:
    assert stream is not None, "a file that lies on disk is open"
    try:
        data = stream.read(size)
    except OSError as error:
        raise unreadable(file.path, error) from error
    if len(data or b"") == 0 and size:
        raise ContextError(
            f"'{file.path}' of the build context became shorter while it was sent", hint="Build again when it is quiet."
        )
    return data


def _values(key: str, metadata: Metadata) -> list[str]:
    """What the engine asks for. Where it is not ASCII it is escaped, and another key says so."""
    values = [*metadata.get(key, ())]
    is_encoded = "1" in metadata.get(f"{key}-encoded", ()) or "true" in metadata.get(f"{key}-encoded", ())
    if is_encoded:
        with suppress(UnicodeDecodeError):
            return [unquote_plus(value, errors="surrogateescape") for value in values]
    return values
