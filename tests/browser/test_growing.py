"""A Dockerfile that grows cell by cell in a real page, which names its cells and says which were deleted; and the `docker` command."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAME = "dockerlab-test-growing"
_DELETE = """index => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.deselectAll();
  notebook.activeCellIndex = index;
  return window.jupyterapp.commands.execute("notebook:delete-cell");
}"""
_EDIT = """([index, source]) => {
  window.jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel.setSource(source);
}"""


def _said(cell: dict[str, Any]) -> str:
    """What a cell printed."""
    text: str = cell["outputs"][-1]["text"]
    return text


def test_cells_that_are_edited_and_deleted(lab: Lab, page: Any) -> None:
    start = f"%%dockerfile --append -t {NAME}"
    lab.write(
        "growing.ipynb",
        "%load_ext dockerlab",
        f"{start}\nFROM busybox\nRUN echo first > /said",
        f"{start}\nRUN echo second >> /said",
        f"{start}\nRUN echo third >> /said\nCMD cat /said",
        f"%container run --rm {NAME}",
        f"%container run --show-command -d --name web -p 5000 --wait=5000 -e API_TOKEN=abc {NAME}",
        f"%%dockerfile --show-command -t {NAME} --explain\nFROM busybox\nRUN echo 'a <b>' > /said",
        "%image explore --show-command busybox",
        f"%image rm -f {NAME}",
    )
    cells = lab.run_all(page, "growing.ipynb")
    assert _said(cells[4]) == "first\nsecond\nthird\n"
    page.locator(".jp-Cell").nth(3).scroll_into_view_if_needed()
    lab.screenshot(page, "growing")
    page.locator(".jp-Cell").nth(7).scroll_into_view_if_needed()
    lab.screenshot(page, "show-command")
    page.evaluate(_EDIT, [1, f"{start}\nFROM busybox\nRUN echo FIRST > /said"])
    lab.run_cell(page, 1)
    page.evaluate(_DELETE, 2)
    lab.run_cell(page, 2)
    assert _said(lab.run_cell(page, 3)) == "FIRST\nthird\n"
    page.evaluate(_EDIT, [2, f"{start}\nRUN true\nRUN exit 3"])
    failed = lab.run_cell(page, 2)["outputs"][-1]
    assert failed["evalue"].startswith("line 4 (line 2 of this cell): the command ended with exit code 3")
    page.locator(".jp-Cell").nth(2).scroll_into_view_if_needed()
    lab.screenshot(page, "growing-failed")
    lab.run_cell(page, 7)
