"""The bytes of a build context's files, read while they are sent; what goes wrong names the file and what to do."""

from __future__ import annotations

import io
import os
from typing import IO, TYPE_CHECKING

from dockerlab.errors import ContextError

if TYPE_CHECKING:
    from dockerlab.builds.walking import Found


def opened(file: Found) -> IO[bytes]:
    """A regular file's bytes. Raises ContextError."""
    if isinstance(file.source, bytes):
        return io.BytesIO(file.source)
    try:
        # Without waiting: a pipe may have taken the file's place.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        return open(os.open(file.source, flags), "rb", buffering=0)
    except OSError as error:
        raise unreadable(file.path, error) from error


def read(file: Found, stream: IO[bytes], size: int) -> bytes:
    """Up to `size` bytes, at least one. Raises ContextError."""
    try:
        data = stream.read(size)
    except OSError as error:
        raise unreadable(file.path, error) from error
    if not data:
        raise ContextError(
            f"'{file.path}' of the build context became shorter while it was sent", hint="Build again when it is quiet."
        )
    return data


def unreadable(path: str, error: OSError) -> ContextError:
    """The error for a file of the context that cannot be read."""
    return ContextError(
        f"cannot read '{path}' of the build context: {error.strerror or error}",
        hint=f"Make it readable, or keep it out: add '{path}' to .dockerignore.",
    )
