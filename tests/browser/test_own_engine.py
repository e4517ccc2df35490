"""JupyterLab where there is no engine: dockerlab's own starts by itself, on each rung; containers outlive the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerlab.endpoints import usual_sockets
from dockerlab.standins import machine
from tests.browser.conftest import Lab, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux only"),
]

_SERVE = "mkdir -p /w; echo I am web{n} > /w/index.html; exec httpd -f -p 5000 -h /w"
_TICK = "trap 'echo caught; exit 0' INT; while true; do echo tick; sleep 0.2; done"
CELLS = (
    "%load_ext dockerlab",
    "%engine",
    "%engine doctor",
    "%image prepare busybox",
    f"for n in '123':\n    %container run -d --name web{{n}} -p 5000 --wait=5000 busybox sh -c '{_SERVE}'",
    "%container ps",
    "import dockerlab\npages = [dockerlab.containers.get(f'web{n}').page(5000) for n in '123']\npages[1]",
    "%container exec web2 cat /w/index.html",
    "%%dockerfile -t own\nFROM busybox\nRUN <<EOF\necho built > /built\nEOF\nCMD cat /built\n",
    "%container run --rm own",
    f'%container run --rm busybox sh -c "{_TICK}"',
    "%load_ext dockerlab\n%container ps",
    "%container rm -f web1 web2 web3",
    "%engine use embedded",
)
PS, PAGE, EXEC, BUILD, RUN, FOREGROUND, AGAIN, REMOVE, USE = range(5, 14)


@pytest.fixture(params=["namespaces", "supervised"])
def own_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A server in a home in which nothing is; its engine is gone afterwards."""
    if not machine.static_busybox():
        pytest.skip("a stand-in with an httpd takes a static busybox: sudo apt-get install busybox-static")
    # A short path: that of a socket holds 107 bytes.
    with tempfile.TemporaryDirectory(prefix="dl-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER", "XDG_"))}
        environ |= {"HOME": str(folder), "XDG_RUNTIME_DIR": str(runtime)}
        if request.param == "supervised":
            environ["DOCKERLAB_ENGINE_ISOLATION"] = "supervised"
        if there := [endpoint.url for endpoint in usual_sockets(environ, sys.platform) if endpoint.is_there]:
            pytest.skip(f"another engine's socket is there: {there[0]}")
        try:
            with serving(folder, environ) as lab:
                yield lab
        finally:
            subprocess.run([sys.executable, "-m", "dockerlab.engine", "stop"], env=environ, check=True, capture_output=True)


def test_a_lesson_without_docker(own_lab: Lab, page: Any, request: pytest.FixtureRequest) -> None:
    rung = request.node.callspec.params["own_lab"]
    own_lab.write("own.ipynb", *CELLS)
    own_lab.open(page, "own.ipynb")
    for index in range(PS):
        assert not errors(own_lab.run_cell(page, index))
    faces = page.locator(".jp-OutputArea-output .dockerlab")
    faces.first.wait_for()
    assert "dockerlab's own engine" in faces.first.inner_text()
    assert f"{rung}:" in faces.first.inner_text()
    page.evaluate("() => window.jupyterapp.shell.currentWidget.content.scrollToItem(0, 'start')")
    own_lab.screenshot(page, f"own-engine-{rung}")
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    own_lab.screenshot(page, f"own-engine-{rung}-dark")

    # Three containers on one port, each with its own page.
    running = "\n".join(f"container web{n} (busybox): running" for n in "321")
    assert text(own_lab.run_cell(page, PS)) == running
    assert text(own_lab.run_cell(page, PAGE)).endswith("I am web2")
    assert stream(own_lab.run_cell(page, EXEC)) == "I am web2\n"

    # It builds, heredocs included.
    assert text(own_lab.run_cell(page, BUILD)) == "image own:latest"
    page.evaluate("index => window.jupyterapp.shell.currentWidget.content.scrollToItem(index, 'start')", BUILD)
    own_lab.screenshot(page, f"own-engine-{rung}-build")
    assert stream(own_lab.run_cell(page, RUN)) == "built\n"

    # An interrupt reaches the command, and is no wall of text.
    own_lab.run_cell(page, FOREGROUND, wait=False)
    page.locator(".jp-OutputArea-output", has_text="tick").wait_for()
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    page.evaluate("() => window.ran")
    interrupted = own_lab.cells(page)[FOREGROUND]
    assert stream(interrupted).endswith("caught\n")
    assert len(errors(interrupted)[0]["traceback"]) == 1
    page.evaluate("index => window.jupyterapp.shell.currentWidget.content.scrollToItem(index, 'end')", FOREGROUND)
    own_lab.screenshot(page, f"own-engine-{rung}-end")

    own_lab.restart(page)
    assert text(own_lab.run_cell(page, AGAIN)) == running
    assert not errors(own_lab.run_cell(page, REMOVE))
    assert text(own_lab.run_cell(page, USE)) == "an engine answers"


def errors(cell: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for output in cell["outputs"] if output["output_type"] == "error"]


def text(cell: dict[str, Any]) -> str:
    """The text of a cell's last display."""
    assert not errors(cell)
    return "".join(cell["outputs"][-1]["data"]["text/plain"])


def stream(cell: dict[str, Any]) -> str:
    return "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")
