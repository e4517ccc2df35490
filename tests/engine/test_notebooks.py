"""Every notebook gives what it was saved with: on the main engine, and with `--everywhere` on every engine.

`test_course` runs those of the course there once more, with their exercises solved; `tests/browser/test_binder.py` runs them on Binder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab.testing.notebooks import check
from tests.engines import Engine

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = [*sorted(FOLDER.glob("*.ipynb")), *FOLDER.glob("template/*.ipynb")]


@pytest.mark.contract
@pytest.mark.timeout(900)
@pytest.mark.notebooks
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_was_saved_with(
    notebook: Path, engine: Engine, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    # In an empty folder: a notebook needs no file beside it, and leaves none.
    copy = Path(shutil.copy(notebook, tmp_path))
    checked = check(copy)
    assert checked.holds, f"{checked}\n{checked.report}"
    assert list(tmp_path.iterdir()) == [copy]
    record_property("cells", checked.passed)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
