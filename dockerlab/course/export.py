"""The course as a small website, for reading without a kernel: an index, and a page for each notebook with what it was saved with.

    export("site")                              the notebooks of the course
    export("site", ["lesson.ipynb"])            others, in that order

A page needs nothing but itself: no script, no network, pictures inside; its Content-Security-Policy allows no more. nbconvert renders
the cells; look and navigation are ours, light or dark as the reader's system is. Files of the same names are replaced, others stay.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from dockerlab.course import notebooks as course
from dockerlab.errors import UsageError

INDEX: Final = "index.html"
TITLE: Final = "Containers, learned from notebooks"
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self' data:; form-action 'none'; base-uri 'none'"
)
_DARK_RULE: Final = re.compile(r'(body\[data-jp-theme-light="false"\][^{}]*)(\{[^{}]*\})')
_DARK: Final = 'body[data-jp-theme-light="false"]'


@dataclass(frozen=True)
class Site:
    """What was written. pages: the notebooks' pages, in order."""

    folder: Path
    pages: tuple[Path, ...]

    def __str__(self) -> str:
        return f"{self.folder / INDEX}: {len(self.pages)} notebook{'s' if len(self.pages) != 1 else ''}"


@dataclass(frozen=True)
class _Page:
    """A notebook as HTML. title: its first heading, as text. lead: its first paragraph, as HTML."""

    name: str
    title: str
    lead: str
    body: str


def export(folder: str | os.PathLike[str], notebooks: Iterable[str | os.PathLike[str]] = ()) -> Site:
    """Writes the notebooks, those of the course if none are named, as pages to `folder`, which is made if need be.

    Raises UsageError where nbconvert is not installed, for a notebook that cannot be read, for two of one name, and for a folder that
    cannot be written to.
    """
    if find_spec("nbconvert") is None:
        raise UsageError("nbconvert is not installed, which renders notebooks", hint="pip install 'jupyter-dockerlab[lab]'")
    named = [Path(name) for name in notebooks]
    sources, is_course = named or course.notebooks(), not named
    names = [f"{source.stem}.html" for source in sources]
    for name in names:
        if names.count(name) > 1 or name == INDEX:
            raise UsageError(f"two pages would have the name {name}", hint="Export them to folders of their own.")
    pages = [_page(source, names) for source in sources]
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(pages):
            (target / page.name).write_text(_document(page, pages, number), encoding="utf-8")
        (target / INDEX).write_text(_index(pages, is_course=is_course), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {target}: {error.strerror}") from error
    return Site(target, tuple(target / page.name for page in pages))


def _page(source: Path, names: Sequence[str]) -> _Page:
    """names: of all pages, to which links between notebooks lead."""
    from nbconvert import HTMLExporter
    from nbconvert.filters import markdown2html
    from nbformat import ValidationError, read

    exporter: Any = HTMLExporter(
        template_name="basic",
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    try:
        notebook: Any = read(source, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.source.startswith("%%dockerfile"):
                cell.metadata["magics_language"] = "docker"
        body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"path": str(source.parent)}})
        body.encode()  # half a character, which JSON may hold, fails before anything is written
    except (OSError, ValueError, AttributeError, RecursionError, ValidationError) as error:
        first = str(error).partition("\n")[0]
        raise UsageError(f"{source} cannot be read as a notebook", evidence=[f"{type(error).__name__}: {first}"]) from error
    title, paragraph = _opening(notebook, source.stem)
    body = _DARK_RULE.sub(_by_the_system, body)
    for name in names:
        body = body.replace(f'href="{quote(name.removesuffix(".html"))}.ipynb', f'href="{quote(name)}')
    return _Page(f"{source.stem}.html", title, markdown2html(paragraph), body)


def _opening(notebook: Any, otherwise: str) -> tuple[str, str]:
    """A notebook's first heading as text, and its first paragraph as Markdown."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    blocks = [block.strip() for text in texts for block in re.split(r"\n\s*\n", text)]
    headings = [block.splitlines()[0].lstrip("# ").strip() for block in blocks if block.startswith("#")]
    paragraphs = [block for block in blocks if block and not block.startswith(("#", "|", "```", "<", "!["))]
    return re.sub(r"[`*_]", "", headings[0]) if headings else otherwise, paragraphs[0] if paragraphs else ""


def _by_the_system(rule: re.Match[str]) -> str:
    """A rule of JupyterLab's dark theme, as one for readers whose system is dark."""
    return f"@media (prefers-color-scheme:dark){{{rule[1].replace(_DARK, 'body')}{rule[2]}}}"


def _document(page: _Page, pages: Sequence[_Page], number: int) -> str:
    before = pages[number - 1] if number else None
    after = pages[number + 1] if number + 1 < len(pages) else None
    links = (
        f'<a rel="prev" href="{quote(before.name)}">← {html.escape(before.title)}</a>' if before else "<span></span>",
        f'<a rel="next" href="{quote(after.name)}">{html.escape(after.title)} →</a>' if after else "<span></span>",
    )
    top = f'<nav class="top"><a href="{INDEX}">{TITLE}</a><span>{number + 1} of {len(pages)}</span></nav>'
    return _html(page.title, f'{top}\n<main>\n{page.body}\n</main>\n<nav class="bottom">{"".join(links)}</nav>')


def _index(pages: Sequence[_Page], *, is_course: bool) -> str:
    """is_course: whether dockerlab has them, so that a reader gets them from it."""
    items = [f'<li><a href="{quote(page.name)}">{html.escape(page.title)}</a>{page.lead}</li>' for page in pages]
    how = (
        "<code>dockerlab course copy DIR</code>, and open that folder in Jupyter"
        if is_course
        else "open them in Jupyter, with dockerlab installed"
    )
    lead = f"<p>The notebooks as they were saved, for reading. To run them: {how}.</p>"
    return _html(TITLE, f'<main class="index">\n<h1>{TITLE}</h1>\n{lead}\n<ol>\n{"".join(items)}\n</ol>\n</main>')


def _html(title: str, body: str) -> str:
    style = (files("dockerlab.course") / "site.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
