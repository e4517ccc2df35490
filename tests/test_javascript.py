"""The JavaScript of the page: eslint, prettier and its own tests, where there is a node to run them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OLDEST = 20


def _missing() -> str | None:
    """What is not there that it takes."""
    if not (node := shutil.which("node")):
        return f"node is not installed; {OLDEST} or newer checks the JavaScript: https://nodejs.org"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST:
        return f"node is {version}; {OLDEST} or newer checks the JavaScript: https://nodejs.org"
    return None if shutil.which("npm") else "npm is not installed, which fetches what checks the JavaScript: https://nodejs.org"


@pytest.mark.slow
@pytest.mark.timeout(300)  # the first time it fetches eslint and the rest
def test_the_javascript_passes_its_linter_its_formatter_and_its_tests() -> None:
    if missing := _missing():
        pytest.skip(missing)
    done = subprocess.run(["make", "javascript"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
