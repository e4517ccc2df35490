"""The course as a learner meets it on Binder: the repository built by Binder's own steps, started in a pod like Binder's, opened.

The times are those of the pod's one processor: `-rA` prints them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dockerlab import embedded, images
from dockerlab.client import Client
from dockerlab.images import Image
from tests import binder
from tests.binder import Pod
from tests.browser.conftest import Lab
from tests.engines import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NOTEBOOKS = sorted(path.name for path in binder.ROOT.joinpath("notebooks").glob("[0-9]*.ipynb"))
NAME = "dockerlab-test-binder"

_APP = (
    "from flask import Flask",
    "app = Flask(__name__)",
    "@app.get('/')",
    "def hello():",
    "    return '<h1>Hello from Binder!</h1>'",
)
_FLASK = (
    "%load_ext dockerlab",
    "\n".join(["%%context app.py", *_APP]),
    "%%dockerfile -t through-the-proxy\nFROM python:3.10\nWORKDIR /app\nRUN pip install flask\nCOPY . .\n"
    'CMD ["flask", "run", "--host", "0.0.0.0"]',
    "c = %container run -d --name through-the-proxy --replace -p 5000 --wait=5000 through-the-proxy\nc.page(5000)",
    "c.url(5000)",
)
_CHECK = """
import json, shutil, sys, tempfile
from pathlib import Path
from dockerlab.testing.notebooks import check
with tempfile.TemporaryDirectory() as folder:
    copy = Path(shutil.copy(sys.argv[1], folder))
    checked = check(copy)
    left = [path.name for path in copy.parent.iterdir() if path != copy]
print(json.dumps({"holds": checked.holds, "cells": checked.passed, "report": f"{checked}\\n{checked.report}", "left": left}))
"""


@pytest.fixture(scope="module")
def binder_client(engine: Engine) -> Iterator[Client]:
    """A client to the engine that pods are started on."""
    with engine.configured() as client:
        version = client.version()
        if embedded.is_own(version) or "Podman" in json.dumps(version):
            pytest.skip("a pod like Binder's takes a Docker Engine")
        yield client


@pytest.fixture(scope="module")
def image(binder_client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The repository as Binder builds it."""
    yield binder.build(tmp_path_factory.mktemp("binder"), NAME, binder_client)
    images.rm(NAME, force=True, client=binder_client)


@pytest.fixture(scope="module")
def pod(image: Image, binder_client: Client) -> Iterator[Pod]:
    """The repository in a pod."""
    with binder.pod(image, NAME, binder_client) as started:
        yield started


@pytest.fixture
def lab(pod: Pod, tmp_path: Path, page: Any) -> Lab:
    """The pod's JupyterLab, to which the page has been let in."""
    page.goto(f"{pod.url}/api/status?token={binder.TOKEN}")
    return Lab(pod.url, tmp_path, tmp_path / "log")


def test_it_opens_on_the_first_notebook_and_a_container_answers(
    image: Image, binder_client: Client, browser: Any, record_property: Callable[[str, object], None]
) -> None:
    # A pod of its own, to which nobody has been yet.
    with binder.pod(image, f"{NAME}-first", binder_client) as pod, closing(browser.new_context()) as fresh:
        opened, answered = _opened(pod, fresh.new_page())
    print(f"launch: {pod.seconds:.1f} s, notebook open: {opened:.1f} s, first container: {answered:.1f} s")
    record_property("seconds", {"launch": pod.seconds, "notebook open": opened, "first container": answered})
    assert 0 < opened < answered


def _opened(pod: Pod, page: Any) -> tuple[float, float]:
    """Opens it as a learner does, and runs the first notebook until a container answers: the seconds until the one and the other."""
    lab = Lab(pod.url, Path(), Path())
    began = time.monotonic()
    page.goto(pod.entrance())
    lab.wait_until_ready(page)
    opened = time.monotonic() - began
    assert page.evaluate("() => window.jupyterapp.shell.currentWidget.context.path") == f"notebooks/{NOTEBOOKS[0]}"
    first = next(index for index, cell in enumerate(lab.cells(page)) if "%container run" in "".join(cell["source"]))
    cells = [lab.run_cell(page, index) for index in range(first + 2)]  # the one that starts it, and the one that looks at it
    answered = time.monotonic() - began
    assert cells[-1]["outputs"]
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    lab.screenshot(page, "binder-first-container")
    assert not page.locator(".jp-Dialog, .Toastify__toast").count(), "nothing is asked"
    return opened, answered


def test_the_flask_page_shows_through_the_proxy(pod: Pod, lab: Lab, page: Any) -> None:
    path = lab.write("through-the-proxy.ipynb", *_FLASK)
    pod.put(path, "notebooks")
    *_, shown, address = lab.run_all(page, "notebooks/through-the-proxy.ipynb")
    assert "Hello from Binder!" in "".join(shown["outputs"][-1]["data"]["text/plain"])
    url = "".join(address["outputs"][-1]["data"]["text/plain"]).strip("'")
    assert url.startswith(f"{binder.PREFIX}proxy/")
    lab.screenshot(page, "binder-page")
    with page.context.expect_page() as opened:
        page.locator(f".jp-OutputArea-output a[href='{url}']").click()
    other = opened.value
    other.locator("h1", has_text="Hello from Binder!").wait_for()
    assert other.url.endswith(url)
    pod.run("python", "-c", "import dockerlab; dockerlab.containers.rm('through-the-proxy', force=True)")


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_gives_there_what_it_was_saved_with(
    pod: Pod, notebook: str, record_property: Callable[[str, object], None]
) -> None:
    path = f"{binder.HOME}/notebooks/{notebook}"
    # As a kernel of the notebook's folder: the installed package, and not the repository's.
    printed = pod.run("python", "-P", "-c", _CHECK, path, environ={"PYTHONPATH": binder.TESTING})
    checked = json.loads(printed.splitlines()[-1])
    assert checked["holds"], checked["report"]
    assert checked["left"] == []
    record_property("cells", checked["cells"])


def test_a_base_image_that_came_with_the_pod_can_be_removed_and_had_again(pod: Pod) -> None:
    pod.run("python", "-c", "import dockerlab; dockerlab.images.rm('busybox', force=True)")
    assert "busybox: ready" in pod.run("dockerlab", "images", "prepare", "busybox")
    printed = pod.run("python", "-c", "import dockerlab; dockerlab.run('busybox', ['echo', 'again'], rm=True)")
    assert printed.splitlines()[-1] == "again"
