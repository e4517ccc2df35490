"""Live views in the page: what the user did stays while the markup changes, and what is clicked reaches the kernel."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# The notebook's first cell: a face of any markup, and a session.
_HEAD = """
from dockerlab.faces import markup
from dockerlab.faces.shown import Shown
from dockerlab.notebook.session import Session
from dockerlab.notebook.view import LiveView

class Face(Shown):
    def __init__(self, html, live=None):
        self.html, self.live = html, live
    def _text(self):
        return "a face"
    def _html(self):
        return markup.page(self.html)
    def _live_html(self):
        return markup.page(self.html if self.live is None else self.live)

session = Session(get_ipython())
"""


def _view(lab: Lab, page: Any, name: str, *cells: str) -> Any:
    """Opens a notebook of these cells, runs the first two, and gives the view that the second shows."""
    lab.write(f"{name}.ipynb", _HEAD, *cells)
    lab.open(page, f"{name}.ipynb")
    for index in (0, 1):
        cell = lab.run_cell(page, index)
        assert not [output for output in cell["outputs"] if output["output_type"] == "error"], cell["outputs"]
    view = page.locator(".dockerlab-view")
    view.wait_for()
    return view


def test_a_patch_keeps_what_the_user_did(lab: Lab, page: Any) -> None:
    show = """
def face(n):
    rows = "".join(f'<details data-key="row{i}"><summary>row {i} at {n}</summary><input aria-label="in {i}"></details>' for i in order)
    return Face(f'<p class="at">{n}</p>{rows}')
order = [0, 1, 2]
view = LiveView(session, face(0))
"""
    view = _view(lab, page, "patch", show, "order = [3, 2, 1, 0]\nfor n in range(1, 50): view.show(face(n))\n")
    view.locator("summary").nth(1).click()
    view.get_by_label("in 1").fill("typed")
    view.get_by_label("in 1").evaluate("element => { window.kept = element; element.setSelectionRange(2, 4); }")
    # Run from the kernel, so that the focus stays where it is.
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code: `"
        "order = [3, 2, 1, 0]\nfor n in range(1, 50): view.show(face(n))`}).done"
    )
    view.locator(".at", has_text="49").wait_for()
    assert view.locator("summary").all_inner_texts() == [f"row {i} at 49" for i in (3, 2, 1, 0)]
    assert view.locator("details[open]").count() == 1
    assert view.get_by_label("in 1").input_value() == "typed"
    assert page.evaluate("() => [document.activeElement === window.kept, window.kept.selectionStart]") == [True, 2]
