"""The notebook of the Dockerfile as a learner runs it: every cell, in a real browser, on a real engine; the app's page is on the page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

_ALL_RAN = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .every(cell => cell.model.type !== "code" || cell.model.executionCount)"""


def test_the_dockerfile(lab: Lab, page: Any) -> None:
    lab.run_all(page, "04-the-dockerfile.ipynb", fails=True)
    # Run All reports the failure when it happens; as the cell is tagged raises-exception, the rest goes on.
    page.wait_for_function(_ALL_RAN)
    cells = lab.cells(page)
    errors = [output["evalue"] for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    assert errors == ["line 3: COPY finds no 'ap.py'"], "just the cell that is meant to fail"
    for cell in cells:
        for output in cell["outputs"]:
            data = output.get("data", {})
            is_pipeline = "".join(data.get("text/plain", "")).startswith("pipeline of")
            assert is_pipeline or "application/vnd.jupyter.widget-view+json" not in data, (
                "nothing live stays that was not asked for"
            )
    frame = page.locator(".jp-OutputArea-output iframe")
    frame.scroll_into_view_if_needed()
    heading = frame.content_frame.locator("h1")
    heading.wait_for()
    assert heading.inner_text() == "Hello from a container!"
    lab.screenshot(page, "tutorial-page")
    failed = page.locator(".jp-OutputArea-output .dockerlab .failed").first
    failed.scroll_into_view_if_needed()
    assert failed.inner_text() == "✕ failed"
    lab.screenshot(page, "tutorial-failure")
