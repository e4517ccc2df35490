"""Files that are written into a folder: all of them or, where one is in the way, none.

Nothing of the user's is overwritten unless it is asked for, and nothing is written outside the folder: a path that leads out, by `..` or
by a symbolic link that is there already or is one of the files, is refused. A file is there whole or not at all: on a full disk, the one
that was there stays.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from dockerlab.builds.context import clean_path
from dockerlab.builds.walking import Content
from dockerlab.errors import ContextError, UsageError
from dockerlab.project.cells import mode_in

_SHOWN: Final = 8


class Link(str):
    """A symbolic link's target, in place of a file's content."""


File = bytes | Link


def write(directory: Path, files: Mapping[str, File], *, force: bool = False) -> tuple[str, ...]:
    """Writes the files, and says which of them were not there as they are now.

    files: path → content or link. Folders are made as they are needed. force: overwrite what is there and is something else.

    Raises UsageError for a file that is in the way, ContextError for what leads out of the folder or cannot be written.
    """
    try:
        root = directory.resolve()
        _check_folders(files)
        targets = {path: _target(root, path) for path in files}
        there = {path: target for path, target in targets.items() if os.path.lexists(target)}
        same = {path for path, target in there.items() if _is_same(target, files[path])}
        in_the_way = sorted(there.keys() - same)
        if in_the_way and not force:
            raise _in_the_way(directory, in_the_way)
        for path in files:
            if path not in same:
                _put(targets[path], files[path])
    except UsageError:
        raise
    except ContextError:
        raise
    except OSError as error:
        where = error.filename or directory
        raise ContextError(f"cannot write '{where}': {error.strerror}", hint="Is there room, and may you write there?") from error
    return tuple(path for path in files if path not in same)


def write_one(path: Path, data: bytes, *, force: bool = False) -> None:
    """Writes one file, and the folders above it. Raises as `write`."""
    write(path.parent, {path.name: data}, force=force)


def _target(root: Path, path: str) -> Path:
    """Where a file goes. Raises ContextError where that is not in `root`."""
    target = root / clean_path(path)
    if not target.parent.resolve().is_relative_to(root):
        raise ContextError(
            f"'{path}' would be written outside of '{root}', by a symbolic link that is there",
            hint="Take an empty folder, or remove the link.",
        )
    return target


def _check_folders(files: Mapping[str, File]) -> None:
    """Raises ContextError for a file, or a link, that is to be a folder of another one as well."""
    for path in files:
        for above in PurePosixPath(path).parents:
            if str(above) in files:
                raise ContextError(
                    f"'{above}' is a file, and cannot hold '{path}'",
                    hint="Of `%%context` and a build's folder: give one of the two another name.",
                )


def _is_same(target: Path, file: File) -> bool:
    if isinstance(file, Link):
        return target.is_symlink() and os.readlink(target) == file
    if target.is_symlink() or not target.is_file() or target.stat().st_size != len(file):
        return False
    same_mode = sys.platform == "win32" or stat.S_IMODE(target.stat().st_mode) == mode_in(file)
    return same_mode and target.read_bytes() == file


def _in_the_way(directory: Path, paths: list[str]) -> UsageError:
    more = len(paths) - _SHOWN
    return UsageError(
        f"'{directory}' has files that would be overwritten",
        place=[*paths[:_SHOWN], *([f"… {more} more"] if more > 0 else [])],
        hint="--force overwrites them. Or take another folder.",
    )


def _put(target: Path, file: File) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(file, Link):
        target.unlink(missing_ok=True)
        target.symlink_to(file)
        return
    # In place of what is there, also of a link: what that leads to is left alone.
    descriptor, name = tempfile.mkstemp(prefix=".dockerlab-", dir=target.parent)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(file)
        os.chmod(name, mode_in(file))
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def read_file(path: Path) -> bytes:
    """A file with its mode. Raises OSError."""
    data = path.read_bytes()
    mode = stat.S_IMODE(path.stat().st_mode)
    return data if sys.platform == "win32" or mode == 0o644 else Content(data, mode)
