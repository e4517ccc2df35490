"""Every notebook gives what it was saved with: on the main engine, and with `--everywhere` on every engine.

Those of the course as they are only with `--everywhere`: `test_course` runs them with their exercises solved, and
`tests/browser/test_binder.py` as they are, on Binder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockerlab.testing.notebooks import check
from tests.course.notebooks import FOLDER, NUMBERED
from tests.engines import Engine

NOTEBOOKS = [*sorted(FOLDER.glob("*.ipynb")), *FOLDER.glob("template/*.ipynb")]


def _parameter(notebook: Path) -> Any:
    return pytest.param(notebook, id=notebook.stem, marks=[pytest.mark.everywhere] if notebook in NUMBERED else [])


@pytest.mark.contract
@pytest.mark.timeout(900)
@pytest.mark.notebooks
@pytest.mark.parametrize("notebook", [_parameter(notebook) for notebook in NOTEBOOKS])
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
