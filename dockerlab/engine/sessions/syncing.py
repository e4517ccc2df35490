"""File sync, the receiver's side: a folder of the client becomes a file tree here, and only what has changed travels.

    with contexts.using(key) as draft:
        tree = synced(session, Wanted("context", exclude=["*.md"], follow=["src"]), draft, cancellation, progress)
        tree.lookup("src/app.py"), names, open, identity, content      as of any view, as long as the draft is open

Follows tonistiigi/fsutil (see `dockerlab.wire.filesync`). What a client tells is not believed: paths lie within, in order, each below a
folder that was told; a file has the bytes that were told or fewer (it may shrink or vanish meanwhile), never more. Nothing is written
under a name of the client's. Files are asked for so that little waits in memory: small ones side by side, big ones one after the other.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final, cast
from urllib.parse import quote

from dockerlab.engine.building.archive import KEPT, LONGEST_NAME, LONGEST_PATH, MEMORY_OF_ONE, MOST_MEMORY, Window
from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.sessions.packs import Bytes, Draft, Known, Writing
from dockerlab.engine.sessions.session import Call, Metadata, Session
from dockerlab.errors import EngineError
from dockerlab.wire import filesync
from dockerlab.wire.filesync import DATA, ERR, FIN, REQ, STAT, Stat
from dockerlab.wire.protobuf import MalformedError, encode
from dockerlab.wire.services import FILE_SYNC
from dockerlab.wire.tar import Entry

_SMALL: Final = 1 << 20  # bytes of a file that waits in memory for its end
_AT_ONCE: Final = 16 << 20  # bytes of all that do
_LAST_TIME: Final = 253402300799 * 10**9  # nanoseconds: the end of the year 9999
_LARGEST: Final = 1 << 60
_NO_NAMES: Final = frozenset((b"", b".", b".."))
_EMPTY: Final = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

# Told how many bytes have come.
Progress = Callable[[int], object]


@dataclass(frozen=True)
class Wanted:
    """A folder of the client, by the name that a build gives it, and what of it. follow: paths, whose links are to come, too."""

    name: str
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    follow: Sequence[str] = ()

    def metadata(self) -> Metadata:
        """As a call has it. What is not ASCII makes all values of a name quoted."""
        found: dict[str, list[str]] = {}
        several = (("include-patterns", self.include), ("exclude-patterns", self.exclude), ("followpaths", self.follow))
        for name, values in (("dir-name", [self.name]), *several):
            if not values:
                continue
            if all(value.isascii() and value.isprintable() for value in values):
                found[name] = [*values]
            else:
                found[name] = [quote(value, safe="", errors="surrogateescape") for value in values]
                found[f"{name}-encoded"] = ["1"]
        return found


class LyingClient(EngineError):
    """What a client says of its files cannot be."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"file sync: {text}", hint="What the build's client sends of its folder is not safe, or broken.", status=400
        )


@dataclass(slots=True)
class Node:
    """number: the same for names of one file. names: of what is in a directory. told: of a file, its stat."""

    entry: Entry
    number: int = 0
    bytes: Bytes | None = None
    names: list[str] = field(default_factory=list)
    told: tuple[Any, ...] = ()


class Tree:
    """The files of a folder. Several threads may read it."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self.nodes: dict[str, Node] = {"": Node(Entry("", "directory", 0o755))}

    def lookup(self, path: str) -> Entry | None:
        """See `View`."""
        node = self.nodes.get(path)
        return node.entry if node else None

    def names(self, path: str) -> list[str]:
        """See `View`."""
        node = self.nodes.get(path)
        return sorted(node.names) if node else []

    def open(self, path: str) -> IO[bytes]:
        """See `View`."""
        node = self.nodes.get(path)
        if node is None:
            raise FileNotFoundError(path)
        if node.entry.kind != "file":
            raise IsADirectoryError(path)
        if node.bytes is None:
            return io.BytesIO()
        window = Window(self._draft.descriptor(node.bytes.pack), node.bytes.offset, node.entry.size, None)
        return cast("IO[bytes]", window)

    def identity(self, path: str) -> object:
        """See `View`."""
        return self.nodes[path].number if path in self.nodes else path

    def content(self, path: str) -> bytes:
        """The digest of a file's bytes."""
        found = self.nodes[path].bytes
        return found.digest if found else _EMPTY

    def is_implied(self, path: str) -> bool:
        """See `Archive`: every folder is told."""
        return False


def synced(session: Session, wanted: Wanted, draft: Draft, cancellation: Cancellation, progress: Progress) -> Tree:
    """Brings the folder. Raises EngineError for what cannot be, SessionEnded, CallFailed, Cancelled."""
    with session.call(FILE_SYNC, wanted.metadata(), cancellation) as call:
        receiver = _Receiver(call, draft, progress)
        receiver.run()
    tree = receiver.tree
    files = {path: Known(node.told, node.bytes) for path, node in tree.nodes.items() if node.bytes and node.told}
    draft.commit(files)
    return tree


@dataclass(slots=True)
class _Asked:
    """A file that is on its way. buffer: its bytes, of a small one; writing: of a big one. left: how many may come."""

    node: Node
    left: int
    buffer: list[bytes] = field(default_factory=list)
    writing: Writing | None = None


class _Receiver:
    """One call."""

    def __init__(self, call: Call, draft: Draft, progress: Progress) -> None:
        self._call, self._draft, self._progress = call, draft, progress
        self.tree = Tree(draft)
        self._count = self._memory = self._came = 0
        self._last = b""
        self._is_told = self._is_over = False
        self._small: deque[tuple[int, Node]] = deque()
        self._big: deque[tuple[int, Node]] = deque()
        self._asked: dict[int, _Asked] = {}
        self._at_once = 0
        self._big_one: int | None = None
        self._ready: list[_Asked] = []  # small ones that came while a big one is being written
        self._requests: list[bytes] = []
        self._links: dict[int, list[Node]] = {}  # by the first name's number
        self._is_asked = False

    def run(self) -> None:
        while messages := self._call.receive_all():
            for message in messages:
                self._came += len(message)
                try:
                    self._take(filesync.packet(message))
                except MalformedError as error:
                    raise LyingClient(error.message) from error
            self._ask()
            if self._requests:
                self._call.send(*self._requests)
                self._requests.clear()
            self._progress(self._came)
        if not self._is_over:
            raise LyingClient("it ended before all was there")

    def _take(self, packet: filesync.Packet) -> None:
        if self._is_over:
            raise LyingClient("it went on after its end")
        if packet.type == STAT:
            if self._is_told:
                raise LyingClient("a file was told after the last one")
            if packet.stat is None:
                self._is_told = True
            else:
                self._told(packet.stat)
                self._count += 1
        elif packet.type == DATA:
            self._data(packet.id, packet.data)
        elif packet.type == FIN and self._is_asked:
            self._is_over = True
            self._call.finish()
        elif packet.type == ERR:
            text = packet.data.decode("utf-8", "replace")[:1000]
            raise EngineError(f"error from sender: {text}", hint="The build's client cannot read its folder.", status=500)
        else:
            raise LyingClient(f"a packet of type {packet.type} is not expected")

    @property
    def _is_done(self) -> bool:
        return self._is_told and not (self._small or self._big or self._asked)

    # What is told

    def _told(self, stat: Stat) -> None:
        path, kind = stat.path, stat.kind
        parent = self._checked(path)
        nodes = self.tree.nodes
        node = Node(self._entry(stat), self._count + 1)
        if kind == "file" and stat.linkname:
            first = nodes.get(stat.linkname)
            if first is None or first.entry.kind != "file":
                raise LyingClient(f"/{path} is a link to /{stat.linkname[:200]}, which is no file")
            entry = node.entry
            node = Node(Entry(path, "file", first.entry.mode, mtime=entry.mtime, size=first.entry.size), first.number, first.bytes)
            if first.bytes is None and first.entry.size:  # it is on its way
                self._links.setdefault(first.number, []).append(node)
        elif kind == "file" and stat.size:
            node.told = (stat.mode, stat.size, stat.mod_time)
            known = self._draft.known.get(path)
            if known and known.told == node.told:
                node.bytes = known.bytes
            else:
                (self._small if stat.size <= _SMALL else self._big).append((self._count, node))
        elif kind not in ("file", "directory", "symlink", "fifo"):
            return  # nothing that an image could have of it
        parent.names.append(path.rpartition("/")[2])
        nodes[path] = node

    def _checked(self, path: str) -> Node:
        """The folder that a path lies in. Raises LyingClient."""
        raw = path.encode("utf-8", "surrogateescape")
        parts = raw.split(b"/")
        if b"\0" in raw or not _NO_NAMES.isdisjoint(parts):
            raise LyingClient(f"{path[:200]!r} is no path within the folder")
        if len(raw) > LONGEST_PATH or max(map(len, parts)) > LONGEST_NAME:
            raise EngineError(f"/{path[:200]}…: file name too long", status=400)
        order = raw.replace(b"/", b"\0")
        if order <= self._last:
            raise LyingClient(f"changes out of order: {path[:200]!r}")
        self._last = order
        parent = self.tree.nodes.get(path.rpartition("/")[0])
        if parent is None or parent.entry.kind != "directory":
            raise LyingClient(f"changes out of order: {path[:200]!r} is in no folder")
        return parent

    def _entry(self, stat: Stat) -> Entry:
        kind = stat.kind
        if len(stat.linkname.encode("utf-8", "surrogateescape")) >= LONGEST_PATH or "\0" in stat.linkname:
            raise EngineError(f"/{stat.path[:200]}: file name too long", status=400)
        if kind == "file" and not 0 <= stat.size <= _LARGEST:
            raise LyingClient(f"/{stat.path[:200]} has {stat.size} bytes")
        kept = {name: value for name, value in stat.xattrs.items() if name.startswith(KEPT)} if stat.xattrs else {}
        self._memory += MEMORY_OF_ONE + 2 * len(stat.path) + len(stat.linkname) + sum(map(len, kept.values()))
        if self._memory > MOST_MEMORY:
            raise EngineError("the build context has too many files", hint="Name what is not needed in .dockerignore.", status=400)
        return Entry(
            stat.path,
            kind if kind in ("file", "directory", "symlink", "fifo") else "file",  # type: ignore[arg-type]
            0o777 if kind == "symlink" else stat.permissions,
            mtime=min(max(stat.mod_time, 0), _LAST_TIME),
            size=stat.size if kind == "file" else 0,
            target=stat.linkname if kind == "symlink" else "",
            xattrs=kept,
        )

    # What comes

    def _ask(self) -> None:
        """Asks for as many files as may come at once."""
        while self._small and (self._at_once + self._small[0][1].entry.size <= _AT_ONCE or not self._asked):
            number, node = self._small.popleft()
            self._at_once += node.entry.size
            self._request(number, node)
        if self._big and self._big_one is None:
            self._big_one, node = self._big.popleft()
            self._request(self._big_one, node)
        if self._is_done and not self._is_asked:
            self._is_asked = True
            self._requests.append(filesync.FINISHED)

    def _request(self, number: int, node: Node) -> None:
        self._asked[number] = _Asked(node, node.entry.size)
        self._requests.append(encode(filesync.Packet(REQ, id=number)))

    def _data(self, number: int, data: bytes) -> None:
        asked = self._asked.get(number)
        if asked is None:
            raise LyingClient("there are bytes that nobody asked for")
        if len(data) > asked.left:
            raise LyingClient(f"/{asked.node.entry.path} has more bytes than were told: it grew while it was sent")
        asked.left -= len(data)
        if number == self._big_one:
            if asked.writing is None:
                asked.writing = self._draft.begin()
            if data:
                asked.writing.write(data)
        elif data:
            asked.buffer.append(data)
        if data:
            return
        del self._asked[number]
        if number == self._big_one:
            assert asked.writing
            self._has(asked, asked.writing.end())
            self._big_one = None
            for one in self._ready:
                self._add(one)
            self._ready.clear()
        elif self._big_one is not None and self._big_one in self._asked and self._asked[self._big_one].writing:
            self._ready.append(asked)
        else:
            self._add(asked)

    def _add(self, asked: _Asked) -> None:
        self._at_once -= asked.node.entry.size
        data = b"".join(asked.buffer)
        if data:
            self._has(asked, self._draft.add(data))
        else:
            self._has(asked, None)

    def _has(self, asked: _Asked, found: Bytes | None) -> None:
        """A file's bytes are there. One that is shorter than was told is asked for anew the next time."""
        node = asked.node
        for one in (node, *self._links.pop(node.number, ())):
            one.bytes = found
            if asked.left:
                one.told = ()
                fields = {"mode": one.entry.mode, "mtime": one.entry.mtime, "size": found.size if found else 0}
                one.entry = Entry(one.entry.path, "file", xattrs=one.entry.xattrs, **fields)
