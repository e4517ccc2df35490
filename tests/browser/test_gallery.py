"""The gallery: every view as it stays in a notebook. It needs no script, no network and no eyes; a reopened notebook shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.axe import broken
from tests.browser.conftest import ROOT, SCREENSHOTS, Lab
from tests.browser.gallery import page as page_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAME = "gallery.ipynb"
# Words of each.
VIEWS = (
    "stages of the Dockerfile, target stage-3",
    "Dockerfile: ",
    "build context",
    "gallery-shop",
    "graph of build gallery-shop",
    "why the steps of gallery-shop:2 ran",
    "layers of gallery-shop:latest, gallery-stall:latest",
    "layers of gallery-stall:latest",
    "from gallery-shop:latest to gallery-shop:2",
    "gallery-shelf",
    "files → line",
    "from the hardware to the program",
)
_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
_ALL_RAN = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .every(cell => cell.model.type !== "code" || cell.model.executionCount)"""
_SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
# JupyterLab draws what is near the window's part of a notebook: all of it, then.
_WHOLE = {"width": 1280, "height": 11_000}


def views(page: Any) -> str:
    return "\n".join(page.locator(".dockerlab").all_inner_texts())


def test_a_converted_notebook_needs_no_script_and_no_network(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "gallery.html"
    file.write_text(page_of(ROOT / "notebooks" / NAME), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, java_script_enabled=False)
    context.set_offline(True)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert asked == [file.as_uri()], "nothing is fetched"
    shown = views(page)
    assert not [view for view in VIEWS if view not in shown]
    pictures = [picture for picture in page.locator(".dockerlab .picture svg").all() if picture.is_visible()]
    assert len(pictures) == 3, "stages, a build's graph, layers"
    for picture in pictures:
        box = picture.bounding_box()
        assert 200 < box["width"] <= 1000
        assert box["height"] > 100
    # Folds and drawers open, and close each other, by the page alone.
    build = page.locator(".dockerlab:has(.views)").first
    drawers = build.locator(".views > details")
    for name in ("graph", "timeline"):
        build.locator("summary", has_text=name).click()
        opened = [
            drawer.locator("summary").first.inner_text() for drawer in drawers.all() if drawer.get_attribute("open") is not None
        ]
        assert opened == [name]
    assert build.locator(".lane").first.is_visible()
    page.screenshot(path=SCREENSHOTS / "gallery-converted.png", full_page=True)
    context.close()


def test_a_reopened_notebook_shows_all_views_and_breaks_no_rule_of_accessibility(lab: Lab, page: Any) -> None:
    # Somebody else's notebook, which JupyterLab does not trust: it throws styles and pictures away, and texts are in their place.
    lab.open(page, NAME)
    shown = page.locator(".jp-NotebookPanel").first
    shown.locator(".jp-OutputArea-output", has_text="FROM words").first.wait_for()
    lab.screenshot(page, "gallery-untrusted")
    lab.run_all(page, NAME, fails=True)
    page.wait_for_function(_ALL_RAN)
    page.set_default_timeout(30_000)
    page.evaluate(_SAVE)
    # And one's own, as it was saved, in a page that never ran it.
    lab.open(page, NAME)
    page.set_viewport_size(_WHOLE)
    page.locator(".dockerlab", has_text="from the hardware to the program").wait_for()
    found = views(page)
    assert not [view for view in VIEWS if view not in found]
    assert len([picture for picture in page.locator(".dockerlab .picture svg").all() if picture.is_visible()]) == 3
    for theme in ("light", "dark"):
        if theme == "dark":
            page.evaluate(_DARK)
            page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
            page.locator("#jupyterlab-splash").wait_for(state="detached")
        problems = broken(page, ".jp-OutputArea-output .dockerlab")
        assert not problems, "\n".join([theme, *problems])
        lab.screenshot(page, f"gallery-reopened-{theme}")


def test_a_rule_that_is_broken_is_told(page: Any) -> None:
    page.set_content(
        '<div id="a"><p style="color:#bbb;background:#fff">pale</p><img src="data:,"></div><div id="b"><p>plain</p></div>'
    )
    assert [problem.partition(": <")[0] for problem in broken(page, "#a")] == ["serious: color-contrast", "critical: image-alt"]
    assert not broken(page, "#b")
