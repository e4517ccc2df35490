"""What README.md and CONTRIBUTING.md name is there: commands, magics, verbs, files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from dockerlab.notebook import MAGICS
from dockerlab.registry import hosts

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")
IPYTHON_MAGICS = {"load_ext"}


def code_of(page: str) -> list[str]:
    """The fenced blocks and the code spans of a page, line by line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [line for piece in (*blocks, *spans) for line in piece.splitlines()]


def targets() -> set[str]:
    """The Makefile's targets, as make itself reads them."""
    # No target is made: -q only asks, and answers 1 for what is not up to date.
    database = subprocess.run(["make", "-qp", "help"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    phony = re.search(r"^\.PHONY: (.*)$", database, re.MULTILINE)
    return set(phony[1].split()) if phony else set()


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_exists(page: str) -> None:
    named = {match[1] for line in code_of(page) if (match := re.match(r"(?:sudo )?make ([\w-]+)", line))}
    assert named <= targets()


def test_the_readme_names_what_a_newcomer_needs() -> None:
    first, *_ = re.findall(r"^```\n(.*?)\n```", README, re.DOTALL | re.MULTILINE)
    assert first == "make lab"
    assert {"lab", "test", "engines"} <= {match[1] for line in code_of("README.md") if (match := re.match(r"make ([\w-]+)", line))}


@pytest.mark.parametrize("page", PAGES)
def test_every_magic_exists(page: str) -> None:
    named = {name for line in code_of(page) for name in re.findall(r"(?:^|[\s=])%%?([a-z_]+)", line)}
    assert named <= MAGICS.keys() | IPYTHON_MAGICS


def test_every_magic_is_in_the_readme() -> None:
    assert {name for line in code_of("README.md") for name in re.findall(r"%%?([a-z_]+)", line)} >= MAGICS.keys()


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_every_link_into_the_project_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_script_that_is_named_is_there(page: str) -> None:
    named = {match[0] for line in code_of(page) if (match := re.match(r"(?:tests|binder|notebooks|\.ci)/[\w./-]*", line))}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_registries_of_the_readme_are_understood(tmp_path: Path) -> None:
    [text] = re.findall(r'^```\n(\{"registry-mirrors.*?)^```', README, re.DOTALL | re.MULTILINE)
    found = hosts.read(tmp_path, {hosts.VARIABLE: text})
    assert found.endpoints("docker.io", mirrored=True)[0].host == "mirror.example"
    assert [found.endpoint(name).is_verified for name in ("registry.example:5000", "10.1.2.3", "registry.example")] == [
        False,
        False,
        True,
    ]
    named = {folder.parent.name for folder in found.certificates}
    assert {"docker", tmp_path.name} <= named
    assert {hosts.VARIABLE, hosts.CONFIGURATION} <= set(code_of("README.md"))
