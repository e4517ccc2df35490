"""What an engine was told of a build context, and what it took of it.

tally.told(files); tally.took(file, digest)  by whoever sends
tally.sent → Sent                            `image.build.context`
tally.found, tally.digests                   all that the engine was told of, and what is known of the content of what travelled
tally.warnings                               what is said of contexts that are too big, before they are sent
tally.named["lib"]                           the same for a folder of `--build-context lib=…`
"""

from __future__ import annotations

import hashlib
import heapq
import stat
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dockerlab.builds.walking import Found
from dockerlab.faces.human import size
from dockerlab.wire.trace import Lint

HEAVY: Final = 500_000_000  # bytes
_LISTED: Final = 10
_NAMED: Final = 3


@dataclass(frozen=True)
class Sent:
    """files: regular files that the engine was told of; size: their bytes. sent_files, sent_size: of those that travelled.

    largest: the ten largest that travelled, as (path, size). BuildKit is told of what the Dockerfile's instructions name, and takes what it
    has not; a classic builder is sent everything. named: the same of the folders among the named contexts (`--build-context`).
    """

    files: int = 0
    size: int = 0
    sent_files: int = 0
    sent_size: int = 0
    largest: tuple[tuple[str, int], ...] = ()
    named: Mapping[str, Sent] = field(default_factory=dict)


class Tally:
    """Counts for one build. name: of a named context, "" for the build's own. named: names of those that the build has besides it.

    Written by one thread; `sent` and `warnings` may be read by another, which says with `show` that it has passed the warnings on.
    """

    def __init__(self, name: str = "", named: Iterable[str] = ()) -> None:
        self.name = name
        self.named = {one: Tally(one) for one in named}
        self._warnings: tuple[Lint, ...] = ()
        self._files = self._size = self._sent_files = self._sent_size = 0
        self._largest: list[tuple[int, str]] = []
        self.found: list[Found] = []
        self.is_told = False
        self.digests: dict[str, bytes] = {}
        self._is_shown = threading.Event()

    @property
    def sent(self) -> Sent:
        """So far."""
        largest = tuple((path, count) for count, path in sorted(self._largest, key=lambda item: (-item[0], item[1])))
        named = {name: one.sent for name, one in self.named.items()}
        return Sent(self._files, self._size, self._sent_files, self._sent_size, largest, named)

    @property
    def warnings(self) -> tuple[Lint, ...]:
        """So far, of named contexts too."""
        return (*self._warnings, *(said for one in self.named.values() for said in one.warnings))

    def show(self, said: Sequence[Lint]) -> None:
        """These warnings have been passed on."""
        for one in (self, *self.named.values()):
            if one._warnings and set(one._warnings) <= set(said):
                one._is_shown.set()

    def is_shown(self, seconds: float) -> bool:
        """Whether nothing is left to be said of this context before it is sent. Waits for that, no longer than told."""
        return not self._warnings or self._is_shown.wait(seconds)

    @property
    def each(self) -> dict[str, Tally]:
        """By name, those of which the engine was told."""
        return {one.name: one for one in (self, *self.named.values()) if one.is_told}

    def told(self, found: Sequence[Found]) -> None:
        """An engine knows of these; folders and links do not count."""
        self._files += sum([stat.S_ISREG(file.mode) for file in found])
        self._size += sum([file.size for file in found])
        self.found += found
        if said := heavy(found, self.name):
            self._is_shown.clear()
            self._warnings += (said,)
        self.is_told = True

    def took(self, file: Found, digest: bytes) -> None:
        """A file has travelled. digest: `hashing` of what was sent of it."""
        self.digests[file.path] = digest
        self._sent_files += 1
        self._sent_size += file.size
        push = heapq.heappushpop if len(self._largest) == _LISTED else heapq.heappush
        push(self._largest, (file.size, file.path))


def hashing() -> hashlib._Hash:
    """Of a file's content. SHA-256, which processors know: half of BLAKE2's time."""
    return hashlib.sha256()


def heavy(files: Sequence[Found], name: str = "") -> Lint | None:
    """What is to be said of a context over 500 MB, with the folders that make it so; None for any other. name: of a named context."""
    total = sum(file.size for file in files)
    if total <= HEAVY:
        return None
    folders: Counter[str] = Counter()
    for file in files:
        if file.is_file:
            first, slash, _ = file.path.partition("/")
            folders[first + slash] += file.size
    biggest = ", ".join(f"{name} {size(count)}" for name, count in folders.most_common(_NAMED))
    where, report = (
        ("its .dockerignore", f"image.build.context.named['{name}']") if name else (".dockerignore", "image.build.context")
    )
    detail = f"Name what the image does not need in {where}; `{report}` says what was sent."
    return Lint("", f"The build context {f'{name} ' if name else ''}has {size(total)}: {biggest}", (detail,))
