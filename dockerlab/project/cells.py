"""A notebook's cells as what our magics make of them. Nothing runs here; no kernel, no IPython.

    for found in magics(read("lesson.ipynb")): …    each magic of each code cell, in order
    source("%%context app.py", "print()\\n")          a cell's source, whose body IPython gives back byte for byte

A cell holds text whose lines end in a newline, and no carriage return (a page's editor takes it away). Its last newline is IPython's:
`keeps` and `fits` say what can be a cell.
"""

from __future__ import annotations

import errno
import re
import shlex
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dockerlab.builds.walking import Content
from dockerlab.errors import NotebookError, UsageError

PLAIN: Final = 0o644
NAMES: Final = ("dockerfile", "context", "container", "image", "pipeline", "network", "volume", "compose", "swarm", "service")
METADATA: Final = "dockerlab"

_LINE: Final = re.compile(rf"\s*(?P<variable>[\w.\[\], ]+?\s*=\s*)?(?P<percent>%%?)(?P<name>{'|'.join(NAMES)})(?:\s+(?P<rest>.*))?")
# What a page or a program that reads lines may not give back: control characters, carriage returns, foreign line ends, marks.
_LOST: Final = re.compile(r"[^\t\n\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_CHANGED: Final = re.compile(r"^[^\S\n]+$|^\s*(?:>>>|\.\.\.|In \[)", re.MULTILINE)
_MODE: Final = re.compile(r"[0-7]{3,4}")


@dataclass(frozen=True)
class Magic:
    """A magic as it stands in a notebook.

    name: without `%`. line: what follows the name. body: of a cell magic, as IPython gives it, else None. cell: 1-based, among all
    cells of the notebook. variable: what the answer is bound to, `c`, or "". tags, metadata: the cell's, ours alone.
    """

    name: str
    line: str
    body: str | None
    cell: int
    variable: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The line's words; `{name}` as it stands. Raises UsageError."""
        return split(self.line)

    @property
    def spelt(self) -> str:
        """As it is typed, without the body."""
        bound = f"{self.variable} = " if self.variable else ""
        return f"{bound}{'%' if self.body is None else '%%'}{self.name} {self.line}".rstrip()


def split(line: str) -> list[str]:
    """The words of a magic's line, with quotes as in a shell. Raises UsageError."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"a magic's line cannot be read: {line}", hint=f"{error}.".capitalize()) from error


def read(path: Path) -> Any:
    """A notebook, as nbformat's version 4. Raises NotebookError."""
    import nbformat

    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise NotebookError(f"cannot read the notebook '{path}': {reason}", hint=f"Seen from {Path.cwd()}.") from error
    try:
        notebook = nbformat.reads(text, as_version=4)
        cells = [(cell["cell_type"], cell["source"], cell["metadata"]) for cell in notebook["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, nbformat.ValidationError) as error:
        raise NotebookError(
            f"'{path}' is not a notebook",
            evidence=[str(error).split("\n", 1)[0][:200]],
            hint="It wants a file that Jupyter wrote, .ipynb.",
        ) from error
    if not all(isinstance(source, str) and isinstance(metadata, dict) for _, source, metadata in cells):
        raise NotebookError(f"'{path}' is not a notebook: a cell of it has no text")
    for number, (_, source, _) in enumerate(cells, start=1):
        if not source.isascii() and any("\ud800" <= character <= "\udfff" for character in source):
            raise NotebookError(f"cell {number} of the notebook '{path}' has half a character, which no file can hold")
    return notebook


def magics(notebook: Any) -> Iterator[Magic]:
    """The magics of a notebook's code cells, in their order."""
    for number, cell in enumerate(notebook["cells"], start=1):
        if cell["cell_type"] != "code":
            continue
        own = cell["metadata"].get(METADATA)
        tags = cell["metadata"].get("tags")
        about: dict[str, Any] = {
            "tags": tuple(map(str, tags)) if isinstance(tags, list) else (),
            "metadata": dict(own) if isinstance(own, dict) else {},
        }
        yield from in_source(cell["source"], number, **about)


def in_source(source: str, number: int = 0, **about: Any) -> Iterator[Magic]:
    """The magics of one cell."""
    lines = source.splitlines(keepends=True)
    while lines and not lines[0].strip():
        lines.pop(0)  # IPython leaves them out
    if not lines:
        return
    if lines[0].startswith("%%"):
        if (match := _LINE.fullmatch(lines[0].rstrip())) and not match["variable"]:
            body = "".join(lines[1:])
            yield Magic(
                match["name"], match["rest"] or "", body if body.endswith("\n") or not body else f"{body}\n", number, **about
            )
        return
    for line in _joined(lines):
        if (match := _LINE.fullmatch(line.rstrip())) and match["percent"] == "%":
            yield Magic(match["name"], match["rest"] or "", None, number, (match["variable"] or "").rstrip("= "), **about)


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """The lines as IPython has them: one that ends in a backslash goes on in the next, with a space between."""
    waiting: list[str] = []
    for line in lines:
        bare = line.rstrip("\r\n")
        waiting.append(bare.removesuffix("\\"))
        if not bare.endswith("\\"):
            yield " ".join(waiting)
            waiting = []
    if waiting:
        yield " ".join(waiting)


def source(line: str, body: str) -> str:
    """A cell's source: a cell magic and what follows it. body: ends with a newline, or is empty."""
    if not body:
        return line
    # IPython gives a body that ends without a newline one.
    return f"{line}\n{body[:-1] if not body.endswith(chr(10) * 2) and body != chr(10) else body}"


def keeps(text: str) -> bool:
    """Whether a notebook keeps this byte for byte in a cell, but for a newline at its end."""
    return not _LOST.search(text)


def fits(text: str) -> bool:
    """Whether the kernel gets it byte for byte, too: IPython empties lines of spaces, and takes prompts away."""
    return keeps(text) and not _CHANGED.search(text)


def content(body: str, mode: int = PLAIN, *, has_newline: bool = True) -> bytes:
    """What `%%context` puts into the build context."""
    text = body if body.endswith("\n") or not body else f"{body}\n"
    data = (text if has_newline else text.removesuffix("\n")).encode("utf-8", "surrogatepass")
    return data if mode == PLAIN else Content(data, mode)


def from_disk(path: Path) -> bytes:
    """What `%context add` makes of a file. One that may be executed keeps its mode. Raises OSError."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is no file that has an end" if not stat.S_ISDIR(mode) else "It is a folder", str(path))
    data = path.read_bytes()
    return Content(data, stat.S_IMODE(mode)) if mode & 0o111 and sys.platform != "win32" else data


def mode_of(given: str | None) -> int:
    """What `--chmod` says. Raises UsageError."""
    if given is None:
        return PLAIN
    if not _MODE.fullmatch(given):
        raise UsageError(f"--chmod '{given}' is not a file's mode", hint="In octal, as in --chmod 755.")
    return int(given, 8)


def mode_in(data: bytes) -> int:
    """The mode of a file of the build context."""
    return data.mode if isinstance(data, Content) else PLAIN
