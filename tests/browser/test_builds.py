"""A build in the page: live while it runs, static afterwards; hostile text is shown and never run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import WATCH_FRAMES, Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"


def test_ten_thousand_lines_do_not_stall_the_page(lab: Lab, page: Any) -> None:
    count = "i=0; while [ $i -lt 10000 ]; do echo line $i; i=$((i+1)); done"
    lab.write(
        "long.ipynb",
        "%load_ext dockerlab",
        f"%%dockerfile --no-cache --var image\nFROM busybox\nRUN sleep 2; {count}\n",
        "len(image.build.log)",
    )
    lab.open(page, "long.ipynb")
    page.evaluate(WATCH_FRAMES)
    page.evaluate("() => { window.ran = window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.locator(".jp-OutputArea-output .dockerlab .running").first.wait_for(timeout=30_000)
    lab.screenshot(page, "build-running")
    page.evaluate("() => window.ran")
    page.locator(".jp-OutputArea-output .dockerlab .done").nth(1).wait_for()
    assert page.locator(".jp-OutputArea-output .dockerlab .running").count() == 0
    page.locator("summary", has_text="10,000 lines of output").wait_for()
    # A busy machine makes gaps of its own; a page that stalls is seconds off.
    assert page.evaluate("() => window.longestGap") < 2000
    lab.screenshot(page, "build-done")


def test_hostile_text_is_shown_and_never_run(lab: Lab, page: Any) -> None:
    lab.write(
        "hostile.ipynb",
        "%load_ext dockerlab",
        f"%%context <img>.txt\n{_HOSTILE}",
        "%context show <img>.txt",
        f"%%dockerfile --no-cache -t dockerlab-test-hostile --label 'a={_HOSTILE}'\nFROM busybox\nCOPY . /x/\nRUN cat /x/*; ls /x\n",
        "%image show dockerlab-test-hostile",
        f"c = %container run -d --name dockerlab-test-hostile --replace -e 'A={_HOSTILE}' dockerlab-test-hostile"
        f" sh -c 'echo \"{_HOSTILE}\"; sleep 60'\nc",
        "%container ps",
        "%container logs dockerlab-test-hostile",
        "%container rm -f dockerlab-test-hostile\n%image rm -f dockerlab-test-hostile",
        f"%%dockerfile\nFROM busybox\nRUN echo '{_HOSTILE}'; exit 1\n",
    )
    lab.run_all(page, "hostile.ipynb", fails=True)
    page.locator(".jp-OutputArea-output .dockerlab .failed").first.wait_for()
    assert page.evaluate("() => window.hacked") is None
    assert page.locator(".jp-OutputArea-output .dockerlab img, .jp-OutputArea-output .dockerlab script").count() == 0
    page.locator(".jp-OutputArea-output pre", has_text="<script>window.hacked=1</script>").first.wait_for(state="attached")
    lab.screenshot(page, "hostile")
