"""The table in notebooks/README.md: the article's points, the cells that show them, and the engines on which nbval passed.

    .venv/bin/python -m tests.course.table [NUMBER…]  runs the notebooks, all unless numbered, on every engine, and writes the table
    .venv/bin/python -m tests.course.table --cells    writes anew which cells there are; what is said of engines stays

A notebook counts as passed where all of its cells gave what was saved, on one run for this table.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from dockerlab.testing.notebooks import check
from tests.course.notebooks import FOLDER, NUMBERED, cells
from tests.course.points import POINTS
from tests.engines import Engine, find

README = FOLDER / "README.md"
AT_ONCE = 3  # engines
_TABLE = re.compile(r"(?<=<!-- points -->\n).*?(?=<!-- /points -->)", re.DOTALL)
_PASSED = re.compile(r"^\| \[(?P<notebook>[^\]]+)\]\(.*\| (?P<engines>[^|]*) \|$", re.MULTILINE)


def table(passed: Mapping[str, str]) -> str:
    """The table, as Markdown. passed: by notebook, the engines on which it passed."""
    shown: dict[int, list[str]] = {number: [] for number in POINTS}
    for path in NUMBERED:
        for place, cell in enumerate(cells(path), 1):
            for number in POINTS:
                if f"point-{number}" in cell.tags:
                    shown[number].append(f"[{path.stem[:2]}]({path.name}) cell {place}")
    rows = ["| | the article's point | shown in |", "|---|---|---|"]
    rows += [f"| {number} | {sentence} | {', '.join(shown[number])} |" for number, sentence in POINTS.items()]
    rows += ["", "| notebook | passed under nbval on |", "|---|---|"]
    rows += [f"| [{path.stem}]({path.name}) | {passed.get(path.stem, 'none yet')} |" for path in NUMBERED]
    return "\n".join(rows) + "\n"


def passed(text: str) -> dict[str, str]:
    """What a README says of engines, by notebook."""
    return {found["notebook"]: found["engines"] for found in _PASSED.finditer(text)}


def with_table(text: str, shown: Mapping[str, str]) -> str:
    """A README's text with the table made anew."""
    return _TABLE.sub(lambda _: table(shown), text)


def _on(engine: Engine, paths: Sequence[Path]) -> list[str]:
    """Which of the notebooks hold on an engine."""
    held = []
    with tempfile.TemporaryDirectory(prefix="dockerlab-") as folder, engine.chosen():
        for path in paths:
            checked = check(shutil.copy(path, folder))
            print(f"{engine.name}: {checked}", *([] if checked.holds else [checked.report]), sep="\n", flush=True)
            held += [path.stem] if checked.holds else []
    return held


def main(words: list[str]) -> None:
    text = README.read_text(encoding="utf-8")
    shown = passed(text)
    if "--cells" not in words:
        engines, paths = find(os.environ), [path for path in NUMBERED if not words or path.stem[:2] in words]
        with ProcessPoolExecutor(AT_ONCE) as pool:
            held = dict(zip([engine.name for engine in engines], pool.map(_on, engines, repeat(paths)), strict=True))
        shown |= {path.stem: ", ".join(name for name, stems in held.items() if path.stem in stems) or "none" for path in paths}
    README.write_text(with_table(text, shown), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
