"""The files of a build context, as they are remembered from one build to the next, and how they changed. Pure.

difference(old_files, new_files).of(instruction)      what of it a COPY, ADD or RUN --mount=type=bind takes
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from dockerlab.builds.walking import within
from dockerlab.dockerfile import Ignore
from dockerlab.errors import ContextError

if TYPE_CHECKING:
    from dockerlab.builds.inputs import Instruction

_MOST_LINKS: Final = 40
_WILD: Final = re.compile(r"[*?\[\\]")


class File(NamedTuple):
    """One file, folder or link of a context. digest: of the content, "" where it is not known; of a link: `→` and where it leads to.

    time: nanoseconds since the epoch. inode: 0 where there is none.
    """

    size: int
    time: int
    inode: int
    mode: int
    digest: str = ""

    def looks_like(self, other: File) -> bool:
        """Whether it is the same as far as can be told without its content."""
        return self[:4] == other[:4]

    def differs(self, other: File) -> bool:
        """Whether the image would be another one: a file's time does not count."""
        if self.digest and other.digest:
            return (self.mode, self.digest) != (other.mode, other.digest)
        return not self.looks_like(other)


Files = Mapping[str, File]
ByContext = Mapping[str, Files]  # by name, "" for the build's own


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths of a context, sorted; a folder's ends with a slash. links: paths of links → where they lead to, in both builds."""

    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.removed)

    def of(self, instruction: Instruction, context: str = "") -> Changes:
        """What of it an instruction takes. Folders are left out where files say it. context: the name of the one that changed."""
        sources = instruction.named.get(context, ()) if context else instruction.sources
        if not self or not sources:
            return Changes()
        takes = _taking([_followed(source, self.links) for source in sources], instruction.exclude)
        found = [[path for path in paths if takes(path.rstrip("/"))] for paths in (self.added, self.modified, self.removed)]
        if any(not path.endswith("/") for paths in found for path in paths):
            found = [[path for path in paths if not path.endswith("/")] for paths in found]
        added, modified, removed = map(tuple, found)
        return Changes(added, modified, removed)


def difference(old: Files, new: Files) -> Changes:
    """What changed from one build's context to the next one's."""
    modified = [path for path, file in new.items() if path in old and file is not old[path] and file.differs(old[path])]
    if not modified and old.keys() == new.keys():
        return Changes()
    links = {path: file.digest[1:] for files in (old, new) for path, file in files.items() if file.digest.startswith("→")}
    return Changes(tuple(sorted(new.keys() - old.keys())), tuple(sorted(modified)), tuple(sorted(old.keys() - new.keys())), links)


def _taking(sources: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    folders = [source for source in sources if not _WILD.search(source)]
    wild, left_out = _patterns([source for source in sources if _WILD.search(source)]), _patterns(exclude)

    def takes(path: str) -> bool:
        is_in = any(not folder or path == folder or path.startswith(f"{folder}/") for folder in folders) or wild.excludes(path)
        return is_in and not left_out.excludes(path)

    return takes


def _patterns(texts: Sequence[str]) -> Ignore:
    with suppress(ContextError):
        return Ignore.of(texts)
    return Ignore.of(())


def _followed(source: str, links: Mapping[str, str]) -> str:
    """A source's path in the context, "" for all of it; where it goes through links, what they lead to."""
    path = within(source)
    for _ in range(_MOST_LINKS):
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            if target := links.get("/".join(parts[:end])):
                start = [] if target.startswith("/") else parts[: end - 1]
                path = within("/".join([*start, target, *parts[end:]]))
                break
        else:
            return path
    return path
