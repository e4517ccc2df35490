"""Published ports: what arrives at a socket of the host goes to the container's address, and back.

Part of a monitor's loop: everything is registered with its selector, with a function of the event mask as data, and nothing blocks. A
TCP connection holds at most one unsent piece in each direction, and nothing more is read until that has gone, so that a slow reader
slows its sender down. Each side may end its half by itself; a side that breaks off breaks off the other. UDP has no connections: each
client gets a socket towards the container, until it has been silent for a while.
"""

from __future__ import annotations

import errno
import ipaddress
import selectors
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dockerlab.engine.runtime.redirect import gateway

Target = tuple[str, int]

_PIECE = 1 << 16
_AT_ONCE = 64  # connections or datagrams taken before others get their turn
_LARGEST_DATAGRAM = 1 << 16
_UDP_CLIENTS = 512
_UDP_SILENCE = 90.0  # seconds, as docker-proxy has it
_IP_BIND_ADDRESS_NO_PORT = 24  # ip(7); the socket module has it since Python 3.12
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without lingering: close() sends RST
_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass
class Traffic:
    """What was forwarded so far: bytes, and the pieces in which they came, towards the container (in) and back (out)."""

    bytes_in: int = 0
    pieces_in: int = 0
    bytes_out: int = 0
    pieces_out: int = 0

    def count(self, size: int, *, towards: bool) -> None:
        """One piece more."""
        if towards:
            self.bytes_in += size
            self.pieces_in += 1
        else:
            self.bytes_out += size
            self.pieces_out += 1


class Forwarder:
    """Forwards what arrives at listening sockets."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self.traffic = Traffic()
        self._listeners: list[_TcpListener | _UdpListener] = []

    def add(self, listener: socket.socket, target: Target) -> None:
        """From now on `listener`, a TCP socket that listens or a UDP socket that is bound, is forwarded to `target`. Owns it."""
        listener.setblocking(False)
        kind = _UdpListener if listener.type == socket.SOCK_DGRAM else _TcpListener
        self._listeners.append(kind(self._selector, listener, target, self.traffic))

    def close(self) -> None:
        """Closes the listeners and all that they forwarded."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    @property
    def connections(self) -> int:
        """How many connections, and UDP clients, there are."""
        return sum(listener.connections for listener in self._listeners)


def _towards(kind: socket.SocketKind, target: Target) -> socket.socket:
    """A socket for connecting to `target` from the address that is the host for it: its own loopback is what it may trust."""
    made = socket.socket(_family(target), kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    if target[0].startswith("127."):
        # Without it the connection is made from 127.0.0.1, which is not worse than no connection.
        with suppress(OSError):
            made.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            made.bind((gateway(target[0]), 0))
    return made


def _family(target: Target) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(target[0]).version == 6 else socket.AF_INET


class _TcpListener:
    def __init__(self, selector: selectors.BaseSelector, listener: socket.socket, target: Target, traffic: Traffic) -> None:
        self._selector, self._listener, self._target, self._traffic = selector, listener, target, traffic
        self._relays: set[_Relay] = set()
        self._is_waiting = False
        self._react: Callable[[int], None] = lambda mask: self._accept()
        selector.register(listener, selectors.EVENT_READ, self._react)

    @property
    def connections(self) -> int:
        return len(self._relays)

    def close(self) -> None:
        if not self._is_waiting:
            self._selector.unregister(self._listener)
            self._is_waiting = True
        self._listener.close()
        for relay in list(self._relays):
            relay.break_off()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _ = self._listener.accept()
            except OSError as error:
                if error.errno in _NO_MORE_FILES and self._relays:
                    # The rest waits in the backlog until a connection has ended.
                    self._selector.unregister(self._listener)
                    self._is_waiting = True
                return
            client.setblocking(False)
            try:
                server = _towards(socket.SOCK_STREAM, self._target)
            except OSError:
                client.close()
                continue
            self._relays.add(_Relay(self._selector, client, server, self._target, self._traffic, self._ended))

    def _ended(self, relay: _Relay) -> None:
        self._relays.discard(relay)
        if self._is_waiting and self._listener.fileno() >= 0:
            self._is_waiting = False
            self._selector.register(self._listener, selectors.EVENT_READ, self._react)


class _End:
    """One of the two sockets of a connection. pending: read from the other, not yet written here. interest: registered events."""

    def __init__(self, socket: socket.socket) -> None:
        self.socket = socket
        self.pending = memoryview(b"")
        self.has_ended = False  # nothing more comes from it
        self.is_shut = False  # nothing more goes to it
        self.interest = 0
        self.react: Callable[[int], None] = lambda mask: None


class _Relay:
    """One connection, and the one that is made for it."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        client: socket.socket,
        server: socket.socket,
        target: Target,
        traffic: Traffic,
        ended: Callable[[_Relay], None],
    ) -> None:
        self._selector, self._traffic, self._ended = selector, traffic, ended
        self._client, self._server = _End(client), _End(server)
        self._client.react = lambda mask: self._handle(self._client, self._server, mask)
        self._server.react = lambda mask: self._handle(self._server, self._client, mask)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_connecting = True
        self._is_over = False
        refused = server.connect_ex(target)
        if refused in (0, errno.EINPROGRESS):
            self._watch()
        else:
            self.break_off()

    def break_off(self) -> None:
        """Ends it with a reset on both sides."""
        for end in (self._client, self._server):
            # The peer may have gone already.
            with suppress(OSError):
                end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._close()

    def _close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        for end in (self._client, self._server):
            if end.interest:
                self._selector.unregister(end.socket)
            end.socket.close()
        self._ended(self)

    def _handle(self, end: _End, other: _End, mask: int) -> None:
        if self._is_over:
            return
        try:
            if self._is_connecting and end is self._server:
                self._check_connected()
            if mask & selectors.EVENT_WRITE:
                self._write(end, other)
            if mask & selectors.EVENT_READ and not end.has_ended and not other.pending:
                self._read(end, other)
        except BlockingIOError:
            pass
        except OSError:
            self.break_off()
            return
        if self._client.is_shut and self._server.is_shut:
            self._close()
        else:
            self._watch()

    def _check_connected(self) -> None:
        if number := self._server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, "connect")
        self._is_connecting = False

    def _read(self, end: _End, other: _End) -> None:
        data = end.socket.recv(_PIECE)
        if data:
            other.pending = memoryview(data)
            self._traffic.count(len(data), towards=end is self._client)
        else:
            end.has_ended = True
        self._write(other, end)

    def _write(self, end: _End, other: _End) -> None:
        """Sends what is pending; passes the end of the other side's half on, once all of it has gone."""
        if end.pending:
            with suppress(BlockingIOError):
                end.pending = end.pending[end.socket.send(end.pending) :]
        if other.has_ended and not end.pending and not end.is_shut:
            end.is_shut = True
            end.socket.shutdown(socket.SHUT_WR)

    def _watch(self) -> None:
        """Registers each socket for what can be done with it now."""
        for end, other in ((self._client, self._server), (self._server, self._client)):
            wanted = selectors.EVENT_WRITE if end.pending else 0
            if self._is_connecting:
                wanted = selectors.EVENT_WRITE if end is self._server else 0
            elif not end.has_ended and not other.pending:
                wanted |= selectors.EVENT_READ
            if wanted == end.interest:
                continue
            if not wanted:
                self._selector.unregister(end.socket)
            elif end.interest:
                self._selector.modify(end.socket, wanted, end.react)
            else:
                self._selector.register(end.socket, wanted, end.react)
            end.interest = wanted


class _UdpListener:
    def __init__(self, selector: selectors.BaseSelector, listener: socket.socket, target: Target, traffic: Traffic) -> None:
        self._selector, self._listener, self._target, self._traffic = selector, listener, target, traffic
        # By client, the longest silent first: its socket, and when it was last heard.
        self._clients: OrderedDict[tuple[str, int], tuple[socket.socket, float]] = OrderedDict()
        selector.register(listener, selectors.EVENT_READ, lambda mask: self._receive())

    @property
    def connections(self) -> int:
        return len(self._clients)

    def close(self) -> None:
        self._selector.unregister(self._listener)
        self._listener.close()
        for client in list(self._clients):
            self._forget(client)

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, client = self._listener.recvfrom(_LARGEST_DATAGRAM)
            except OSError:
                return
            # A datagram that cannot be delivered is lost, as datagrams are.
            with suppress(OSError):
                self._socket_for(client).send(data)
                self._traffic.count(len(data), towards=True)

    def _socket_for(self, client: tuple[str, int]) -> socket.socket:
        now = time.monotonic()
        while self._clients:
            longest, (_, heard) = next(iter(self._clients.items()))
            if longest == client or (now - heard < _UDP_SILENCE and len(self._clients) < _UDP_CLIENTS):
                break
            self._forget(longest)
        if client in self._clients:
            found, _ = self._clients[client]
        else:
            found = _towards(socket.SOCK_DGRAM, self._target)
            try:
                found.connect(self._target)
                self._selector.register(found, selectors.EVENT_READ, lambda mask: self._answer(client, found))
            except OSError:
                found.close()
                raise
        self._clients[client] = (found, now)
        self._clients.move_to_end(client)
        return found

    def _answer(self, client: tuple[str, int], found: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                data = found.recv(_LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                # Nobody listens there: the client learns of it by silence, as it would from a machine far away.
                return
            with suppress(OSError):
                self._listener.sendto(data, client)
                self._traffic.count(len(data), towards=False)

    def _forget(self, client: tuple[str, int]) -> None:
        found, _ = self._clients.pop(client)
        self._selector.unregister(found)
        found.close()
