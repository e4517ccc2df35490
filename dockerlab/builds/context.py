"""The build context: the files that `COPY` and `ADD` can reach, as a tar stream.

It is made of a folder, of files given by content (a notebook's cells), or of both: the files then lie over the folder. Without a
folder it is the files alone, never the working directory. `.dockerignore`, from either, says what stays out.

The Dockerfile travels under a name of its own (`DOCKERFILE`), which the `.dockerignore` that is sent keeps out of every `COPY`, as the
`docker` command does for a Dockerfile from standard input. The tar is in GNU format: an engine may take a PAX header for a Dockerfile.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dockerlab.builds.reading import opened, read
from dockerlab.builds.tally import Tally, hashing
from dockerlab.builds.walking import Content, Found, Walk
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
        given = {clean_path(path): _content(data) for path, data in (files or {}).items()}
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

    def walk(self) -> Walk:
        """The files, before `.dockerignore`."""
        return Walk(self.directory, self.files)

    def found(self) -> Iterator[Found]:
        """The files, links and folders that a classic builder gets, in the order in which it gets them. Raises ContextError."""
        yield from self.walk().selected(exclude=Ignore(self.ignore_text))

    def paths(self) -> Iterator[str]:
        """The paths of the files and links that an engine gets."""
        for found in self.found():
            if not stat.S_ISDIR(found.mode):
                yield found.path

    def tar(self, dockerfile: str, tally: Tally | None = None) -> Iterator[bytes]:
        """The context with the Dockerfile, as the chunks of a tar archive; each file is read while it is sent.

        Raises ContextError for a file that cannot be read, or that changes while it is sent.
        """
        text = self.ignore_text
        has_ignore = bool(text) or IGNORE in self.files
        # The Dockerfile stays out of every COPY, and so does a .dockerignore that only we send.
        sent_ignore = "\n".join([text, DOCKERFILE, *([] if has_ignore else [IGNORE]), ""])
        for name, content in ((DOCKERFILE, dockerfile.encode()), (IGNORE, sent_ignore.encode())):
            yield from _member(name, content)
        for found in self.found():
            if found.path not in (IGNORE, DOCKERFILE):
                hashed = hashing()
                yield from _entry(found, hashed)
                if tally and found.is_file:
                    tally.took(found, hashed.digest())
        yield b"\0" * (2 * _BLOCK)


def _content(data: str | bytes) -> bytes:
    if isinstance(data, Content):
        return data
    return data.encode() if isinstance(data, str) else bytes(data)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _BLOCK)


def _member(path: str, content: bytes) -> Iterator[bytes]:
    """A file given by content. Its time is fixed, so that the same cells make the same layer."""
    info = tarfile.TarInfo(path)
    info.size, info.mode = len(content), 0o644
    yield _header(info) + content + _padding(info.size)


def _entry(found: Found, hashed: hashlib._Hash) -> Iterator[bytes]:
    """A file, link or folder of the context. Pipes are left out.

    hashed: takes a file's bytes, too.
    """
    info = tarfile.TarInfo(found.path)
    info.mtime, info.mode = found.time // 1_000_000_000, stat.S_IMODE(found.mode)
    if stat.S_ISLNK(found.mode):
        info.type, info.linkname = tarfile.SYMTYPE, found.link
    elif stat.S_ISDIR(found.mode):
        info.type = tarfile.DIRTYPE
    elif not found.is_file:
        return
    if not found.is_file:
        yield _header(info)
        return
    with opened(found) as stream:
        info.size = found.size
        yield _header(info)
        left = found.size
        while left:
            data = read(found, stream, min(left, _CHUNK))
            left -= len(data)
            hashed.update(data)
            yield data
        yield _padding(found.size)
