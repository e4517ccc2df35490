"""The notebooks as they are read without a kernel: as they are saved, and as the website that `dockerlab course export` writes."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest

from dockerlab import cli
from dockerlab.course import export
from dockerlab.course.notebooks import copy, notebooks
from dockerlab.errors import UsageError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
LARGEST = 1_000_000  # characters of one output, or GitHub shows less of it
# What a page can show without a script; what else an output has must stand beside one of them.
STATIC = {"text/html", "image/svg+xml", "image/png"}
SCRIPT = re.compile(r"<script|\son\w+\s*=|javascript:", re.IGNORECASE)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_can_be_read_without_a_kernel(path: Path) -> None:
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)], "run from top to bottom, and saved"
    assert "widgets" not in nbformat.read(path, 4).metadata
    for cell in cells:
        for output in cell.outputs:
            where = f"{cell.id}: {cell.source.splitlines()[0]}"
            assert len(str(output)) < LARGEST, where
            if output.output_type in ("display_data", "execute_result"):
                rich = output.data.keys() - {"text/plain"}
                assert "text/plain" in output.data, where
                assert not rich or rich & STATIC, where
                assert not any("widget" in kind or "javascript" in kind for kind in rich), where
                tags = re.findall(r"<[^>]*>", output.data.get("text/html", ""))
                assert not any(SCRIPT.search(tag) for tag in tags), where


class _Links(HTMLParser):
    """Where a page leads to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.leads: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        if tag == "a":
            self.leads.append(found.get("href") or "")
        self.loads += [found[name] or "" for name in ("src", "poster", "data", "srcset") if name in found]
        self.loads += [found.get("href") or ""] if tag == "link" else []


def test_the_course_becomes_a_website_that_needs_nothing_else(tmp_path: Path) -> None:
    site = export.export(tmp_path / "site")
    assert [page.stem for page in site.pages] == [path.stem for path in notebooks()]
    assert {path.name for path in site.folder.iterdir()} == {"index.html", *(page.name for page in site.pages)}
    index = _Links((site.folder / "index.html").read_text(encoding="utf-8"))
    assert next(lead for lead in index.leads if not lead.startswith("http")) == site.pages[0].name
    assert {page.name for page in site.pages} <= set(index.leads)
    for place, page in enumerate(site.pages):
        links = _Links(page.read_text(encoding="utf-8"))
        assert not links.tags & {"script", "link", "object", "embed"}
        assert all(load.startswith("data:image/") for load in links.loads), page.name
        near = {site.pages[n].name for n in (place - 1, place + 1) if 0 <= n < len(site.pages)}
        assert near | {"index.html"} <= set(links.leads)
        local = [lead for lead in links.leads if lead and not lead.startswith(("http", "#", "mailto:"))]
        assert [lead for lead in local if not (site.folder / lead.partition("#")[0]).is_file()] == []


def notebook(path: Path, text: str) -> None:
    cell: Any = nbformat.v4.new_markdown_cell(text)
    made: Any = nbformat.v4.new_notebook(cells=[cell])
    nbformat.write(made, path)


def test_notebooks_of_one_s_own_with_their_pictures(tmp_path: Path) -> None:
    shutil.copy(ROOT / "notebooks" / "gallery.png", tmp_path)
    notebook(tmp_path / "a.ipynb", "# Ships & *ports*\n\nWhat is a <b>ship</b>?\n\n![](gallery.png)\n\n[on](b%20c.ipynb#x)")
    notebook(tmp_path / "b c.ipynb", "No heading")
    site = export.export(tmp_path / "site", [tmp_path / "b c.ipynb", tmp_path / "a.ipynb"])
    assert str(site) == f"{tmp_path}/site/index.html: 2 notebooks"
    index = (site.folder / "index.html").read_text(encoding="utf-8")
    assert '<a href="b%20c.html">b c</a><p>No heading</p>' in index
    assert '<a href="a.html">Ships &amp; ports</a>' in index
    page = (site.folder / "a.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert 'href="b%20c.html#x"' in page
    assert '<a rel="prev" href="b%20c.html">← b c</a>' in page


def test_what_cannot_be_exported_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.ipynb").write_text("{}", encoding="utf-8")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"bad\.ipynb cannot be read as a notebook"):
        export.export(tmp_path / "site", [tmp_path / "bad.ipynb"])
    with pytest.raises(UsageError, match=r"none\.ipynb cannot be read as a notebook"):
        export.export(tmp_path / "site", [tmp_path / "none.ipynb"])
    half = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": "\ud800"}]})  # fmt: skip
    for text in (half, "[]", "[" * 100_000):
        (tmp_path / "odd.ipynb").write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=r"odd\.ipynb cannot be read as a notebook"):
            export.export(tmp_path / "site", [tmp_path / "odd.ipynb"])
    with pytest.raises(UsageError, match=r"two pages would have the name bad\.html"):
        export.export(tmp_path / "site", [tmp_path / "bad.ipynb", tmp_path / "more" / "bad.ipynb"])
    with pytest.raises(UsageError, match="cannot write to"):
        export.export(tmp_path / "file", NOTEBOOKS[:1])
    monkeypatch.setattr("dockerlab.course.export.find_spec", lambda name: None)
    assert cli.main(["course", "export", str(tmp_path / "site")]) == 1
    assert "pip install 'jupyter-dockerlab[lab]'" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_the_course_is_copied_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["course", "copy", str(tmp_path / "lessons")]) == 0
    names = {str(path.relative_to(tmp_path / "lessons")) for path in (tmp_path / "lessons").rglob("*.ipynb")}
    assert names == {str(path.relative_to(ROOT / "notebooks")) for path in NOTEBOOKS}
    assert len(capsys.readouterr().out.splitlines()) == len(names)
    with pytest.raises(UsageError, match="is there already"):
        copy(tmp_path / "lessons")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / NOTEBOOKS[0].name).symlink_to(tmp_path / "elsewhere")  # there is nothing yet where it leads
    with pytest.raises(UsageError, match="is there already"):
        copy(tmp_path / "linked")
    assert not (tmp_path / "elsewhere").exists()
