"""The magics in real JupyterLab."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Lab
from tests.engines import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_the_first_magic_shows_the_engine(lab: Lab, page: Any, engine: Engine) -> None:
    lab.write("engine.ipynb", "%load_ext dockerlab", "%engine")
    load, show = lab.run_all(page, "engine.ipynb")
    assert load["outputs"] == []
    assert "text/html" in show["outputs"][0]["data"]
    face = page.locator(".jp-OutputArea-output .dockerlab")
    face.wait_for()
    assert "Engine" in face.inner_text() or "Podman" in face.inner_text()
    assert lab.screenshot(page, "engine").stat().st_size > 10_000
