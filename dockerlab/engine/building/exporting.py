"""A result that is files for the client, and no image: `--output DIR`, `--output type=tar`; by the session, as BuildKit sends them.

    export(session, view, output, …)            FileSend/DiffCopy: a folder by file sync (`sessions.sending`), an archive as its bytes

What is sent is what a container of the image would start with: owners, modes, times, attributes, devices and links as the image has them,
also where the disk has them in other ways (see `rootfs.views`). Paths are in the order of their bytes, folder by folder. Holes of an
archive's files stay holes; file sync has none. With SOURCE_DATE_EPOCH everything is from that second, as with BuildKit.

Of files with one name alone nothing is remembered: a tree of any size takes little memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dockerlab.engine.building.copying import add
from dockerlab.engine.rootfs.reading import View
from dockerlab.errors import EngineError
from dockerlab.wire.filesync import Stat, go_mode
from dockerlab.wire.protobuf import encode
from dockerlab.wire.services import FILE_SEND, BytesMessage
from dockerlab.wire.tar import Entry, Writer

if TYPE_CHECKING:
    from dockerlab.engine.building.cancellation import Cancellation
    from dockerlab.engine.building.request import Output
    from dockerlab.engine.sessions.sending import Progress
    from dockerlab.engine.sessions.session import Call, Session

_METADATA: Final = {"buildkit-attachable-exporter-id": ["0"]}
_PIECE: Final = 1 << 16


def check(session: Session | None, output: Output) -> None:
    """Raises EngineError where nobody would take it: before anything is built."""
    if not output.is_sent:
        return
    if session is None:
        hint = "It is sent to the client by the build's session, and this build has none: remote=client-session&session=ID."
        raise EngineError(f"output of type {output.type} needs a session", hint=hint, status=400)
    if not session.supports(FILE_SEND):
        raise EngineError(f"method {FILE_SEND} not supported by the client", status=500)


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the result. source: its path in the view; the entry's is what the client sees. link: the first name of a hard link."""

    entry: Entry
    source: str
    link: str = ""


def found(view: View, *, folder: str = "", epoch: int | None = None) -> Iterator[Found]:
    """All files, a directory before what is in it. folder: in which all of them are. epoch: seconds, of all."""
    start = f"{folder}/" if folder else ""
    if folder:
        yield Found(Entry(folder, "directory", 0o755), "")
    names: dict[object, str] = {}
    waiting = _names(view, "")
    while waiting:
        source = waiting.pop()
        entry = view.lookup(source)
        if entry is None:  # a socket
            continue
        link = ""
        if entry.kind == "directory":
            waiting += _names(view, source)
        elif entry.kind != "symlink" and (identity := view.identity(source)) != source:
            first = names.setdefault(identity, source)
            link = start + first if first != source else ""
        yield Found(replace(entry, path=start + source, mtime=entry.mtime if epoch is None else epoch * 10**9), source, link)


def _names(view: View, folder: str) -> list[str]:
    """The paths in a folder, the last one first."""
    start = f"{folder}/" if folder else ""
    return [start + name for name in sorted(view.names(folder), key=os.fsencode, reverse=True)]


def stat(one: Found) -> Stat:
    """As file sync tells it."""
    entry = one.entry
    size = len(os.fsencode(entry.target)) if entry.kind == "symlink" else entry.size
    link = one.link or entry.target
    return Stat(
        *(entry.path, go_mode(entry.st_mode), entry.uid, entry.gid, size, entry.mtime, link, *entry.device), xattrs=entry.xattrs
    )


def export(
    session: Session,
    view: View,
    output: Output,
    scratch: Path,
    cancellation: Cancellation,
    progress: Progress,
    *,
    platform: str,
    epoch: int | None,
) -> None:
    """Sends it all. scratch: for files without a name. platform: what the folder of `platform-split` is called.

    Raises EngineError, also for what the client could not write; CallFailed, SessionEnded, Cancelled.
    """
    files = found(view, folder=platform.replace("/", "_") if output.is_split else "", epoch=epoch)
    with session.call(FILE_SEND, _METADATA, cancellation) as call:
        if output.type == "tar":
            _archive(call, view, files, progress)
            return
        from dockerlab.engine.sessions.sending import send

        told = ((stat(one), one.source) for one in files)
        send(call, told, view.open, scratch, progress)


def _archive(call: Call, view: View, files: Iterator[Found], progress: Progress) -> None:
    """The bytes of a tar."""
    out = _Messages(call, progress)
    writer = Writer(out)
    for one in files:
        if one.link:
            writer.add(replace(one.entry, kind="link", target=one.link, size=0, device=(0, 0), xattrs={}))
        elif one.entry.kind == "file":
            add(writer, one.entry, view, one.source)
        else:
            writer.add(one.entry)
    writer.close()
    out.end()


class _Messages:
    """A stream that goes to the client, message by message."""

    def __init__(self, call: Call, progress: Progress) -> None:
        self._call, self._progress = call, progress
        self._buffer = bytearray()
        self._went = 0

    def write(self, data: bytes, /) -> int:
        self._buffer += data
        if len(self._buffer) >= _PIECE:
            self._flush()
        return len(data)

    def _flush(self) -> None:
        if self._call.has_ended:
            self._ended()
        self._call.send(encode(BytesMessage(bytes(self._buffer))))
        self._went += len(self._buffer)
        self._buffer.clear()
        self._progress(self._went)

    def _ended(self) -> None:
        """The client takes no more of it. Raises CallFailed, LeftEarly."""
        from dockerlab.engine.sessions.sending import LeftEarly

        while self._call.receive() is not None:
            pass
        raise LeftEarly

    def end(self) -> None:
        """All of it is there. Returns when the client says that it has it."""
        self._flush()
        self._call.finish()
        while self._call.receive() is not None:
            pass
