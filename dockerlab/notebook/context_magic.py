"""`%%context PATH`: the cell becomes a file of the notebook's build context. `%context ls|show|rm|clear|add`: manages it.

`add PATH --var NAME` makes a file of a notebook variable. The context lives in the kernel's memory; `COPY . .` of a `%%dockerfile` cell
copies it. Nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from dockerlab.builds.context import clean_path
from dockerlab.errors import ContextError, NotFound, UsageError
from dockerlab.faces.context import ContextFile, ContextFileContent, ContextFiles
from dockerlab.notebook.arguments import HelpShown, Parser, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.project.cells import content, from_disk, mode_of

if TYPE_CHECKING:
    from dockerlab.faces.shown import Shown
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """A parser for each verb, and under '' the one of the cell magic; completion reads them too."""
    cell = Parser("%%context", "Puts the cell into the notebook's build context, under PATH.")
    cell.add_argument("path", metavar="PATH", help="such as app.py or src/app.py; .dockerignore counts")
    cell.add_argument("--chmod", metavar="MODE", help="the file's mode, in octal: 755 for a script that is run; 644 unless given")
    cell.add_argument("-n", "--no-newline", action="store_true", help="no newline at the end of the file")
    ls = Parser("%context ls", "Lists the files of the notebook's build context.")
    show = Parser("%context show", "Shows a file of the notebook's build context.")
    show.add_argument("path", metavar="PATH")
    rm = Parser("%context rm", "Takes files out of the notebook's build context.")
    rm.add_argument("paths", metavar="PATH", nargs="+")
    clear = Parser("%context clear", "Empties the notebook's build context.")
    add = Parser("%context add", "Puts files from disk, as they are now, into the notebook's build context.")
    add.add_argument("paths", metavar="FILE", nargs="+", help="a file, or a folder with all that is in it")
    add.add_argument(
        "--var", metavar="NAME", help="a variable of the notebook, text or bytes, as the content of FILE; no disk is read"
    )
    return {"": cell, "ls": ls, "show": show, "rm": rm, "clear": clear, "add": add}


def magic(session: Session, line: str, cell: str | None) -> Shown | None:
    """Changes or shows the notebook's build context."""
    given, known = words(line, session.namespace), parsers()
    cell_parser = known.pop("")
    try:
        if cell is not None:
            asked = cell_parser.parse_args(given)
            return _put(session, asked.path, content(cell, mode_of(asked.chmod), has_newline=not asked.no_newline))
        verb, arguments = parse_verb("%context", given or ["ls"], known)
    except HelpShown:
        return None
    if verb == "show":
        return ContextFileContent(*_find(session, arguments.path))
    if verb == "rm":
        gone = {_find(session, path)[0] for path in arguments.paths}
        session.files = {path: content for path, content in session.files.items() if path not in gone}
    elif verb == "clear":
        session.files = {}
    elif verb == "add" and arguments.var is not None:
        return _put(session, _only(arguments.paths), _variable(session, arguments.var))
    elif verb == "add":
        session.files = session.files | {
            path: data for given_path in arguments.paths for path, data in _read(Path(given_path).expanduser())
        }
    return ContextFiles(tuple(ContextFile(path, content) for path, content in sorted(session.files.items())))


def _put(session: Session, path: str, data: bytes) -> ContextFile:
    file = ContextFile(clean_path(path), data)
    session.files = session.files | {file.path: file.content}
    return file


def _only(paths: list[str]) -> str:
    if len(paths) > 1:
        raise UsageError("%context add --var fills one file", hint="As in: %context add notice.txt --var notice")
    return paths[0]


def _variable(session: Session, name: str) -> bytes:
    """A variable as a file's content: text ends with a newline, bytes stay as they are. Raises UsageError."""
    if name not in session.namespace:
        raise UsageError(f"--var '{name}': the notebook has no such variable", hint="Run the cell that sets it first.")
    value = session.namespace[name]
    if not isinstance(value, (str, bytes)):
        raise UsageError(f"--var '{name}' is of type {type(value).__name__}, not text", hint=f"A text of it: str({name}).")
    return content(value) if isinstance(value, str) else value


def _find(session: Session, path: str) -> tuple[str, bytes]:
    cleaned = clean_path(path)
    if cleaned not in session.files:
        names = ", ".join(sorted(session.files)) or "it is empty"
        raise NotFound(f"the notebook's build context has no '{cleaned}'", hint=f"It holds: {names}.")
    return cleaned, session.files[cleaned]


def _read(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files at `path`; named as they were given where that is a relative path, else by their last part."""
    name = path if not path.is_absolute() and ".." not in path.parts else PurePath(path.name)
    try:
        if path.is_dir():
            for file in sorted(file for file in path.rglob("*") if file.is_file()):
                yield clean_path((name / file.relative_to(path)).as_posix()), from_disk(file)
        else:
            yield clean_path(name.as_posix()), from_disk(path)
    except ContextError:
        raise
    except OSError as error:
        raise ContextError(
            f"cannot read '{path}': {error.strerror}", hint=f"Seen from the working directory, {Path.cwd()}."
        ) from error
