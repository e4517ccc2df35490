"""The build context: the files that `COPY` and `ADD` can reach, as a tar stream.

It is made of a folder, of files given by content (a notebook's cells), or of both: the files then lie over the folder. Without a
folder it is the files alone, never the working directory. `.dockerignore`, from either, says what stays out.

The Dockerfile travels under a name of its own (`DOCKERFILE`), which the `.dockerignore` that is sent keeps out of every `COPY`, as the
`docker` command does for a Dockerfile from standard input. The tar is in GNU format: an engine may take a PAX header for a Dockerfile.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dockerlab.dockerfile.ignore import Ignore
from dockerlab.errors import ContextError

DOCKERFILE = ".dockerlab.Dockerfile"
IGNORE = ".dockerignore"
_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE


def clean_path(path: str) -> str:
    """A file's path inside a context: relative, with `/`, without `.` and `..`. Raises ContextError."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if not parts or parts[0].endswith(":") or path.endswith(("/", "\\")) or ".." in parts or "\0" in path:
        raise ContextError(
            f"'{path}' is not a file's path inside a build context", hint="Use a relative path such as app.py or src/app.py."
        )
    return "/".join(part for part in parts if part not in ("/", "."))


@dataclass(frozen=True)
class Context:
    """directory: the folder, or None. files: path → content, over the folder; paths as `clean_path` gives them."""

    directory: Path | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, directory: str | os.PathLike[str] | None = None, files: Mapping[str, str | bytes] | None = None) -> Context:
        """A context, checked. Raises ContextError for a directory that is not one, or a path that leads out of it."""
        given = {clean_path(path): data.encode() if isinstance(data, str) else bytes(data) for path, data in (files or {}).items()}
        if directory is None:
            return cls(None, given)
        folder = Path(directory).expanduser()
        if not folder.exists():
            raise ContextError(
                f"the build context '{directory}' does not exist", hint=f"Seen from the working directory, {Path.cwd()}."
            )
        if not folder.is_dir():
            raise ContextError(
                f"the build context '{directory}' is a file, not a folder",
                hint=f"Give the folder that holds it: {folder.parent}" if folder.name else None,
            )
        return cls(folder, given)

    @property
    def ignore_text(self) -> str:
        """The `.dockerignore` that counts: a cell's, else the folder's, else ''."""
        if IGNORE in self.files:
            return self.files[IGNORE].decode("utf-8", "replace")
        try:
            return (self.directory / IGNORE).read_text("utf-8", "replace") if self.directory else ""
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise ContextError(f"cannot read {IGNORE}: {error.strerror}") from error

    def paths(self) -> Iterator[str]:
        """The paths of the files that an engine gets, in the order in which it gets them."""
        for path, _ in self._entries():
            yield path

    def tar(self, dockerfile: str) -> Iterator[bytes]:
        """The context with the Dockerfile, as the chunks of a tar archive; each file is read while it is sent.

        Raises ContextError for a file that cannot be read, or that changes while it is sent.
        """
        text = self.ignore_text
        has_ignore = bool(text) or IGNORE in self.files
        # The Dockerfile stays out of every COPY, and so does a .dockerignore that only we send.
        sent_ignore = "\n".join([text, DOCKERFILE, *([] if has_ignore else [IGNORE]), ""])
        for name, content in ((DOCKERFILE, dockerfile.encode()), (IGNORE, sent_ignore.encode())):
            yield from _member(name, content)
        for path, source in self._entries():
            if path in (IGNORE, DOCKERFILE):
                continue
            if isinstance(source, bytes):
                yield from _member(path, source)
            else:
                yield from _file(path, source)
        yield b"\0" * (2 * _BLOCK)

    def _entries(self) -> Iterator[tuple[str, bytes | Path]]:
        ignore = Ignore(self.ignore_text)
        found: dict[str, bytes | Path] = dict(_walk(self.directory, ignore)) if self.directory else {}
        found |= {path: content for path, content in self.files.items() if not ignore.excludes(path)}
        yield from sorted(found.items())


def _walk(root: Path, ignore: Ignore) -> Iterator[tuple[str, Path]]:
    """The folder's files, links and folders that are not ignored, relative to it."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise _unreadable(folder.relative_to(root).as_posix(), error) from error
        for entry in entries:
            path = Path(entry.path)
            relative = path.relative_to(root).as_posix()
            is_folder = entry.is_dir(follow_symlinks=False)
            excluded = ignore.excludes(relative)
            if is_folder and not (excluded and not ignore.may_hold_exceptions(relative)):
                waiting.append(path)
            if not excluded:
                yield relative, path


def _unreadable(path: str, error: OSError) -> ContextError:
    return ContextError(
        f"cannot read '{path}' of the build context: {error.strerror or error}",
        hint=f"Make it readable, or keep it out: add '{path}' to {IGNORE}.",
    )


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _BLOCK)


def _member(path: str, content: bytes) -> Iterator[bytes]:
    """A file given by content. Its time is fixed, so that the same cells make the same layer."""
    info = tarfile.TarInfo(path)
    info.size, info.mode = len(content), 0o644
    yield _header(info) + content + _padding(info.size)


def _file(path: str, source: Path) -> Iterator[bytes]:
    """A file, link or folder of the context's folder. Sockets, pipes and devices are left out, as `docker` does with sockets."""
    try:
        status = source.lstat()
        info = tarfile.TarInfo(path)
        info.mtime = int(status.st_mtime)
        # Windows has no executable bit; Docker's own client sets it there for everything.
        info.mode = stat.S_IMODE(status.st_mode) if sys.platform != "win32" else 0o755
        if stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(source)
        elif stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
        elif not stat.S_ISREG(status.st_mode):
            return
        if not info.isreg():
            yield _header(info)
            return
        with source.open("rb", buffering=0) as stream:
            info.size = os.fstat(stream.fileno()).st_size
            yield _header(info)
            yield from _content(path, stream, info.size)
    except OSError as error:
        if isinstance(error, ContextError):
            raise
        raise _unreadable(path, error) from error


def _content(path: str, stream: io.RawIOBase, size: int) -> Iterator[bytes]:
    left = size
    while left:
        chunk = stream.read(min(left, _CHUNK))
        if not chunk:
            raise ContextError(
                f"'{path}' of the build context became shorter while it was sent", hint="Build again when it is quiet."
            )
        left -= len(chunk)
        yield chunk
    yield _padding(size)
