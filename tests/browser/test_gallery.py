"""The gallery: every view as it stays in a notebook. It needs no script, no network and no eyes; a reopened notebook shows it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.browser.axe import broken
from tests.browser.conftest import ROOT, SCREENSHOTS, Lab
from tests.browser.gallery import page as page_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

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
    "the state before line 3",
    "gallery-shelf",
    "200 OK",
    "the docker command",
    "on the engine's host",
    "gallery-street",
    "limits of container gallery-shelf (gallery-shop:2)",
    "disk read / written",
    "the process of container gallery-shelf (gallery-shop:2)",
    "files → line",
    "an engine answers",
    "from the hardware to the program",
    "1 of 2 done",
    "Hint 1 of 1",
)
_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
_ALL_RAN = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .every(cell => cell.model.type !== "code" || cell.model.executionCount)"""
_SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
# JupyterLab draws what is near the window's part of a notebook: all of it, then.
_DRAW_ALL = """() => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.notebookConfig = {...notebook.notebookConfig, windowingMode: "none"};
  notebook.update();
}"""
# A panel whose container is gone may do so by itself meanwhile.
_FREEZE = "() => document.querySelectorAll('.dockerlab-view [data-action=freeze]').forEach(button => button.click())"
_CLOSE_SIDEBAR = "() => window.jupyterapp.commands.execute('application:toggle-left-area')"
_PATIENCE = 120_000  # milliseconds in which it draws them
_WHOLE = {"width": 1280, "height": 16_000}
_NARROW = 1000  # pixels
# What of the views is wider than its room: it would be cut off, or have to be scrolled to.
_TOO_WIDE = """() => {
  const called = part => `${part.localName}.${part.className}: ${part.textContent.trim().slice(0, 60)}`;
  const views = [...document.querySelectorAll(".dockerlab")];
  const parts = views.flatMap(view => [view, ...view.querySelectorAll(":not(svg *)")]).filter(part => part.checkVisibility());
  const page = document.scrollingElement;
  const wide = parts.filter(part => {
    const box = part.getBoundingClientRect();
    const room = (part.closest(".jp-OutputArea-output, .output_subarea") ?? document.body).getBoundingClientRect();
    const cut = getComputedStyle(part).overflowX !== "visible" && part.scrollWidth > part.clientWidth + 1;
    return box.width && (cut || box.right > room.right + 1 || box.right > innerWidth || box.left < room.left - 1);
  });
  return [...(page.scrollWidth > page.clientWidth ? ["the page"] : []), ...wide.map(called)];
}"""
# Folds are views, too.
_UNFOLD = """() => {
  for (const fold of document.querySelectorAll(".dockerlab details")) {
    fold.removeAttribute("name"); // of those of a group only one may be open
    fold.open = true;
  }
}"""


@pytest.fixture(scope="module")
def saved(lab: Lab, browser: Any) -> str:
    """The gallery, run in a page and saved."""
    context = browser.new_context(viewport=_WHOLE)
    page = context.new_page()
    lab.run_all(page, NAME, fails=True)
    page.wait_for_function(_ALL_RAN)
    page.evaluate(_DRAW_ALL)
    page.evaluate(_FREEZE)
    page.wait_for_function("() => !document.querySelector('.dockerlab-view')")
    page.evaluate(_SAVE)
    context.close()
    return NAME


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


def test_an_untrusted_notebook_has_texts_in_place_of_views(lab: Lab, page: Any) -> None:
    # Somebody else's notebook, which JupyterLab does not trust: it throws styles and pictures away.
    shutil.copy(ROOT / "notebooks" / NAME, lab.root / "untrusted.ipynb")
    lab.open(page, "untrusted.ipynb")
    shown = page.locator(".jp-NotebookPanel").first
    shown.locator(".jp-OutputArea-output", has_text="FROM words").first.wait_for()
    lab.screenshot(page, "gallery-untrusted")


def test_a_reopened_notebook_shows_all_views_and_breaks_no_rule_of_accessibility(lab: Lab, page: Any, saved: str) -> None:
    # One's own, as it was saved, in a page that never ran it.
    _open(lab, page, saved, _WHOLE["width"])
    found = views(page)
    assert not [view for view in VIEWS if view not in found]
    assert len([picture for picture in page.locator(".dockerlab .picture svg").all() if picture.is_visible()]) == 3
    for theme in ("light", "dark"):
        if theme == "dark":
            _darken(page)
        problems = broken(page, ".jp-OutputArea-output .dockerlab")
        assert not problems, "\n".join([theme, *problems])
        lab.screenshot(page, f"gallery-reopened-{theme}")


def _open(lab: Lab, page: Any, name: str, width: int) -> None:
    """All of a notebook."""
    page.set_default_timeout(_PATIENCE)
    lab.open(page, name)
    page.set_viewport_size({"width": width, "height": _WHOLE["height"]})
    page.evaluate(_DRAW_ALL)
    page.locator(".dockerlab", has_text="Hint 1 of 1").wait_for()


def _darken(page: Any) -> None:
    page.evaluate(_DARK)
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")


def test_readable_on_a_1000_pixel_wide_page_of_jupyterlab(lab: Lab, page: Any, saved: str) -> None:
    _open(lab, page, saved, _NARROW)
    page.evaluate(_CLOSE_SIDEBAR)
    assert page.evaluate(_TOO_WIDE) == []
    lab.screenshot(page, "gallery-1000")
    _darken(page)
    assert page.evaluate(_TOO_WIDE) == []
    lab.screenshot(page, "gallery-1000-dark")
    page.evaluate(_UNFOLD)
    assert page.evaluate(_TOO_WIDE) == []


def test_readable_on_a_1000_pixel_wide_page_without_a_script(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "gallery.html"
    file.write_text(page_of(ROOT / "notebooks" / NAME), encoding="utf-8")
    context = browser.new_context(viewport={"width": _NARROW, "height": 1000})
    context.set_offline(True)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator(".dockerlab").count() > len(VIEWS)
    assert page.evaluate(_TOO_WIDE) == []
    page.evaluate(_UNFOLD)
    assert page.evaluate(_TOO_WIDE) == []
    page.screenshot(path=SCREENSHOTS / "gallery-1000-converted.png", full_page=True)
    context.close()


def test_a_rule_that_is_broken_is_told(page: Any) -> None:
    page.set_content(
        '<div id="a"><p style="color:#bbb;background:#fff">pale</p><img src="data:,"></div><div id="b"><p>plain</p></div>'
    )
    assert [problem.partition(": <")[0] for problem in broken(page, "#a")] == ["serious: color-contrast", "critical: image-alt"]
    assert not broken(page, "#b")
