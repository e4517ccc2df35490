"""A build context: the archive that a client sends, or what a URL gives, as a file tree (see `archive`), and the Dockerfile in it.

    context = Context.read(body, home, "Dockerfile")                  the body of POST /build
    context = Context.read(body, home, "Dockerfile", "https://…")     a Dockerfile alone, an archive, a git repository
    context.dockerfile()                                              its text
    context.lookup(…), names, open, identity                          as of any view; everything belongs to root
    context.close()                                                   nothing of it is left

Nothing is unpacked. What `.dockerignore` excludes the client has left out; the Dockerfile and `.dockerignore`, which it must send, are
taken out of the tree here if they are excluded too, as Docker's daemon does. Errors have the daemon's texts.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dockerlab.dockerfile.ignore import Ignore
from dockerlab.engine.building import downloading, git
from dockerlab.engine.building.archive import Archive, is_archive, spooled
from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.home import Home
from dockerlab.engine.rootfs.reading import resolve
from dockerlab.errors import ContextError, EngineError, UsageError
from dockerlab.wire.streams import CHUNK, chunks
from dockerlab.wire.tar import Entry, Readable, Writer, archive

if TYPE_CHECKING:
    from dockerlab.engine.rootfs.reading import View

IGNORE: Final = ".dockerignore"
_DEFAULT: Final = "Dockerfile"
_LONGEST_TEXT: Final = 16 << 20


class Context(Archive):
    """home: where what is fetched for it may lie meanwhile. file: the archive."""

    def __init__(self, file: IO[bytes], home: Home, dockerfile: str = _DEFAULT) -> None:
        super().__init__(file)
        self.home = home
        try:
            self._text = self._taken(dockerfile)
        except BaseException:
            self.close()
            raise

    @classmethod
    def read(
        cls, body: Readable, home: Home, dockerfile: str = _DEFAULT, remote: str = "", cancellation: Cancellation | None = None
    ) -> Context:
        """Reads it to its end. Raises EngineError, ContextError, UsageError for what is none; Cancelled. Nothing is left then."""
        if not remote or remote == "client-session":
            return cls(spooled(chunks(body), home.tmp), home, dockerfile)
        cancellation = cancellation or Cancellation()
        if git.is_repository(remote):
            with git.checkout(remote, home.tmp, cancellation) as view:
                return cls(packed(view, home.tmp, cancellation), home, dockerfile)
        if not remote.startswith(("http://", "https://")):
            raise UsageError(f"remote context {remote} is no URL", hint="It begins with http://, https:// or git://.")
        with downloading.download(remote, home.tmp, cancellation, what="remote context") as fetched:
            start = fetched.file.read(1 << 16)
            fetched.file.seek(0)
            if is_archive([start]):
                return cls(spooled(cancellation.checking(chunks(fetched.file)), home.tmp), home, dockerfile)
            if b"\0" in start:
                text = f"remote context {remote} is neither a Dockerfile nor an archive"
                raise EngineError(
                    text, hint="An archive is a tar, also one that is compressed with gzip, bzip2, xz or zstd.", status=400
                )
            return cls(single(_DEFAULT, _text(fetched.file, remote), home.tmp), home, _DEFAULT)

    def dockerfile(self) -> str:
        """The Dockerfile's text."""
        return self._text

    def _taken(self, name: str) -> str:
        path = posixpath.normpath(name.replace("\\", "/").lstrip("/"))
        if path.split("/")[0] == "..":
            raise UsageError(f"the Dockerfile ({name}) must be within the build context")
        found = resolve(self, path)
        if self.lookup(found) is None and path == _DEFAULT and self.lookup(resolve(self, path.lower())):
            path = path.lower()
            found = resolve(self, path)
        entry = self.lookup(found)
        if entry is None or entry.kind == "fifo":
            hint = "The build context is the folder that is sent; another name is given with -f."
            raise EngineError(f"Cannot locate specified Dockerfile: {name}", hint=hint, status=500)
        if entry.kind != "file":
            raise EngineError(f"read {path}: is a directory", hint="With -f the file itself is named.", status=500)
        with self.open(found) as file:
            text = _text(file, name)
        self._ignore(path)
        return text.decode("utf-8", "replace")

    def _ignore(self, dockerfile: str) -> None:
        found = self.lookup(resolve(self, IGNORE))
        if found is None or found.kind != "file":
            return
        with self.open(found.path) as file:
            try:
                ignore = Ignore(_text(file, IGNORE).decode("utf-8", "replace"))
            except ContextError as error:
                raise EngineError(error.message, place=error.place, hint=error.hint, status=400) from error
        for path in (IGNORE, dockerfile):
            if ignore.excludes(path):
                self.remove(path)


def _text(file: IO[bytes], name: str) -> bytes:
    found = file.read(_LONGEST_TEXT)
    if file.read(1):
        raise EngineError(f"{name} is longer than {_LONGEST_TEXT >> 20} MiB", hint="It is hardly text.", status=400)
    return found


def single(name: str, content: bytes, tmp: Path) -> IO[bytes]:
    """An archive of one file."""
    out = io.BytesIO()
    writer = Writer(out)
    writer.add(Entry(name, size=len(content)), io.BytesIO(content))
    writer.close()
    return spooled([out.getvalue()], tmp)


def packed(view: View, tmp: Path, cancellation: Cancellation) -> IO[bytes]:
    """All files of a view as a temporary archive. Raises Cancelled."""
    return spooled(cancellation.checking(archive(_entries(view))), tmp)


def _entries(view: View) -> Iterator[tuple[Entry, Iterable[bytes]]]:
    """All that a view holds, with its bytes; a file that has several names once."""
    waiting = [""]
    links: dict[object, str] = {}
    while waiting:
        path = waiting.pop()
        entry = view.lookup(path)
        if entry is None:
            continue
        waiting += [f"{path}/{name}" if path else name for name in reversed(view.names(path))]
        if entry.kind != "file":
            yield entry, ()
        elif (first := links.setdefault(view.identity(path), path)) != path:
            yield Entry(path, "link", entry.mode, mtime=entry.mtime, target=first), ()
        else:
            with view.open(path) as file:
                yield entry, _read(file, entry.size)


def _read(file: IO[bytes], size: int) -> Iterator[bytes]:
    """At most so many bytes: a file may have grown meanwhile."""
    while size and (piece := file.read(min(size, CHUNK))):
        yield piece
        size -= len(piece)
