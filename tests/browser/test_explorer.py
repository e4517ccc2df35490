"""The explorer in a live view: a layer is chosen, a file searched, a kind of change filtered, a directory unfolded; then it is kept."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.browser.axe import broken
from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"


def test_layers_files_and_changes_are_looked_at_in_the_page(lab: Lab, page: Any) -> None:
    tag = f"dockerlab-test-explorer-{secrets.token_hex(4)}"
    many = "mkdir -p /shop/deep/deeper && for i in $(seq 100); do echo $i > /shop/deep/deeper/file$i.txt; done && echo x > /shop/'<b>evil'"
    build = (
        f"%%dockerfile -q -t {tag}\nFROM busybox\nRUN {many}\nRUN cd /shop/deep/deeper && echo more >> file7.txt && rm file8.txt\n"
    )
    lab.write("explorer.ipynb", "%load_ext dockerlab", build, f"%image explore --live {tag}", f"%image rm -f {tag}")
    lab.open(page, "explorer.ipynb")
    for index in range(3):
        lab.run_cell(page, index)
    view = page.locator(".dockerlab-view .dockerlab", has=page.locator("table.layers"))
    view.wait_for()
    view.scroll_into_view_if_needed()
    tree = view.locator(".tree")

    def row(name: str) -> Any:
        return tree.locator("> div", has=page.locator(f"code:text-is('{name}')"))

    # The last layer is open at first, on the way to what it changed.
    row("file7.txt").locator(".running").wait_for()
    assert row("file8.txt").locator(".failed").count() == 1
    lab.screenshot(page, "explorer-live")

    # A kind of change.
    view.locator("[data-value=removed]").click()
    row("file7.txt").wait_for(state="detached")
    assert row("file8.txt").is_visible()
    assert view.locator("[data-value=removed]").get_attribute("aria-pressed") == "true"
    view.locator("[data-value=removed]").click()
    row("file7.txt").wait_for()

    # Another layer: a hundred files in a directory, of which some are shown, and then all.
    view.locator("table.layers button", has_text="mkdir").click()
    more = tree.locator("button", has_text="more")
    tree.locator("> div", has=page.locator("code:text-is('deeper/')")).wait_for()
    if not more.count():
        row("deeper/").locator("button").click()
    more.first.click()
    row("file99.txt").wait_for()
    assert row("file99.txt").locator(".done").count() == 1
    row("deeper/").locator("button").click()
    row("file99.txt").wait_for(state="detached")
    assert row("<b>evil").is_visible(), "a name is text"

    # A search among all files: what is typed stays, and so does the focus.
    view.locator("table.layers button", has_text="all files").click()
    view.locator("[data-action=kind]").first.wait_for(state="detached")
    field = view.locator("[data-typed=find]")
    field.press_sequentially("file10", delay=30)
    row("file100.txt").wait_for()
    assert [name for name in tree.locator("code").all_inner_texts() if name.startswith("file")] == ["file10.txt", "file100.txt"]
    assert field.input_value() == "file10"
    assert field.evaluate("field => field === document.activeElement")
    field.fill("nothing is called so")
    tree.locator("text=No file is so").wait_for()
    field.fill("*7.txt")
    row("file97.txt").wait_for()
    lab.screenshot(page, "explorer-live-search")
    assert not broken(page, ".dockerlab-view .dockerlab")
    page.evaluate(_DARK)
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    assert not broken(page, ".dockerlab-view .dockerlab")
    lab.screenshot(page, "explorer-live-dark")

    # Kept, it is the static face, as without --live.
    view.locator("[data-freeze]").click()
    page.locator(".jp-OutputArea-output .dockerlab", has_text="what each layer changed").wait_for()
    [output] = lab.cells(page)[2]["outputs"]
    assert sorted(output["data"]) == ["text/html", "text/plain"]
    assert not [one for one in lab.run_cell(page, 3)["outputs"] if one["output_type"] == "error"]
