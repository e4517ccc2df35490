"""The course is whole: its notebooks, the article's points in them, and their exercises with hints and solutions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dockerlab.course import course, find
from dockerlab.course.exercises import COURSE
from tests.course.notebooks import NUMBERED, SOLUTIONS, Cell, cells, solution, solved
from tests.course.points import POINTS
from tests.course.table import README, passed, with_table

ALL = [cell for path in NUMBERED for cell in cells(path)]
NAMES = course().names
ENGINES = {"engine28", "engine28-containerd", "engine20", "podman", "embedded", "embedded-user", "embedded-pod"}


def test_the_notebooks_are_those_of_the_table_of_exercises() -> None:
    assert [path.stem for path in NUMBERED] == list(COURSE)


def test_none_of_the_article_s_points_is_missing() -> None:
    shown = {int(tag.removeprefix("point-")) for cell in ALL for tag in cell.tags if tag.startswith("point-")}
    missing = [f"{number}. {sentence}" for number, sentence in POINTS.items() if number not in shown]
    assert not missing, "no cell shows:\n" + "\n".join(missing)
    assert shown <= POINTS.keys()


def test_a_point_is_named_right_above_the_first_cell_of_a_notebook_that_shows_it() -> None:
    first: dict[tuple[Path, str], Cell] = {}
    for cell in ALL:
        for tag in cell.tags:
            first.setdefault((cell.path, tag), cell)
    numbers = [(cell, tag.removeprefix("point-")) for (_, tag), cell in first.items() if tag.startswith("point-")]
    unnamed = [f"{cell}: point {number}" for cell, number in numbers if not re.search(rf"\b[Pp]oints?\b.*\b{number}\b", cell.above)]
    assert not unnamed, "the text above does not name it:\n" + "\n".join(unnamed)


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_a_notebook_ends_with_one_to_three_exercises(path: Path) -> None:
    found = list(cells(path))
    asked = [cell.exercise for cell in found if cell.exercise]
    names = [exercise.name for exercise in COURSE.get(path.stem, ())]
    assert 1 <= len(names) <= 3
    assert list(dict.fromkeys(asked)) == names
    for name in names:
        last = max(cell.number for cell in found if cell.exercise == name)
        looking = [cell for cell in found if name in cell.looks_at and cell.number > last]
        assert looking, f"no `%exercise {name}` after the learner's cell"
        assert re.match(rf"exercise {name}: \d of \d done\n", looking[0].output), f"{looking[0]} is to be saved unsolved"


def test_what_a_notebook_asks_for_is_an_exercise_of_its_own() -> None:
    strange = [
        f"{cell}: {name}"
        for cell in ALL
        for name in re.findall(r"%exercise ([\w-]+)", cell.source)
        if name not in [exercise.name for exercise in COURSE.get(cell.path.stem, ())]
    ]
    assert not strange


def test_the_learner_s_cell_solves_nothing() -> None:
    for cell in (cell for cell in ALL if cell.exercise):
        assert all(line.startswith("#") for line in cell.source.splitlines() if line.strip()), cell


def test_the_names_of_exercises_are_unique() -> None:
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_has_a_hint_and_a_solution(name: str) -> None:
    assert find(name).hints
    assert any(line.strip() and not line.startswith("#") for source in solution(name) for line in source.splitlines())


def test_every_solution_is_that_of_an_exercise() -> None:
    assert {path.stem for path in SOLUTIONS.iterdir()} == set(NAMES)


def test_a_cell_about_the_machine_is_not_compared() -> None:
    assert not [str(cell) for cell in ALL if "machine" in cell.tags and "nbval-ignore-output" not in cell.tags]


def _code(source: str, *tags: str) -> dict[str, object]:
    return {"cell_type": "code", "id": source, "source": source.splitlines(True), "metadata": {"tags": list(tags)}, "outputs": []}


def test_a_solution_takes_the_place_of_the_learner_s_cells() -> None:
    notebook = {
        "cells": [
            _code("%exercise one"),
            _code("# here", "exercise-one", "nbval-x"),
            _code("# and here", "exercise-one"),
            {"cell_type": "markdown", "id": "m", "source": "text", "metadata": {}},
            _code("%exercise one\n"),
            _code("%exercise one --hint"),
        ]
    }
    made = solved(notebook, {"one": ["a", "b", "c"]})["cells"]
    assert ["".join(cell["source"]) for cell in made] == [
        *("%exercise one", "a", "b", "c", "text", "%exercise one --strict\n", "%exercise one --hint"),
    ]
    assert [cell["metadata"].get("tags") for cell in made][:2] == [[], ["exercise-one", "nbval-ignore-output", "nbval-x"]]
    assert all("nbval-ignore-output" in cell["metadata"]["tags"] for cell in made[1:])
    assert len({cell["id"] for cell in made}) == len(made)
    fewer = solved(notebook, {"one": ["a"]})["cells"]
    assert ["".join(cell["source"]) for cell in fewer][1:3] == ["a", "# and here"]


def test_the_table_of_points_tells_of_the_cells_that_there_are() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text, passed(text)) == text, "it is old: .venv/bin/python -m tests.course.table --cells"


def test_every_notebook_has_passed_on_every_engine_of_the_contract() -> None:
    assert {name: set(engines.split(", ")) for name, engines in passed(README.read_text(encoding="utf-8")).items()} == {
        path.stem: ENGINES for path in NUMBERED
    }
