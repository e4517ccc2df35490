"""A client's side of sessions for tests: services as small as can be, on the project's own `builds.session.Session`.

    folder = Folder({"Dockerfile": "FROM busybox", "a/b.txt": b"x"})
    with client(path) as engine, Session(engine, {FILE_SYNC: folder.begin, …}, name="test", key="k") as session:
        told = build(path, session=session.id)
    folder.asked, folder.sent              metadata of each call; the paths whose bytes travelled
    told.vertexes["[2/2] RUN true"], told.logs, told.image, told.error

`Folder` can lie: `stats` are sent as they are, `data` tells the bytes of a path.
"""

from __future__ import annotations

import base64
import json
import posixpath
import stat
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from dockerlab.builds.session import Exchange, Metadata, Refused, Session, Unary
from dockerlab.client import Client
from dockerlab.dockerfile.ignore import Ignore
from dockerlab.endpoints import Endpoint
from dockerlab.wire import control, filesync, grpc, services, trace
from dockerlab.wire.protobuf import decode, encode
from tests.embedded.serving import Talk

TIME = 1_700_000_000 * 10**9
Begin = Callable[[Exchange, Metadata], Any]


@dataclass(frozen=True)
class File:
    """Of a folder. data: None for a directory. link: where a symbolic link leads to."""

    data: bytes | None = b""
    mode: int = 0o644
    time: int = TIME
    link: str = ""

    def stat(self, path: str) -> filesync.Stat:
        kind = stat.S_IFLNK if self.link else stat.S_IFDIR if self.data is None else stat.S_IFREG
        return filesync.Stat(
            path, filesync.go_mode(kind | self.mode), size=len(self.data or b""), mod_time=self.time, linkname=self.link
        )


def _order(path: str) -> list[bytes]:
    return [part.encode("utf-8", "surrogateescape") for part in path.split("/")]


def _is_related(path: str, wanted: str) -> bool:
    """Whether a path is one that is wanted, in it, or leads to it."""
    return fnmatch(path, wanted) or path.startswith(f"{wanted}/") or wanted.startswith(f"{path}/")


class Folder:
    """files: by path; text is a file's. asked: metadata of each call. sent: paths whose bytes were asked for."""

    def __init__(self, files: Mapping[str, str | bytes | File]) -> None:
        self.files: dict[str, File] = {}
        for path, given in files.items():
            one = given if isinstance(given, File) else File(given.encode() if isinstance(given, str) else given)
            for above in [posixpath.dirname(path)]:
                while above:
                    self.files.setdefault(above, File(None, 0o755))
                    above = posixpath.dirname(above)
            self.files[path] = one
        self.asked: list[dict[str, list[str]]] = []
        self.sent: list[str] = []
        self.pieces = 1 << 15
        self.ends = 0

    def begin(self, exchange: Exchange, metadata: Metadata) -> Any:
        """A service of file sync."""
        said = {name: [*values] for name, values in metadata.items()}
        self.asked.append(said)
        return Sending(self, exchange, self.stats(said))

    def stats(self, asked: Mapping[str, list[str]]) -> list[filesync.Stat]:
        """What is told; only of the Dockerfile where that alone is asked for."""
        wanted = [*asked.get("include-patterns", ()), *asked.get("followpaths", ())]
        left = Ignore("\n".join(asked.get("exclude-patterns", ())))
        return [
            one.stat(path)
            for path, one in sorted(self.files.items(), key=lambda item: _order(item[0]))
            if (not wanted or any(_is_related(path, each) for each in wanted)) and not left.excludes(path)
        ]

    def data(self, path: str) -> Iterator[bytes]:
        """The bytes of a file."""
        data = self.files[path].data or b""
        for at in range(0, len(data), self.pieces):
            yield data[at : at + self.pieces]


class Sending:
    """One call, answered."""

    def __init__(self, folder: Folder, exchange: Exchange, stats: Sequence[filesync.Stat]) -> None:
        self._folder, self._exchange, self._stats = folder, exchange, stats
        self._waiting = [encode(filesync.Packet(filesync.STAT, one)) for one in stats] + [filesync.STATS_END]
        self._wanted: list[Iterator[bytes]] = []

    def received(self, message: bytes) -> None:
        packet = filesync.packet(message)
        if packet.type == filesync.REQ:
            path = self._stats[packet.id].path
            self._folder.sent.append(path)
            self._wanted.append(self._data(packet.id, path))
        elif packet.type == filesync.FIN:
            self._exchange.send(filesync.FINISHED)
            self._exchange.finish()

    def _data(self, number: int, path: str) -> Iterator[bytes]:
        for piece in self._folder.data(path):
            yield filesync.data_packet(number, piece)
        yield filesync.data_packet(number)

    def ended(self) -> None:
        self._exchange.finish()

    def more(self) -> bool:
        if self._waiting:
            self._exchange.send(*self._waiting[:500])
            del self._waiting[:500]
            return True
        while self._wanted:
            for piece in self._wanted[0]:
                self._exchange.send(piece)
                return True
            self._wanted.pop(0)
        return False

    def close(self) -> None:
        self._folder.ends += 1


def secrets(values: Mapping[str, bytes], asked: list[str] | None = None) -> Begin:
    """A service that knows secrets. asked: gets their ids."""

    def answer(message: bytes) -> bytes:
        identifier = decode(services.GetSecretRequest, message).id
        if asked is not None:
            asked.append(identifier)
        if identifier not in values:
            raise Refused(grpc.NOT_FOUND, f"secret {identifier} not found")
        return encode(services.GetSecretResponse(values[identifier]))

    return lambda exchange, metadata: Unary(exchange, answer)


def credentials(values: Mapping[str, tuple[str, str]], asked: list[str] | None = None) -> Begin:
    """A service that knows user names and passwords by host."""

    def answer(message: bytes) -> bytes:
        host = decode(services.CredentialsRequest, message).host
        if asked is not None:
            asked.append(host)
        return encode(services.CredentialsResponse(*values.get(host, ("", ""))))

    return lambda exchange, metadata: Unary(exchange, answer)


@dataclass
class Told:
    """What a build reported. vertexes: the last report of each, by name."""

    status: int = 200
    events: list[trace.Event] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    raw: bytes = b""

    def take(self, line: bytes) -> list[trace.Event]:
        """A line of the stream."""
        self.raw += line
        message = json.loads(line)
        self.messages.append(message)
        if message.get("id") != control.TRACE:
            return []
        found = [*control.events(base64.b64decode(message["aux"]))]
        self.events += found
        return found

    @property
    def by_digest(self) -> dict[str, trace.Vertex]:
        return {event.digest: event for event in self.events if isinstance(event, trace.Vertex)}

    @property
    def vertexes(self) -> dict[str, trace.Vertex]:
        return {vertex.name: vertex for vertex in self.by_digest.values()}

    @property
    def statuses(self) -> list[trace.Status]:
        return [event for event in self.events if isinstance(event, trace.Status)]

    def log(self, name: str, stream: int | None = None) -> bytes:
        """What the vertex of that name printed."""
        digest = self.vertexes[name].digest
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, trace.Log) and event.vertex == digest and stream in (None, event.stream)
        )

    def inputs(self, name: str) -> list[str]:
        """The names of what a vertex needs."""
        known = self.by_digest
        return [known[digest].name for digest in self.vertexes[name].inputs]

    @property
    def error(self) -> str:
        return next((str(message["error"]) for message in self.messages if "error" in message), "")

    @property
    def image(self) -> str:
        assert not self.error, self.error
        return str(next(message["aux"]["ID"] for message in self.messages if message.get("id") == control.IMAGE))


@contextmanager
def asked(path: Path, body: bytes = b"", /, **query: Any) -> Iterator[Talk]:
    """A build that has been asked for. query: what is no text is sent as JSON."""
    said = {"version": "2", **{name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}}
    if "session" in said:
        said.setdefault("remote", "client-session")
    with Talk(path) as talk:
        talk.sock.settimeout(60)
        head = f"POST /build?{urllib.parse.urlencode(said)} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n"
        talk.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        yield talk


def lines(talk: Talk) -> Iterator[bytes]:
    """The lines of an answer in chunks, as they come."""
    left = b""
    while piece := talk.chunk():
        *whole, left = (left + piece).split(b"\n")
        yield from whole


def build(path: Path, body: bytes = b"", /, each: Callable[[trace.Event], object] = lambda event: None, **query: Any) -> Told:
    """Builds, and reads all that is told. each: gets the events as they come."""
    with asked(path, body, **query) as talk:
        head = talk.head()
        if head.status != 200:
            size = int(head.headers.get("content-length", "0"))
            message = json.loads(talk.file.read(size))["message"]
            return Told(head.status, messages=[{"error": message}])
        told = Told()
        for line in lines(talk):
            if line.strip():
                for event in told.take(line):
                    each(event)
        return told


@contextmanager
def client(path: Path) -> Iterator[Client]:
    """docker-py, at an engine's socket."""
    found = Client(Endpoint(f"unix://{path}", "a test"))
    try:
        yield found
    finally:
        found.close()


@contextmanager
def session(path: Path, folder: Folder | None = None, /, key: str = "", **more: Begin) -> Iterator[Session]:
    """A session that serves a folder. more: FILE_SEND=… and others of `wire.services`, by their names there."""
    serving: dict[str, Begin] = {getattr(services, name): begin for name, begin in more.items()}
    if folder is not None:
        serving[services.FILE_SYNC] = folder.begin
    with client(path) as engine, Session(engine, serving, name="test", key=key) as made:
        yield made


def threads(prefix: str) -> list[str]:
    """The names of this process's threads that begin so."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]
