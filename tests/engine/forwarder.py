"""A forwarder on loopback before an engine's socket: tcp, TLS with certificates of its own, and what a bad network or a proxy does.

    with forwarding(engine.url) as forwarder, closing(connect(forwarder.url)) as client:
        forwarder.stall()              nothing comes through any more; …
        forwarder.cut()                all connections break off at once
    with forwarding(engine.url, authority=authority(folder)) as forwarder:          speaks TLS, and wants a client's certificate
    with forwarding(engine.url, refused={"POST /session": 403}) as forwarder:       a proxy that lets not everything through

Bytes go both ways as they come, and the end of one side's is told to the other without ending what comes back.
"""

from __future__ import annotations

import re
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_ENOUGH = 1 << 18  # bytes that wait for one side: the other is not read meanwhile
_REQUEST = re.compile(rb"([A-Z]+) (?:/v[\d.]+)?(/\S*) HTTP/1.1\r\n")
_MORE = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


@dataclass(frozen=True)
class Authority:
    """Certificates in a folder, with the names that Docker gives them: DOCKER_CERT_PATH."""

    folder: Path

    def context(self) -> ssl.SSLContext:
        """Of a server that lets in whom the authority knows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server-key.pem")
        context.load_verify_locations(self.folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def authority(folder: Path, names: str = "IP:127.0.0.1", days: int = 2) -> Authority:
    """A new authority, with a certificate for 127.0.0.1 and one for a client. names: the server's subjectAltName; days: as long as its
    certificate is good, which may be over already."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl on this machine")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names").write_text(f"subjectAltName={names}\n")
    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    signed = f"{new} -CA ca.pem -CAkey ca-key.pem -addext basicConstraints=critical,CA:FALSE"
    for line in (
        f"{new} -subj /CN=dockerlab-test-ca -keyout ca-key.pem -out ca.pem -addext keyUsage=critical,keyCertSign",
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=engine -keyout server-key.pem -out server.csr",
        f"x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -set_serial 3 -days {days} -extfile names -out server.pem",
        f"{signed} -subj /CN=client -keyout key.pem -out cert.pem -addext extendedKeyUsage=clientAuth",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
    return Authority(folder)


@dataclass
class Forwarder:
    """asked: the last request on each connection. carried: bytes, there and back. stall_at: how a request begins at which
    everything comes to a standstill."""

    to: str
    context: ssl.SSLContext | None
    refused: Mapping[str, int]
    listener: socket.socket
    asked: list[str] = field(default_factory=list)
    carried: int = 0
    stall_at: str = ""
    _flows: threading.Event = field(default_factory=threading.Event)
    _sockets: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def open(self) -> int:
        """How many connections there are."""
        return sum(thread.is_alive() for thread in self._threads)

    @property
    def is_stalled(self) -> bool:
        return not self._flows.is_set()

    def stall(self) -> None:
        """From now on nothing comes through, and nothing is closed."""
        self._flows.clear()

    def cut(self, which: Callable[[str], bool] = lambda request: True) -> None:
        """Breaks off the connections whose last request is such a one."""
        self._flows.set()
        for sock, request in zip(self._sockets, self.asked, strict=False):
            if which(request):
                _shut(sock, socket.SHUT_RDWR)

    def serve(self) -> None:
        """Takes connections until the listener is shut down."""
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self._sockets.append(near)
            self.asked.append("")
            thread = threading.Thread(target=self._carry, args=(near, len(self.asked) - 1), name="forwarder")
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        _shut(self.listener, socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def _carry(self, near: socket.socket, number: int) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as far, near:
            if self.context:
                near = self._sockets[number] = self.context.wrap_socket(near, server_side=True)
            with near:
                far.connect(self.to)
                self._pump(near, far, number)
                _shut(near, socket.SHUT_RDWR)

    def _asked(self, data: bytes, number: int) -> bytes:
        """Takes note of a request, and gives the answer to one that is refused."""
        if not (found := _REQUEST.match(data)):
            return b""
        self.asked[number] = request = f"{found[1].decode()} {found[2].decode('latin-1')}"
        if self.stall_at and request.startswith(self.stall_at):
            self.stall()
        for start, status in self.refused.items():
            if request.startswith(start):
                page = b"<html><h1>%d</h1> Not allowed here</html>" % status
                return b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(page), page)
        return b""

    def _pump(self, near: socket.socket, far: socket.socket, number: int) -> None:
        other = {near: far, far: near}
        waiting = {near: b"", far: b""}  # to be written
        reading, ended = {near, far}, set[socket.socket]()
        for sock in other:
            sock.setblocking(False)
        while reading or any(waiting.values()):
            hungry = [sock for sock in reading if len(waiting[other[sock]]) < _ENOUGH]
            pending = [sock for sock in hungry if isinstance(sock, ssl.SSLSocket) and sock.pending()]
            full = [sock for sock in other if waiting[sock]]
            readable, writable, _ = select.select(hungry, full, [], 0 if pending else None)
            self._flows.wait()
            for sock in {*readable, *pending} & reading:
                with suppress(*_MORE):
                    data = sock.recv(1 << 16)
                    self.carried += len(data)
                    if sock is near and (refusal := self._asked(data, number)):
                        reading.clear()
                        waiting[near] += refusal
                    elif data:
                        waiting[other[sock]] += data
                    else:
                        reading.discard(sock)
            self._flows.wait()
            for sock in writable:
                with suppress(*_MORE):
                    waiting[sock] = waiting[sock][sock.send(waiting[sock]) :]
            for sock in other:
                if other[sock] not in reading and not waiting[sock] and sock not in ended:
                    ended.add(sock)
                    if isinstance(sock, ssl.SSLSocket):
                        with suppress(OSError):  # tells it, and does not wait for the answer
                            sock.unwrap()
                    _shut(sock, socket.SHUT_WR)


def _shut(sock: socket.socket, how: int) -> None:
    with suppress(OSError):
        socket.socket.shutdown(sock, how)


@contextmanager
def forwarding(
    url: str | None, authority: Authority | None = None, refused: Mapping[str, int] | None = None
) -> Iterator[Forwarder]:
    """A forwarder to an engine with a socket. refused: how requests begin → the status that they get."""
    if not (url or "").startswith("unix://"):
        pytest.skip("the engine has no socket that is known")
    listener = socket.create_server(("127.0.0.1", 0))
    forwarder = Forwarder(str(url).removeprefix("unix://"), authority.context() if authority else None, refused or {}, listener)
    forwarder._flows.set()
    serving = threading.Thread(target=forwarder.serve, name="forwarder listens")
    serving.start()
    try:
        yield forwarder
    finally:
        forwarder.close()
        serving.join()
