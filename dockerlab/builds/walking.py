"""A walk through a build context, in the order and by the rules of file sync (tonistiigi/fsutil: walker.go, filter.go, followlinks.go).

    for found in Walk(directory, files).selected(includes, exclude, follow): …      depth first, each folder's names as bytes

`files` (path → content, a notebook's cells) lie over the folder, which may be none. Patterns are those of `.dockerignore`; a folder is
told when something in it is. `follow` are the paths that COPY and ADD name: they are included, and so is what links on their way lead
to. Sockets and devices are left out, as in a tar. Nothing is opened; each file is looked at once.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from dockerlab.builds.reading import unreadable
from dockerlab.dockerfile.ignore import Ignore

_WILD: Final = frozenset("*?[\\")
_MOST_LINKS: Final = 255  # on one way
_DAY: Final = 24 * 3600 * 1_000_000_000  # nanoseconds
_LEFT_OUT: Final = (stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
_KIND: Final = 0o170000  # the bits of st_mode that say of what kind a file is
_REGULAR: Final = stat.S_IFREG
_IS_WINDOWS: Final = sys.platform == "win32"
_NEW: Final = tuple.__new__
_FILE_MODE: Final = stat.S_IFREG | 0o644
_FOLDER_MODE: Final = stat.S_IFDIR | 0o755


class Content(bytes):
    """A file's content that has a mode of its own, in octal 0 to 7777; plain bytes are a file of mode 644."""

    mode: int

    def __new__(cls, data: bytes, mode: int) -> Content:
        made = super().__new__(cls, data)
        made.mode = mode
        return made


# Names → content, or what is in a folder.
Over = dict[str, "bytes | Over"]


class Found(NamedTuple):
    """path: in the context. source: where its bytes are, content or a file's path. mode: st_mode. time: nanoseconds since the epoch.

    size: in bytes, of what `is_file`. link: of a symbolic link. inode: 0 where there is none. A tuple, of which 50,000 are soon made.
    """

    path: str
    source: bytes | str
    mode: int
    size: int
    time: int
    link: str = ""
    inode: int = 0

    @property
    def is_file(self) -> bool:
        """Whether it has bytes that can be sent."""
        return stat.S_ISREG(self.mode)


class _Opened(NamedTuple):
    """A folder that is walked through. names: those that are left. untold: how many of the folders above it were not told yet."""

    names: Iterator[str]
    entries: Mapping[str, os.DirEntry[str]]
    over: Over
    prefix: str
    include: Ignore | None
    exclude: Ignore | None
    untold: int


class Walk:
    """directory: a folder, or None. files: paths as `context.clean_path` gives them. Raises ContextError for what cannot be read."""

    def __init__(self, directory: Path | None, files: Mapping[str, bytes]) -> None:
        self._root = os.fspath(directory) if directory is not None else None
        self._over: Over = {}
        for path, content in files.items():
            *folders, name = path.split("/")
            at = self._over
            for folder in folders:
                inner = at.get(folder)
                at[folder] = at = inner if isinstance(inner, dict) else {}
            at[name] = content

    def selected(self, includes: Sequence[str] = (), exclude: Ignore | None = None, follow: Sequence[str] = ()) -> Iterator[Found]:
        """What is to be sent. includes: none for everything. Raises ContextError."""
        if follow:
            wanted = self._followed(follow)
            includes = [*includes, *wanted] if wanted is not None else includes
        include = Ignore.of(includes) if includes else None
        untold: list[Found] = []  # the folders above that are told only with something in them
        opened = [_opened(self._root, self._over, "", include, exclude, 0)]
        while opened:
            names, entries, over, prefix, include, exclude, above = opened[-1]
            is_whole = include is None and exclude is None and not over and not untold
            for name in names:
                path = prefix + name
                inner = over.get(name) if over else None
                found = self._found(path, entries.get(name), inner) if over else _on_disk(path, entries[name])
                if found is None:
                    continue
                if is_whole and not stat.S_ISDIR(found.mode):
                    yield found
                    continue
                is_out = exclude is not None and exclude.excludes(path)
                is_in = not is_out and (include is None or include.excludes(path))
                if is_in:
                    yield from untold
                    untold.clear()
                    yield found
                if stat.S_ISDIR(found.mode) and self._is_entered(path, is_in, is_out, include, exclude):
                    if is_in and include is not None and not include.may_match_inside(path):
                        include = None  # all that is in it is in, as it is
                    if exclude is not None and not exclude.may_match_inside(path):
                        exclude = None
                    folder = found.source if isinstance(found.source, str) else None
                    opened.append(
                        _opened(folder, inner if isinstance(inner, dict) else {}, f"{path}/", include, exclude, len(untold))
                    )
                    if not is_in:
                        untold.append(found)
                    break
            else:
                opened.pop()
                del untold[above:]

    @staticmethod
    def _is_entered(path: str, is_in: bool, is_out: bool, include: Ignore | None, exclude: Ignore | None) -> bool:
        if is_out:
            return exclude is not None and exclude.may_hold_exceptions(path)
        return is_in or include is None or include.may_match_inside(path)

    def _found(self, path: str, entry: os.DirEntry[str] | None, over: bytes | Over | None) -> Found | None:
        if isinstance(over, bytes):
            mode = stat.S_IFREG | over.mode if isinstance(over, Content) else _FILE_MODE
            return Found(path, over, mode, len(over), _time(over))
        if entry is None:
            return Found(path, b"", _FOLDER_MODE, 0, 0)
        found = _on_disk(path, entry)
        if isinstance(over, dict) and not (found and stat.S_ISDIR(found.mode)):
            return Found(path, b"", _FOLDER_MODE, 0, 0)
        return found

    # Links

    def _followed(self, paths: Iterable[str]) -> list[str] | None:
        """The paths, and what the links on their way lead to; None if one of them is the context itself."""
        found: set[str] = set()
        waiting = [(within(path), 0) for path in paths]
        while waiting:
            path, links = waiting.pop()
            if path in found:
                continue
            if not path:
                return None
            found.add(path)
            parts = path.split("/")
            for index, part in enumerate(parts if links < _MOST_LINKS else ()):
                folder = "/".join(parts[:index])
                rest = parts[index + 1 :]
                names = self._named(folder, part)
                targets = {name: self._link(f"{folder}/{name}" if folder else name) for name in names}
                for name, target in targets.items():
                    if target is not None:
                        start = "" if target.startswith("/") else folder
                        found.add(f"{folder}/{name}" if folder else name)
                        waiting.append((within("/".join([start, target, *rest])), links + 1))
                if targets.get(part) is not None:
                    break  # the rest of the way is behind the link
        return sorted(found)

    def _named(self, folder: str, part: str) -> list[str]:
        if not _WILD & set(part):
            return [part]
        return [name for name in self._names(folder) if fnmatchcase(name, part)]

    def _names(self, folder: str) -> list[str]:
        over = self._over_at(folder)
        names = set(over) if isinstance(over, dict) else set()
        if self._root is not None:
            try:
                names |= set(os.listdir(os.path.join(self._root, folder)))
            except OSError:
                return sorted(names)  # it is no folder; the walk tells what cannot be read
        return sorted(names)

    def _over_at(self, path: str) -> bytes | Over | None:
        at: bytes | Over | None = self._over
        for part in path.split("/") if path else ():
            at = at.get(part) if isinstance(at, dict) else None
        return at

    def _link(self, path: str) -> str | None:
        """Where a symbolic link leads to; None for what is none."""
        if self._root is None or self._over_at(path) is not None:
            return None
        try:
            return os.readlink(os.path.join(self._root, path)).replace(os.sep, "/")
        except OSError:
            return None  # no link, or not there


def _on_disk(path: str, entry: os.DirEntry[str]) -> Found | None:
    """What stands there; None for what is left out."""
    try:
        status = entry.stat(follow_symlinks=False)
        mode = status.st_mode
        kind = mode & _KIND
        if kind == _REGULAR and not _IS_WINDOWS:
            # `Found(…)` itself takes twice as long.
            return _NEW(Found, (path, entry.path, mode, status.st_size, status.st_mtime_ns, "", status.st_ino))
        if kind in _LEFT_OUT:
            return None
        link = os.readlink(entry.path) if kind == stat.S_IFLNK else ""
    except FileNotFoundError:
        return None  # it went away as we came by
    except OSError as error:
        raise unreadable(path, error) from error
    size = status.st_size if kind == _REGULAR else 0
    if _IS_WINDOWS:
        # There is no executable bit there; Docker's own client sets it for everything.
        return Found(path, entry.path, kind | 0o755, size, status.st_mtime_ns, link.replace("\\", "/"))
    return Found(path, entry.path, mode, size, status.st_mtime_ns, link, status.st_ino)


def _time(content: bytes) -> int:
    """For a file that is given by content. An engine takes one of the same size and time for unchanged: another content, another time.

    The same content has the same, so that the same cells make the same layer. A moment of the first day of 1970.
    """
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big") % _DAY


def _opened(folder: str | None, over: Over, prefix: str, include: Ignore | None, exclude: Ignore | None, untold: int) -> _Opened:
    entries = _entries(folder, prefix)
    return _Opened(iter(_sorted({*entries, *over} if over else entries)), entries, over, prefix, include, exclude, untold)


def _entries(folder: str | None, prefix: str) -> dict[str, os.DirEntry[str]]:
    if folder is None:
        return {}
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry for entry in entries}
    except OSError as error:
        raise unreadable(prefix.rstrip("/") or ".", error) from error


def _sorted(names: Iterable[str]) -> list[str]:
    """By their bytes: the same as by their characters, unless some are no UTF-8."""
    found = list(names)
    if "".join(found).isascii():
        return sorted(found)
    return sorted(found, key=os.fsencode)


def within(path: str) -> str:
    """A path relative to the context, never above it; "" is the context itself."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
