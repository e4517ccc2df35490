"""The exercises of each notebook, solved: the notebook runs to its end, and leaves nothing behind of what the learner made.

On the main engine each finds there what all of them left that were run to their middle: half of their containers, images and volumes,
under the names that it wants to give.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab import standins
from dockerlab.client import Client
from dockerlab.course.exercises import COURSE
from dockerlab.testing.notebooks import check
from tests.course.notebooks import NUMBERED, halves, solution, solved
from tests.engines import Engine


@pytest.fixture(scope="module")
def left_half_way(engine: Engine, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Runs those that are tested to their middle, one after the other, and leaves them. They are tidied up by the tests."""
    tested = {
        item.callspec.params.get("notebook")
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    }
    paths = [path for path in NUMBERED if path in tested]
    if engine.is_main and paths:
        notebook = tmp_path_factory.mktemp("halves") / "halves.ipynb"
        notebook.write_text(json.dumps(halves(paths)), encoding="utf-8")
        with engine.chosen():
            checked = check(notebook)
        assert checked.holds, f"{checked}\n{checked.report}"


@pytest.mark.contract
@pytest.mark.timeout(900)
@pytest.mark.notebooks
@pytest.mark.usefixtures("left_half_way")
@pytest.mark.parametrize("notebook", NUMBERED, ids=lambda path: path.stem)
def test_a_notebook_whose_exercises_are_solved(
    notebook: Path,
    client: Client,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    solutions = {exercise.name: solution(exercise.name) for exercise in COURSE.get(notebook.stem, ())}
    copy = tmp_path / notebook.name
    copy.write_text(json.dumps(solved(json.loads(notebook.read_text(encoding="utf-8")), solutions)), encoding="utf-8")
    before = _there(client)
    checked = check(copy)
    assert checked.holds, f"{checked}\n{checked.report}"
    assert list(tmp_path.iterdir()) == [copy]
    record_property("cells", checked.passed)
    if not pytestconfig.getoption("shared_engines"):
        assert _there(client) <= before


def _there(client: Client) -> set[str]:
    """Images but for base images, volumes and networks, by their names."""
    images = {tag for image in client.api.images() for tag in image["RepoTags"] or [] if not _is_base(tag)}
    volumes = {f"volume {one['Name']}" for one in client.api.volumes()["Volumes"] or []}
    return images | volumes | {f"network {one['Name']}" for one in client.api.networks()}


def _is_base(tag: str) -> bool:
    return tag.rpartition("/")[2] in {name if ":" in name else f"{name}:latest" for name in standins.NAMES}
