"""A tree of files that becomes a layer: the same bytes whenever it holds the same files.

Names are sorted, every time is `TIME`, every owner is 0:0, and modes are the ones given here, so that nothing of the machine but
the files' contents gets into the tar.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

TIME = 946_684_800  # 2000-01-01T00:00:00Z
TIME_TEXT = "2000-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a tree. content: of a file, its bytes or where to read them; of a link, its target."""

    kind: Literal["directory", "file", "link"]
    mode: int = 0o755
    content: bytes | Path | str = b""


class Tree:
    """Paths, absolute in the image, and what is there. Parents come by themselves; a path that is added again is replaced."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def __contains__(self, path: str) -> bool:
        return path.strip("/") in self.entries

    def directory(self, path: str, mode: int = 0o755) -> None:
        self._add(path, Entry("directory", mode))

    def file(self, path: str, content: bytes | Path, mode: int = 0o644) -> None:
        self._add(path, Entry("file", mode, content))

    def link(self, path: str, target: str) -> None:
        self._add(path, Entry("link", 0o777, target))

    def copy(self, path: str, source: Path) -> None:
        """The file `source` of this machine, links followed; executable where it is so here."""
        self.file(path, source, 0o755 if source.stat().st_mode & 0o111 else 0o644)

    def copy_folder(self, path: str, source: Path, leave_out: frozenset[str] = frozenset()) -> None:
        """Every file below `source`, links followed, without those folders and files whose name is in `leave_out`."""
        for child in sorted(source.iterdir()):
            if child.name in leave_out or child.name.endswith((".pyc", ".pyo")):
                continue
            if child.is_dir():
                self.copy_folder(f"{path}/{child.name}", child, leave_out)
            elif child.is_file():
                self.copy(f"{path}/{child.name}", child)

    def _add(self, path: str, entry: Entry) -> None:
        name = path.strip("/")
        for parent in PurePosixPath(name).parents[:-1]:
            self.entries.setdefault(str(parent), Entry("directory"))
        self.entries[name] = entry

    def write(self, file: IO[bytes]) -> None:
        """The tree as an uncompressed tar."""
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name in sorted(self.entries):
                add(tar, name, self.entries[name])


def add(tar: tarfile.TarFile, name: str, entry: Entry) -> None:
    """Puts one entry into a tar; directories and files alike with the fixed time and owner."""
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = entry.mode, TIME
    if entry.kind == "directory":
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif entry.kind == "link":
        info.type, info.linkname = tarfile.SYMTYPE, str(entry.content)
        tar.addfile(info)
    else:
        content = entry.content
        with content.open("rb") if isinstance(content, Path) else io.BytesIO(_bytes(content)) as source:
            info.size = source.seek(0, io.SEEK_END)
            source.seek(0)
            tar.addfile(info, source)


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content
