"""What an export or an import refuses, leaves out or hides, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerlab.errors import ContextError, NotebookError, UsageError
from dockerlab.project import export_project, import_project
from dockerlab.project.cells import source
from tests.unit.test_project import APP, UNIX, notebook, tree


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", *APP)
    out = tmp_path / "out"
    out.mkdir()
    (out / "app.py").write_text("mine")
    with pytest.raises(UsageError, match="has files that would be overwritten") as caught:
        export_project(path, out)
    assert caught.value.place == ("app.py",)
    assert "--force" in str(caught.value.hint)
    assert [file.name for file in out.iterdir()] == ["app.py"]
    export_project(path, out, force=True)
    assert (out / "app.py").read_text() == "print('hi')\n"
    export_project(path, out)  # what is the same is not in the way
    import_project(out, tmp_path / "back.ipynb")
    import_project(out, tmp_path / "back.ipynb")
    with pytest.raises(UsageError, match="overwritten"):
        import_project(out, path)


@pytest.mark.parametrize("cell", ["%%context ../evil\nx", "%context rm ../../evil"])
def test_a_path_that_leads_out_is_refused(cell: str, tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", cell, "%%dockerfile\nFROM busybox")
    with pytest.raises(ContextError, match="not a file's path inside a build context"):
        export_project(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dockerfiles_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    for name, kind in (("../Dockerfile", ContextError), ("sub/Dockerfile", UsageError)):
        path = notebook(tmp_path / "n.ipynb", ("%%dockerfile\nFROM busybox", {"dockerlab": {"file": name}}))
        with pytest.raises(kind, match="Dockerfile"):
            export_project(path, tmp_path / "out")


@UNIX
def test_a_link_that_is_there_leads_nobody_out(tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (out / "src").symlink_to(outside)
    path = notebook(tmp_path / "n.ipynb", "%%context src/a.py\n1", "%%dockerfile\nFROM busybox")
    with pytest.raises(ContextError, match="would be written outside"):
        export_project(path, out, force=True)
    (out / "src").unlink()
    (outside / "target").write_text("kept")
    (out / "Dockerfile").symlink_to(outside / "target")
    export_project(path, out, force=True)
    assert (outside / "target").read_text() == "kept"
    assert (out / "Dockerfile").read_text() == "FROM busybox\n"


@UNIX
def test_a_link_of_the_context_that_leads_out_is_left_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM busybox\n")
    (folder / "passwd").symlink_to("/etc/passwd")
    import_project(folder, tmp_path / "n.ipynb")
    written = export_project(tmp_path / "n.ipynb", tmp_path / "out")
    assert written.notes == ("`passwd`: a symbolic link that leads out of the build context.",)
    assert "passwd" not in tree(tmp_path / "out")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"cells": 3}', '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}', "\xff", "[" * 100_000],
)
def test_what_is_no_notebook_is_an_error_of_the_tree(text: str, tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(NotebookError, match=r"n\.ipynb"):
        export_project(path, tmp_path / "out")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="cannot read the notebook"):
        export_project(tmp_path / "none.ipynb", tmp_path / "out")
    with pytest.raises(UsageError, match="the notebook has no Dockerfile"):
        export_project(notebook(tmp_path / "n.ipynb", "1"), tmp_path / "out")
    with pytest.raises(UsageError, match="has no Dockerfile"):
        import_project(tmp_path, tmp_path / "m.ipynb")
    with pytest.raises(ContextError, match="cannot read"):
        import_project(tmp_path / "none", tmp_path / "m.ipynb")


def test_secrets_are_not_written(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "%%dockerfile -t app --build-arg API_TOKEN=hunter22\nFROM busybox",
        "%container run -e PASSWORD=hunter22 app",
    )
    export_project(path, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "hunter22" not in text
    assert "`***` stands for what looks like a secret" in text


def test_a_cells_source_of_the_shortest_bodies() -> None:
    assert [source("%%context x", body) for body in ("", "\n", "a\n", "a\n\n")] == [
        "%%context x",
        "%%context x\n\n",
        "%%context x\na",
        "%%context x\na\n\n",
    ]
