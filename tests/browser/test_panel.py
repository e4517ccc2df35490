"""A container's panel in the page: what it shows while the container runs, what its buttons do, and what is left when it has ended."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dockerlab import containers
from dockerlab.client import Client
from dockerlab.containers import Container
from dockerlab.errors import NotFound
from tests.browser.axe import broken
from tests.browser.conftest import SCREENSHOTS, Lab
from tests.engine.forwarder import forwarding
from tests.engines import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_COUNTS = "trap 'echo bye; exit 3' TERM; i=0; while :; do i=$((i+1)); printf '\\033[32mcount\\033[0m %s\\n' $i; sleep 0.2; done"
# What of a panel is left in the kernel: its threads, and connections to the engine beside those of the cells' own client.
_LEFT = """
import json, os, socket, threading
def peer(fd):
    try:
        there = socket.socket(fileno=int(fd))
    except OSError:
        return None
    try:
        return there.getpeername()
    except OSError:
        return None
    finally:
        there.detach()
def left():
    threads = sorted(t.name for t in threading.enumerate() if t.name.startswith("dockerlab"))
    engine = os.environ["DOCKER_HOST"].removeprefix("unix://")
    return {"threads": threads, "connections": [peer(fd) for fd in os.listdir("/proc/self/fd")].count(engine)}
print(json.dumps(left()))
"""


@pytest.fixture
def box(client: Client) -> Iterator[Container]:
    """A container that counts aloud, in green, and has something to hide."""
    name = f"panel-{uuid.uuid4().hex[:8]}"
    container = containers.run(
        "busybox",
        ["sh", "-c", _COUNTS],
        name=name,
        detach=True,
        env=["API_TOKEN=do-not-show"],
        memory="64m",
        cpus=0.5,
        client=client,
    )
    assert container is not None
    yield container
    containers.rm(name, force=True, client=client)


def opened(lab: Lab, page: Any, box: Container, *cells: str) -> Any:
    """A notebook whose second cell shows the panel; gives the panel."""
    name = f"{box.name}.ipynb"
    lab.write(
        name,
        f"%load_ext dockerlab\n%container port {box.name}\n{_LEFT}",
        f"%container show {box.name}",
        *cells,
        "print(json.dumps(left()))",
    )
    lab.open(page, name)
    for index in (0, 1):
        outputs = lab.run_cell(page, index)["outputs"]
        assert not [output for output in outputs if output["output_type"] == "error"], outputs
    panel = page.locator(".dockerlab-view")
    panel.locator("pre.log .chunk").first.wait_for()
    return panel


def printed(panel: Any) -> list[str]:
    """The lines of the log that are shown."""
    return str(panel.locator("pre.log").evaluate("pre => pre.textContent")).splitlines()


def until(page: Any, holds: Callable[[], object]) -> None:
    """Waits; the page goes on meanwhile."""
    deadline = time.monotonic() + 200
    while not holds():
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)


def left(lab: Lab, page: Any) -> dict[str, Any]:
    """What the last cell prints."""
    cell = lab.run_cell(page, len(lab.cells(page)) - 1)
    found: dict[str, Any] = json.loads("".join(output["text"] for output in cell["outputs"]))
    return found


def nothing_is_left(lab: Lab, page: Any) -> None:
    before = json.loads(
        "".join(output.get("text", "") for output in lab.cells(page)[0]["outputs"] if output["output_type"] == "stream")
    )
    deadline = time.monotonic() + 10
    while (now := left(lab, page)) != before and time.monotonic() < deadline:
        time.sleep(0.3)
    assert now == before


def frozen(page: Any, word: str) -> Any:
    """The static face that has taken the panel's place."""
    page.locator(".dockerlab-view").wait_for(state="detached")
    face = page.locator(".jp-OutputArea-output .dockerlab", has_text=word).last
    face.wait_for()
    return face


def test_it_follows_the_log_and_the_counters_and_freezes_when_it_is_stopped(lab: Lab, page: Any, box: Container) -> None:
    panel = opened(lab, page, box)
    until(page, lambda: "count 12" in printed(panel))
    assert panel.locator("pre.log span[style*='--sgr-2']", has_text="count").count() > 5
    panel.locator("figure.plot svg path.line").first.wait_for()
    panel.locator("figure.plot", has_text="CPU").locator("path.limit").wait_for(state="attached")
    assert "limit 67.1 MB" in panel.locator("figure.plot", has_text="memory").inner_text()
    panel.locator("summary", has_text="environment").click()
    assert "***" in panel.inner_text()
    assert "do-not-show" not in page.content()
    panel.get_by_label("search the log").fill("count 12")
    assert printed(panel)[0] == "count 12"
    assert panel.locator("pre.log mark").count() >= 1
    panel.get_by_label("search the log").fill("")
    until(page, lambda: printed(panel)[0] == "count 1")
    panel.get_by_role("button", name="Hold").click()
    held = printed(panel)[-1]
    panel.get_by_role("button", name="Resume").filter(has_text="new").wait_for()
    assert printed(panel)[-1] == held
    panel.get_by_role("button", name="Resume").click()
    panel.get_by_role("button", name="Restart").click()
    until(page, lambda: printed(panel).count("count 1") == 2)
    assert printed(panel).count("bye") == 1
    lab.screenshot(page, "panel-live")
    assert not broken(page, ".dockerlab-view")
    panel.get_by_role("button", name="Stop").click()
    face = frozen(page, "exited 3")
    assert face.locator("pre.log").inner_text().endswith("bye")
    assert not face.get_by_role("button").count()
    nothing_is_left(lab, page)
    output = lab.cells(page)[1]["outputs"][0]["data"]
    assert set(output) == {"text/plain", "text/html"}
    assert "exited 3" in "".join(output["text/plain"])
    lab.screenshot(page, "panel-frozen")
    assert not broken(page, ".jp-OutputArea-output .dockerlab")


def test_remove_asks_first(lab: Lab, page: Any, box: Container, client: Client) -> None:
    panel = opened(lab, page, box)
    panel.get_by_role("button", name="Remove").click()
    question = panel.get_by_role("alertdialog")
    seen = len(printed(panel))
    until(page, lambda: len(printed(panel)) > seen + 5)  # a log that grows does not close it
    assert question.locator("span").inner_text() == f"Remove container {box.name}, which is running?"
    question.get_by_role("button", name="Cancel").click()
    assert containers.get(box, client=client).facts.state == "running"
    panel.get_by_role("button", name="Remove").click()
    question.get_by_role("button", name="Remove").click()
    frozen(page, "removed")
    with pytest.raises(NotFound):
        containers.get(box, client=client)
    nothing_is_left(lab, page)


def test_freeze_keeps_the_container_running(lab: Lab, page: Any, box: Container, client: Client) -> None:
    panel = opened(lab, page, box)
    panel.get_by_role("button", name="Pause").click()
    panel.get_by_role("button", name="Unpause").click()
    panel.get_by_role("button", name="Pause").wait_for()
    panel.get_by_role("button", name="Freeze").click()
    face = frozen(page, "running")
    assert "count" in face.locator("pre.log").inner_text()
    nothing_is_left(lab, page)
    assert containers.get(box, client=client).facts.state == "running"


def test_a_closed_output_leaves_nothing(lab: Lab, page: Any, box: Container) -> None:
    opened(lab, page, box)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets[1].model.clearExecution()")
    page.locator(".dockerlab-view").wait_for(state="detached")
    nothing_is_left(lab, page)


def test_an_error_of_a_button_is_shown(lab: Lab, page: Any, box: Container, client: Client) -> None:
    panel = opened(lab, page, box)
    containers.pause(box, client=client)
    panel.get_by_role("button", name="Unpause").evaluate("button => { button.dataset.action = 'pause'; button.click(); }")
    panel.get_by_role("alert").wait_for()
    assert "paused" in panel.get_by_role("alert").inner_text()
    assert panel.get_by_role("button", name="Stop").is_enabled()


def test_a_restarted_kernel_leaves_no_stream_in_the_engine(
    lab: Lab, page: Any, box: Container, client: Client, engine: Engine
) -> None:
    with forwarding(engine.url) as forwarder:
        lab.write("panel-restart.ipynb", f"%load_ext dockerlab\n%engine use {forwarder.url}", f"%container show {box.name}")
        lab.open(page, "panel-restart.ipynb")
        lab.run_cell(page, 0)
        lab.run_cell(page, 1)
        page.locator(".dockerlab-view pre.log .chunk").first.wait_for()
        assert forwarder.open >= 3
        lab.restart(page)
        deadline = time.monotonic() + 10
        while forwarder.open and time.monotonic() < deadline:
            time.sleep(0.1)
        assert forwarder.open == 0
    assert containers.get(box, client=client).facts.state == "running"


def test_a_flood_of_lines_stops_neither_the_page_nor_the_kernel(lab: Lab, page: Any, client: Client) -> None:
    name = f"panel-{uuid.uuid4().hex[:8]}"
    containers.run("busybox", ["sh", "-c", "while :; do seq 100000; done"], name=name, detach=True, cpus=0.5, client=client)
    try:
        flood = containers.get(name, client=client)
        panel = opened(lab, page, flood)
        until(page, lambda: any("lines are left out here" in line for line in printed(panel)))
        frames = page.evaluate("""() => new Promise(done => {
          let longest = 0, last = performance.now();
          const ends = last + 4000;
          const step = now => {
            longest = Math.max(longest, now - last);
            last = now;
            now < ends ? requestAnimationFrame(step) : done(longest);
          };
          requestAnimationFrame(step);
        })""")
        began = time.monotonic()
        assert left(lab, page)["threads"]
        took = time.monotonic() - began
        print(f"longest frame {frames:.0f} ms, the kernel answered in {1000 * took:.0f} ms")
        panel.get_by_role("button", name="Kill").click()
        frozen(page, "exited 137")
        nothing_is_left(lab, page)
    finally:
        containers.rm(name, force=True, client=client)


def test_in_the_dark(lab: Lab, page: Any, box: Container) -> None:
    panel = opened(lab, page, box)
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.locator("body[data-jp-theme-light='false']").wait_for(state="attached")
    for title in ("processes", "environment"):
        panel.locator("summary", has_text=title).click()
    panel.locator("pre.log").scroll_into_view_if_needed()
    panel.locator("figure.plot svg path.line").nth(3).wait_for(state="attached")
    assert panel.locator("pre.log span[style*='--sgr-2']").first.evaluate("e => getComputedStyle(e).color") == "rgb(126, 231, 135)"
    panel.screenshot(path=SCREENSHOTS / "panel-dark.png")
    assert not broken(page, ".dockerlab-view")
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
