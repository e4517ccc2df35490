"""A COPY or ADD: what it depends on, and the layer that it makes, without anything being run or unpacked.

    with plan(command, source, destination, workdir, epoch=None) as planned:
        planned.digest      for the cache: paths, kinds, modes, owners, contents; no times; the destination is not looked at
        planned.word        "file:…", "dir:…", "multi:…", for the image's history
        planned.write(out)  the layer's tar: the same bytes for the same files, on every machine

    digest(view, path), unpack(view, path, place)   of any file or directory, for `RUN --mount=type=bind`
    add(writer, entry, view, path)                  a file of a view as an entry of any tar

What is copied keeps its mode, times and attributes; what comes from the build context belongs to root, what comes from an image or a stage
to whom it did, unless --chown says otherwise. Hard links stay links within one source, holes stay holes.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Final, Protocol, Self

from dockerlab.dockerfile.commands import Add, Copy
from dockerlab.dockerfile.heredoc import Heredoc
from dockerlab.engine.building import adding
from dockerlab.engine.building.archive import Archive, spooled
from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.building.context import Context
from dockerlab.engine.building.ownership import mode, octal, owner
from dockerlab.engine.building.placing import Item, Layout
from dockerlab.engine.building.selecting import Found, Picked, select, walk
from dockerlab.engine.home import Home
from dockerlab.engine.rootfs import regular
from dockerlab.engine.rootfs.reading import View
from dockerlab.engine.rootfs.views import EMPTY
from dockerlab.engine.store.disk import Budget, full_disk_is_an_error
from dockerlab.errors import EngineError, UsageError
from dockerlab.wire.streams import CHUNK, chunks
from dockerlab.wire.tar import Entry, Writer

_WORTH_A_MAP: Final = 1 << 20
_UMASK: Final = 0o022


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def plan(
    command: Copy | Add,
    source: View,
    destination: View,
    workdir: str,
    *,
    epoch: int | None = None,
    home: Home | None = None,
    cancellation: Cancellation | None = None,
) -> Plan:
    """Finds what is to be copied, and downloads what is not here. epoch: seconds; nothing in the layer is younger.

    home: where downloads go to; of a build context's if not given. cancellation: ends a download. Raises EngineError, UsageError.
    """
    home = home or (source.home if isinstance(source, Context) else None)
    cancellation = cancellation or Cancellation()
    _check(command)
    if command.chmod:
        mode(command.chmod)  # what is wrong with it is said first
    with ExitStack() as stack:
        if isinstance(command, Add):
            if home is None:
                raise UsageError("ADD takes from the build context")
            picked = adding.pick(command, source, home.tmp, cancellation, stack)
        else:
            picked = select(source, command.sources, parents=command.parents, exclude=command.exclude)
        picked += [Picked(_Inline(heredoc), heredoc.name, "file", heredoc.name) for heredoc in command.inline]
        return Plan(command, picked, destination, workdir, epoch, home, cancellation, stack.pop_all())


def _check(command: Copy | Add) -> None:
    """Raises UsageError for names that no file can have."""
    if any("\0" in name for name in (*command.sources, command.target)):
        raise UsageError("a path holds a null byte")
    for heredoc in command.inline:
        if "/" in heredoc.name or heredoc.name in ("", ".", ".."):
            raise UsageError(f"a heredoc's name is that of its file, and {heredoc.name!r} cannot be one")


@dataclass
class Plan:
    """See the file's head."""

    _command: Copy | Add
    _picked: Sequence[Picked]
    _destination: View
    _workdir: str
    _epoch: int | None
    _home: Home | None
    _cancellation: Cancellation
    _stack: ExitStack

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """What was downloaded is gone."""
        self._stack.close()

    @cached_property
    def digest(self) -> str:
        """Sixty-four hexadecimal digits."""
        return self.word.partition(":")[2]

    @cached_property
    def word(self) -> str:
        """What was copied, in one word."""
        command = self._command
        hash_ = hashlib.sha256(_packed(command.chown, command.chmod, command.link, isinstance(command, Copy) and command.parents))
        for picked, found in zip(self._picked, self._found, strict=True):
            self._cancellation.check()
            hash_.update(_packed(picked.kind, picked.name if picked.kind == "file" else ""))
            _hash(hash_, picked, found, self._cancellation)
        if len(self._picked) == 1:
            return f"{'dir' if self._picked[0].kind == 'tree' else 'file'}:{hash_.hexdigest()}"
        return f"multi:{hash_.hexdigest()}"

    @cached_property
    def _found(self) -> list[list[Found]]:
        return [list(walk(picked)) if picked.kind == "tree" else [] for picked in self._picked]

    def write(self, out: IO[bytes]) -> None:
        """Writes the layer. Raises EngineError where something cannot go where it should, or an archive is broken; Cancelled."""
        with ExitStack() as stack:
            _write(self._layout(stack).items(), out, self._cancellation)

    def _layout(self, stack: ExitStack) -> Layout:
        command = self._command
        number = octal(command.chmod) if command.chmod else None
        layout = Layout(
            EMPTY if command.link else self._destination,
            self._workdir,
            command.target,
            what="COPY" if isinstance(command, Copy) else "ADD",
            owner=owner(command.chown, self._destination) if command.chown else None,
            change=mode(command.chmod) if command.chmod else None,
            way=0o755 if number is None else number & 0o777 & ~_UMASK,
            several=len(self._picked) > 1,
            epoch=None if self._epoch is None else self._epoch * 10**9,
        )
        for picked, found in zip(self._picked, self._found, strict=True):
            if picked.kind == "archive":
                picked = self._opened(picked, stack)
                layout.place(picked, walk(picked))
            else:
                layout.place(picked, found)
        return layout

    def _opened(self, picked: Picked, stack: ExitStack) -> Picked:
        """An archive as a tree."""
        assert self._home
        with picked.view.open(picked.path) as file:
            archive = Archive(spooled(self._checking(chunks(file)), self._home.tmp), owners=True)
        stack.callback(archive.close)
        return replace(picked, view=archive, path="")

    def _checking(self, source: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in source:
            self._cancellation.check()
            yield chunk


def digest(view: View, path: str) -> str:
    """Of a file, or of a directory with all in it; hexadecimal."""
    entry = view.lookup(path)
    hash_ = hashlib.sha256()
    if entry is not None:
        picked = Picked(view, path, "tree" if entry.kind == "directory" else "file")
        _hash(hash_, picked, list(walk(picked)) if picked.kind == "tree" else [], Cancellation())
    return hash_.hexdigest()


def unpack(view: View, path: str, place: Path) -> None:
    """Writes a file to `place`, or a directory's contents into it; it is made where it is not there, and nobody else writes to it.

    Owners are kept where the engine is root, else everything is its own; devices and pipes are left out. Raises EngineError.
    """
    entry = view.lookup(path)
    if entry is None:
        raise EngineError(f"/{path}: no such file or directory")
    budget = Budget(place.parent)
    if entry.kind != "directory":
        _unpack(view, entry, place, budget)
        return
    place.mkdir(exist_ok=True)
    # Links last: no path leads through one that is not there yet.
    links: list[tuple[Path, str]] = []
    folders = [(place, entry)]
    names: dict[object, Path] = {}
    start = f"{path}/" if path else ""
    for found in walk(Picked(view, path, "tree")):
        host, inner = place / found.path, start + found.path
        if found.entry.kind == "directory":
            host.mkdir(0o700)
            folders.append((host, found.entry))
        elif found.entry.kind == "symlink":
            links.append((host, found.entry.target))
        elif found.entry.kind == "file":
            first = names.setdefault(view.identity(inner), host)
            if first != host:
                os.link(first, host)
            else:
                _unpack(view, replace(found.entry, path=inner), host, budget)
    for host, target in links:
        host.symlink_to(target)
    for host, each in reversed(folders):
        _own(host, each)
        host.chmod(each.mode | 0o700)
        os.utime(host, ns=(each.mtime, each.mtime))


def _unpack(view: View, entry: Entry, host: Path, budget: Budget) -> None:
    if entry.kind != "file":
        return
    with full_disk_is_an_error(), view.open(entry.path) as file, host.open("xb") as out:
        budget.add_file()
        for offset, length in entry.sparse if entry.sparse is not None else ((0, entry.size),):
            file.seek(offset)
            out.seek(offset)
            left = length
            while left and (piece := file.read(min(left, CHUNK))):
                budget.spend(len(piece))
                out.write(piece)
                left -= len(piece)
        out.truncate(entry.size)
    _own(host, entry)
    host.chmod(entry.mode | 0o600)
    os.utime(host, ns=(entry.mtime, entry.mtime))


def _own(host: Path, entry: Entry) -> None:
    if os.getuid() == 0 and (entry.uid or entry.gid):
        with suppress(PermissionError):  # root of a user namespace that has no such user
            os.chown(host, entry.uid, entry.gid)


class _Inline:
    """The one file that a heredoc is."""

    def __init__(self, heredoc: Heredoc) -> None:
        lines = heredoc.content.splitlines(keepends=True)
        text = "".join(line.lstrip("\t") for line in lines) if heredoc.chomp else heredoc.content
        self._name, self._content = heredoc.name, text.encode("utf-8", "surrogateescape")

    def lookup(self, path: str) -> Entry | None:
        return Entry(path, size=len(self._content)) if path == self._name else None

    def names(self, path: str) -> list[str]:
        return []

    def open(self, path: str) -> IO[bytes]:
        return io.BytesIO(self._content)

    def identity(self, path: str) -> object:
        return path


def _packed(*fields: object) -> bytes:
    """Fields that cannot run into each other."""
    return repr(fields).encode("utf-8", "surrogateescape")


def _hash(hash_: _Hash, picked: Picked, found: Sequence[Found], cancellation: Cancellation) -> None:
    """What the result depends on: everything but times."""
    view = picked.view
    content: Callable[[str], bytes] | None = getattr(view, "content", None)
    if content is None:
        content = partial(_content, view, cancellation)
    if picked.kind != "tree":
        entry = view.lookup(picked.path)
        if entry:
            hash_.update(_told("", entry))
            hash_.update(content(picked.path) if entry.kind == "file" else b"")
        return
    start = f"{picked.path}/" if picked.path else ""
    for number, each in enumerate(found):
        hash_.update(_told(each.path, each.entry))
        if each.entry.kind == "file":
            if number % 256 == 0:
                cancellation.check()
            hash_.update(content(start + each.path))


def _told(path: str, entry: Entry) -> bytes:
    text = f"{path}\0{entry.kind} {entry.mode:o} {entry.uid} {entry.gid} {entry.target}\0"
    if entry.xattrs or entry.device != (0, 0):
        text += repr((entry.device, sorted(entry.xattrs.items())))
    return text.encode("utf-8", "surrogateescape")


def _content(view: View, cancellation: Cancellation, path: str) -> bytes:
    hash_ = hashlib.sha256()
    with view.open(path) as file:
        while piece := file.read(CHUNK):
            cancellation.check()
            hash_.update(piece)
    return hash_.digest()


def _write(items: Sequence[Item], out: IO[bytes], cancellation: Cancellation) -> None:
    writer = Writer(out)
    links: dict[tuple[int, object], str] = {}
    for item in items:
        entry, view = item.entry, item.view
        if entry.kind != "file" or view is None:
            writer.add(entry)
            continue
        cancellation.check()
        first = links.setdefault((item.number, view.identity(item.source)), entry.path)
        if first != entry.path:
            writer.add(Entry(entry.path, "link", entry.mode, entry.uid, entry.gid, entry.mtime, target=first))
            continue
        add(writer, entry, view, item.source)
    writer.close()


def add(writer: Writer, entry: Entry, view: View, source: str) -> None:
    """Writes a file as an entry, its holes as holes. source: where its bytes are in the view."""
    with view.open(source) as file:
        if entry.sparse is None and entry.size >= _WORTH_A_MAP and (found := _holes(file, entry.size)) is not None:
            entry = replace(entry, sparse=tuple(found))
        writer.add(entry, file if entry.sparse is None else _Segments(file, entry.sparse))


def _holes(file: IO[bytes], size: int) -> list[tuple[int, int]] | None:
    """The pieces of a file of the host that are no holes; None where that is not known."""
    try:
        fd = file.fileno()
    except OSError:
        return None
    return regular.segments(fd, size)


class _Segments:
    """Just these bytes of a file, one segment after the other."""

    def __init__(self, file: IO[bytes], sparse: Sequence[tuple[int, int]]) -> None:
        self._file, self._waiting, self._left = file, list(sparse)[::-1], 0

    def read(self, size: int, /) -> bytes:
        if not self._left:
            if not self._waiting:
                return b""
            offset, self._left = self._waiting.pop()
            self._file.seek(offset)
        found = self._file.read(min(size, self._left))
        self._left -= len(found)
        return found
