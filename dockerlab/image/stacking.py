"""Layers laid one on the other: the files of an image up to a layer, and what each layer changed.

    state = State()
    for contents in layers:
        state.apply(contents)

As engines mount them: whiteouts first, which are about the layers below; then each entry takes the place of what was at its path. A
directory on a directory keeps what is in it; anything else on a directory removes all of that. A directory that no layer stores but
that something lies in is there with mode 755, as engines make it. Nothing here recurses: paths come from strangers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dockerlab.errors import EngineError
from dockerlab.image.files import Contents, File

_MOST_IMPLIED = 1 << 28  # characters of paths
Hidden = Callable[[str, list[File]], object]


class Folder(dict[str, "File | Folder"]):
    """A directory, as a mutable dict of what is in it. file: what a layer stored of it."""

    __slots__ = ("file",)

    def __init__(self, file: File) -> None:
        super().__init__()
        self.file = file

    def below(self) -> Iterator[File]:
        """All that lies below it, directories before what is in them."""
        waiting = [self]
        while waiting:
            for entry in waiting.pop().values():
                if isinstance(entry, Folder):
                    yield entry.file
                    waiting.append(entry)
                else:
                    yield entry


def above(paths: Iterable[str]) -> set[str]:
    """The directories that paths lie in, with those that these lie in, up to the root."""
    found = {path.rpartition("/")[0] for path in paths}
    for path in tuple(found):
        while path and (path := path.rpartition("/")[0]) not in found:
            found.add(path)
    return found


class State:
    """The files of an image up to some layer. root: the directory that all lies in. made: directories that no layer stored."""

    def __init__(self) -> None:
        self.root = Folder(implied(""))
        self._folders = {"": self.root}
        self.made: list[File] = []
        self._budget = _MOST_IMPLIED

    def apply(self, contents: Contents, hidden: Hidden | None = None) -> None:
        """Lays a layer on top. hidden: told of what can no more be seen: the path that hides it, and what was there.

        What a layer removes and stores again is told of as well: its old bytes can no more be seen.
        """
        for path in contents.opaque:
            folder = self.find(path)
            if isinstance(folder, Folder):
                self._gone(path, list(folder.below()), hidden)
                folder.clear()
        for path in contents.removed:
            parent, _, name = path.rpartition("/")
            folder = self.find(parent)
            if isinstance(folder, Folder) and (entry := folder.pop(name, None)) is not None:
                self._gone(path, _all(entry), hidden)
        folders = self._folders
        for file in contents.files:
            parent, _, name = file.path.rpartition("/")
            folder = folders.get(parent)
            if folder is None:
                folder = self._folder(parent, hidden)
            if name and name not in folder:
                folder[name] = file if file.kind != "directory" else Folder(file)
            else:
                self._lay_on(folder, name, file, hidden)

    def find(self, path: str) -> File | Folder | None:
        """What is at a path."""
        parent, _, name = path.rpartition("/")
        if path and (folder := self._folders.get(parent)) is not None:
            return folder.get(name)
        entry: File | Folder | None = self.root
        for name in path.split("/") if path else ():
            if not isinstance(entry, Folder):
                return None
            entry = entry.get(name)
        return entry

    def files(self) -> dict[str, File]:
        """All by path, without the root."""
        return {file.path: file for file in self.root.below()}

    def _lay_on(self, folder: Folder, name: str, file: File, hidden: Hidden | None) -> None:
        """On what is there: the root itself, where there is no name."""
        if not name:
            if file.kind == "directory":
                self.root.file = file
            return
        before = folder[name]
        if file.kind == "directory":
            if isinstance(before, Folder):
                old, before.file = before.file, file
                if hidden:
                    hidden(file.path, [old])
                return
            folder[name] = Folder(file)
        else:
            folder[name] = file
        if isinstance(before, Folder):
            self._gone(file.path, _all(before), hidden)
        elif hidden:
            hidden(file.path, [before])

    def _folder(self, path: str, hidden: Hidden | None) -> Folder:
        """The directory at a path, made where there is none."""
        folder = self.root
        names = path.split("/")
        for place, name in enumerate(names, start=1):
            entry = folder.get(name)
            if not isinstance(entry, Folder):
                made = folder[name] = Folder(self._implied("/".join(names[:place])))
                if entry is not None:
                    self._gone(made.file.path, [entry], hidden)
                entry = made
            folder = entry
        self._folders[path] = folder
        return folder

    def _implied(self, path: str) -> File:
        # A path of 2,000 names is 4 kB in the tar, and 4 MB here.
        self._budget -= len(path)
        if self._budget < 0:
            raise EngineError("the layers have too many directories that no layer stores")
        self.made.append(implied(path))
        return self.made[-1]

    def _gone(self, path: str, files: list[File], hidden: Hidden | None) -> None:
        # The directories that were found so far may be among them.
        self._folders.clear()
        self._folders[""] = self.root
        if hidden and files:
            hidden(path, files)


def implied(path: str) -> File:
    """A directory that no layer stores."""
    return File(path, "directory", 0, 0o755)


def _all(entry: File | Folder) -> list[File]:
    return [entry.file, *entry.below()] if isinstance(entry, Folder) else [entry]
