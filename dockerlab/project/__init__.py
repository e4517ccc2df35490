"""From a notebook to a project, a folder with Dockerfiles, and back: `dockerlab export` and `dockerlab import`. No engine is asked.

    export_project("lesson.ipynb", "app")        Dockerfiles, the files of %%context, .dockerignore, a README with `docker` commands
    import_project("app", "lesson.ipynb")        a cell a file, a cell a stage with what it does in words

A round trip keeps Dockerfiles and context files byte for byte, with their modes, `.dockerignore`, the flags of builds, and the lines of
`%container`, `%image` and `%pipeline`. Prose and Python are the notebook's own and stay there; a file that no cell can hold stays in its
folder, and the notebook names it. Nothing of the user's is overwritten unless `force` says so.

- `cells`: a notebook as our magics; `flags`: a magic's line, sorted; `growth`: a Dockerfile that grows cell by cell
- `commands`: the `docker` command line of a magic
- `exporting`, `importing`: the two directions, as values; `readme`, `wording`: what they say
- `writing`: values → files
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dockerlab.errors import printable
from dockerlab.faces import markup
from dockerlab.faces.shown import Shown
from dockerlab.project.cells import read
from dockerlab.project.exporting import exported
from dockerlab.project.importing import imported
from dockerlab.project.writing import write, write_one

__all__ = ["Written", "export_project", "import_project"]


@dataclass(frozen=True, repr=False)
class Written(Shown):
    """path: the folder or the notebook. files: what it holds, by path; of a notebook its one file. notes: what is not there, and why."""

    path: Path
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def _text(self) -> str:
        lines = [str(self.path), *(f"  {file}" for file in self.files if len(self.files) > 1)]
        return printable("\n".join([*lines, *(f"not there: {note}" for note in self.notes)]))

    def _html(self) -> str:
        rows = [(markup.code(file),) for file in self.files]
        notes = "".join(f"<p>not there: {markup.text(note)}</p>" for note in self.notes)
        return markup.page(markup.head(markup.code(self.path)), markup.table(("file",), rows), notes)


def export_project(notebook: str | os.PathLike[str], directory: str | os.PathLike[str], *, force: bool = False) -> Written:
    """Writes a notebook's Dockerfiles and build context into a folder, with a README of the `docker` commands.

    notebook: a file that Jupyter wrote; paths in it are seen from its folder. directory: made where it is not there. force: overwrite
    files that are there and hold something else.

    Raises NotebookError for a notebook that cannot be read; UsageError for one without a Dockerfile, and for files in the way; ContextError
    for a path that leads out of the folder, and for what cannot be written.
    """
    path = Path(notebook).expanduser()
    project = exported(read(path), path.parent, path.stem)
    folder = Path(directory).expanduser()
    write(folder, project.files, force=force)
    return Written(folder, tuple(sorted(project.files)), project.notes)


def import_project(directory: str | os.PathLike[str], notebook: str | os.PathLike[str], *, force: bool = False) -> Written:
    """Writes a notebook that builds a folder's Dockerfiles. What no cell can hold stays in the folder, and is named.

    directory: has a Dockerfile, or several: Dockerfile.NAME, NAME.Dockerfile. notebook: the file to write, .ipynb. force: overwrite it.

    Raises ContextError for a folder that cannot be read, UsageError for one without a Dockerfile, and for a notebook in the way.
    """
    import nbformat

    path = Path(notebook).expanduser()
    lesson = imported(Path(directory).expanduser(), path.parent)
    write_one(path, f"{nbformat.writes(lesson.notebook)}\n".encode(), force=force)
    return Written(path, (path.name,), tuple(f"{name}: {why}" for name, why in lesson.left))
