"""A notebook is checked with real nbval: another time passes, another instruction fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from dockerlab.errors import UsageError
from dockerlab.testing.notebooks import Checked, check

# What a cell shows, as the source of a cell and as the output that was saved.
SHOW = """
from IPython.display import HTML
from dockerlab.faces.markup import code, volatile
HTML(code({instruction!r}) + volatile("\\n{seconds} s\\n"))
"""


def notebook(folder: Path, *cells: Any) -> Path:
    path = folder / "lesson.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("A lesson"), *cells]), path)
    return path


def cell(source: str, *outputs: Any, count: int | None = 1, tags: tuple[str, ...] = ()) -> Any:
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=count, metadata={"tags": list(tags)})


def shown(instruction: str, seconds: str) -> Any:
    html = f"<code>{instruction}</code><!--volatile-->\n{seconds} s\n<!--/volatile-->"
    data = {"text/plain": "<IPython.core.display.HTML object>", "text/html": html}
    return nbformat.v4.new_output("execute_result", data, execution_count=1)


def printed(text: str) -> Any:
    return nbformat.v4.new_output("stream", name="stdout", text=text)


AGAIN = SHOW.format(instruction="RUN make", seconds="7.5")


@pytest.mark.slow
def test_another_time_holds_whatever_the_project_around_a_notebook_configures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-flag\n", encoding="utf-8")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-flag")
    checked = check(notebook(tmp_path, cell(AGAIN, shown("RUN make", "2.4")), cell("print('a')", printed("a\n"))))
    assert checked.holds, checked.report
    assert (checked.cells, checked.passed, checked.failed, checked.skipped) == (2, 2, 0, 0)
    assert str(checked) == "lesson.ipynb: 2 of 2 cells give what was saved"


@pytest.mark.slow
def test_another_instruction_fails_and_a_cell_that_was_not_compared_is_told(tmp_path: Path) -> None:
    cells = cell(AGAIN, shown("RUN mak", "2.4")), cell("print('a')", printed("a\n"))
    more = cell("1/0", tags=("nbval-skip",)), cell("print('a')", count=None)
    checked = check(notebook(tmp_path, *cells, *more))
    assert (checked.cells, checked.passed, checked.failed, checked.skipped, checked.unsaved) == (4, 1, 2, 1, 1)
    assert not checked.holds
    assert "RUN mak" in checked.report
    assert str(checked) == "lesson.ipynb: 1 of 4 cells give what was saved, 2 failed, 1 skipped, 1 saved unrun"


@pytest.mark.parametrize(
    ("cells", "unsaved", "passed", "failed", "skipped"), [(0, 0, 0, 0, 0), (2, 1, 2, 0, 0), (2, 0, 1, 1, 0), (2, 0, 1, 0, 1)]
)
def test_one_cell_is_enough_that_it_does_not_hold(cells: int, unsaved: int, passed: int, failed: int, skipped: int) -> None:
    assert Checked(Path("x"), 2, 0, 2, 0, 0, "").holds
    assert not Checked(Path("x"), cells, unsaved, passed, failed, skipped, "").holds


@pytest.mark.parametrize("content", [None, "no JSON", "{}", '{"cells": [1]}'])
def test_what_is_no_notebook_is_said(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "lesson.ipynb"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"^lesson\.ipynb cannot be read as a notebook"):
        check(path)
