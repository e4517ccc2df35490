"""What ADD takes besides files: archives, recognised by their content; URLs; git repositories.

    picked = pick(command, context, tmp, cancellation, stack)

- A file of the context that is an archive (a tar, also compressed) is unpacked at the target, unless --unpack=false
- A URL's content is one file, for its owner alone (0600), as old as the server says; --unpack unpacks it; --checksum verifies it
- A repository is a directory: its files, without .git unless --keep-git-dir

What is downloaded is in `tmp` until `stack` is closed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO

from dockerlab.dockerfile.commands import Add
from dockerlab.engine.building import downloading, git
from dockerlab.engine.building.archive import is_archive
from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.building.downloading import Fetched
from dockerlab.engine.building.selecting import Picked, select
from dockerlab.engine.rootfs.reading import View
from dockerlab.errors import EngineError, UsageError
from dockerlab.wire.streams import chunks
from dockerlab.wire.tar import Entry


def pick(command: Add, context: View, tmp: Path, cancellation: Cancellation, stack: ExitStack) -> list[Picked]:
    """What is to be copied, in the order of the sources. Raises EngineError, UsageError, Cancelled."""
    found: list[Picked] = []
    for source in command.sources:
        cancellation.check()
        is_url = source.startswith(("http://", "https://"))
        if git.is_repository(source):
            if command.checksum:
                raise _not_for_these("checksum")
            view = stack.enter_context(git.checkout(source, tmp, cancellation, keep_git_dir=command.keep_git_dir))
            found += select(view, ["/"], what="ADD", exclude=command.exclude)
        elif is_url:
            found.append(_downloaded(command, source, tmp, cancellation, stack))
        else:
            if command.checksum:
                raise _not_for_these("checksum")
            local = select(context, [source], what="ADD", exclude=command.exclude)
            found += local if command.unpack is False else [_recognised(picked) for picked in local]
    return found


def _not_for_these(flag: str) -> UsageError:
    return UsageError(
        f"{flag} can't be specified for non-HTTP(S) sources", hint="A git repository is pinned by a commit: …git#<commit>"
    )


def _downloaded(command: Add, url: str, tmp: Path, cancellation: Cancellation, stack: ExitStack) -> Picked:
    fetched = stack.enter_context(downloading.download(url, tmp, cancellation, checksum=command.checksum))
    named = command.target.endswith("/") or command.target in (".", "..")
    if not fetched.name and named and not command.unpack:
        raise EngineError(
            f"cannot determine filename from url: {url}", hint="Name the file in the target: ADD url /path/file", status=400
        )
    picked = Picked(_Single(fetched), fetched.name or "download", "file", fetched.name or "download")
    return _recognised(picked) if command.unpack else picked


def _recognised(picked: Picked) -> Picked:
    """As an archive, if it is one."""
    entry = picked.view.lookup(picked.path)
    if picked.kind != "file" or entry is None or entry.kind != "file":
        return picked
    with picked.view.open(picked.path) as file:
        return replace(picked, kind="archive") if is_archive(_start(file)) else picked


def _start(file: IO[bytes]) -> Iterator[bytes]:
    yield from chunks(file, 1 << 16)


class _Single:
    """The view of a file that was downloaded. Its content is read anew each time."""

    def __init__(self, fetched: Fetched) -> None:
        self._fetched = fetched

    def lookup(self, path: str) -> Entry | None:
        fetched = self._fetched
        return Entry(path, mode=0o600, mtime=fetched.mtime, size=fetched.size) if path else None

    def names(self, path: str) -> list[str]:
        return []

    def open(self, path: str) -> IO[bytes]:
        file = os.fdopen(os.dup(self._fetched.file.fileno()), "rb")
        file.seek(0)
        return file

    def identity(self, path: str) -> object:
        return path
