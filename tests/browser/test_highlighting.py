"""The colours of cells: a `%%dockerfile` cell is a Dockerfile, as soon as its first line says so and as long as it does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

DOCKERFILE = """%%dockerfile -t app --build-arg "A=b"
# syntax=docker/dockerfile:1
FROM python:3.10 AS base
EXPOSE 5000
# import this
RUN --mount=type=cache,target=/x pip install \\
    flask
RUN <<EOF
from x import y
EOF
CMD ["flask", "run", "--host", "$HOST"]"""
PYTHON = "import os\nFROM = 'x'\n"
# A cell's pieces of text that are drawn in bold, which keywords are, and in italics, as comments are.
_DRAWN = """([index, name, value]) => {
  const cell = window.jupyterapp.shell.currentWidget.content.widgets[index];
  return [...cell.node.querySelectorAll(".cm-line span")]
    .filter(span => getComputedStyle(span)[name] === value)
    .map(span => span.innerText);
}"""
_IS_KEYWORD = """([index, word]) => {
  const cell = window.jupyterapp.shell.currentWidget.content.widgets[index];
  return [...cell.node.querySelectorAll(".cm-line span")]
    .some(span => span.innerText === word && getComputedStyle(span).fontWeight === "700");
}"""
_SAVED = "() => JSON.stringify(window.jupyterapp.shell.currentWidget.content.model.toJSON())"


def test_a_dockerfile_cell_has_a_dockerfiles_colours(lab: Lab, page: Any) -> None:
    lab.write("colours.ipynb", DOCKERFILE, PYTHON)
    lab.open(page, "colours.ipynb")
    page.wait_for_function(_IS_KEYWORD, arg=[0, "FROM"])
    bold = page.evaluate(_DRAWN, [0, "fontWeight", "700"])
    assert [word for word in bold if word.strip("\\")] == ["FROM", "AS", "EXPOSE", "RUN", "RUN", "CMD"]
    assert page.evaluate(_DRAWN, [0, "fontStyle", "italic"]) == ["# import this"]
    # The line of the magic, whose first word has a colour of its own.
    line = page.locator(".jp-CodeCell .cm-line").first
    assert line.locator("span").first.inner_text() == "%%dockerfile"
    assert "--build-arg" in line.locator("span").all_inner_texts()
    # A cell of Python is one.
    page.wait_for_function(_IS_KEYWORD, arg=[1, "import"])
    assert not page.evaluate(_IS_KEYWORD, [1, "FROM"])
    lab.screenshot(page, "highlighting")
    assert "dockerlab-dockerfile" not in page.evaluate(_SAVED), "nothing of it is saved"


def test_the_first_line_switches_the_language(lab: Lab, page: Any) -> None:
    lab.write("switch.ipynb", "import os\nFROM busybox")
    lab.open(page, "switch.ipynb")
    page.wait_for_function(_IS_KEYWORD, arg=[0, "import"])
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("%%dockerfile -t x\n")
    page.wait_for_function(_IS_KEYWORD, arg=[0, "FROM"])
    assert not page.evaluate(_IS_KEYWORD, [0, "import"])
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+/")
    # A new cell, and one whose kernel says anew what it speaks.
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:insert-cell-below')")
    page.keyboard.press("Enter")
    page.keyboard.type("%%dockerfile\nFROM busybox")
    page.wait_for_function(_IS_KEYWORD, arg=[1, "FROM"])
    lab.restart(page)
    assert page.evaluate(_IS_KEYWORD, [1, "FROM"])
    # The magic's line was commented out above, as Python and Dockerfile both do it.
    page.wait_for_function(_IS_KEYWORD, arg=[0, "import"])
    assert not page.evaluate(_IS_KEYWORD, [0, "FROM"])
