"""What Binder reads in `binder/`: repo2docker accepts it, what lasts comes before what changes, and its lists are the project's.

`tests/browser/test_binder.py` carries the steps out and opens what comes of them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dockerlab.dockerfile import Node, parse
from tests import binder

NOTEBOOKS = binder.ROOT / "notebooks"


@pytest.fixture(scope="module")
def steps() -> tuple[Node, ...]:
    """The steps that repo2docker prints for the repository."""
    return parse(binder.dockerfile()).nodes


def place(steps: tuple[Node, ...], pattern: str) -> int:
    [found] = [index for index, node in enumerate(steps) if re.search(pattern, node.text)]
    return found


def test_packages_are_installed_before_the_repository_is_copied(steps: tuple[Node, ...]) -> None:
    apt, pip = place(steps, "apt-get.* busybox-static "), place(steps, "^RUN .*pip install .*requirements.txt")
    copied, post_build = place(steps, "^COPY .* src/ "), place(steps, "^RUN ./binder/postBuild")
    assert apt < pip < copied < post_build
    assert steps[pip - 1].text == steps[post_build - 2].text == "USER ${NB_USER}"


def test_the_steps_can_be_carried_out_here() -> None:
    kept = [node.text for node in parse(binder.adapted(binder.dockerfile())).nodes]
    assert "RUN ./binder/postBuild" in kept
    assert not [text for text in kept if "apt-get" in text or "conda.sh" in text]


def test_what_is_installed_is_what_the_project_needs() -> None:
    project = tomllib.loads((binder.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    needed = {*project["project"]["dependencies"], *extras["lab"], *extras["graphviz"], *project["build-system"]["requires"]}
    listed = set(binder.requirements())
    assert needed <= listed
    # It brings the pages of containers to the learner's browser.
    assert [line.split()[0] for line in listed - needed] == ["jupyter-server-proxy"]


def test_post_build_can_be_run() -> None:
    assert (binder.BINDER / "postBuild").stat().st_mode & 0o111


def test_the_badge_opens_the_first_notebook() -> None:
    readme = (binder.ROOT / "README.md").read_text(encoding="utf-8")
    [address] = re.findall(r"\[!\[[^]]+\]\(https://mybinder\.org/badge_logo\.svg\)\]\((\S+)\)", readme)
    [opened] = parse_qs(urlsplit(address).query)["urlpath"]
    assert Path(opened) == Path("lab/tree/notebooks", min(NOTEBOOKS.glob("[0-9]*.ipynb")).name)
