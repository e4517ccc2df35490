"""The files of a build context for an engine that asks for them: file sync's sender (see `dockerlab.wire.filesync`).

    sender = Sender({CONTEXT: walk, DOCKERFILE: walk}, {CONTEXT: tally})
    Session(client, {FILE_SYNC: sender.begin}, …)
    sender.error         what could not be read, to be raised in place of the engine's words about it

No file's content travels before all files are told, nor before the warning of a context that is too big is shown: whoever sees it can
still stop. A file that goes away, or gets shorter while it is sent, fails the build; of one that gets longer what was told is sent.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from typing import Final
from urllib.parse import unquote_plus

from dockerlab.builds.reading import opened, read
from dockerlab.builds.session import Exchange, Metadata, Refused, Service
from dockerlab.builds.tally import Tally, hashing
from dockerlab.builds.walking import Found, Walk
from dockerlab.dockerfile.ignore import Ignore
from dockerlab.errors import ContextError, printable
from dockerlab.wire import grpc
from dockerlab.wire.filesync import ERR, FIN, FINISHED, REQ, STATS_END, Packet, data_packet, go_mode, packet, stat_packet
from dockerlab.wire.protobuf import encode

CONTEXT: Final = "context"
DOCKERFILE: Final = "dockerfile"
IGNORE: Final = ".dockerignore"

_TELL: Final = 500  # files at a time
_SEND: Final = 1 << 17  # bytes at a time, and a piece
_WAIT: Final = 0.02  # seconds at a time for a warning to be shown
_LONGEST_WAIT: Final = 5.0  # seconds: a proxy before the engine may keep the build's stream back until its end
_PIECE: Final = 1 << 15
_NO_TEXT: Final = "invalid UTF-8"  # what gRPC for Go says


class Sender:
    """walks: by the name that the engine gives a folder. tallies: count what is sent of those that count.

    Used by the session's thread; `error` may be read by others.
    """

    def __init__(self, walks: Mapping[str, Walk], tallies: Mapping[str, Tally]) -> None:
        self._walks, self._tallies = walks, tallies
        self.error: ContextError | None = None
        self._odd = ""

    def begin(self, exchange: Exchange, metadata: Metadata) -> Service:
        """Serves FileSync/DiffCopy."""
        options = {key: _values(key, metadata) for key in ("dir-name", "include-patterns", "exclude-patterns", "followpaths")}
        name = next(iter(options["dir-name"]), "")
        walk = self._walks.get(name)
        if walk is None:
            raise Refused(grpc.NOT_FOUND, f'no access allowed to dir "{name}"')
        exclude = Ignore.of(options["exclude-patterns"]) if options["exclude-patterns"] else None
        follow = options["followpaths"]
        found = walk.selected(options["include-patterns"], exclude, follow)
        return _Sending(self, exchange, found, self._tallies.get(name) if follow != [IGNORE] else None)

    def refusal(self, said: str) -> ContextError | None:
        """Why a build failed whose engine takes no names but UTF-8 (from 28 on); None if it is not for that."""
        if not self._odd or _NO_TEXT not in said:
            return None
        shown = printable(self._odd)
        return ContextError(
            f"the name of '{shown}' in the build context is not UTF-8, and this engine takes no other",
            hint="Rename it, or keep it out with a line in .dockerignore that has * or ? for those characters.",
        )

    # What `_Sending` reports

    def odd(self, path: str) -> None:
        """A path, or where a link leads to, that is not UTF-8."""
        self._odd = self._odd or path


class _Sending:
    """One call. tally: None for what does not count."""

    def __init__(self, sender: Sender, exchange: Exchange, found: Iterator[Found], tally: Tally | None) -> None:
        self._sender, self._exchange, self._tally = sender, exchange, tally
        self._found: Iterator[Found] | None = found
        self._told: list[Found] = []
        self._asked: deque[int] = deque()
        self._pieces = self._wanted()
        self._waits = int(_LONGEST_WAIT / _WAIT)  # that are left

    def received(self, message: bytes) -> None:
        got = packet(message)
        if got.type == REQ:
            if not 0 <= got.id < len(self._told) or not self._told[got.id].is_file:
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
            if self._tally and self._waits and not self._tally.is_shown(_WAIT):
                # In small steps: meanwhile the engine may have something to say, or the build may end.
                self._waits -= 1
                return True
            return self._send()
        except OSError as error:
            known = error if isinstance(error, ContextError) else ContextError(str(error))
            self._sender.error = self._sender.error or known
            self._exchange.send(encode(Packet(ERR, data=known.message.encode("utf-8", "replace"))))
            raise known from error

    def close(self) -> None:
        """The call is over."""
        self._pieces.close()

    def _tell(self, found: Iterator[Found]) -> None:
        files = [*islice(found, _TELL)]
        self._told += files
        messages = [self._stat(file) for file in files]
        if len(files) < _TELL:
            self._found = None
            messages.append(STATS_END)
            if self._tally:
                self._tally.told(self._told)
        self._exchange.send(*messages)

    def _stat(self, file: Found) -> bytes:
        path, _, mode, size, time, link, _ = file
        if path.isascii() and not link:
            return stat_packet(path.encode(), go_mode(mode), size, time)
        name, target = os.fsencode(path), os.fsencode(link)
        if not _is_text(name) or not _is_text(target):
            self._sender.odd(path)
        return stat_packet(name, go_mode(mode), size, time, target)

    def _send(self) -> bool:
        """Sends some of what was asked for, small files together. Whether there may be more."""
        pieces, size = [], 0
        for piece in self._pieces:
            pieces.append(piece)
            size += len(piece)
            if size >= _SEND:
                break
        else:
            self._pieces = self._wanted()
        self._exchange.send(*pieces)
        return size >= _SEND

    def _wanted(self) -> Generator[bytes]:
        """The packets of the files that were asked for."""
        while self._asked:
            number = self._asked.popleft()
            file, content = self._told[number], hashing()
            with opened(file) as stream:
                left = file.size
                while left:
                    data = read(file, stream, min(left, _PIECE))
                    left -= len(data)
                    content.update(data)
                    yield data_packet(number, data)
            yield data_packet(number)
            if self._tally:
                self._tally.took(file, content.digest())


def _is_text(name: bytes) -> bool:
    if name.isascii():
        return True
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _values(key: str, metadata: Metadata) -> list[str]:
    """What the engine asks for. Where it is not ASCII it is escaped, and another key says so."""
    values = [*metadata.get(key, ())]
    is_encoded = "1" in metadata.get(f"{key}-encoded", ()) or "true" in metadata.get(f"{key}-encoded", ())
    return [unquote_plus(value, errors="surrogateescape") for value in values] if is_encoded else values
