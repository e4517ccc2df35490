"""JupyterLab as a user sees it: a server of its own, a real kernel, a real engine, Chromium without a window.

    def test_something(lab: Lab, page: Page) -> None:
        lab.write("lesson.ipynb", "%load_ext dockerlab", "%engine")
        lab.run_all(page, "lesson.ipynb")
        page.locator(".jp-OutputArea-output .dockerlab").wait_for()
        lab.screenshot(page, "engine")

The server is the environment's own, on a free port, with folders of its own for settings, data and kernels; it is shared by a run's
tests, each in a workspace of its own. The notebooks of `notebooks/` are copied into its root.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest

from tests.engines import Engine

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test")

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 45
RUN_SECONDS = 300
# A browser that phones nobody, and that runs as root too.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)

# The notebook's panel is shown, its file is loaded and its kernel has started. JupyterLab promises these as its public interface.
_READY = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  return panel?.context?.isReady && panel.sessionContext?.isReady && panel.sessionContext.session?.kernel?.status === "idle";
}"""
_CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === "code")
  .map(cell => cell.model.toJSON())"""
"""A code cell's `execution_count`, `source` and `outputs`, as the page holds them now."""
_RUN_CELL = """index => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.deselectAll();
  notebook.activeCellIndex = notebook.widgets.indexOf(notebook.widgets.filter(cell => cell.model.type === "code")[index]);
  window.ran = window.jupyterapp.commands.execute("notebook:run-cell");
}"""
# The longest time between two frames of the page, in milliseconds, from now on.
WATCH_FRAMES = """() => {
  window.longestGap = 0;
  let last = performance.now();
  const frame = now => { window.longestGap = Math.max(window.longestGap, now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


@dataclass(frozen=True)
class Lab:
    """A JupyterLab server. url: without a trailing slash. root: the folder whose notebooks it shows. log: what it printed."""

    url: str
    root: Path
    log: Path

    def write(self, name: str, *sources: str) -> Path:
        """A notebook of code cells in the server's root."""
        # Without a kernel's name JupyterLab would ask for one.
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        notebook = nbformat.v4.new_notebook(metadata=kernel, cells=[nbformat.v4.new_code_cell(source) for source in sources])
        path = self.root / name
        nbformat.write(notebook, path)
        return path

    def open(self, page: Any, name: str) -> None:
        """Opens a notebook in a workspace of its own, and waits until its kernel is idle.

        A page that is not ready in time is loaded once more: JupyterLab does not ask again for a file of its own that was lost on
        a machine where containers make the network come and go.
        """
        for is_last in (False, True):
            page.goto(f"{self.url}/lab/workspaces/{uuid.uuid4().hex}/tree/{name}?reset")
            try:
                self.wait_until_ready(page)
            except playwright.TimeoutError:
                if is_last:
                    raise
            else:
                return

    def wait_until_ready(self, page: Any) -> None:
        """Waits until the notebook that the page shows is loaded, and its kernel idle."""
        page.wait_for_function(_READY, timeout=START_SECONDS * 1000)

    def run_all(self, page: Any, name: str, *, fails: bool = False, seconds: float = RUN_SECONDS) -> list[dict[str, Any]]:
        """Opens a notebook, runs all its cells, waits for the end, and gives the code cells with their outputs.

        fails: whether a cell is meant to fail; otherwise one that does fails the test.
        """
        self.open(page, name)
        page.set_default_timeout(seconds * 1000)
        succeeded = page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        cells = self.cells(page)
        errors = [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
        assert fails == bool(errors) == (not succeeded), errors or f"{name}: run all gave {succeeded}"
        return cells

    def run_cell(self, page: Any, index: int, *, wait: bool = True) -> dict[str, Any]:
        """Runs one code cell of the open notebook, and gives it as it then is. wait: until it has ended."""
        page.evaluate(_RUN_CELL, index)
        if wait:
            page.evaluate("() => window.ran")
        return self.cells(page)[index]

    def restart(self, page: Any) -> None:
        """Restarts the open notebook's kernel."""
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        self.wait_until_ready(page)

    def cells(self, page: Any) -> list[dict[str, Any]]:
        """The code cells with their outputs, as the page holds them now."""
        found: list[dict[str, Any]] = page.evaluate(_CELLS)
        return found

    def screenshot(self, page: Any, name: str) -> Path:
        """A picture of the page, in build/screenshots/."""
        path = SCREENSHOTS / f"{name}.png"
        page.screenshot(path=path)
        return path


@pytest.fixture(scope="session")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running JupyterLab whose kernels reach the engine under test."""
    environ = {**os.environ, **({"DOCKER_HOST": engine.url} if engine.url else {})}
    with serving(tmp_path_factory.mktemp("lab"), environ) as lab:
        yield lab


@contextmanager
def serving(folder: Path, environ: Mapping[str, str], program: tuple[str, str] = ("jupyterlab", "LabApp")) -> Iterator[Lab]:
    """A running JupyterLab with all that it keeps in `folder`, whose kernels have this environment.

    program: its module, and what its settings are called after; another one of the same server may stand in its place.
    """
    module, app = program
    root = Path(shutil.copytree(ROOT / "notebooks", folder / "root", ignore=shutil.ignore_patterns(".*")))
    environ = {name: value for name, value in environ.items() if not name.startswith(("JUPYTER", "IPYTHON", "PYTEST"))}
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        environ[f"JUPYTER_{name}"] = str(folder / name.lower())
    environ |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
    # What an installation from the wheel brings to where JupyterLab looks.
    extension = folder / "data_dir" / "labextensions" / "jupyter-dockerlab"
    extension.parent.mkdir(parents=True)
    extension.symlink_to(ROOT / "labextension" / "built")
    settings = (
        folder / "config_dir" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    )
    settings.parent.mkdir(parents=True)
    settings.write_text('{"fetchNews": "false", "checkForUpdates": false}', encoding="utf-8")
    command = [
        *(sys.executable, "-m", module, "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"),
        *("--IdentityProvider.token=", f"--{app}.expose_app_in_browser=True", f"--ServerApp.root_dir={root}"),
    ]
    log = folder / "server.log"
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield Lab(_wait_for(server, folder / "runtime_dir", log), root, log)
    finally:
        # The server ends its kernels, and with them what they run.
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """The server's address, once it answers. It chooses its port, and writes it down in its runtime folder."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                url = str(json.loads(file.read_text(encoding="utf-8"))["url"]).rstrip("/")
                with urlopen(f"{url}/api/status", timeout=5):
                    return url
            except (ValueError, URLError):
                break  # half written, or not listening yet
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium. Where there is none, the test is skipped."""
    program = next((found for name in CHROMIUMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("Chromium is not installed: sudo apt-get install chromium (`make engines` does)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


# What a page says that is not ours to mend, each for one reason.
FOREIGN_ERRORS = (
    # Containers make the machine's network come and go; `Lab.open` loads the page again.
    *("net::ERR_NETWORK_CHANGED", "TypeError: Failed to fetch"),
    # JupyterLab, of a kernel that is started anew, or ended, before it had answered.
    *("Canceled future for create_subshell_request", "Canceled future for debug_request"),
)


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A fresh page, large enough for a notebook; a picture of it is kept as the test left it.

    A JavaScript error fails the test, and so does whatever the page's console calls an error.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    errors: list[str] = []
    page.on("requestfailed", lambda request: print("request failed:", request.url, request.failure))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(f"{message.text} ({message.location})") if message.type == "error" else None)
    yield page
    page.screenshot(path=SCREENSHOTS / "last" / f"{request.node.name}.png")
    context.close()
    assert not [error for error in errors if not any(foreign in error for foreign in FOREIGN_ERRORS)], errors
