"""A build of three stages, two of them side by side, in the page: its graph while it runs, and its drawers, which need no script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BUILD = """%%dockerfile --no-cache --var image -t dockerlab-test-graph
FROM busybox AS left
RUN echo left; sleep 4

FROM busybox AS right
RUN echo right; sleep 5; echo b > /b

from busybox
ENV A=$B
COPY --from=left /bin/sh /a
COPY --from=right /b /
"""
_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"


def test_a_build_of_three_stages_shows_its_graph(lab: Lab, page: Any) -> None:
    lab.write("graph.ipynb", "%load_ext dockerlab", BUILD, "image.build.graph", "%image rm -f dockerlab-test-graph")
    lab.open(page, "graph.ipynb")
    page.evaluate("() => { window.ran = window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    # Both stages at work at one time.
    page.wait_for_function("() => document.querySelectorAll('.dockerlab svg .node.running').length >= 2", timeout=60_000)
    lab.screenshot(page, "build-graph-running")
    page.evaluate("() => window.ran")
    build, graph = page.locator(".jp-OutputArea-output .dockerlab:has(svg)").all()
    assert page.locator(".dockerlab .node.running").count() == 0
    assert build.locator("svg .cluster text").all_inner_texts() == graph.locator("svg .cluster text").all_inner_texts()
    assert not build.locator("svg").is_visible()
    handles = {summary.inner_text(): summary for summary in build.locator(".views summary").all()}
    handles["graph"].click()
    assert build.locator("svg").is_visible()
    assert not build.locator(".picture pre").is_visible()
    lab.screenshot(page, "build-graph")
    handles["timeline"].click()
    assert not build.locator("svg").is_visible(), "one drawer is open at a time"
    bars = {
        row.locator("td").nth(1).inner_text(): row.locator(".lane .bar").bounding_box()
        for row in build.locator("tr:has(.lane)").all()
    }
    left, right = bars["RUN echo left; sleep 4"], bars["RUN echo right; sleep 5; echo b > /b"]
    assert left["x"] < right["x"] + right["width"]
    assert right["x"] < left["x"] + left["width"], "they ran side by side"
    lab.screenshot(page, "build-timeline")
    page.evaluate(_DARK)
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    lab.screenshot(page, "build-timeline-dark")
    handles["graph"].click()
    lab.screenshot(page, "build-graph-dark")


def test_a_label_stays_in_its_box_and_the_picture_is_no_wider_than_a_page(lab: Lab, page: Any) -> None:
    wide = "RUN : WWWW mmmm UPPER case; echo 'wide wwwwwwww'; : " + "M" * 100
    cell = f"%%dockerfile -q --var image -t dockerlab-test-graph\nFROM busybox AS one\n{wide}\nFROM busybox\nCOPY --from=one /bin/sh /x\n"
    lab.write("wide.ipynb", "%load_ext dockerlab", cell, "image.build.graph", "%image rm -f dockerlab-test-graph")
    lab.run_all(page, "wide.ipynb")
    svg = page.locator(".dockerlab svg")
    svg.wait_for()
    for node in svg.locator(".node").all():
        box = node.locator("path, polygon").first.bounding_box()
        for text in node.locator("text").all():
            shown = text.bounding_box()
            assert box["x"] <= shown["x"]
            assert shown["x"] + shown["width"] <= box["x"] + box["width"]
    assert svg.bounding_box()["width"] <= 1000


def test_a_notebook_that_is_not_trusted_shows_the_tree(lab: Lab, page: Any) -> None:
    cell = "%%dockerfile --var image -t dockerlab-test-graph\nFROM busybox AS one\nRUN echo one\nFROM busybox\nCOPY --from=one /bin/sh /x\n"
    path = lab.write("trust.ipynb", "%load_ext dockerlab", cell, "%image rm -f dockerlab-test-graph")
    lab.run_all(page, "trust.ipynb")
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    # Changed behind the server's back, it is not what was signed.
    text = path.read_text(encoding="utf-8")
    other = Path(lab.root / "stranger.ipynb")
    other.write_text(re.sub("dockerlab-test-graph", "dockerlab-test-other", text), encoding="utf-8")
    lab.open(page, "stranger.ipynb")
    output = page.locator(".jp-OutputArea-output", has_text="COPY --from=one").first
    output.locator("summary", has_text="graph").click()
    output.locator("pre", has_text="── stage-1   takes from one").wait_for()
    assert output.locator("svg, style").count() == 0
    lab.screenshot(page, "build-graph-not-trusted")
