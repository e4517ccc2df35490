"""TLS whose two sides are independent: against Python's own, over a pair of sockets."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from dockerlab.duplex import Duplex
from tests.engine.forwarder import Authority, authority


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates"))


@contextmanager
def peer(known: Authority, talk: Callable[[ssl.SSLSocket], object]) -> Iterator[socket.socket]:
    """Our end of a connection to somebody who talks so."""
    near, far = socket.socketpair()

    def serve() -> None:
        with suppress(OSError), known.context().wrap_socket(far, server_side=True) as sock:
            talk(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield near
    finally:
        thread.join()
        far.close()


def trusting(known: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(known.folder / "ca.pem"))
    context.load_cert_chain(known.folder / "cert.pem", known.folder / "key.pem")
    return context


def echo(sock: ssl.SSLSocket) -> None:
    """Says all that it hears, a little later: more than a connection holds is under way."""
    while data := sock.recv(1 << 16):
        sock.sendall(data)
    sock.sendall(b"that was all")
    with suppress(OSError):
        sock.unwrap()


def test_one_thread_writes_while_another_reads_and_the_end_of_one_side_is_not_that_of_the_other(known: Authority) -> None:
    data = os.urandom(8_000_000)

    def write() -> None:
        sock.sendall(data)
        sock.end_of_input()

    with peer(known, echo) as tcp, closing(Duplex(tcp, trusting(known), "127.0.0.1")) as sock:
        thread = threading.Thread(target=write)
        thread.start()
        with sock.makefile("rb") as file:
            assert file.read() == data + b"that was all"
        thread.join()


def test_what_came_before_our_end_is_not_lost(known: Authority) -> None:
    def talk(sock: ssl.SSLSocket) -> None:
        sock.sendall(b"hello")
        said.set()
        assert sock.recv(10) == b""
        sock.sendall(b", world")

    said = threading.Event()
    with peer(known, talk) as tcp, closing(Duplex(tcp, trusting(known), "127.0.0.1")) as sock:
        assert said.wait(10)
        sock.end_of_input()
        assert b"".join(iter(lambda: sock.recv(3), b"")) == b"hello, world"


def test_a_reader_is_woken(known: Authority) -> None:
    with peer(known, lambda sock: sock.recv(1)) as tcp, closing(Duplex(tcp, trusting(known), "127.0.0.1")) as sock:
        thread = threading.Thread(target=lambda: sock.recv(1))
        thread.start()
        sock.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("host", ["127.0.0.2", "somebody"])
def test_somebody_else_is_refused(known: Authority, host: str) -> None:
    with peer(known, echo) as tcp, pytest.raises(ssl.SSLCertVerificationError):
        Duplex(tcp, trusting(known), host)
    with peer(known, echo) as tcp, pytest.raises(ssl.SSLCertVerificationError):
        Duplex(tcp, ssl.create_default_context(), "127.0.0.1")
