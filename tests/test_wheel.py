"""The wheel and the source distribution: what is in them, and that the wheel works without the source tree."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

_USE = """
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
import dockerlab, dockerlab.course.notebooks, dockerlab.testing.sanitiser
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "dockerlab")
assert "dockerfile" in shell.magics_manager.magics["cell"]
assert all(getattr(dockerlab, name) is not None for name in dockerlab.__all__)
assert dockerlab.testing.sanitiser.rules()
assert any(path.name == "gallery.ipynb" for path in dockerlab.course.notebooks.notebooks())
print(Path(dockerlab.__file__).parent)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, made by the project's build backend."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("jupyter_dockerlab-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = {name for name in names if name.startswith("dockerlab/")}
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "dockerlab").rglob("*")
        if path.suffix in (".py", ".cfg", ".typed", ".js", ".css")
    }
    assert sources <= package
    assert {name.split("/")[0].split("-")[0] for name in names} == {"dockerlab", "jupyter_dockerlab"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_brings_what_colours_cells(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        marker = next(name for name in archive.namelist() if name.endswith("/install.json"))
        folder = zipfile.Path(archive) / marker.removesuffix("install.json")
        assert folder.at.endswith(".data/data/share/jupyter/labextensions/jupyter-dockerlab/")
        size = sum(info.compress_size for info in archive.infolist() if info.filename.startswith(folder.at))
        load = json.loads((folder / "package.json").read_text())["jupyterlab"]["_build"]["load"]
        assert (folder / load).is_file()
    assert size < 12_000


def test_the_wheel_brings_the_course_and_stays_small(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = {name.removeprefix("dockerlab/course/notebooks/") for name in archive.namelist() if name.endswith(".ipynb")}
        assert found == {str(path.relative_to(ROOT / "notebooks")) for path in (ROOT / "notebooks").rglob("*.ipynb")}
        course = [info for info in archive.infolist() if info.filename.startswith("dockerlab/course/notebooks/")]
    assert sum(info.compress_size for info in course) < 2_000_000


def test_what_the_page_runs_was_built_from_its_sources() -> None:
    folder = ROOT / "labextension"
    digest = hashlib.sha256()
    sources = [path for path in (folder / "src").rglob("*") if path.is_file()]
    for path in sorted((folder / "package-lock.json", folder / "package.json", *sources), key=str):
        digest.update(path.read_bytes())
    assert (folder / "built" / "sources.sha256").read_text() == f"{digest.hexdigest()}\n", "make labextension"
    view = (ROOT / "dockerlab" / "notebook" / "static" / "view.js").read_text(encoding="utf-8")
    assert digest.hexdigest() in view.partition("\n")[0], "make labextension"
    # It is sent to the page with every view.
    assert len(view) < 26_000


def test_the_source_distribution_holds_what_make_test_needs(built: Path) -> None:
    (sdist,) = built.glob("jupyter_dockerlab-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "tests/engines.sh"} <= names
    assert not [name for name in names if name.startswith((".venv", "build/")) or "__pycache__" in name]


def test_the_wheel_works_without_the_source_tree(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    # In front of the environment's own packages, so that the editable install is not what is imported.
    code = f"import sys; sys.path.insert(0, {str(target)!r})\n{_USE}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == target / "dockerlab"
    # JupyterLab, asked for what it would load from there.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    environ |= {"JUPYTER_PATH": str(target / "share" / "jupyter"), "JUPYTER_DATA_DIR": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "jupyter", "labextension", "list"]
    listed = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert re.search(r"jupyter-dockerlab v\S+ .*enabled.*OK", listed.stdout + listed.stderr)
