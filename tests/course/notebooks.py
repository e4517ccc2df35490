"""The notebooks of the course as values: their cells, the exercises in them, and a notebook as a learner leaves it who has solved them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "notebooks"
SOLUTIONS = Path(__file__).parent / "solutions"
NUMBERED = sorted(FOLDER.glob("[0-9][0-9]-*.ipynb"))

_ASKED = re.compile(r"^%exercise ([a-z0-9-]+)[ \t]*$", re.MULTILINE)
_NEXT_CELL = re.compile(r"^# %%[ \t]*\n", re.MULTILINE)
_IGNORED = "nbval-ignore-output"


@dataclass(frozen=True)
class Cell:
    """A code cell. above: the text of the markdown cell before it, nearest to it."""

    path: Path
    number: int
    source: str
    tags: tuple[str, ...]
    above: str
    output: str

    @property
    def exercise(self) -> str | None:
        """The exercise that a learner does here."""
        return next((tag.removeprefix("exercise-") for tag in self.tags if tag.startswith("exercise-")), None)

    @property
    def looks_at(self) -> list[str]:
        """The exercises that it looks at."""
        return _ASKED.findall(self.source)

    def __str__(self) -> str:
        return f"{self.path.name}, cell {self.number}"


def cells(path: Path) -> Iterator[Cell]:
    """The code cells of a notebook."""
    above = ""
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            above = source
        elif cell["cell_type"] == "code":
            outputs = [output.get("data", {}).get("text/plain", "") for output in cell["outputs"]]
            text = "\n".join("".join(output) for output in outputs)
            yield Cell(path, number, source, tuple(cell["metadata"].get("tags", ())), above, text)


def solution(name: str) -> list[str]:
    """The sources of the cells that solve an exercise."""
    return _NEXT_CELL.split((SOLUTIONS / f"{name}.txt").read_text(encoding="utf-8").strip("\n"))


def solved(notebook: Mapping[str, Any], solutions: Mapping[str, list[str]]) -> dict[str, Any]:
    """The notebook with solutions in the learner's cells, and `--strict` behind `%exercise NAME`.

    solutions: by exercise, the sources of its cells; what there is no cell for gets one. From the first of them on, nbval compares no
    output.
    """
    made: dict[str, Any] = copy.deepcopy(dict(notebook))
    waiting = {name: list(sources) for name, sources in solutions.items()}
    left = {name: sum(f"exercise-{name}" in _tags(cell) for cell in made["cells"]) for name in solutions}
    found: list[dict[str, Any]] = []
    has_begun = False
    for cell in made["cells"]:
        found.append(cell)
        if cell["cell_type"] != "code":
            continue
        name = next((name for name in solutions if f"exercise-{name}" in _tags(cell)), None)
        if name is not None:
            has_begun = True
            left[name] -= 1
            cell["source"] = waiting[name].pop(0) if waiting[name] else "".join(cell["source"])
            found += [] if left[name] else [_like(cell, source, place) for place, source in enumerate(waiting[name])]
        source = "".join(cell["source"])
        if has_begun:
            cell["source"] = _ASKED.sub(r"%exercise \1 --strict", source)
    first = next((place for place, cell in enumerate(found) if any(f"exercise-{name}" in _tags(cell) for name in solutions)), 0)
    for cell in found[first:]:
        cell["metadata"]["tags"] = sorted({*_tags(cell), _IGNORED})
    return {**made, "cells": found}


def halves(paths: Iterable[Path]) -> dict[str, Any]:
    """One notebook of the code cells of several, of each up to its middle. nbval compares no output."""
    made: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    for path in paths:
        made = json.loads(path.read_text(encoding="utf-8"))
        code = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
        for cell in code[: len(code) // 2]:
            tagged = {**cell["metadata"], "tags": sorted({*_tags(cell), _IGNORED})}
            found.append({**cell, "id": f"n{path.stem[:2]}-{cell['id']}", "metadata": tagged})
    return {**made, "cells": found}


def _tags(cell: Mapping[str, Any]) -> list[str]:
    tags: list[str] = cell["metadata"].get("tags", [])
    return tags


def _like(cell: Mapping[str, Any], source: str, place: int) -> dict[str, Any]:
    return {**copy.deepcopy(dict(cell)), "id": f"{cell['id']}-{place}", "source": source}
