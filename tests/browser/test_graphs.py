"""The graphs of a Dockerfile's stages and of images' layers, in the page: seen in both themes, read without seeing, no wider than it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STAGES = """%%dockerfile --graph
ARG VERSION=1.22
FROM golang:$VERSION AS build
RUN --mount=type=bind,from=busybox,target=/tools make
FROM build AS tests
RUN go test
FROM scratch AS web
COPY --from=build /out/app /bin/a-long-name-of-a-program
COPY --from=nginx:1.25 /etc/nginx/nginx.conf /etc/
"""
IMAGES = ("dockerlab-test-layers-app", "dockerlab-test-layers-web")
BUILD = "%%dockerfile -q -t {}\nFROM busybox\nRUN echo shared > /shared\nRUN echo {} > /own\n"
DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"


def test_stages_and_layers_in_the_page(lab: Lab, page: Any) -> None:
    built = [BUILD.format(name, name) for name in IMAGES]
    graph, remove = f"%image graph {' '.join(IMAGES)}", f"%image rm -f {' '.join(IMAGES)}"
    lab.write("graphs.ipynb", "%load_ext dockerlab", STAGES, *built, graph, remove)
    lab.run_all(page, "graphs.ipynb")
    stages, layers = page.locator(".jp-OutputArea-output .dockerlab:has(svg)").all()
    for view, name in ((stages, "stages of the Dockerfile, target web"), (layers, "layers of dockerlab-test-layers-app")):
        svg = view.locator("svg")
        assert svg.get_attribute("aria-label").startswith(name)
        assert svg.bounding_box()["width"] <= 1000
        assert not view.locator(".picture pre").first.is_visible()
        for node in svg.locator(".node").all():
            box = node.locator("path, polygon").first.bounding_box()
            for text in node.locator("text").all():
                shown = text.bounding_box()
                assert box["x"] <= shown["x"]
                assert shown["x"] + shown["width"] <= box["x"] + box["width"]
        boxes = [text.bounding_box() for text in svg.locator(".edge text").all()]
        for place, one in enumerate(boxes):
            for other in boxes[:place]:
                apart = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
                assert apart or abs(one["y"] - other["y"]) >= min(one["height"], other["height"]) - 4
    heights = {text.text_content(): text.bounding_box()["y"] for text in layers.locator("svg .node text:first-of-type").all()}
    assert heights["busybox:latest"] < max(heights.values()), "the base is below"
    assert heights["RUN echo shared > /shared"] > heights[f"{IMAGES[0]}:latest"]
    stages.locator("summary").click()
    assert "from nginx:1.25" in stages.locator("details pre").inner_text()
    stages.locator("summary").click()
    stages.scroll_into_view_if_needed()
    lab.screenshot(page, "stage-graph")
    layers.scroll_into_view_if_needed()
    lab.screenshot(page, "layer-graph")
    page.evaluate(DARK)
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    lab.screenshot(page, "layer-graph-dark")
    stages.scroll_into_view_if_needed()
    lab.screenshot(page, "stage-graph-dark")
