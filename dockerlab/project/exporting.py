"""A notebook → the files of a project: Dockerfiles, the build context, a README with the same as `docker` commands.

What the project has is what the notebook ends with:

- a Dockerfile is what a `%%dockerfile` cell holds, or several with `--append`; a later cell of the same name and target is the next
  version of it, and takes its place. Cells with the same text share one file
- a file of the context is as the last build of the notebook saw it; one that no build saw is there, too
- a folder that is the build context (`--context DIR`, `%dockerfile -f FILE DIR`) is copied, but for what `.dockerignore` leaves out
- a cell with the tag `raises-exception` is meant to fail, and left out
"""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockerlab.builds.context import Context, clean_path
from dockerlab.errors import DockerlabError, UsageError, printable
from dockerlab.project import readme
from dockerlab.project.cells import Magic, content, from_disk, keeps, magics, mode_of
from dockerlab.project.commands import build, command
from dockerlab.project.flags import Given, flag_words, read
from dockerlab.project.growth import Growth
from dockerlab.project.writing import File, Link, read_file

# Not a part of what is built, whatever the context says.
SKIPPED = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".ipynb_checkpoints", ".DS_Store", ".mypy_cache"}
    | {".pytest_cache", ".ruff_cache"}
)


@dataclass(frozen=True)
class Project:
    """files: path → content or link. notes: what of the notebook is not there, and why; one sentence each."""

    files: Mapping[str, File]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Build:
    """A Dockerfile with what it is built with. file: the name that it wants, or "". order: of its cell."""

    text: str
    given: Given
    spelt: str
    order: int
    file: str = ""
    files: Mapping[str, File] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.given.value("-t", "--tag") or ""

    @property
    def key(self) -> object:
        """What a later version has in common with it."""
        return (self.file, self.name, self.given.value("--target")) if self.name or self.file else self.text


def exported(notebook: Any, folder: Path, title: str) -> Project:
    """The project that a notebook holds. folder: where the notebook is, for the paths in it. title: of the README.

    Raises ContextError for a path that leads out of the project, UsageError for a notebook that builds nothing.
    """
    return _Exporting(folder).run(notebook, title)


class _Exporting:
    """Goes through the cells once, as a kernel would, and keeps what they leave."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context: dict[str, bytes] = {}
        self._growths: dict[str, tuple[Growth, dict[str, Any]]] = {}
        self._builds: dict[object, _Build] = {}
        self._others: list[readme.Entry] = []
        self._notes: list[str] = []

    def run(self, notebook: Any, title: str) -> Project:
        for magic in magics(notebook):
            if magic.name == "context":
                if "raises-exception" not in magic.tags:
                    self._change_context(magic)
            elif magic.name == "dockerfile":
                self._build(magic)
            else:
                self._other(magic)
        if not self._builds:
            raise UsageError("the notebook has no Dockerfile", hint="A cell that begins with %%dockerfile holds one.")
        files: dict[str, File] = {}
        for one in self._builds.values():
            for path, data in one.files.items():
                if path in files and files[path] != data:
                    self._notes.append(f"`{path}` as an earlier build saw it: it is here as the last one did.")
                files[path] = data
        files = {**self._context, **files}
        entries = [self._entry(one, name, files) for one, name in self._named()]
        name = readme.OTHER_NAME if readme.NAME in files else readme.NAME
        text = readme.written(_title(notebook) or title, [*entries, *self._others], tuple(dict.fromkeys(self._notes)))
        return Project({**files, name: text.encode("utf-8", "backslashreplace")}, tuple(dict.fromkeys(self._notes)))

    def _entry(self, one: _Build, name: str, files: dict[str, File]) -> readme.Entry:
        """Puts a Dockerfile among the files, and gives its command."""
        text = one.text.encode("utf-8", "surrogateescape")
        if files.get(name, text) != text:
            self._notes.append(f"`{name}` of the build context: the Dockerfile of cell {one.order} has its name.")
        files[name] = text
        shown = build(one.given, dockerfile="" if name == "Dockerfile" else name)
        return readme.Entry(one.spelt, shown, file=name)

    def _named(self) -> Iterator[tuple[_Build, str]]:
        """The builds, each with its Dockerfile's name."""
        builds = sorted(self._builds.values(), key=lambda one: one.order)
        names: dict[str, str] = {}
        taken: set[str] = set()
        for one in builds:
            if one.file and one.file not in taken and one.text not in names:
                names[one.text] = one.file
                taken.add(one.file)
        for one in builds:
            if one.text not in names:
                wanted = "Dockerfile"
                if wanted in taken:
                    slug = re.sub(r"[^\w.-]+", "-", one.name.rpartition("/")[2].removesuffix(":latest")).strip("-.")
                    wanted = f"Dockerfile.{slug}" if slug else "Dockerfile.2"
                number = 2
                while wanted in taken:
                    wanted = f"{wanted.removesuffix(f'-{number - 1}')}-{number}"
                    number += 1
                names[one.text] = wanted
                taken.add(wanted)
            yield one, names[one.text]

    # The context

    def _change_context(self, magic: Magic) -> None:
        verb, *rest = words if (words := magic.words) else ["ls"]
        if magic.body is not None:
            given = read("context", "", magic.words)
            if given.arguments:
                path = clean_path(given.arguments[0])
                is_bare = given.has("-n", "--no-newline")
                self._context[path] = content(magic.body, mode_of(given.value("--chmod")), has_newline=not is_bare)
        elif verb == "clear":
            self._context.clear()
        elif verb == "rm":
            for path in rest:
                self._context.pop(clean_path(path), None)
        elif verb == "add":
            given = read("context", "add", rest)
            if (variable := given.value("--var")) is not None:
                self._notes += [f"`{path}`: its content is the notebook's variable {variable}." for path in given.arguments]
                return
            for path in given.arguments:
                self._add(path, magic.cell)

    def _add(self, given: str, cell: int) -> None:
        """`%context add`: a file or a folder on disk, under the name that the magic gives it."""
        path = Path(given).expanduser()
        name = path.name if path.is_absolute() or ".." in path.parts else path.as_posix()
        source = self._folder / path
        found = sorted(file for file in source.rglob("*") if file.is_file()) if source.is_dir() else [source]
        try:
            for file in found:
                inner = file.relative_to(source).as_posix() if source.is_dir() else ""
                self._context[clean_path(f"{name}/{inner}" if inner else name)] = from_disk(file)
        except OSError as error:
            if isinstance(error, DockerlabError):
                raise
            self._notes.append(f"`{given}`, which cell {cell} adds to the build context: {error.strerror}.")

    def _folder_files(self, directory: str, cell: int) -> dict[str, File]:
        """What a folder gives to a build."""
        found: dict[str, File] = {}
        try:
            for one in Context.of(self._folder / Path(directory).expanduser()).found():
                if SKIPPED & set(one.path.split("/")) or (one.path == readme.NAME and _is_our_readme(Path(str(one.source)))):
                    continue
                if stat.S_ISLNK(one.mode):
                    found[one.path] = Link(one.link)
                elif one.is_file:
                    found[one.path] = read_file(Path(str(one.source)))
        except OSError as error:
            what = error.message if isinstance(error, DockerlabError) else error.strerror
            self._notes.append(f"The folder `{directory}`, the build context of cell {cell}: {what}.")
        for path, file in list(found.items()):
            if isinstance(file, Link) and _leads_out(path, file):
                del found[path]
                self._notes.append(f"`{path}`: a symbolic link that leads out of the build context.")
        return found

    # Builds

    def _build(self, magic: Magic) -> None:
        if "raises-exception" in magic.tags:
            self._notes.append(f"The Dockerfile of cell {magic.cell}, which is meant to fail.")
            return
        given = read("dockerfile", "", magic.words)
        if magic.body is None:
            self._build_from_disk(magic, given)
            return
        text, own = self._grown(magic, given)
        if own.get("newline") is False:
            text = text.removesuffix("\n")
        directory = given.value("--context")
        files: dict[str, File] = {**(self._folder_files(directory, magic.cell) if directory else {}), **self._context}
        self._keep(_Build(text, given, _spelt(given), magic.cell, _file_name(own), files), magic)

    def _grown(self, magic: Magic, given: Given) -> tuple[str, dict[str, Any]]:
        """The Dockerfile down to this cell, and what its cells' metadata say."""
        body, name = magic.body or "", given.value("-t", "--tag") or ""
        growth, own = self._growths.get(name, (Growth(), {})) if given.has("--append") else (Growth(), {})
        growth, own = growth.grown(str(magic.cell), body), {**own, **magic.metadata}
        if name:
            self._growths[name] = growth, own
        return growth.text, own

    def _build_from_disk(self, magic: Magic, given: Given) -> None:
        directory = (given.arguments or (given.value("--context") or ".",))[0]
        named = given.value("-f", "--file")
        file = self._folder / (Path(named) if named else Path(directory) / "Dockerfile").expanduser()
        try:
            text = file.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            self._notes.append(f"The Dockerfile `{named or directory}` of cell {magic.cell}: {error.strerror}.")
            return
        files = self._folder_files(directory, magic.cell)
        self._keep(_Build(text, given, _spelt(given), magic.cell, file.name, files), magic)

    def _keep(self, one: _Build, magic: Magic) -> None:
        if one.given.has("--append"):
            # What it had grown to before is no Dockerfile of its own.
            before = [key for key, old in self._builds.items() if old.name == one.name and one.text.startswith(old.text)]
            for key in before:
                del self._builds[key]
        earlier = self._builds.get(one.key)
        if earlier and earlier.text != one.text:
            self._notes.append(f"An earlier version of a Dockerfile, in cell {earlier.order}: cell {magic.cell} replaces it.")
        self._builds[one.key] = one

    def _other(self, magic: Magic) -> None:
        if "raises-exception" in magic.tags:
            return
        try:
            shown = command(magic.name, magic.words, magic.body)
        except UsageError as error:
            self._notes.append(f"`{magic.spelt}` of cell {magic.cell}: {error.message}.")
            return
        self._others.append(readme.Entry(magic.spelt, shown, magic.body))


def _title(notebook: Any) -> str:
    """The first heading of the notebook's prose; "" where there is none."""
    prose = (cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    return next((found for text in prose if (found := readme.title_of(text))), "")


def _spelt(given: Given) -> str:
    """The magic of a cell that holds the Dockerfile, and whose context is the project."""
    flags = given.without("-f", "--file", "--context", "--append", "--show-command").flags
    return f"%%dockerfile {shlex.join(flag_words(flags))}".rstrip()


def _file_name(own: Mapping[str, Any]) -> str:
    """The Dockerfile's name that a cell's metadata ask for."""
    name = own.get("file")
    if not isinstance(name, str) or not name:
        return ""
    if "/" in clean_path(name) or not keeps(name) or re.search(r"[\t\n]", name):
        raise UsageError(
            f"a cell's metadata name the Dockerfile '{printable(name)}'",
            hint="It is a file's name, without a folder and without control characters.",
        )
    return clean_path(name)


def _leads_out(path: str, link: str) -> bool:
    if link.startswith("/"):
        return True
    depth = path.count("/")
    for part in link.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


def _is_our_readme(path: Path) -> bool:
    return readme.is_ours(path.read_text("utf-8", "replace"))
