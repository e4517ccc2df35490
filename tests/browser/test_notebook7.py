"""Notebook 7, which has JupyterLab's parts and a page of its own: a `%%dockerfile` cell is coloured, and its build is shown."""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Lab, serving
from tests.engines import Engine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(importlib.util.find_spec("notebook") is None, reason="Notebook is not installed: make test"),
]

_READY = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  return panel?.context?.isReady && panel.sessionContext?.session?.kernel?.status === "idle";
}"""


@pytest.fixture
def notebook7(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    environ = {**os.environ, **({"DOCKER_HOST": engine.url} if engine.url else {})}
    with serving(tmp_path_factory.mktemp("notebook7"), environ, ("notebook", "JupyterNotebookApp")) as server:
        yield server


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page in which a JavaScript error of ours fails the test: Notebook 7.6 has one of its own, with its settings, on every start."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error.stack)))
    yield page
    context.close()
    assert not [error for error in errors if "/static/notebook/notebook_core" not in error], errors


def test_a_dockerfile_cell_is_coloured_and_its_build_is_shown(notebook7: Lab, page: Any) -> None:
    tag = f"dockerlab-test-notebook7-{secrets.token_hex(4)}"
    build = f'%%dockerfile -t {tag}\nFROM busybox\nRUN echo {tag} > /greeting\nCMD ["cat", "/greeting"]\n'
    notebook7.write("seven.ipynb", "%load_ext dockerlab", build, f"%container run --rm {tag}", f"%image rm -f {tag}")
    page.goto(f"{notebook7.url}/notebooks/seven.ipynb")
    page.wait_for_function(_READY)
    cell = page.locator(".jp-CodeCell").nth(1)
    page.wait_for_function("() => document.querySelectorAll('.jp-CodeCell')[1]?.innerText.includes('FROM')")
    page.wait_for_function(
        """() => [...document.querySelectorAll(".jp-CodeCell")[1].querySelectorAll(".cm-line span")]
          .some(span => span.innerText === "FROM" && getComputedStyle(span).fontWeight === "700")"""
    )
    bold = cell.locator(".cm-line span").evaluate_all(
        "spans => spans.filter(span => getComputedStyle(span).fontWeight === '700').map(span => span.innerText)"
    )
    assert bold == ["FROM", "RUN", "CMD"]
    assert page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    shown = cell.locator(".jp-OutputArea-output .dockerlab", has_text="3 of 3 steps")
    shown.wait_for()
    assert shown.locator("tr", has_text="RUN echo").first.locator(".done").first.inner_text() == "● done"
    notebook7.screenshot(page, "notebook7")
    outputs = notebook7.cells(page)
    assert outputs[2]["outputs"][0]["text"] == f"{tag}\n"
    assert not [output for cell in outputs for output in cell["outputs"] if output["output_type"] == "error"]
