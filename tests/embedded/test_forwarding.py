"""Published ports: both ways, with half-closes, slow readers, targets that refuse, and many connections."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dockerlab.engine.runtime.forwarding import Forwarder, Target, Traffic

HERE = "127.0.0.1"
CONTAINER = "127.77.0.2"  # of no network
WAIT = 30


class Loop:
    """A monitor's loop, in a thread; what it owns is touched by `do` only."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.forwarder = Forwarder(self.selector)
        self._waker, self._woken = socket.socketpair()
        self._tasks: list[Callable[[], None]] = []
        self._over = False
        self.selector.register(self._woken, selectors.EVENT_READ, self._wake)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            for key, mask in self.selector.select():
                now = self.selector.get_map().get(key.fileobj)
                if now and now.data is key.data:
                    key.data(mask)

    def _wake(self, mask: int) -> None:
        self._woken.recv(1)
        self._tasks.pop(0)()

    def _close(self) -> None:
        self.forwarder.close()
        self._over = True

    def do(self, act: Callable[[], None]) -> None:
        done = threading.Event()

        def task() -> None:
            act()
            done.set()

        self._tasks.append(task)
        self._waker.send(b".")
        assert done.wait(WAIT)

    @property
    def connections(self) -> int:
        found: list[int] = []
        self.do(lambda: found.append(self.forwarder.connections))
        return found[0]

    def until(self, connections: int) -> None:
        """Waits until there are so many."""
        end = time.monotonic() + WAIT
        while self.connections != connections and time.monotonic() < end:
            time.sleep(0.001)
        assert self.connections == connections

    @property
    def registered(self) -> int:
        found: list[int] = []
        self.do(lambda: found.append(len(self.selector.get_map())))
        return found[0]

    def end(self) -> None:
        self.do(self._close)
        self._thread.join(WAIT)
        assert list(self.selector.get_map()) == [self._woken.fileno()]
        self.selector.close()
        self._waker.close()
        self._woken.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.end()


@contextmanager
def server(serve: Callable[[socket.socket], None], connections: int = 1) -> Iterator[Target]:
    """A server in the "container" that serves so many connections, one after the other."""
    with socket.create_server((CONTAINER, 0), backlog=1000) as listener:
        listener.settimeout(WAIT)

        def run() -> None:
            for _ in range(connections):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(WAIT)
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()
        thread.join(WAIT)
        assert not thread.is_alive()


def publish(loop: Loop, target: Target) -> Target:
    listener = socket.create_server((HERE, 0), backlog=1000)
    address: Target = listener.getsockname()
    loop.do(lambda: loop.forwarder.add(listener, target))
    return address


def everything(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def test_both_ways_with_half_closes(loop: Loop) -> None:
    """The server answers only after the client has ended its half."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(everything(connection).upper())

    with server(serve) as target, socket.create_connection(publish(loop, target), WAIT) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"HELLO"
    loop.until(0)
    assert loop.forwarder.traffic == Traffic(5, 1, 5, 1)
    assert loop.registered == 2  # the listener, and what wakes the loop


def test_the_server_may_speak_and_end_first(loop: Loop) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"banner")
        connection.shutdown(socket.SHUT_WR)
        heard.append(everything(connection))

    with server(serve) as target, socket.create_connection(publish(loop, target), WAIT) as client:
        assert everything(client) == b"banner"
        client.sendall(b"and I")
    assert heard == [b"and I"]


def test_much_data_arrives_whole_however_slowly_it_is_read(loop: Loop) -> None:
    data = os.urandom(1 << 20) * 16
    sent = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(data)
        sent.set()

    with server(serve) as target, socket.create_connection(publish(loop, target), WAIT) as client:
        # Nothing is read: the sender must be held up, for nothing keeps 16 MB on the way.
        assert not sent.wait(0.3)
        assert everything(client) == data


def test_a_connection_comes_from_the_address_that_is_the_host(loop: Loop) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(connection.getpeername()[0].encode())

    with server(serve) as target, socket.create_connection(publish(loop, target), WAIT) as client:
        assert everything(client) == b"127.77.0.1"


def test_where_nobody_listens_the_client_is_cut_off(loop: Loop) -> None:
    with socket.create_server((CONTAINER, 0)) as listener:
        target = listener.getsockname()
    address = publish(loop, target)
    # The reset may come before the client knows that it is connected.
    with pytest.raises(ConnectionResetError), socket.create_connection(address, WAIT) as client:
        assert client.recv(1) == b"never"
    loop.until(0)


def test_a_client_that_breaks_off_breaks_off_the_server(loop: Loop) -> None:
    seen: list[type[Exception]] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"x")
        try:
            connection.recv(1)
        except ConnectionError as error:
            seen.append(type(error))

    with server(serve) as target, socket.create_connection(publish(loop, target), WAIT) as client:
        assert client.recv(1) == b"x"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    assert seen == [ConnectionResetError]
    loop.until(0)


def test_thousands_of_connections_leave_nothing(loop: Loop) -> None:
    count = 2000
    with server(lambda connection: connection.sendall(b"x"), count) as target:
        address = publish(loop, target)
        for _ in range(count):
            with socket.create_connection(address, WAIT) as client:
                assert everything(client) == b"x"
    loop.until(0)
    assert loop.registered == 2


def test_many_at_once(loop: Loop) -> None:
    count = 100
    with server(lambda connection: connection.sendall(everything(connection)), count) as target:
        address = publish(loop, target)
        clients = [socket.create_connection(address, WAIT) for _ in range(count)]
        for number, client in enumerate(clients):
            client.sendall(str(number).encode())
        for number, client in enumerate(clients):
            client.shutdown(socket.SHUT_WR)
            assert everything(client) == str(number).encode()
            client.close()
    loop.until(0)


def test_closing_cuts_off_what_is_open(loop: Loop) -> None:
    def serve(connection: socket.socket) -> None:
        with pytest.raises(ConnectionResetError):
            connection.recv(1)

    with server(serve) as target, socket.create_connection(publish(loop, target), WAIT) as client:
        loop.until(1)
        loop.do(loop.forwarder.close)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


@contextmanager
def echo_datagrams() -> Iterator[Target]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((CONTAINER, 0))
        bound.settimeout(WAIT)

        def run() -> None:
            while (received := bound.recvfrom(1 << 16))[0] != b"end":
                bound.sendto(b"re: " + received[0], received[1])

        thread = threading.Thread(target=run)
        thread.start()
        address = bound.getsockname()
        yield address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", address)
        thread.join(WAIT)


def publish_datagrams(loop: Loop, target: Target) -> Target:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((HERE, 0))
    address: Target = bound.getsockname()
    loop.do(lambda: loop.forwarder.add(bound, target))
    return address


def test_datagrams_find_their_way_back(loop: Loop) -> None:
    with echo_datagrams() as target:
        address = publish_datagrams(loop, target)
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for number, client in enumerate(clients):
            client.settimeout(WAIT)
            client.sendto(str(number).encode(), address)
        for number, client in enumerate(clients):
            assert client.recvfrom(100) == (f"re: {number}".encode(), address)
            client.close()
    loop.until(3)


def test_datagrams_of_too_many_clients_push_out_the_longest_silent(loop: Loop) -> None:
    with echo_datagrams() as target:
        address = publish_datagrams(loop, target)
        for number in range(600):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(WAIT)
                client.sendto(b"x", address)
                assert client.recv(100) == b"re: x", number
    loop.until(512)
