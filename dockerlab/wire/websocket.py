"""The server's side of a WebSocket: the answer to the handshake, and frames (RFC 6455). Bytes in, bytes out; no extensions.

    accept(key)                       what `Sec-WebSocket-Accept` says to a client's `Sec-WebSocket-Key`
    frame(BINARY, data)               one whole message
    Reader().feed(data)               (opcode, payload): of messages in pieces, as they come; PING, PONG and CLOSE whole

What a client may not send raises `ViolationError`; `close(PROTOCOL_ERROR)` answers it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NORMAL, PROTOCOL_ERROR = 1000, 1002

_CONTINUATION = 0
_LAST, _RESERVED, _OPCODE = 0x80, 0x70, 0x0F
_MASKED, _LENGTH = 0x80, 0x7F
_LONGEST_CONTROL = 125
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ViolationError(ValueError):
    """What no client of the protocol sends."""


def accept(key: str) -> str:
    """The proof that a handshake was understood."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def frame(opcode: int, data: bytes = b"") -> bytes:
    """A message in one frame, as servers send it: without a mask."""
    head = bytes((_LAST | opcode,))
    if len(data) <= _LONGEST_CONTROL:
        return head + bytes((len(data),)) + data
    if len(data) < 1 << 16:
        return head + b"\x7e" + len(data).to_bytes(2, "big") + data
    return head + b"\x7f" + len(data).to_bytes(8, "big") + data


def close(code: int = NORMAL) -> bytes:
    """The last frame."""
    return frame(CLOSE, code.to_bytes(2, "big"))


class Reader:
    """What a client sends. No more of a message is kept than what is not there yet of a frame's head, or of a control frame."""

    def __init__(self) -> None:
        self._buffer = b""
        self._opcode = 0  # of the message that is not whole yet, 0 for none
        self._is_last = False
        self._mask = b""
        self._left = 0  # of the frame's payload

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Raises ViolationError; nothing is to be fed after that."""
        self._buffer += data
        while True:
            if self._left:
                if not self._buffer:
                    return
                piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
                yield self._opcode, self._unmasked(piece)
                self._left -= len(piece)
                self._end_of_frame()
                continue
            size = self._head_size()
            if size is None or len(self._buffer) < size:
                return
            opcode, length = self._take_head(size)
            if opcode >= CLOSE:
                yield opcode, self._unmasked(self._take(length))
            else:
                self._left = length
                self._end_of_frame()

    def _head_size(self) -> int | None:
        """How much makes the next frame's head, a control frame's payload included; None where that cannot be told yet."""
        if len(self._buffer) < 2:
            return None
        first, second = self._buffer[0], self._buffer[1]
        opcode, length = first & _OPCODE, second & _LENGTH
        if first & _RESERVED or opcode not in (_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG) or not second & _MASKED:
            raise ViolationError("a frame that this protocol does not have")
        if opcode >= CLOSE and (length > _LONGEST_CONTROL or not first & _LAST):
            raise ViolationError("a control frame is short and whole")
        if (opcode == _CONTINUATION) != bool(self._opcode) and opcode < CLOSE:
            raise ViolationError("a message begins before the last one has ended, or goes on without a beginning")
        return 6 + {126: 2, 127: 8}.get(length, 0) + (length if opcode >= CLOSE else 0)

    def _take_head(self, size: int) -> tuple[int, int]:
        first, second = self._take(2)
        opcode, length = first & _OPCODE, second & _LENGTH
        if length > _LONGEST_CONTROL:
            length = int.from_bytes(self._take(2 if length == 126 else 8), "big")
        self._mask = self._take(4)
        if opcode < CLOSE:
            self._opcode, self._is_last = opcode or self._opcode, bool(first & _LAST)
        return opcode, length

    def _end_of_frame(self) -> None:
        if not self._left and self._is_last:
            self._opcode = 0

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _unmasked(self, data: bytes) -> bytes:
        size = len(data)
        mask = self._mask * (size // 4 + 1)
        plain = (int.from_bytes(data, "big") ^ int.from_bytes(mask[:size], "big")).to_bytes(size, "big")
        turn = size % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        return plain
