"""Registries in the page: a password is typed into a prompt and is in no file; bars of the layers move while they are pushed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dockerlab import builds, images
from tests.browser.conftest import Lab
from tests.embedded.archives import Made
from tests.embedded.fakes import Asked, fake
from tests.embedded.registries import docker_registry
from tests.engine import leftovers
from tests.engines import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
_LIGHT = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})"


@pytest.fixture
def made(engine: Engine) -> Iterator[str]:
    """An image with layers that are nowhere else."""
    prefix = leftovers.prefix()
    with engine.configured() as client:
        if not client.endpoint.is_local:
            pytest.skip("the engine does not reach this machine's 127.0.0.1")
        text = 'FROM busybox\nCOPY one /one\nCOPY two /two\nWORKDIR /app\nEXPOSE 5000\nCMD ["cat", "/one"]\n'
        builds.build(text, files={"one": os.urandom(4 << 20), "two": os.urandom(2 << 20)}, tag=f"{prefix}app:1", client=client)
        yield f"{prefix}app:1"
        leftovers.remove(client, prefix)


def test_a_password_is_typed_and_found_in_no_file(lab: Lab, page: Any, tmp_path: Path) -> None:
    with docker_registry(tmp_path, password=True) as registry:
        config = tmp_path / "docker"
        cells = (f"%load_ext dockerlab\n%env DOCKER_CONFIG={config}", f"%image login {registry}", f"%image logout {registry}")
        lab.write("login.ipynb", *cells)
        lab.open(page, "login.ipynb")
        lab.run_cell(page, 0)
        lab.run_cell(page, 1, wait=False)
        field = page.locator(".jp-Stdin-input")
        field.wait_for()
        field.fill("me")
        field.press("Enter")
        secret = page.locator('.jp-Stdin-input[type="password"]')
        secret.fill("secret")
        lab.screenshot(page, "login-prompt")
        secret.press("Enter")
        page.locator(".jp-OutputArea-output .dockerlab").get_by_text("logged in").wait_for()
        lab.screenshot(page, "login")
        lab.run_cell(page, 2)
        page.evaluate(_SAVE)
        written = (lab.root / "login.ipynb").read_text(encoding="utf-8")
        assert f"logged in to {registry} as me" in written
        assert "secret" not in written.replace("%image", "")


def test_bars_of_layers_while_they_are_pushed(lab: Lab, page: Any, engine: Engine, made: str) -> None:
    held = threading.Event()

    def holds(request: Asked) -> bool:
        if request.command in ("PATCH", "PUT") and "/blobs/uploads/" in request.path:
            held.wait(60)
        return False

    with fake(Made([]), holds) as registry, engine.configured() as client, ExitStack() as stack:
        name = registry.name
        images.tag(made, name, client=client)
        stack.callback(images.rm, name, force=True, client=client)
        cells = ("%load_ext dockerlab", f"pushed = %image push {name}", "pushed", f"%image remote {name}")
        lab.write("push.ipynb", *cells)
        lab.open(page, "push.ipynb")
        lab.run_cell(page, 0)
        lab.run_cell(page, 1, wait=False)
        try:
            page.locator(".dockerlab .track .bar").first.wait_for(state="attached")
            page.locator(".dockerlab .running", has_text="pushing").nth(1).wait_for()
            lab.screenshot(page, "push-running")
        finally:
            held.set()
        page.evaluate("() => window.ran")
        for index in (2, 3):
            lab.run_cell(page, index)
        said = [output for cell in lab.cells(page) for output in cell["outputs"]]
        assert not [output for output in said if output["output_type"] == "error"], said
        page.get_by_text("on its registry, not pulled").wait_for()
        digest = images.remote(name).digest
        assert digest in page.content()
        for mode, script in (("light", _LIGHT), ("dark", _DARK)):
            page.evaluate(script)
            lab.screenshot(page, f"push-done-{mode}")
        page.evaluate(_LIGHT)
