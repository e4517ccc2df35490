"""The ssh agents of a build (`--ssh`): what `RUN --mount=type=ssh` and git over ssh speak to, forwarded to an agent of this machine.

    agents = Agents.of(["default", "work=/run/user/1000/agent.sock"])
    Session(client, {**agents.services, …}, …)

A build may ask which keys there are and let them sign; all else (adding and removing keys, locking, extensions) is refused here, as
BuildKit's own client does. Keys never travel.

The agent protocol (draft-miller-ssh-agent) is strictly a request and its answer, each behind its length, so the session's thread serves
it: it waits a moment for the agent's answer, and where a person is asked first, looks again each time the engine says something.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from dockerlab.builds.session import Begin, Exchange, Metadata, Refused, Service, Unary
from dockerlab.errors import UsageError
from dockerlab.wire import grpc
from dockerlab.wire.protobuf import decode, encode
from dockerlab.wire.services import CHECK_AGENT, FORWARD_AGENT, BytesMessage, CheckAgentRequest

FLAG: Final = "--ssh"
DEFAULT: Final = "default"
ID: Final = "buildkit.ssh.id"  # of a call's metadata

_VARIABLE: Final = "SSH_AUTH_SOCK"
_LENGTH: Final = struct.Struct(">I")
_LONGEST: Final = 256 << 10  # as OpenSSH's
_PIECE: Final = 1 << 16
_FAILURE: Final = b"\0\0\0\1\5"
_ALLOWED: Final = (11, 13)  # which keys there are; sign
_SECONDS: Final = 2.0  # to connect, to send, and that an answer is waited for at a time
_START: Final = "Start one (`eval $(ssh-agent)`, `ssh-add`) and tell the notebook where it is: `%env SSH_AUTH_SOCK=…`."


class Agents:
    """paths: of the agents' sockets, by id."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = dict(paths)

    @classmethod
    def of(cls, flags: Iterable[str]) -> Agents:
        """flags: texts of `--ssh`, `ID` or `ID=SOCKET`. Raises UsageError for an agent that is not there, and on Windows."""
        paths: dict[str, str] = {}
        for text in [flags] if isinstance(flags, str) else flags:
            name, _, path = text.partition("=")
            name = name or DEFAULT
            if name in paths:
                raise UsageError(f"{FLAG}: the agent '{name}' is given twice")
            paths[name] = _socket(name, path)
        return cls(paths)

    def __repr__(self) -> str:
        return f"Agents({', '.join(sorted(self._paths))})"

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        """The ids."""
        return iter(self._paths)

    @property
    def services(self) -> Mapping[str, Begin]:
        """For the session: a method's path → what serves it."""
        return {CHECK_AGENT: self.check, FORWARD_AGENT: self.forward}

    def check(self, exchange: Exchange, metadata: Metadata) -> Service:
        """Serves SSH/CheckAgent."""
        return Unary(exchange, self._check)

    def forward(self, exchange: Exchange, metadata: Metadata) -> Service:
        """Serves SSH/ForwardAgent."""
        name = next(iter(metadata.get(ID, ())), "") or DEFAULT
        return _Forwarding(exchange, self._path(name))

    def _check(self, message: bytes) -> bytes:
        self._path(decode(CheckAgentRequest, message).id or DEFAULT)
        return b""

    def _path(self, name: str) -> str:
        if name not in self._paths:
            raise Refused(grpc.NOT_FOUND, f"unset ssh forward key {name}")
        return self._paths[name]


class _Forwarding:
    """One client in a build, and a connection to the agent."""

    def __init__(self, exchange: Exchange, path: str) -> None:
        self._exchange = exchange
        self._requests, self._answer = bytearray(), bytearray()
        self._is_waiting = self._is_ending = False
        self._agent = socket.socket(socket.AF_UNIX)
        self._agent.settimeout(_SECONDS)
        try:
            self._agent.connect(path)
        except OSError as error:
            self.close()
            raise Refused(grpc.UNAVAILABLE, f"the ssh agent at {path} does not answer: {error.strerror or error}") from error

    def received(self, message: bytes) -> None:
        self._requests += decode(BytesMessage, message).data
        if len(self._requests) > _LONGEST + _LENGTH.size:
            self.close()
            raise Refused(grpc.RESOURCE_EXHAUSTED, "a request to the ssh agent is too long")
        self._go_on(_SECONDS)

    def ended(self) -> None:
        """The client has nothing more to ask."""
        self._is_ending = True
        self._go_on(0)

    def more(self) -> bool:
        if self._is_waiting:
            self._go_on(0)
        return False

    def close(self) -> None:
        """The call is over."""
        self._agent.close()

    def _go_on(self, seconds: float) -> None:
        """Passes on whole requests, one after the other. seconds: that an answer may be waited for."""
        try:
            while self._is_answered(seconds) and (request := _whole(self._requests)):
                if request[_LENGTH.size : _LENGTH.size + 1] in (bytes((kind,)) for kind in _ALLOWED):
                    self._agent.settimeout(_SECONDS)
                    self._agent.sendall(request)
                    self._is_waiting = True
                else:
                    self._exchange.send(encode(BytesMessage(_FAILURE)))
        except OSError as error:
            self.close()
            raise Refused(grpc.UNAVAILABLE, f"the ssh agent broke off: {error.strerror or error}") from error
        if self._is_ending and not self._is_waiting:
            self.close()
            self._exchange.finish()

    def _is_answered(self, seconds: float) -> bool:
        """Whether no answer is outstanding, once it has been looked for."""
        self._agent.settimeout(seconds)
        while self._is_waiting:
            try:
                data = self._agent.recv(_PIECE)
            except (TimeoutError, BlockingIOError):
                return False
            self._answer += data
            if not data or len(self._answer) > _LONGEST + _LENGTH.size:
                raise ConnectionError("its answer is none")
            if answer := _whole(self._answer):
                self._is_waiting = False
                self._exchange.send(encode(BytesMessage(answer)))
        return True


def _whole(buffer: bytearray) -> bytes:
    """Takes a whole message, with its length, off the front; nothing if there is none yet."""
    if len(buffer) < _LENGTH.size:
        return b""
    end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
    if len(buffer) < end:
        return b""
    found = bytes(buffer[:end])
    del buffer[:end]
    return found


def _socket(name: str, path: str) -> str:
    """The agent's socket. Raises UsageError."""
    if not hasattr(socket, "AF_UNIX"):
        raise UsageError(
            f"{FLAG} does not work on Windows: its ssh agent listens on a named pipe, which dockerlab does not speak to",
            hint=f"Use a token as a secret (`--secret id=token,env=TOKEN`), or `docker build {FLAG}`.",
        )
    path = os.path.expanduser(path or os.environ.get(_VARIABLE, ""))
    if not path:
        raise UsageError(f"{FLAG}: there is no ssh agent: {_VARIABLE} is not set", hint=_START)
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{FLAG}: the ssh agent '{name}' at '{path}' is not there: {why}", hint=_START) from None
    if not stat.S_ISSOCK(mode):
        raise UsageError(
            f"{FLAG}: '{path}' is no agent's socket; keys themselves are not taken, only an agent",
            hint=f"Add the key to your agent: `ssh-add {path}`, then use `{FLAG} {name}`.",
        )
    return path
