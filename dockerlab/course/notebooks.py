"""Where the course's notebooks are: in the package as it is installed from a wheel, in `notebooks/` of a source tree.

notebooks()          their paths, in the order of the course
copy("lessons")      copies of them, to run and to change
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dockerlab.errors import UsageError

_PLACES = (Path(__file__).with_name("notebooks"), Path(__file__).parents[2] / "notebooks")


def folder() -> Path:
    """The folder that holds them. Raises UsageError where there is none."""
    for place in _PLACES:
        if any(place.glob("*.ipynb")):
            return place
    raise UsageError("this installation of dockerlab has no notebooks", hint="Name them: `dockerlab course export DIR NOTEBOOK …`")


def notebooks() -> list[Path]:
    """The notebooks, in the order of the course: by their numbers, then those without one. Raises UsageError."""
    return sorted(folder().glob("*.ipynb"), key=lambda path: path.name)


def copy(target: str | os.PathLike[str]) -> list[Path]:
    """Copies them, and the template for a tutorial of one's own, to a folder, which is made if need be. Gives the copies.

    A file that is there already is never replaced: it may hold somebody's work. Raises UsageError.
    """
    source, place = folder(), Path(target)
    found = [path.relative_to(source) for path in (*notebooks(), *sorted(source.glob("template/*.ipynb")))]
    there = [str(place / path) for path in found if os.path.lexists(place / path)]
    if there:
        raise UsageError(f"{there[0]} is there already", hint="Copy them to another folder, or move yours away.")
    try:
        for path in found:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, place / path)
    except OSError as error:
        raise UsageError(f"cannot write to {place}: {error.strerror}") from error
    return [place / path for path in found]
