"""Export and import of what is wrong, hostile or out of the way: nothing is lost, nothing is written outside, all of it is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockerlab.errors import ContextError, NotebookError, UsageError
from dockerlab.project import export_project, import_project
from dockerlab.project.writing import _Writing
from tests.unit.test_project import UNIX, notebook, sources, without_readme

# As `dockerlab` where no file may have more than 2,000 bytes.
FULL = (
    "import resource, signal, sys\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
    "from dockerlab.cli import main\n"
    "sys.exit(main(sys.argv[1:]))"
)


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
    command = [sys.executable, "-B", "-c", FULL, "import", "--force", str(folder), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, path.read_text()) == (1, "mine")
    assert "cannot write" in done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["app", "n.ipynb"]


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of files as on Linux")
@pytest.mark.parametrize("mine", [{}, {"app.py": "mine", "notes": "mine, too"}])
def test_where_the_disk_fills_midway_all_is_as_it_was(tmp_path: Path, mine: dict[str, str]) -> None:
    cells = ("%%context app.py\n1", f"%%context deep/er/large\n{'x' * 3000}", "%%context z\n2", "%%dockerfile\nFROM busybox")
    path, out = notebook(tmp_path / "n.ipynb", *cells), tmp_path / "new" / "out"
    for name, text in mine.items():
        out.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    command = [sys.executable, "-B", "-c", FULL, "export", "--force", str(path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"cannot write '{out}/deep/er/large'" in done.stderr
    assert "There is no room for it. Nothing was written." in done.stderr
    assert {file.name: file.read_text() for file in out.glob("**/*")} == mine
    assert (tmp_path / "new").exists() == bool(mine)


def test_what_is_moved_into_place_is_moved_back(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    writing = _Writing()
    for name in ("a", "b", "new/c", "d"):
        writing.put_beside(name, tmp_path / name, b"ours")
    for name in ("a", "b", "new/c"):
        writing.put_in_place(name, tmp_path / name, is_there=name == "a")
    assert (tmp_path / "a").read_text() == (tmp_path / "new/c").read_text() == "ours"
    (tmp_path / "d").write_text("somebody's")
    with pytest.raises(ContextError, match="'d' is there already, since a moment"):
        writing.put_in_place("d", tmp_path / "d", is_there=False)
    writing.undo()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a": "mine", "d": "somebody's"}


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_no_file_that_could_be_overwritten(tmp_path: Path, force: bool) -> None:
    path = notebook(tmp_path / "n.ipynb", "%%context data\nx", "%%dockerfile\nFROM busybox")
    (tmp_path / "out/data").mkdir(parents=True)
    (tmp_path / "out/data/mine").touch()
    with pytest.raises(UsageError) as caught:
        export_project(path, tmp_path / "out", force=force)
    assert caught.value.message == f"'data' is a folder in '{tmp_path / 'out'}', and is to be a file"
    assert caught.value.hint == "Remove it, or take another folder."
    assert [str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*")] == ["data", "data/mine"]


@UNIX
def test_why_something_cannot_be_written(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", f"%%context {'x' * 300}\nx", "%%dockerfile\nFROM busybox")
    (tmp_path / "loop").symlink_to("loop")
    found = {}
    for name in ("out", "n.ipynb", "n.ipynb/below", "loop/below"):
        with pytest.raises(ContextError) as caught:
            export_project(path, tmp_path / name)
        found[name] = str(caught.value.hint).removesuffix(" Nothing was written.")
    assert found == {
        "out": "A name in it is longer than this file system takes.",
        "n.ipynb": "Something on the way to it is no folder.",
        "n.ipynb/below": "Something on the way to it is no folder.",
        "loop/below": "Something on the way to it is no folder.",
    }
    assert sorted(file.name for file in tmp_path.iterdir()) == ["loop", "n.ipynb"]


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


@UNIX
@pytest.mark.parametrize("name", ["Foo.docker", "My file", "a | file=b", "x --> y", "-t"])
def test_a_dockerfile_of_any_name_comes_back(tmp_path: Path, name: str) -> None:
    cells = (("%%dockerfile -t app\nFROM busybox\n", {"dockerlab": {"file": name}}), "%%dockerfile -t other\nFROM debian")
    export_project(notebook(tmp_path / "n.ipynb", *cells), tmp_path / "out")
    assert set(without_readme(tmp_path / "out")) == {name, "Dockerfile"}
    import_project(tmp_path / "out", tmp_path / "back.ipynb")
    assert "%%dockerfile -t app\nFROM busybox" in sources(tmp_path / "back.ipynb")
    export_project(tmp_path / "back.ipynb", tmp_path / "again")
    assert without_readme(tmp_path / "again") == without_readme(tmp_path / "out")


def test_a_dockerfile_s_name_has_no_control_characters(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", ("%%dockerfile\nFROM busybox", {"dockerlab": {"file": "Docker\nfile\x1b"}}))
    with pytest.raises(UsageError, match=r"without control characters") as caught:
        export_project(path, tmp_path / "out")
    assert "\x1b" not in str(caught.value)
