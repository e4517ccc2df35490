"""What COPY and ADD take from a file tree: their sources, wildcards and all, as BuildKit reads them.

    select(view, ["src/", "*.toml"])                  → [Picked(kind="tree", path="src"), Picked(kind="file", path="pyproject.toml", …)]
    select(view, ["a/./b/**/x"], parents=True)        with the folders after the pivot
    for each in walk(picked): …                       all that is in a tree, a directory before what is in it

- A source is a path from the tree's root, however it is written. A symbolic link that is *named* stands for what it leads to, within the
  tree; one that lies in a directory that is copied stays one.
- Of a directory its contents are taken, also of one that a wildcard finds.
- `*`, `?`, `[…]` are Go's filepath.Match, component by component. Where nothing matches, nothing is copied; a plain name must be
  there, and the folder that a pattern begins with.
- What `--exclude` matches is left out of directories that are copied, by its path in them. A file that is named itself is not.
- With `--parents` a source is a pattern of .dockerignore's kind (`**` too), and a file goes by its whole path, or by that after `/./`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from dockerlab.dockerfile.ignore import Ignore
from dockerlab.engine.rootfs.reading import View, resolve
from dockerlab.errors import ContextError, EngineError
from dockerlab.wire.tar import Entry

_WILD = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class Picked:
    """One thing to be copied. path: in `view`, no component a link. name: what a file is called where it goes to.

    kind: a file (or a device, a pipe), a tree (a directory's contents), or an archive, which is a tree that is unpacked rather than copied.
    exclude, include: which paths of the tree; None for all.
    """

    view: View
    path: str
    kind: Literal["file", "tree", "archive"]
    name: str = ""
    exclude: Ignore | None = None
    include: Ignore | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Something in a tree. path: from the tree's own root. is_wanted: itself, and not only for what is in it."""

    path: str
    entry: Entry
    is_wanted: bool = True


def select(
    view: View, sources: Sequence[str], *, what: str = "COPY", parents: bool = False, exclude: Sequence[str] = ()
) -> list[Picked]:
    """In the order of the sources. Raises EngineError for one that is not there, that climbs out, or that is no pattern."""
    excluded = _ignore(exclude, "--exclude") if exclude else None
    found: list[Picked] = []
    for source in sources:
        if parents:
            found += _with_parents(view, source, what, excluded)
        else:
            found += _plain(view, source, what, excluded)
    return found


def walk(picked: Picked) -> Iterator[Found]:
    """All that is in a tree, by name, without the tree's root. A directory that is left out comes if something in it does not."""
    view, exclude, include = picked.view, picked.exclude, picked.include
    start = f"{picked.path}/" if picked.path else ""
    waiting = [(name, "") for name in reversed(view.names(picked.path))]
    # Directories that come only if something in them does, by depth.
    held: list[Found] = []
    while waiting:
        name, folder = waiting.pop()
        path = f"{folder}/{name}" if folder else name
        entry = view.lookup(start + path)
        if entry is None:
            continue
        wanted = (exclude is None or not exclude.excludes(path)) and (include is None or include.excludes(path))
        if entry.kind == "directory":
            if not wanted and not _may_hold(path, exclude, include):
                continue
            waiting += [(inner, path) for inner in reversed(view.names(start + path))]
            if not wanted:
                held.append(Found(path, entry, False))
                continue
        if not wanted:
            continue
        if held:
            yield from (each for each in held if path.startswith(f"{each.path}/"))
            held = []
        yield Found(path, entry)


def _may_hold(path: str, exclude: Ignore | None, include: Ignore | None) -> bool:
    """Whether something in a directory may be wanted that is not itself."""
    if exclude is not None and exclude.excludes(path) and not exclude.may_hold_exceptions(path):
        return False
    return include is None or include.excludes(path) or include.may_hold_exceptions(path)


def _plain(view: View, source: str, what: str, exclude: Ignore | None) -> Iterator[Picked]:
    path = _cleaned(source, what)
    if not _WILD.search(path):
        yield _picked(view, path, what, exclude)
        return
    parts = path.split("/")
    start = "/".join(parts[: next(number for number, part in enumerate(parts) if _WILD.search(part))])
    if view.lookup(resolve(view, start)) is None:
        raise _missing(what, start)
    for match in _matches(view, path):
        yield _picked(view, match, what, exclude)


def _picked(view: View, path: str, what: str, exclude: Ignore | None) -> Picked:
    real = resolve(view, path)
    entry = view.lookup(real)
    if entry is None:
        raise _missing(what, path)
    if entry.kind == "directory":
        return Picked(view, real, "tree", posixpath.basename(path), exclude)
    return Picked(view, real, "file", posixpath.basename(path))


def _missing(what: str, path: str) -> EngineError:
    text = f"{what} failed: file not found in build context or excluded by .dockerignore: stat {path}: file does not exist"
    return EngineError(text, hint="Paths are relative to the build context, the folder that is sent.", status=404)


def _with_parents(view: View, source: str, what: str, exclude: Ignore | None) -> Iterator[Picked]:
    base, pivot, rest = source.partition("/./")
    base, pattern = (_cleaned(base, what), _cleaned(rest, what)) if pivot else ("", _cleaned(source, what))
    if not pattern:
        yield from _plain(view, base or "/", what, exclude)
        return
    bases = list(_matches(view, base)) if _WILD.search(base) else [base]
    for each in bases:
        root = resolve(view, each)
        if not _WILD.search(pattern) and view.lookup(f"{root}/{pattern}" if root else pattern) is None:
            _picked(view, f"{each}/{pattern}" if each else pattern, what, None)  # it may be there behind a link: not so here
            raise EngineError(f"{what} failed: {source}: --parents does not follow symbolic links", status=400)
        # An exception's pattern besides, for it tells into which folders one must look.
        yield Picked(view, root, "tree", "", exclude, _Include(pattern))


class _Include(Ignore):
    """Which paths a pattern includes: those that it matches, and all in them."""

    def __init__(self, pattern: str) -> None:
        try:
            super().__init__(f" {pattern}")
            self._folders_to_look_into = Ignore(f" !{pattern}")
        except ContextError as error:
            raise EngineError(f"syntax error in pattern: {pattern}: {error.message.rpartition(': ')[2]}", status=400) from error

    def may_hold_exceptions(self, directory: str) -> bool:
        """Whether the pattern may match something in it."""
        return self._folders_to_look_into.may_hold_exceptions(directory)


def _ignore(patterns: Sequence[str], flag: str) -> Ignore:
    try:
        # A space in front: # begins no comment here.
        return Ignore("\n".join(f" {pattern}" for pattern in patterns))
    except ContextError as error:
        text = error.message.rpartition(": ")[2]
        raise EngineError(f"{flag} is no pattern: {text}", hint=error.hint, status=400) from error


def _cleaned(source: str, what: str) -> str:
    """A source as a path in the tree."""
    path = posixpath.normpath(source.lstrip("/") or ".")
    if path == ".." or path.startswith("../"):
        hint = "Only what is in the build context can be copied. A folder above it can be made the context: `docker build -f Dockerfile ..`"
        raise EngineError(f"{what} failed: forbidden path outside the build context: {source} ()", hint=hint, status=400)
    return "" if path == "." else path


def _matches(view: View, pattern: str) -> Iterator[str]:
    """The paths that a pattern with wildcards matches, by name. Links are followed on the way to the first wildcard, not beyond it."""
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if _WILD.search(part))
    start = resolve(view, "/".join(parts[:first]))
    regexes = [match_regex(part) for part in parts[first:]]
    waiting = [(start, 0)]
    while waiting:
        path, depth = waiting.pop()
        if depth == len(regexes):
            yield path
            continue
        matches = [name for name in view.names(path) if regexes[depth].fullmatch(name)]
        waiting += [(f"{path}/{name}" if path else name, depth + 1) for name in reversed(matches)]


@lru_cache(maxsize=256)
def match_regex(pattern: str) -> re.Pattern[str]:
    """A pattern of Go's filepath.Match for one component. Raises EngineError for what is none."""
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out += ".*"
        elif char == "?":
            out += "."
        elif char == "[":
            text, at = _class(pattern, at)
            out += text
        elif char == "\\":
            if at == len(pattern):
                raise _no_pattern(pattern)
            out += re.escape(pattern[at])
            at += 1
        else:
            out += re.escape(char)
    return re.compile(out, re.DOTALL)


def _class(pattern: str, at: int) -> tuple[str, int]:
    negated = pattern.startswith("^", at)
    at += negated
    ranges = ""
    while not (ranges and pattern.startswith("]", at)):
        low, at = _member(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _member(pattern, at + 1)
        # Go takes a range that is empty; no name holds a null byte.
        ranges += f"{re.escape(low)}-{re.escape(high)}" if low <= high else "\0"
    return f"[{'^' if negated else ''}{ranges}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern) or pattern[at] in "-]":
        raise _no_pattern(pattern)
    if pattern[at] == "\\":
        at += 1
        if at >= len(pattern):
            raise _no_pattern(pattern)
    if at + 1 >= len(pattern):
        raise _no_pattern(pattern)
    return pattern[at], at + 1


def _no_pattern(pattern: str) -> EngineError:
    hint = "A [ needs characters and a ] after it; a \\ takes the next character as it is."
    return EngineError(f"syntax error in pattern: {pattern}", hint=hint, status=400)
