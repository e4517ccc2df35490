"""The bytes of a build context's files, read while they are sent; what goes wrong names the file and what to do."""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import IO, TYPE_CHECKING, Final

from dockerlab.errors import ContextError

if TYPE_CHECKING:
    from dockerlab.builds.walking import Found

_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_CHANGED: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


def opened(file: Found) -> IO[bytes]:
    """A regular file's bytes. Raises ContextError."""
    if isinstance(file.source, bytes):
        return io.BytesIO(file.source)
    try:
        # Without waiting, and following no link: something else may have taken the file's place.
        descriptor = os.open(file.source, _FLAGS)
    except OSError as error:
        if error.errno in _CHANGED:
            how = "went away" if error.errno == errno.ENOENT else "became something else"
            raise changed(file.path, how) from error
        raise unreadable(file.path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise changed(file.path, "became something else")
    return open(descriptor, "rb", buffering=0)


def read(file: Found, stream: IO[bytes], size: int) -> bytes:
    """Up to `size` bytes, at least one. Raises ContextError."""
    try:
        data = stream.read(size)
    except OSError as error:
        raise unreadable(file.path, error) from error
    if not data:
        raise changed(file.path, "became shorter")
    return data


def changed(path: str, how: str) -> ContextError:
    """The error for a file of the context that is no longer what the engine was told of."""
    return ContextError(f"'{path}' of the build context {how} while it was sent", hint="Build again when nothing writes there.")


def unreadable(path: str, error: OSError) -> ContextError:
    """The error for a file of the context that cannot be read; ".": for the context itself."""
    reason = error.strerror or error
    if path == ".":
        return ContextError(f"cannot read the build context: {reason}", hint="Is the folder still there, and may you list it?")
    return ContextError(
        f"cannot read '{path}' of the build context: {reason}",
        hint=f"Make it readable, or keep it out: add '{path}' to .dockerignore.",
    )
