"""A server for a handler, on a socket in a temporary directory; and a client that speaks bytes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerlab.engine.http.server import Server
from dockerlab.engine.http.types import Request, Response


@contextmanager
def serving(path: Path, handle: Callable[[Request], Response], headers: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serves until the block ends; then no thread is left."""
    server = Server(handle, headers)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(512)
        is_over = threading.Event()

        def accept() -> None:
            while not is_over.is_set():
                server.accept(listener)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server
        finally:
            is_over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            server.close()


@dataclass(frozen=True)
class Reply:
    """A response, read to its end."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Talk:
    """A connection of a client that writes HTTP by hand."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rb")

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()
        self.sock.close()

    def send(self, text: str | bytes) -> None:
        self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def head(self) -> Reply:
        """The head of a response, without its body."""
        version, status, reason = self.file.readline().decode().rstrip("\r\n").split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        while line := self.file.readline().decode().rstrip("\r\n"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Reply(int(status), reason, headers, b"")

    def chunk(self) -> bytes:
        """One chunk of a chunked body, b"" for the last."""
        size = int(self.file.readline(), 16)
        data = self.file.read(size)
        assert self.file.readline() == b"\r\n"
        return data

    def reply(self) -> Reply:
        head = self.head()
        if "chunked" in head.headers.get("transfer-encoding", ""):
            body = b"".join(iter(self.chunk, b""))
        elif "content-length" in head.headers:
            body = self.file.read(int(head.headers["content-length"]))
        else:
            body = b"" if head.status in (204, 304) else self.file.read()
        return Reply(head.status, head.reason, head.headers, body)

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        lines = [f"{method} {path} HTTP/1.1", "Host: docker", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        with suppress(BrokenPipeError):  # a refusal may come before all is sent, and can be read nevertheless
            self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self.reply()
