"""Export and import of what is wrong, hostile or out of the way: nothing is lost, nothing is written outside, all of it is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockerlab.errors import ContextError, NotebookError
from dockerlab.project import export_project, import_project
from tests.unit.test_project import UNIX, notebook, sources, without_readme


def test_nothing_is_written_where_a_file_is_a_folder_too(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "%%context a\nx", "%%context a/b\ny", "%%dockerfile\nFROM busybox")
    with pytest.raises(ContextError, match="'a' is a file, and cannot hold 'a/b'"):
        export_project(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@UNIX
def test_a_link_that_comes_with_the_files_leads_nobody_out(tmp_path: Path) -> None:
    # By its text it stays inside; by the link on its way it leads two folders up.
    deep = tmp_path / "app/x/y/z"
    deep.mkdir(parents=True)
    (deep / "s").symlink_to("../../../")
    (tmp_path / "app/t").symlink_to("x/y/z/s/../..")
    cells = ("%%context t/evil\nx", "%%dockerfile --context app\nFROM busybox", "%context rm t/evil")
    with pytest.raises(ContextError, match="'t' is a file, and cannot hold 't/evil'"):
        export_project(notebook(tmp_path / "n.ipynb", *cells), tmp_path / "deep/out")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of files as on Linux")
def test_where_there_is_no_room_the_file_that_was_there_stays(tmp_path: Path) -> None:
    folder, path = tmp_path / "app", tmp_path / "n.ipynb"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM busybox\n" + "RUN date\n" * 500)
    path.write_text("mine")
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "from dockerlab.cli import main\n"
        "sys.exit(main(['import', '--force', *sys.argv[1:]]))"
    )
    command = [sys.executable, "-B", "-c", script, str(folder), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, path.read_text()) == (1, "mine")
    assert "cannot write" in done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["app", "n.ipynb"]


def test_a_context_cell_that_is_meant_to_fail_is_left_out(tmp_path: Path) -> None:
    failing = ("%%context ../x\nx", {"tags": ["raises-exception"]})
    export_project(notebook(tmp_path / "n.ipynb", failing, "%%dockerfile\nFROM busybox"), tmp_path / "out")
    assert set(without_readme(tmp_path / "out")) == {"Dockerfile"}


def test_a_line_that_goes_on_in_the_next_and_one_with_a_bar_come_back(tmp_path: Path) -> None:
    lines = ("%container run -d \\\n  --name web app", "%container exec web sh -c 'x | file=y'")
    export_project(notebook(tmp_path / "n.ipynb", "%%dockerfile -t app\nFROM busybox", *lines), tmp_path / "out")
    assert "docker run -d --name web app" in (tmp_path / "out/README.md").read_text()
    import_project(tmp_path / "out", tmp_path / "back.ipynb")
    assert sources(tmp_path / "back.ipynb")[-2:] == ["%container run -d    --name web app", lines[1]]


def test_a_command_that_lacks_its_arguments_is_no_end_of_an_export(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "%%dockerfile\nFROM busybox", "%image save", "%image load")
    export_project(path, tmp_path / "out")
    assert "docker save -o FILE IMAGE" in (tmp_path / "out/README.md").read_text()


def test_a_context_file_whose_name_the_dockerfile_has_is_named(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "%%context Dockerfile\nmine", "%%dockerfile\nFROM busybox")
    notes = export_project(path, tmp_path / "out").notes
    assert notes == ("`Dockerfile` of the build context: the Dockerfile of cell 2 has its name.",)


@UNIX
def test_files_from_disk_are_as_the_notebook_has_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, mode in (("private", 0o600), ("run.sh", 0o700)):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    path = notebook(tmp_path / "n.ipynb", "%context add private run.sh", "%context add pipe", "%%dockerfile\nFROM busybox")
    written = export_project(path, tmp_path / "out")
    modes = {name: mode for name, (_, mode) in without_readme(tmp_path / "out").items()}
    assert modes == {"private": 0o644, "run.sh": 0o700, "Dockerfile": 0o644}
    assert written.notes == ("`pipe`, which cell 2 adds to the build context: It is no file that has an end.",)


def test_a_mark_at_the_start_and_half_a_character(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "%%dockerfile\nFROM busybox")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    export_project(path, tmp_path / "out")
    path.write_text(path.read_text("utf-8-sig").replace("FROM busybox", "FROM busybox # \\ud800"))
    with pytest.raises(NotebookError, match=r"cell 1 .* has half a character"):
        export_project(path, tmp_path / "out")


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes as on Linux")
def test_a_hostile_name_is_told_and_steers_no_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM busybox\n")
    for name in (b"\xff.txt", b"\x1b[31m.txt", b"$$x"):
        (tmp_path / "app" / os.fsdecode(name)).write_text("x")
    told = str(import_project(folder, tmp_path / "n.ipynb"))
    assert "\\udcff.txt: its name" in told
    assert "\\x1b[31m.txt: its name" in told
    assert "$$x: its name" in told
    assert told.isascii()
