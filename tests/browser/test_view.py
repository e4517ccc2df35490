"""Live views in the page: what the user did stays while the markup changes, and what is clicked reaches the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.browser.conftest import WATCH_FRAMES, Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
_SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
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


def test_an_action_reaches_the_kernel_and_its_error_is_shown(lab: Lab, page: Any) -> None:
    show = """
import threading, time
from dockerlab.errors import UsageError
done = []
def count(value):
    time.sleep(0.5)
    done.append((value, threading.current_thread() is threading.main_thread()))
    view.show(face())
def fail(value):
    raise UsageError(f"{value} is in use", hint="Stop it first.")
def face():
    return Face(f'<p>done: {done}</p><button data-action="count" data-value="a">Count</button>'
                '<button data-action="fail" data-value="<b>web1</b>" data-confirm="Remove web1?">Remove</button>'
                '<button data-copy="copied text">Copy</button>')
view = LiveView(session, face(), actions={"count": count, "fail": fail})
"""
    view = _view(lab, page, "action", show)
    button = view.get_by_role("button", name="Count")
    button.click()
    assert button.is_disabled()
    view.get_by_text("done: [('a', False)]").wait_for()
    assert button.is_enabled()
    view.get_by_role("button", name="Remove").click()
    question = view.get_by_role("alertdialog")
    assert question.locator("span").inner_text() == "Remove web1?"
    assert question.get_by_role("button").all_inner_texts() == ["Remove", "Cancel"]
    lab.screenshot(page, "view-question")
    page.keyboard.press("Escape")
    assert question.is_hidden()
    view.get_by_role("button", name="Remove").click()
    question.get_by_role("button", name="Remove").click()
    alert = view.get_by_role("alert")
    alert.wait_for()
    assert "<b>web1</b> is in use\n\n→ Stop it first." in alert.inner_text()
    lab.screenshot(page, "view-alert")
    alert.get_by_role("button", name="Dismiss").click()
    assert alert.count() == 0
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    view.get_by_role("button", name="Copy").click()
    view.locator("[data-copied]").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == "copied text"


def test_drawers_are_of_the_markup_or_of_the_kernel(lab: Lab, page: Any) -> None:
    show = """
def face(n):
    return Face('<table><tr data-drawer="here"><td>row <button>other</button></td></tr></table>'
                '<button data-drawer="there">There</button><button data-drawer="lost">Lost</button>'
                f'<div data-drawers></div><template data-for="here"><p>template {n}</p>'
                '<details><summary>more</summary></details></template>')
view = LiveView(session, face(1), drawer=lambda id: f"<p>from the kernel: {id}</p>" if id == "there" else None)
"""
    view = _view(lab, page, "drawer", show, "view.show(face(2))")
    row = view.locator("tr")
    row.get_by_role("button", name="other").click()
    assert view.locator(".drawer").count() == 0
    assert row.get_attribute("aria-expanded") == "false"
    row.focus()
    page.keyboard.press("Enter")
    drawer = view.locator(".drawer")
    drawer.get_by_text("template 1").wait_for()
    assert row.get_attribute("aria-expanded") == "true"
    # What is open follows the markup, and keeps what the user did in it.
    drawer.locator("summary").click()
    lab.run_cell(page, 2)
    drawer.get_by_text("template 2").wait_for()
    assert drawer.locator("details[open]").count() == 1
    view.get_by_role("button", name="There").click()
    drawer.get_by_text("from the kernel: there").wait_for()
    assert drawer.count() == 1
    assert row.get_attribute("aria-expanded") == "false"
    page.keyboard.press("Escape")
    assert drawer.count() == 0
    view.get_by_role("button", name="Lost").click()
    view.get_by_role("alert").get_by_text("There is nothing to show here any more.").wait_for()
    assert drawer.count() == 0


def test_pointing_lights_what_belongs_together_and_a_filter_hides_the_rest(lab: Lab, page: Any) -> None:
    show = """
live = ('<button data-lights="a">one</button><span data-lights="a b">two</span><span data-lights="b">three</span>'
        '<p><input aria-label="Filter" data-filter="files"> <b data-filter-count="files"></b>'
        '<label><input type="checkbox" checked data-filter-kind="added" data-filter-in="files">added</label></p>'
        '<div data-filter-scope="files"><button data-filter-kind="gone">gone</button>'
        '<ul><li data-text="etc/passwd" data-kind="added">passwd</li><li data-text="etc/group" data-kind="gone">group</li>'
        '<li data-text="usr/Bin">bin<ul><li data-text="usr/bin/passwd">passwd 2</li></ul></li></ul></div>')
view = LiveView(session, Face(live))
"""
    view = _view(lab, page, "lights", show, "view.show(Face(live + '<p>again</p>'))")

    def classes() -> list[str]:
        found: list[str] = view.locator("[data-lights]").evaluate_all("all => all.map(one => one.className)")
        return found

    view.get_by_text("one", exact=True).hover()
    assert classes() == ["lit", "lit", "dim"]
    lab.run_cell(page, 2)
    view.get_by_text("again").wait_for()
    assert classes() == ["lit", "lit", "dim"]
    view.get_by_label("Filter").hover()
    assert classes() == ["", "", ""]
    view.get_by_text("one", exact=True).focus()
    assert classes() == ["lit", "lit", "dim"]

    def shown() -> list[str]:
        return [item.inner_text().partition("\n")[0] for item in view.locator("li").all() if item.is_visible()]

    assert shown() == ["passwd", "group", "bin", "passwd 2"]
    # Keys are the view's own, though they are commands of the notebook's.
    view.get_by_label("Filter").click()
    page.keyboard.type("PASSWD")
    assert shown() == ["passwd", "bin", "passwd 2"]
    assert view.locator("[data-filter-count]").inner_text() == "3 of 4"
    view.get_by_label("added").uncheck()
    assert shown() == ["bin", "passwd 2"]
    view.get_by_label("Filter").fill("")
    view.get_by_role("button", name="gone").click()
    assert shown() == ["group"]


def test_a_log_has_colours_search_and_pause(lab: Lab, page: Any) -> None:
    show = """
live = ('<input aria-label="Search" data-log-search="web"><button data-log-pause="web">Pause</button>'
        '<pre data-log="web" style="height:100px">no lines yet</pre>')
view = LiveView(session, Face(live))
"""
    first = "view.log('web', ['\\x1b[31mred\\x1b[0m <img src=x onerror=window.hacked=1>', *(f'line {i}' for i in range(100))])"
    more = "view.log('web', [f'line {i}' for i in range(100, 200)]); view.show(Face(live + '<p>again</p>'))"
    flood = "for i in range(200): view.log('web', [f'flood {i} {j}' for j in range(100)])"
    view = _view(lab, page, "log", show, first, more, flood)
    pre = view.locator("pre")
    assert pre.inner_text() == "no lines yet"
    lab.run_cell(page, 2)
    pre.get_by_text("line 99").wait_for()

    def lines() -> list[str]:
        return str(pre.evaluate("pre => pre.textContent")).splitlines()

    assert lines() == ["red <img src=x onerror=window.hacked=1>", *(f"line {i}" for i in range(100))]
    assert pre.locator("span").evaluate_all("all => all.map(one => [one.innerText, one.style.color])") == [["red", "var(--sgr-1)"]]
    assert pre.evaluate("pre => pre.scrollHeight - pre.scrollTop - pre.clientHeight") < 2
    view.get_by_label("Search").fill("LINE 7")
    assert lines() == [f"line {i}" for i in (7, *range(70, 80))]
    assert pre.locator("mark").all_inner_texts() == ["line 7"] * 11
    view.get_by_label("Search").fill("")
    view.get_by_role("button", name="Pause").click()
    lab.run_cell(page, 3)
    view.get_by_role("button", name="Resume (100 new)").wait_for()
    assert len(lines()) == 101
    view.get_by_role("button", name="Resume").click()
    pre.get_by_text("line 199").wait_for()
    assert len(lines()) == 201
    # Who scrolled up stays there.
    pre.evaluate("pre => { pre.scrollTop = 0; }")
    lab.run_cell(page, 4)
    pre.get_by_text("flood 199 99").wait_for(state="attached")
    assert 300 <= len(lines()) <= 1200
    assert "lines came too fast to be shown here" in pre.locator(".skipped").first.inner_text()
    assert pre.evaluate("pre => pre.scrollTop") == 0
    assert page.evaluate("() => window.hacked") is None
    lab.screenshot(page, "view-log")
    page.evaluate(_DARK)
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    lab.screenshot(page, "view-log-dark")


def test_a_frozen_view_is_static_in_the_file_and_when_it_is_opened_again(lab: Lab, page: Any) -> None:
    show = """
view = LiveView(session, Face("<p>static</p>", "<p>live</p><button data-freeze>Keep</button>"))
view.show(Face("<p>the last</p>", "<p>the last, live</p><button data-freeze>Keep</button>"))
"""
    view = _view(
        lab, page, "freeze", show, "import threading\nview.is_open, [t.name for t in threading.enumerate() if 'view' in t.name]"
    )
    view.get_by_text("the last, live").wait_for()
    view.get_by_role("button", name="Keep").click()
    page.locator(".jp-OutputArea-output .dockerlab", has_text="the last").wait_for()
    view.wait_for(state="detached")
    assert lab.run_cell(page, 2)["outputs"][0]["data"]["text/plain"] == "(False, [])"
    page.evaluate(_SAVE)
    saved = nbformat.read(lab.root / "freeze.ipynb", as_version=4)
    (output,) = saved.cells[1].outputs
    assert output.data.keys() == {"text/plain", "text/html"}
    assert "<p>the last</p>" in output.data["text/html"]
    assert "widgets" not in saved.metadata
    lab.open(page, "freeze.ipynb")
    page.locator(".jp-OutputArea-output .dockerlab", has_text="the last").wait_for()


_THREADS = "import threading\nlen([t for t in threading.enumerate() if t.name.startswith('dockerlab view')])"


def _text(cell: dict[str, Any]) -> str:
    """What a cell's last line was."""
    return str(cell["outputs"][0]["data"]["text/plain"])


def test_who_closes_the_output_closes_the_view(lab: Lab, page: Any) -> None:
    show = "over = []\nview = LiveView(session, Face('<p>live</p>'), closed=lambda: over.append(view.is_open))"
    view = _view(lab, page, "close", show, "import time\ntime.sleep(2)\nover, view.is_open", _THREADS)
    assert _text(lab.run_cell(page, 2)) == "([], True)"
    assert _text(lab.run_cell(page, 3)) == "1"
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-cell-output')")
    view.wait_for(state="detached")
    page.wait_for_timeout(1500)
    assert _text(lab.run_cell(page, 2)) == "([False], False)"
    assert _text(lab.run_cell(page, 3)) == "0"


def test_a_kernel_that_starts_anew_leaves_no_thread_and_the_page_says_so(lab: Lab, page: Any) -> None:
    show = "view = LiveView(session, Face('<p>live</p><button data-action=\"a\">Act</button>'))"
    view = _view(lab, page, "restart", show, "import os\nos.getpid()", _THREADS)
    assert _text(lab.run_cell(page, 3)) == "1"
    kernel = int(_text(lab.run_cell(page, 2)))
    lab.restart(page)
    assert not Path(f"/proc/{kernel}").exists()
    view.get_by_text("No longer live").wait_for()
    assert view.get_by_role("button", name="Act").is_hidden()
    lab.screenshot(page, "view-over")
    assert _text(lab.run_cell(page, 3)) == "0"


def test_a_build_that_prints_a_hundred_thousand_lines_does_not_stall_the_page(lab: Lab, page: Any) -> None:
    # In ten seconds: BuildKit cuts off what a step prints faster.
    prints = "i=0; while [ $i -lt 100 ]; do seq $((i*1000+1)) $((i*1000+1000)); i=$((i+1)); sleep 0.08; done"
    build = f"%%dockerfile --no-cache --var image\nFROM busybox\nRUN {prints}\n"
    path = lab.write(
        "flood.ipynb", "%load_ext dockerlab", build, "[step.output[-1] for step in image.build.steps if step.line == 2]"
    )
    lab.open(page, "flood.ipynb")
    lab.run_cell(page, 0)
    page.evaluate(WATCH_FRAMES)
    lab.run_cell(page, 1, wait=False)
    view = page.locator(".dockerlab-view")
    view.locator("pre .chunk").nth(3).wait_for(state="attached")
    page.evaluate("() => window.ran")
    page.locator(".jp-OutputArea-output summary", has_text="100,000 lines of output").wait_for()
    gap = page.evaluate("() => window.longestGap")
    print(f"the longest gap between two frames: {gap:.0f} ms")
    assert view.count() == 0
    assert page.locator(".jp-OutputArea-output .dockerlab .running").count() == 0
    assert _text(lab.run_cell(page, 2)) == "['100000']"
    page.evaluate(_SAVE)
    assert "widget-view" not in path.read_text(encoding="utf-8")
    assert gap < 300


def test_an_interrupt_ends_a_build_and_its_view(lab: Lab, page: Any) -> None:
    build = "%%dockerfile --no-cache\nFROM busybox\nRUN i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done\n"
    lab.write("interrupt.ipynb", "%load_ext dockerlab", build, _THREADS)
    lab.open(page, "interrupt.ipynb")
    lab.run_cell(page, 0)
    lab.run_cell(page, 1, wait=False)
    log = page.locator(".dockerlab-view [data-key^=log]")
    log.get_by_text("line 100").wait_for(state="attached")
    # What is read stays in place, while the build goes on.
    log.evaluate("pre => { window.kept = pre; pre.scrollTop = 40; }")
    log.get_by_text("line 300").wait_for(state="attached")
    assert log.evaluate("pre => [pre === window.kept, pre.scrollTop]") == [True, 40]
    # Its kernel answers nothing now: the drawer is in the page.
    view = page.locator(".dockerlab-view")
    view.locator("button[data-drawer]", has_text="RUN").click()
    drawer = view.locator(".drawer")
    drawer.get_by_text("line 300").wait_for(state="attached")
    drawer.get_by_label("search").fill("line 29")
    assert log.is_hidden()
    assert "line 299" in drawer.locator("pre").inner_text().splitlines()
    assert "line 300" not in drawer.locator("pre").inner_text().splitlines()
    lab.screenshot(page, "view-build")
    page.evaluate(_DARK)
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    lab.screenshot(page, "view-build-dark")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    page.evaluate("() => window.ran")
    page.locator(".jp-OutputArea-output .dockerlab .head", has_text="interrupted").wait_for()
    assert page.locator(".dockerlab-view").count() == 0
    assert [output["output_type"] for output in lab.cells(page)[1]["outputs"]] == ["display_data", "error"]
    assert _text(lab.run_cell(page, 2)) == "0"
