"""Rules of accessibility, held by axe-core against what is on a page.

assert not broken(page, ".dockerlab")
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest

pytest.importorskip("axe_playwright_python", reason="axe-core is not installed: make test")

GRAVE = ("serious", "critical")
_OPEN = "selector => document.querySelectorAll(`${selector} details`).forEach(fold => { fold.open = true; })"
_RUN = """selector => axe.run({include: [[selector]]}, {resultTypes: ["violations"]}).then(found => found.violations.flatMap(rule =>
  rule.nodes.map(node => ({rule: rule.id, impact: node.impact, html: node.html, why: node.failureSummary}))))"""


def broken(page: Any, selector: str) -> list[str]:
    """What breaks a rule gravely within the elements of a selector, their folds opened; a line for each."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    assert page.locator(selector).count(), f"nothing to look at: {selector}"
    # Of folds that close each other one is seen at a time.
    page.evaluate(_OPEN, selector)
    found = page.evaluate(_RUN, selector)
    return [f"{one['impact']}: {one['rule']}: {one['html'][:200]}\n    {one['why']}" for one in found if one["impact"] in GRAVE]
