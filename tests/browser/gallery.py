"""Makes the gallery anew, on the engine that `docker` would use: its outputs, its page and the picture in the README.

    .venv/bin/python -m tests.browser.gallery [NOTEBOOK]

Runs `notebooks/gallery.ipynb`, or another, and saves it as it is compared in tests; writes `build/NOTEBOOK.html`, which needs no kernel,
and of the gallery a picture, `notebooks/gallery.png`: the prettiest on an engine that has not built it yet.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUMS, ROOT

GALLERY = ROOT / "notebooks" / "gallery.ipynb"
# The views that the picture shows, by words in them: one under the other.
SHOWN = ("stages of the Dockerfile", "gallery-shop:2", "layers of gallery-shop:latest")
WIDTH, HEIGHT = 900, 1_900  # pixels of the picture, at most


def run(path: Path) -> None:
    """Runs a notebook, and saves it with what its cells show: each display once, in its final form, and nothing of when it ran."""
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    os.environ["DOCKERLAB_STATIC"] = "1"
    NotebookClient(notebook, kernel_name="python3", record_timing=False, timeout=300).execute()
    for place, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{place:02}"
    nbformat.write(notebook, path)


def page(path: Path) -> str:
    """The notebook as one page of HTML."""
    made: tuple[str, Any] = HTMLExporter().from_filename(str(path))
    return made[0]


def main(path: Path) -> None:
    run(path)
    html = ROOT / "build" / f"{path.stem}.html"
    html.parent.mkdir(exist_ok=True)
    html.write_text(page(path), encoding="utf-8")
    print(html)
    if path != GALLERY:
        return
    program = next(found for name in CHROMIUMS if (found := shutil.which(name)))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        shown.goto(html.as_uri())
        shown.evaluate(_ONLY, SHOWN)
        picture = path.with_suffix(".png")
        shown.screenshot(path=picture, clip={"x": 0, "y": 0, "width": WIDTH, "height": min(HEIGHT, shown.evaluate(_BOTTOM))})
        browser.close()
    print(picture, picture.stat().st_size // 1000, "kB")


_ONLY = """words => {
  const views = [...document.querySelectorAll(".dockerlab")];
  const chosen = words.map(word => views.find(view => view.querySelector(".head, .muted")?.innerText.includes(word)));
  const board = document.createElement("main");
  board.style = "padding:16px 24px;display:flex;flex-direction:column;gap:22px;background:#fff";
  board.append(...document.body.querySelectorAll("style"), ...chosen.filter(view => view));
  document.body.replaceChildren(board);
}"""
_BOTTOM = "() => document.querySelector('main').getBoundingClientRect().bottom"

if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else GALLERY)
