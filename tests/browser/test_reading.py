"""The exported course in a browser without the network: nothing is asked for, nothing is wider than the page, light and dark differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockerlab.course.export import export
from tests.browser.conftest import SCREENSHOTS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_course_can_be_read(width: int, scheme: str, tmp_path: Path, browser: Any) -> None:
    site = export(tmp_path)
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, java_script_enabled=True
    )
    page, said, asked = context.new_page(), list[str](), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    for path in (tmp_path / "index.html", *site.pages):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0, path.name
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
        assert dark == (scheme == "dark")
        page.screenshot(path=SCREENSHOTS / "reading" / f"{path.stem}-{width}-{scheme}.png", full_page=True)
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []
    page.goto((tmp_path / "index.html").as_uri())
    page.get_by_role("listitem").first.get_by_role("link").first.click()
    assert page.url == site.pages[0].as_uri()
    page.locator("a[rel=next]").click()
    assert page.url == site.pages[1].as_uri()
    context.close()
