"""What a build's details are for, in the page: why a step ran, a failed step tried by hand, and a secret that nobody sees."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
_SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"


def test_the_reasons_drawer_names_the_file_that_changed(lab: Lab, page: Any) -> None:
    tag = f"dockerlab-test-why-{secrets.token_hex(4)}"
    head = f"%%dockerfile -t {tag}\nFROM busybox\nRUN echo first\nCOPY app.py /app/\n"
    builds = [f'{head}RUN echo {word}; wc -c /app/app.py\nCMD ["sh"]\n' for word in ("installed", "built")]
    files = [f"%%context app.py\nprint('{tag}{word}')\n" for word in ("", " again")]
    lab.write("why.ipynb", "%load_ext dockerlab", files[0], builds[0], files[1], builds[1], f"%image rm -f {tag}")
    lab.run_all(page, "why.ipynb")
    output = page.locator(".jp-OutputArea-output .dockerlab:has(.views)").nth(1)
    output.locator("summary", has_text="why it ran").click()
    found = output.locator(".view tr:has(code)").all()
    rows = {row.locator("code").first.inner_text(): row.locator("td").last.inner_text() for row in found}
    assert rows["COPY app.py /app/"] == "1 file changed: app.py (modified)"
    assert rows["RUN echo built; wc -c /app/app.py"].startswith("the instruction changed")
    assert "+ RUN echo built" in rows["RUN echo built; wc -c /app/app.py"]
    assert not [text for text in rows if text.startswith(("RUN echo first", "FROM"))]
    output.scroll_into_view_if_needed()
    lab.screenshot(page, "build-reasons")
    page.evaluate(_DARK)
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    lab.screenshot(page, "build-reasons-dark")


def test_a_failed_step_is_tried_by_hand(lab: Lab, page: Any) -> None:
    unique = secrets.token_hex(4)
    name = f"dockerlab-test-debug-{unique}"
    failing = f"%%dockerfile -t dockerlab-test-debug\nFROM busybox\nWORKDIR /work\nRUN echo {unique} > found\n"
    failing += "RUN echo about to fail; test -e lost\n"
    tried = f"%%container exec {name}\npwd; cat found\ntouch lost; test -e lost && echo mended\n"
    lab.write("debug.ipynb", "%load_ext dockerlab", failing, f"%container debug --name {name}", tried, f"%container rm -f {name}")
    lab.open(page, "debug.ipynb")
    lab.run_cell(page, 0)
    failed = lab.run_cell(page, 1)
    assert [output["output_type"] for output in failed["outputs"]][-1] == "error"
    page.locator(".jp-OutputArea-output", has_text="%container debug").first.wait_for()
    cells = [lab.run_cell(page, index) for index in (2, 3)]
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    shown = page.locator(".jp-OutputArea-output .dockerlab", has_text="the state before line 4")
    shown.last.wait_for()
    assert f"exec -it {name} sh" in shown.last.inner_text()
    said = page.locator(".jp-CodeCell").nth(3).locator(".jp-OutputArea-output").all_inner_texts()
    assert f"/work\n{unique}\nmended" in "\n".join(said)
    shown.last.scroll_into_view_if_needed()
    lab.screenshot(page, "container-debug")
    page.evaluate(_DARK)
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    lab.screenshot(page, "container-debug-dark")
    removed = lab.run_cell(page, 4)
    assert not [output for output in removed["outputs"] if output["output_type"] == "error"]


def test_a_secret_that_a_step_prints_is_not_in_the_notebook_file(lab: Lab, page: Any) -> None:
    canary = f"c4nary-{secrets.token_hex(8)}"
    (lab.root / "token.txt").write_text(f"{canary}\n{canary[::-1]}\n")
    mount = "RUN --mount=type=secret,id=token"
    prints = f"{mount} cat /run/secrets/token; set -x; : $(cat /run/secrets/token)"
    flags = "--secret id=token,var=token -t dockerlab-test-secret --var image"
    builds = [f"%%dockerfile {flags}\nFROM busybox\n{prints}; echo {secrets.token_hex(4)}\n"]
    builds += [f"%%dockerfile --secret id=token,src=token.txt --explain\nFROM busybox\n{prints}; exit 3\n"]
    read = "token = open('token.txt').read()"
    show = "print(image.build.log, image.build.graph, image.build.steps)"
    path = lab.write("secret.ipynb", "%load_ext dockerlab", read, builds[0], show, builds[1], "%image rm -f dockerlab-test-secret")
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))))
    lab.open(page, "secret.ipynb")
    for index in range(6):
        lab.run_cell(page, index)
    page.evaluate(_SAVE)
    saved = path.read_text(encoding="utf-8")
    assert "***" in saved
    assert "exit code 3" in saved
    assert frames, "what the kernel tells the page, while it builds, was looked at"
    assert not [one for one in (saved, page.content(), *frames) if canary in one or canary[::-1] in one]
    lab.screenshot(page, "build-secret")
