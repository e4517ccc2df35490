"""The pipeline in the page: pointing lights what belongs together, a click opens what is behind it, containers come and go."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import dockerlab
from dockerlab import images, volumes
from dockerlab.client import Client
from dockerlab.errors import NotFound
from tests.browser.axe import broken
from tests.browser.conftest import Lab
from tests.engine.forwarder import forwarding
from tests.engines import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_DOCKERFILE = """%%dockerfile -t {name}
FROM busybox AS make
RUN mkdir /out && echo {salt} | tee /out/app
FROM busybox
EXPOSE 5000
WORKDIR /app
COPY --from=make /out/app /app/app
RUN echo installed {salt}; head -c 1200000 /dev/zero > /app/data
CMD ["sleep", "600"]
"""
_THREADS = "import threading\nprint([t.name for t in threading.enumerate() if t.name.startswith('dockerlab')])"


@pytest.fixture
def name(client: Client) -> Iterator[str]:
    name = f"dockerlab-test-pipeline-{secrets.token_hex(3)}"
    yield name
    with suppress(NotFound):
        images.rm(name, force=True, client=client)


def _view(lab: Lab, page: Any, name: str) -> Any:
    """The live view of an image that the notebook has built."""
    source = _DOCKERFILE.format(name=name, salt=secrets.token_hex(4))
    # A notebook of its own has a kernel of its own.
    lab.write(f"{name}.ipynb", "%load_ext dockerlab", source, f"%pipeline {name}", _THREADS)
    lab.open(page, f"{name}.ipynb")
    for index in range(3):
        cell = lab.run_cell(page, index)
        assert not [output for output in cell["outputs"] if output["output_type"] == "error"], cell["outputs"]
    view = page.locator(".dockerlab-view")
    view.wait_for()
    view.scroll_into_view_if_needed()
    return view


def _threads(lab: Lab, page: Any) -> str:
    return "".join(output.get("text", "") for output in lab.run_cell(page, 3)["outputs"])


def test_pointing_lights_and_a_click_opens(lab: Lab, page: Any, name: str) -> None:
    view = _view(lab, page, name)
    copy = view.locator("tr.row", has_text="COPY --from=make")
    copy.locator("code").hover()
    lit = view.locator("tr.row.lit")
    lit.nth(2).wait_for()
    assert [text.split("\t")[1].partition(" ")[0] for text in lit.all_inner_texts()] == ["FROM", "RUN", "COPY"]
    lab.screenshot(page, "pipeline-lit")

    run = view.locator("tr.row", has_text="RUN echo installed")
    run.locator("button.open").click()
    drawer = view.locator(".drawer")
    drawer.locator("pre", has_text="installed").nth(1).wait_for()
    drawer.get_by_text("why it ran").wait_for()
    lab.screenshot(page, "pipeline-drawer")
    drawer.get_by_role("button", name="files of this layer").click()
    drawer.get_by_text("data", exact=True).first.wait_for()
    lab.screenshot(page, "pipeline-files")
    drawer.get_by_role("button", name="back to the instruction").click()
    drawer.get_by_text("why it ran").wait_for()
    run.locator("button.open").press("Escape")
    drawer.wait_for(state="detached")


def test_containers_come_and_go_whoever_starts_them(lab: Lab, page: Any, name: str, client: Client) -> None:
    view = _view(lab, page, name)
    view.get_by_text("none. Start one:").wait_for()
    container = dockerlab.run(
        name, ["sh", "-c", "echo ready; sleep 600; : --token hide-me"], name=f"{name}-web", publish=["5000"], env=["API_TOKEN=hide-me"],
        volume=[f"{name}:/data"], detach=True, client=client,
    )  # fmt: skip
    assert container is not None
    try:
        box = view.locator(".box", has_text=f"{name}-web")
        box.get_by_text("running").wait_for()
        box.get_by_text("→5000").wait_for()
        lab.screenshot(page, "pipeline-running")
        page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
        page.wait_for_timeout(700)  # the style sheets of the theme arrive
        lab.screenshot(page, "pipeline-dark")
        page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
        page.locator("body[data-jp-theme-light=true]").wait_for(state="attached")
        box.get_by_role("button", name=f"{name}-web").click()
        drawer = view.locator(".drawer")
        drawer.get_by_text("ready", exact=True).wait_for()
        drawer.get_by_text(f"%container show {name}-web").wait_for()
        assert drawer.locator(".head").inner_text().startswith(f"● running {name}-web {name} · up ")
        assert drawer.locator(".head a").get_attribute("href").startswith("http")
        drawer.locator("summary", has_text="environment").click()
        drawer.locator("summary", has_text="mounts").click()
        shown = drawer.inner_text()
        assert all(said in shown for said in ("image", "command", "network", "working directory", "/app", "/data", "API_TOKEN"))
        assert "--token ***" in shown
        assert "hide-me" not in shown
        assert not broken(page, ".dockerlab-view .drawer")
        drawer.scroll_into_view_if_needed()
        lab.screenshot(page, "pipeline-container")
        page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
        page.wait_for_timeout(700)
        lab.screenshot(page, "pipeline-container-dark")
        container.pause()
        box.get_by_text("paused").wait_for()
        container.unpause()
        container.stop(timeout=0)
        box.get_by_text("exited 137").wait_for()
    finally:
        container.remove(force=True)
        volumes.rm(name, client=client)
    box.wait_for(state="detached")
    view.get_by_text("none. Start one:").wait_for()


def test_a_frozen_view_is_static_and_leaves_nothing(lab: Lab, page: Any, name: str) -> None:
    view = _view(lab, page, name)
    assert "dockerlab pipeline" in _threads(lab, page)
    view.get_by_role("button", name="freeze").click()
    view.wait_for(state="detached")
    [output] = [output for output in lab.cells(page)[2]["outputs"] if output["output_type"] == "display_data"]
    assert set(output["data"]) == {"text/plain", "text/html"}
    assert "data-action" not in output["data"]["text/html"]
    assert _threads(lab, page) == "[]\n"


def test_a_view_whose_output_is_gone_leaves_nothing(lab: Lab, page: Any, name: str) -> None:
    view = _view(lab, page, name)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    view.wait_for(state="detached")
    page.wait_for_timeout(1500)  # the page tells it, and a thread ends
    assert _threads(lab, page) == "[]\n"


def test_an_engine_that_goes_away_is_said_and_asked_again(lab: Lab, page: Any, name: str, engine: Engine) -> None:
    assert engine.url
    with forwarding(engine.url) as forwarder:
        source = _DOCKERFILE.format(name=name, salt=secrets.token_hex(4))
        head = f"%load_ext dockerlab\nimport os\nos.environ['DOCKER_HOST'] = '{forwarder.url}'"
        lab.write(f"{name}.ipynb", head, source, f"%pipeline {name}")
        lab.open(page, f"{name}.ipynb")
        for index in range(3):
            lab.run_cell(page, index)
        view = page.locator(".dockerlab-view")
        view.get_by_text("none. Start one:").wait_for()
        page.wait_for_timeout(500)  # it watches
        forwarder.cut()
        alert = view.get_by_role("alert")
        alert.get_by_text("Not live any more").wait_for()
        lab.screenshot(page, "pipeline-gone")
        alert.get_by_role("button", name="ask again").click()
        alert.wait_for(state="detached")
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        view.wait_for(state="detached")
        page.wait_for_timeout(1000)  # its connection ends before the forwarder


def test_while_it_builds_an_instruction_opens_what_it_prints(lab: Lab, page: Any, name: str) -> None:
    loop = "i=0; while [ $i -lt 6 ]; do echo line $i; sleep 0.7; i=$((i+1)); done"
    source = f"%%dockerfile --no-cache -t {name}\nFROM busybox AS make\nRUN {loop}\nFROM busybox\nCOPY --from=make /bin/ls /x\n"
    lab.write(f"{name}.ipynb", "%load_ext dockerlab", source)
    lab.open(page, f"{name}.ipynb")
    lab.run_cell(page, 0)
    lab.run_cell(page, 1, wait=False)
    view = page.locator(".dockerlab-view")
    view.locator("tr.row", has_text="RUN i=0").locator("button.open").click()
    drawer = view.locator(".drawer")
    drawer.get_by_text("line 2").wait_for()
    lab.screenshot(page, "pipeline-building")
    drawer.get_by_text("line 4").wait_for()
    page.evaluate("() => window.ran")
    view.wait_for(state="detached")
    page.locator(".dockerlab .pipeline").get_by_text("none. Start one:").wait_for()
    assert not view.count(), "what is left is static"
