"""A folder with Dockerfiles → a notebook: a cell a file of the context, a cell a stage, each with what it does in words.

- every `Dockerfile`, `Dockerfile.NAME` and `NAME.Dockerfile` is built by cells of its own; one of several stages grows cell by cell
- a text file is a `%%context` cell, with its mode; what no cell gives back byte for byte (binary, over 64 KB, carriage returns, links,
  empty folders), and all of it where there are many files, stays in the folder, is named, and reaches the build by `--context`
- what `.dockerignore` leaves out, and what is no part of a project (`.git`, `.venv`, …), is left where it is
- the README that `dockerlab export` wrote gives the flags of the builds, Dockerfiles of other names, and the other magics
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dockerlab.builds.context import IGNORE, Context
from dockerlab.dockerfile import parse, stages
from dockerlab.errors import ContextError, DockerfileError, UsageError, printable
from dockerlab.project import readme, wording
from dockerlab.project.cells import METADATA, PLAIN, fits, keeps, source, split
from dockerlab.project.exporting import SKIPPED
from dockerlab.project.flags import Given, flag_words, read

LARGEST: Final = 64 * 1024  # bytes of a cell
MOST: Final = 60  # cells of files
_DOCKERFILE: Final = re.compile(
    r"(?:Dockerfile|Containerfile)(?:\.(?P<suffix>[\w.-]+))?|(?P<prefix>[\w.-]+)\.(?:Dockerfile|dockerfile)"
)
# Of these, only the last cell of several has them.
_LAST_ONLY: Final = ("--target", "--check", "--graph", "-o", "--output", "--var", "--no-cache-filter", "--cache-to", "--explain")
_LISTED: Final = 12


@dataclass(frozen=True)
class _File:
    """path: in the folder. text: of a cell, without its last newline where it has none. mode: 0 to 7777."""

    path: str
    text: str
    mode: int


@dataclass
class _Found:
    """dockerfiles: name → content. files: those that are cells. left: those that are not, each with the reason.

    commands, title: of a README.
    """

    dockerfiles: dict[str, bytes] = field(default_factory=dict)
    files: list[_File] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    commands: list[readme.Kept] = field(default_factory=list)
    title: str = ""


@dataclass(frozen=True)
class Lesson:
    """notebook: of nbformat. left: what stays in the folder, each with the reason."""

    notebook: Any
    left: tuple[tuple[str, str], ...] = ()


def imported(directory: Path, beside: Path) -> Lesson:
    """The notebook of a folder. beside: the folder that the notebook will be in.

    Raises ContextError for a folder that cannot be read, UsageError for one without a Dockerfile.
    """
    found = _looked(directory)
    where = _relative(directory, beside)
    if not keeps(where):
        raise ContextError(f"the path of the folder '{printable(where)}' cannot be written in a notebook", hint="Rename it.")
    cells = [*_opening(found.title or printable(directory.resolve().name), found, where), *_context_cells(found)]
    tag = _tag(directory.resolve().name)
    for name, data in sorted(found.dockerfiles.items(), key=lambda pair: (pair[0] != "Dockerfile", pair[0])):
        cells += _dockerfile_cells(name, data, found, tag, where)
    cells += _other_cells(found.commands)
    return Lesson(_notebook(cells), tuple(found.left))


# Looking


def _looked(directory: Path) -> _Found:
    found = _Found()
    try:
        names = sorted(entry.name for entry in directory.iterdir() if entry.is_file() and not entry.is_symlink())
        for name in names:
            if _DOCKERFILE.fullmatch(name):
                found.dockerfiles[name] = (directory / name).read_bytes()
        for name in (readme.NAME, readme.OTHER_NAME):
            if name in names and readme.is_ours(text := (directory / name).read_text("utf-8", "replace")):
                found.commands, found.title = list(readme.kept(text)), readme.title_of(text)
        for name in {one.file for one in found.commands} & set(names):  # whatever it is called
            found.dockerfiles.setdefault(name, (directory / name).read_bytes())
    except OSError as error:
        raise ContextError(f"cannot read '{directory}': {error.strerror}", hint=f"Seen from {Path.cwd()}.") from error
    if not found.dockerfiles:
        raise UsageError(f"'{directory}' has no Dockerfile", hint="It is called Dockerfile, Dockerfile.NAME or NAME.Dockerfile.")
    _look_at_files(directory, found)
    return found


def _look_at_files(directory: Path, found: _Found) -> None:
    full: set[str] = set()  # folders with something in them
    folders: list[str] = []
    skipped: set[str] = set()
    has_ignore = False
    for one in Context.of(directory).found():
        parts = one.path.split("/")
        if out := next((part for part in parts if part in SKIPPED), None):
            skipped.add(out)
            continue
        if stat.S_ISDIR(one.mode):
            folders.append(one.path)
            continue
        full |= {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if one.path in found.dockerfiles or one.path.endswith(".ipynb") or _is_our_readme(one.path, one.source):
            continue
        has_ignore = has_ignore or one.path == IGNORE
        if stat.S_ISLNK(one.mode):
            found.left.append((one.path, "a symbolic link"))
        elif one.is_file:
            _take(found, one.path, Path(str(one.source)), one.mode, one.size)
    ignore = directory / IGNORE
    if not has_ignore and ignore.is_file():
        _take(found, IGNORE, ignore, ignore.stat().st_mode, ignore.stat().st_size)  # it may leave itself out
    found.left += [(f"{path}/", "an empty folder") for path in folders if path not in full and not _below(path, full)]
    found.left += [(f"{name}/", "no part of what is built") for name in sorted(skipped)]
    if len(found.files) > MOST:
        found.left += [(file.path, f"one of more than {MOST} files") for file in found.files if file.path != IGNORE]
        found.files = [file for file in found.files if file.path == IGNORE]


def _below(path: str, full: set[str]) -> bool:
    return any(other.startswith(f"{path}/") for other in full)


def _is_our_readme(path: str, source: bytes | str) -> bool:
    return path in (readme.NAME, readme.OTHER_NAME) and readme.is_ours(Path(str(source)).read_text("utf-8", "replace"))


def _take(found: _Found, path: str, file: Path, mode: int, size: int) -> None:
    """A file as a cell, or why it is none."""
    data = file.read_bytes() if size <= LARGEST else b""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if size > LARGEST:
        found.left.append((path, f"over {LARGEST // 1024} KB"))
    elif "\0" in text:
        found.left.append((path, "binary"))
    elif not fits(text):
        found.left.append((path, "a cell does not keep all of it, such as carriage returns or lines of spaces"))
    elif not fits(path) or re.search(r"[{}$\n]", path):
        found.left.append((path, "its name"))
    else:
        exact = PLAIN if sys.platform == "win32" else stat.S_IMODE(mode)
        found.files.append(_File(path, text, exact))


# Cells


def _opening(name: str, found: _Found, where: str) -> Iterator[dict[str, Any]]:
    plural = len(found.dockerfiles) > 1
    which = ", ".join(wording.code(one) for one in sorted(found.dockerfiles))
    yield _words(f"# {name}\n\nThis notebook builds {which}{', each' if plural else ''} as cells. Run them from the top.")
    yield _code("%load_ext dockerlab")
    if found.left:
        listed = [f"- {wording.code(path)}: {why}" for path, why in found.left[:_LISTED]]
        more = len(found.left) - _LISTED
        listed += [f"- … and {more} more"] if more > 0 else []
        yield _words("\n".join([f"These are no cells, and stay in the folder {wording.code(where)}:", "", *listed]))


def _context_cells(found: _Found) -> Iterator[dict[str, Any]]:
    if found.files:
        yield _words("## The build context\n\nThe files that `COPY` and `ADD` can reach, each a cell.")
    for file in found.files:
        yield _code(context_cell(file.path, file.text, file.mode))


def context_cell(path: str, text: str, mode: int = PLAIN) -> str:
    """The source of a `%%context` cell that gives a file back byte for byte. text: as `fits` wants it."""
    words = ["%%context"]
    if mode != PLAIN:
        words += ["--chmod", f"{mode:o}"]
    is_bare = not text.endswith("\n")
    if is_bare:
        words.append("-n")
    if path.startswith("-"):
        words.append("--")
    return source(" ".join([*words, shlex.quote(path)]), f"{text}\n" if is_bare else text)


def _dockerfile_cells(name: str, data: bytes, found: _Found, tag: str, where: str) -> Iterator[dict[str, Any]]:
    """Those of one Dockerfile, for each way in which the README says that it is built; for one, where it says none."""
    kept = [one for one in found.commands if one.file == name]
    ways = [_given(one) for one in kept] or [Given((("-t", _named(tag, name)),))]
    if len(found.dockerfiles) > 1 or len(ways) > 1:
        yield _words(f"## {wording.code(name)}")
    needs_folder = any(why != "no part of what is built" for _, why in found.left)
    for given in ways:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if not keeps(text) or not text:
            yield _words("It has characters that a cell does not keep: it is built as it lies in the folder.")
            flags = [*flag_words(given.flags), "-f", f"{where}/{name}", where]
            yield _code(f"%dockerfile {shlex.join(flags)}")
            continue
        folder = (("--context", where),) if needs_folder else ()
        yield from _stage_cells(name, text, Given((*given.flags, *folder)))


def _given(one: readme.Kept) -> Given:
    """The flags that a README keeps. Those that the notebook decides about are left out."""
    words = split(one.spelt)[1:]
    return read("dockerfile", "", words).without("--append", "--context", "-f", "--file")


def _stage_cells(name: str, text: str, given: Given) -> Iterator[dict[str, Any]]:
    """A cell a stage, with what it does above it."""
    metadata = {METADATA: {"file": name, **({} if text.endswith("\n") else {"newline": False})}}
    try:
        dockerfile = parse(text)
        found = stages(dockerfile)
    except DockerfileError as error:
        yield _words(f"It cannot be read: {error.message}.")
        found = ()
    pieces = _pieces(text, [dockerfile.nodes[stage.nodes[0]].line for stage in found], dockerfile) if found else [text]
    if len(pieces) > 1 and not given.has("-t", "--tag"):
        pieces = [text]  # without a name nothing says which Dockerfile a cell goes on with
    is_grown = len(pieces) > 1
    for index, piece in enumerate(pieces):
        shown = found[index : index + 1] if is_grown else found
        for stage in shown:
            clauses = wording.told(stage, dockerfile, found[: stage.index])
            yield _words("\n".join([f"**{wording.heading(stage, len(found))}**", "", *(f"- {clause}" for clause in clauses)]))
        is_last = index == len(pieces) - 1
        flags = given if is_last else given.without(*_LAST_ONLY)
        line = shlex.join(["%%dockerfile", *(["--append"] if is_grown else []), *flag_words(flags.flags)])
        yield _code(source(line, piece if piece.endswith("\n") else f"{piece}\n"), metadata)


def _pieces(text: str, starts: Sequence[int], dockerfile: Any) -> list[str]:
    """The text, cut after the last instruction of each stage: comments go with what they stand above."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    cuts = [max(node.end_line for node in dockerfile.nodes if node.line < start) for start in starts[1:]]
    return ["".join(lines[a:b]) for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]


def _other_cells(commands: Sequence[readme.Kept]) -> Iterator[dict[str, Any]]:
    others = [one for one in commands if not one.file]
    if others:
        yield _words("## Then")
    for one in others:
        yield _code(one.spelt if one.body is None else source(one.spelt, one.body))


def _words(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": text, "metadata": {}}


def _code(text: str, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"cell_type": "code", "source": text, "metadata": dict(metadata or {})}


def _notebook(cells: Sequence[dict[str, Any]]) -> Any:
    """The same cells are the same file: a cell's id is made of where it stands and what it holds."""
    from nbformat import v4

    made = []
    for number, cell in enumerate(cells):
        text, own = cell["source"], cell["metadata"]
        identity = hashlib.sha256(f"{number} {text}".encode()).hexdigest()[:8]
        if cell["cell_type"] == "markdown":
            made.append(v4.new_markdown_cell(text, metadata=own, id=identity))
        else:
            made.append(v4.new_code_cell(text, metadata=own, id=identity))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return v4.new_notebook(cells=made, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


# Names


def _relative(directory: Path, beside: Path) -> str:
    """The folder as the notebook names it."""
    try:
        return Path(os.path.relpath(directory.resolve(), beside.resolve())).as_posix()
    except ValueError:
        return directory.resolve().as_posix()  # another drive


def _tag(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "app"


def _named(tag: str, dockerfile: str) -> str:
    """The image's name where nothing says it: the folder's, and what the Dockerfile is called besides."""
    match = _DOCKERFILE.fullmatch(dockerfile)
    more = _tag((match["suffix"] or match["prefix"] or "") if match else "") if dockerfile != "Dockerfile" else ""
    return f"{tag}-{more}" if more else tag
