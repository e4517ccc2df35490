"""The machine in the page: two stacks side by side, whose boxes hold their words, in light and dark."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

# A machine that is not the tests': remote, with much unknown, and programs with long names.
FAR = """
from dataclasses import replace
from dockerlab.machine import Machine
from dockerlab.machine.facts import Running
programs = ("flask run --host 0.0.0.0", "a" * 200, "sh")
running = tuple(Running(f"web{i}", "example.org/long/name/of/an/image:latest", p) for i, p in enumerate(programs))
engine = replace(machine.facts.engine, url="ssh://me@far.example", is_local=False, operating_system="Docker Desktop")
Machine(replace(machine.facts, host="far", engine=engine, running=running, others=4))
"""
_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"


def test_the_machine_stands_beside_virtual_machines(lab: Lab, page: Any) -> None:
    lab.write("machine.ipynb", "%load_ext dockerlab", "machine = %engine picture\nmachine", FAR)
    lab.run_all(page, "machine.ipynb")
    here, far = page.locator(".jp-OutputArea-output .dockerlab").all()
    for face in (here, far):
        left, right = (section.bounding_box() for section in face.locator("section").all())
        assert left["y"] == right["y"]
        assert left["x"] + left["width"] <= right["x"]
        for box in face.locator(".box").all():
            assert box.evaluate("box => box.scrollWidth <= box.clientWidth"), box.inner_text()
    assert here.locator("section").first.locator(".kernel .box").count() == 1
    assert (
        here.locator("section").nth(1).locator(".kernel .box").count()
        == here.locator("section").first.locator(".program .box").count()
    )
    assert "4 more run." in far.inner_text()
    unknown = far.locator(".unknown").all()
    assert unknown
    for box in unknown:
        assert box.inner_text().startswith("?")
        assert "unknown" in box.inner_text()
        assert box.evaluate("box => getComputedStyle(box).borderStyle") == "dashed"
    lab.screenshot(page, "machine")
    page.evaluate(_DARK)
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    lab.screenshot(page, "machine-dark")
