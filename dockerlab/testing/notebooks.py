"""Checks a notebook with nbval, strictly: every cell is run, and gives what the notebook was saved with.

    checked = check("notebooks/04-the-dockerfile.ipynb")
    assert checked.holds, checked.report

It is `pytest --nbval --dockerlab` (see `dockerlab.testing.session`) in a process of its own, on the engine that DOCKER_HOST or the docker
context names, where nothing is removed: what a notebook leaves is there to be seen. A cell that is skipped does not hold.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from dockerlab.errors import UsageError

CELL_SECONDS = 300


@dataclass(frozen=True)
class Checked:
    """What came of a check, in code cells. failed: those among them that were saved without having been run, unsaved, too.

    report: what nbval printed.
    """

    notebook: Path
    cells: int
    unsaved: int
    passed: int
    failed: int
    skipped: int
    report: str = field(repr=False)

    @property
    def holds(self) -> bool:
        """Whether every code cell was run, and gave what was saved."""
        return self.passed == self.cells > 0 and not self.unsaved

    def __str__(self) -> str:
        facts = [f"{self.passed} of {self.cells} cells give what was saved"]
        facts += [
            f"{count} {what}"
            for count, what in ((self.failed, "failed"), (self.skipped, "skipped"), (self.unsaved, "saved unrun"))
            if count
        ]
        return f"{self.notebook.name}: {', '.join(facts)}"


def check(notebook: str | os.PathLike[str], *, cell_seconds: float = CELL_SECONDS) -> Checked:
    """Runs `notebook` in its own folder and compares its outputs. cell_seconds: how long one cell may take.

    Raises UsageError for a notebook that cannot be read, and where nbval is not installed.
    """
    path = Path(notebook).absolute()
    saved = _code_cells(path)
    if importlib.util.find_spec("nbval") is None:
        raise UsageError("nbval is not installed", hint="pip install nbval")
    with tempfile.TemporaryDirectory(prefix="dockerlab-") as folder:
        # An empty configuration: that of a project around the notebook is not meant for its cells.
        configuration, results = Path(folder, "pytest.ini"), Path(folder, "results.xml")
        configuration.write_text("[pytest]\n", encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pytest", "-c", str(configuration), "--rootdir", str(path.parent), "-p", "no:cacheprovider"),
            *("--nbval", "--dockerlab-engine=configured", "--dockerlab-keep", f"--nbval-cell-timeout={cell_seconds}"),
            *(f"--junitxml={results}", "--color=no", "--tb=short", path.name),
        ]
        environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        run = subprocess.run(
            command, cwd=path.parent, env=environ, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        counts = _counts(results)
    return Checked(
        notebook=path,
        cells=len(saved),
        unsaved=sum(count is None for count in saved),
        passed=counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"],
        failed=counts["failures"] + counts["errors"],
        skipped=counts["skipped"],
        report=run.stdout + run.stderr,
    )


def _code_cells(path: Path) -> list[int | None]:
    """The execution count of each code cell, None for one that was saved without having been run."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [cell.get("execution_count") for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path.name} cannot be read as a notebook", evidence=[f"{type(error).__name__}: {error}"]) from error


def _counts(results: Path) -> dict[str, int]:
    """pytest's own counts; all zero where it did not come so far as to write them."""
    suite = ElementTree.parse(results).find("testsuite") if results.exists() else None
    names = ("tests", "failures", "errors", "skipped")
    return {name: int(suite.get(name, "0")) if suite is not None else 0 for name in names}
