"""Files that are written into a folder: all of them or, where one is in the way or the disk is full, none.

Nothing of the user's is overwritten unless it is asked for, and nothing is written outside the folder: a path that leads out, by `..` or
by a symbolic link that is there already or is one of the files, is refused. All are written beside their places first, and then moved
there; where that fails, what was there is there again, and no folder is left that was not there before.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
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
        root = Path(os.path.realpath(directory))
        _check_folders(files)
        targets = {path: _target(root, path) for path in files}
        there = {path: target for path, target in targets.items() if os.path.lexists(target)}
        same = {path for path, target in there.items() if _is_same(target, files[path])}
        in_the_way = sorted(there.keys() - same)
        if folder := next((path for path in in_the_way if targets[path].is_dir() and not targets[path].is_symlink()), None):
            raise UsageError(
                f"'{folder}' is a folder in '{directory}', and is to be a file", hint="Remove it, or take another folder."
            )
        if in_the_way and not force:
            raise _in_the_way(directory, in_the_way)
    except (UsageError, ContextError):
        raise
    except OSError as error:
        raise _cannot_write(error.filename or directory, error) from error
    changed = tuple(path for path in files if path not in same)
    writing = _Writing()
    try:
        for path in changed:
            writing.put_beside(path, targets[path], files[path])
        for path in changed:
            writing.put_in_place(path, targets[path], is_there=path in there)
    except OSError as error:
        writing.undo()
        if isinstance(error, ContextError):
            raise
        raise _cannot_write(directory / writing.at, error) from error
    except BaseException:
        writing.undo()
        raise
    writing.done()
    return changed


def write_one(path: Path, data: bytes, *, force: bool = False) -> None:
    """Writes one file, and the folders above it. Raises as `write`."""
    write(path.parent, {path.name: data}, force=force)


def _target(root: Path, path: str) -> Path:
    """Where a file goes. Raises ContextError where that is not in `root`."""
    target = root / clean_path(path)
    if not Path(os.path.realpath(target.parent)).is_relative_to(root):
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


class _Writing:
    """Files on their way. at: the path of the one that was last looked at."""

    def __init__(self) -> None:
        self.at = ""
        self._folders: list[Path] = []  # made by us, the outer before the inner
        self._beside: dict[Path, Path] = {}  # place → the new one, which is not there yet
        self._before: dict[Path, Path] = {}  # place → what was there
        self._new: list[Path] = []  # there, where nothing was

    def put_beside(self, path: str, target: Path, file: File) -> None:
        """Writes a file next to its place. Raises OSError."""
        self.at = path
        missing = []
        for folder in (target.parent, *target.parent.parents):
            if folder.exists():
                break
            missing.append(folder)
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            self._folders.append(folder)
        self._beside[target] = beside = _free_name(target)
        if isinstance(file, Link):
            beside.symlink_to(file)
            return
        with beside.open("xb") as stream:
            stream.write(file)
        beside.chmod(mode_in(file))

    def put_in_place(self, path: str, target: Path, *, is_there: bool) -> None:
        """Moves it there, in place of what is there: of a link, not of what that leads to. Raises OSError, ContextError."""
        self.at = path
        if is_there:
            self._before[target] = before = _free_name(target)
            try:
                os.link(target, before, follow_symlinks=False)  # so that at no moment there is nothing
            except (OSError, NotImplementedError):
                os.replace(target, before)
        elif os.path.lexists(target):
            raise ContextError(
                f"'{path}' is there already, since a moment",
                hint="Where names differ only in upper and lower case, this file system has one file for them: give one another name.",
            )
        os.replace(self._beside[target], target)
        del self._beside[target]
        if not is_there:
            self._new.append(target)

    def undo(self) -> None:
        """Makes it as it was before."""
        for path in (*self._beside.values(), *self._new):
            if os.path.lexists(path):
                path.unlink()
        for target, before in self._before.items():
            if os.path.lexists(before):
                os.replace(before, target)
                before.unlink(missing_ok=True)  # of two names of one file, which is there still, that leaves both
        for folder in reversed(self._folders):
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()

    def done(self) -> None:
        """Removes what was replaced."""
        for before in self._before.values():
            before.unlink()


def _free_name(target: Path) -> Path:
    return target.with_name(f".dockerlab-{secrets.token_hex(6)}")


def _cannot_write(where: object, error: OSError) -> ContextError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "There is no room for it."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "You may not write there: take another folder."
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        hint = "Something on the way to it is no folder."
    elif error.errno == errno.ENAMETOOLONG:
        hint = "A name in it is longer than this file system takes."
    else:
        hint = "Take another folder."
    return ContextError(f"cannot write '{where}': {error.strerror}", hint=f"{hint} Nothing was written.")


def read_file(path: Path) -> bytes:
    """A file with its mode. Raises OSError."""
    data = path.read_bytes()
    mode = stat.S_IMODE(path.stat().st_mode)
    return data if sys.platform == "win32" or mode == 0o644 else Content(data, mode)
