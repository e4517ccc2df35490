"""Exercises in the page: missing, solved, hints and the list, in light and dark; readable, and nothing wider than its cell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.axe import broken
from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

# Exercises of a notebook, as a teacher writes them.
OWN = """
from dockerlab.course import Check, Exercise
runs = Check("a container of `shop` runs", lambda look: None)
answers = Check("it answers at its port 5000", lambda look: "it publishes no port 5000: `-p 5000` was left out")
greets = Check("its page greets", lambda look: None, after=answers)
half = Exercise("open-the-shop", "Open the shop", "Start a container of the image `shop`, so that its page is to be seen.",
                [runs, answers, greets], ["Which flag makes a port reachable?", "`%container run -d -p 5000 shop`"])
done = Exercise("close-the-shop", "Close the shop", "Stop it: `%container stop shop`.", [runs])
"""
_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"


def test_an_exercise_shows_what_is_done_and_what_is_missing(lab: Lab, page: Any) -> None:
    cells = ["open-the-shop", "open-the-shop --hint", "open-the-shop --hint", "open-the-shop --hint", "close-the-shop", ""]
    lab.write("exercises.ipynb", "%load_ext dockerlab", OWN, *(f"%exercise {asked}" for asked in cells))
    lab.run_all(page, "exercises.ipynb")
    faces = page.locator(".jp-OutputArea-output .dockerlab").all()
    half, first, second, third, done, listed = (face.inner_text() for face in faces)
    assert "1 of 3 done" in half
    assert "✓ done" in half
    assert "○ missing" in half
    assert "(first: it answers at its port 5000)" in half
    assert "One more:" in first
    assert "There is no further hint." in second
    assert "you have seen them all" in third
    assert "✓ solved" in done
    assert "your own" in listed
    for theme in ("", "-dark"):
        if theme:
            page.evaluate(_DARK)
            page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
        for face in faces:
            assert face.evaluate("face => face.scrollWidth <= face.clientWidth")
        assert not broken(page, ".jp-OutputArea-output .dockerlab")
        faces[0].scroll_into_view_if_needed()
        lab.screenshot(page, f"exercises{theme}")
        faces[-1].scroll_into_view_if_needed()
        lab.screenshot(page, f"exercises-solved{theme}")
