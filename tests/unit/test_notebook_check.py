"""A notebook is checked with real nbval: another time passes, another instruction fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from dockerlab.errors import UsageError
from dockerlab.testing.notebooks import check

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


@pytest.mark.slow
def test_another_time_holds_and_another_instruction_does_not(tmp_path: Path) -> None:
    again = SHOW.format(instruction="RUN make", seconds="7.5")
    checked = check(notebook(tmp_path, cell(again, shown("RUN make", "2.4")), cell("print('a')", printed("a\n"))))
    assert checked.holds, checked.report
    assert (checked.cells, checked.passed, checked.failed, checked.skipped) == (2, 2, 0, 0)
    assert str(checked) == "lesson.ipynb: 2 of 2 cells give what was saved"

    checked = check(notebook(tmp_path, cell(again, shown("RUN mak", "2.4")), cell("print('a')", printed("a\n"))))
    assert not checked.holds
    assert (checked.passed, checked.failed) == (1, 1)
    assert "RUN mak" in checked.report
    assert str(checked) == "lesson.ipynb: 1 of 2 cells give what was saved, 1 failed"


@pytest.mark.slow
def test_a_cell_that_was_not_compared_does_not_hold(tmp_path: Path) -> None:
    checked = check(notebook(tmp_path, cell("1/0", tags=("nbval-skip",)), cell("print('a')", count=None)))
    assert (checked.cells, checked.passed, checked.skipped, checked.unsaved) == (2, 1, 1, 1)
    assert not checked.holds
    assert str(checked) == "lesson.ipynb: 1 of 2 cells give what was saved, 1 skipped, 1 saved unrun"


@pytest.mark.slow
def test_the_project_around_a_notebook_does_not_configure_its_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-flag\n", encoding="utf-8")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-flag")
    assert check(notebook(tmp_path, cell("print('a')", printed("a\n")))).holds


@pytest.mark.parametrize("content", [None, "no JSON", "{}", '{"cells": [1]}'])
def test_what_is_no_notebook_is_said(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "lesson.ipynb"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"^lesson\.ipynb cannot be read as a notebook"):
        check(path)
