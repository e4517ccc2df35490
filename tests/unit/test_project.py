"""From a notebook to a project and back: what is written, and what a round trip keeps."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import v4

from dockerlab.project import export_project, import_project
from dockerlab.project.cells import content, fits, in_source, mode_of
from dockerlab.project.flags import read
from dockerlab.project.importing import context_cell
from dockerlab.project.readme import is_ours

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="links and modes as on Unix")


def notebook(path: Path, *cells: str | tuple[str, dict[str, Any]]) -> Path:
    """Writes a notebook of code cells; those that begin with # and a space are prose."""
    made = []
    for cell in cells:
        text, metadata = cell if isinstance(cell, tuple) else (cell, {})
        made.append(v4.new_markdown_cell(text) if text.startswith("# ") else v4.new_code_cell(text, metadata=metadata))
    nbformat.write(v4.new_notebook(cells=made), path)
    return path


def tree(folder: Path) -> dict[str, tuple[object, int]]:
    """path → content (or a link's target) and mode."""
    found: dict[str, tuple[object, int]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = (os.readlink(path), 0)
        elif path.is_file():
            found[name] = (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    return found


def without_readme(folder: Path) -> dict[str, tuple[object, int]]:
    found = tree(folder)
    ours = [name for name, (data, _) in found.items() if name.startswith("README") and is_ours(bytes(data).decode())]  # type: ignore[call-overload]  # of a file
    assert len(ours) == 1
    return {name: file for name, file in found.items() if name not in ours}


def sources(path: Path, kind: str = "code") -> list[str]:
    return [cell["source"] for cell in nbformat.read(path, 4)["cells"] if cell["cell_type"] == kind]


APP = (
    "# My app",
    "%load_ext dockerlab",
    "%%context app.py\nprint('hi')",
    "%%context --chmod 755 run.sh\n#!/bin/sh\npython app.py",
    "%%context .dockerignore\n*.log",
    "%%dockerfile -t app --build-arg X=1\nFROM busybox\nARG X\nCOPY . /app",
    "c = %container run -d --name web -p 5000 app",
)


def test_a_notebook_becomes_a_project(tmp_path: Path) -> None:
    written = export_project(notebook(tmp_path / "lesson.ipynb", *APP), tmp_path / "out")
    assert written.files == (".dockerignore", "Dockerfile", "README.md", "app.py", "run.sh")
    assert written.notes == ()
    files = {name: data for name, (data, _) in tree(tmp_path / "out").items()}
    assert files["Dockerfile"] == b"FROM busybox\nARG X\nCOPY . /app\n"
    assert (files["app.py"], files[".dockerignore"]) == (b"print('hi')\n", b"*.log\n")
    text = str(bytes(files["README.md"]), "utf-8")  # type: ignore[call-overload]  # of a file
    assert "# My app\n" in text
    assert "\ndocker build -t app --build-arg X=1 .\n" in text
    assert "\ndocker run -d --name web -p 127.0.0.1::5000 app\n" in text
    if sys.platform != "win32":
        assert tree(tmp_path / "out")["run.sh"][1] == 0o755


def test_and_back_it_has_the_same_cells(tmp_path: Path) -> None:
    export_project(notebook(tmp_path / "lesson.ipynb", *APP), tmp_path / "out")
    import_project(tmp_path / "out", tmp_path / "back.ipynb")
    assert sorted(sources(tmp_path / "back.ipynb")) == sorted(APP[1:])
    assert sources(tmp_path / "back.ipynb", "markdown")[0].startswith("# My app\n")


def test_a_round_trip_of_a_project_changes_nothing(tmp_path: Path) -> None:
    first = tmp_path / "first"
    export_project(notebook(tmp_path / "a.ipynb", *APP, "%%container run app\ncat <<'EOF'\n```\nEOF"), first)
    import_project(first, tmp_path / "b.ipynb")
    export_project(tmp_path / "b.ipynb", tmp_path / "second")
    assert tree(first) == tree(tmp_path / "second")


STAGES = """\
# syntax=docker/dockerfile:1

ARG VERSION=3
# builds it
FROM python:$VERSION AS build
RUN <<END
FROM nowhere
END

# what is run
FROM build AS test
RUN --mount=type=cache,target=/x pytest

FROM scratch
COPY --from=build /x /x
CMD ["/x"]"""


def test_a_cell_a_stage_with_what_it_does(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text(STAGES)
    import_project(tmp_path / "app", tmp_path / "n.ipynb")
    cells = [text for text in sources(tmp_path / "n.ipynb") if "dockerfile" in text.split("\n")[0]]
    assert [cell.split("\n")[0] for cell in cells] == ["%%dockerfile --append -t app"] * 3
    assert cells[1].split("\n", 1)[1] == "\n# what is run\nFROM build AS test\nRUN --mount=type=cache,target=/x pytest"
    words = sources(tmp_path / "n.ipynb", "markdown")[1:]
    assert words[0] == "**Stage 1 of 3: `build`**\n\n- begins with the image `python:$VERSION`\n- runs the script below it"
    assert "- goes on from the stage `build`" in words[1]
    assert "- copies `/x` from the stage `build` to `/x`" in words[2]
    export_project(tmp_path / "n.ipynb", tmp_path / "out")
    assert (tmp_path / "out" / "Dockerfile").read_text() == STAGES


def test_several_dockerfiles_keep_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "App"
    folder.mkdir()
    for name in ("Dockerfile", "Dockerfile.dev", "worker.Dockerfile"):
        (folder / name).write_text(f"FROM busybox\nLABEL of={name}\n")
    import_project(folder, tmp_path / "n.ipynb")
    lines = [text.split("\n")[0] for text in sources(tmp_path / "n.ipynb")[1:]]
    assert lines == ["%%dockerfile -t app", "%%dockerfile -t app-dev", "%%dockerfile -t app-worker"]
    export_project(tmp_path / "n.ipynb", tmp_path / "out")
    assert without_readme(tmp_path / "out") == tree(folder)


@UNIX
def test_what_no_cell_can_hold_stays_in_the_folder_and_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    (folder / "data").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM busybox\nCOPY . /\n")
    (folder / "logo.png").write_bytes(b"\x89PNG\0")
    (folder / "data" / "big.csv").write_text("1,2\n" * 20_000)
    (folder / "dos.txt").write_bytes(b"a\r\n")
    (folder / "link").symlink_to("dos.txt")
    (folder / "empty").mkdir()
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref")
    (folder / "README.md").write_text("# The user's own\n")
    written = import_project(folder, tmp_path / "n.ipynb")
    assert written.notes == (
        "data/big.csv: over 64 KB",
        "dos.txt: a cell does not keep all of it, such as carriage returns or lines of spaces",
        "link: a symbolic link",
        "logo.png: binary",
        "empty/: an empty folder",
        ".git/: no part of what is built",
    )
    assert "%%dockerfile -t app --context app\nFROM busybox\nCOPY . /" in sources(tmp_path / "n.ipynb")
    assert "- `logo.png`: binary" in sources(tmp_path / "n.ipynb", "markdown")[1]
    export_project(tmp_path / "n.ipynb", tmp_path / "out")
    assert without_readme(tmp_path / "out") == {name: file for name, file in tree(folder).items() if not name.startswith(".git")}
    assert (tmp_path / "out" / "README.dockerlab.md").is_file()


def test_a_dockerfile_that_is_no_cell_is_built_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_bytes(b"FROM busybox\r\n")
    import_project(tmp_path / "app", tmp_path / "n.ipynb")
    assert sources(tmp_path / "n.ipynb")[-1] == "%dockerfile -t app -f app/Dockerfile app"
    export_project(tmp_path / "n.ipynb", tmp_path / "out")
    assert (tmp_path / "out" / "Dockerfile").read_bytes() == b"FROM busybox\r\n"


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)
TEXTS = st.lists(LINES, max_size=6).map("\n".join) | st.sampled_from(
    ["", "\n", "\n\n", "a", "a\n", "a\n\n", "%%context x\n", " \n"]
)


@given(text=TEXTS, mode=st.sampled_from([0o644, 0o755, 0o600, 0o664]))
def test_a_cell_gives_a_file_back_byte_for_byte(text: str, mode: int) -> None:
    """By IPython's own reading of a cell."""
    if not fits(text):
        return
    cell = context_cell("a file.txt", text, mode)
    ran: list[tuple[str, str, str]] = []
    names = {"get_ipython": lambda: type("Shell", (), {"run_cell_magic": lambda _, *given: ran.append(given)})()}
    exec(TransformerManager().transform_cell(cell), names)
    [(name, line, body)] = ran
    [found] = in_source(cell)
    assert (found.name, found.line.strip(), found.body) == (name, line.strip(), body)
    assert body  # IPython refuses a cell magic without a body
    asked = read("context", "", found.words)
    given_back = content(body, mode_of(asked.value("--chmod")), has_newline=not asked.has("-n"))
    assert (asked.arguments, given_back) == (("a file.txt",), text.encode())
    assert getattr(given_back, "mode", 0o644) == mode


STAGE = st.lists(
    st.sampled_from(["RUN date", "# why", "", "  # indented", "RUN a \\\n  # inside\n  b", "COPY <<E /x\nFROM y\nE", "\tENV A=1"]),
    max_size=5,
)


@UNIX
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stages=st.lists(STAGE, min_size=1, max_size=4),
    end=st.sampled_from(["", "\n", "\n\n"]),
    files=st.dictionaries(
        st.sampled_from(["app.py", "src/a b.txt", "src/é.txt", "-n", "x{y}", "run.sh", ".dockerignore", "__init__.py"]),
        st.tuples(st.binary(max_size=30) | TEXTS.map(str.encode), st.sampled_from([0o644, 0o755, 0o600])),
    ),
)
def test_a_round_trip_of_any_folder_keeps_all_of_it(stages: list[list[str]], end: str, files: dict[str, tuple[bytes, int]]) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made, "app")
        folder.mkdir()
        files = {
            **files,
            "Dockerfile": ("\n".join(line for s in stages for line in ("FROM busybox", *s)).encode() + end.encode(), 0o644),
        }
        if ".dockerignore" in files:
            files[".dockerignore"] = (b"nothing\n", files[".dockerignore"][1])
        for name, (data, mode) in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            path.chmod(mode)
        import_project(folder, Path(made, "n.ipynb"))
        export_project(Path(made, "n.ipynb"), Path(made, "out"))
        assert without_readme(Path(made, "out")) == tree(folder)
        # And once more, with the README.
        import_project(Path(made, "out"), Path(made, "m.ipynb"))
        export_project(Path(made, "m.ipynb"), Path(made, "again"))
        assert tree(Path(made, "again")) == tree(Path(made, "out"))


def test_the_whole_of_a_dockerfile_that_grows(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "%%dockerfile --append -t app\nFROM busybox",
        "%%dockerfile --append -t app\nRUN date",
        "%%dockerfile -t other\nFROM app",
        "%%dockerfile --append -t app --target last\nFROM busybox AS last",
    )
    written = export_project(path, tmp_path / "out")
    assert written.files == ("Dockerfile", "Dockerfile.other", "README.md") or written.files == (
        "Dockerfile",
        "Dockerfile.app",
        "README.md",
    )
    texts = {(tmp_path / "out" / name).read_text() for name in written.files[:2]}
    assert texts == {"FROM busybox\nRUN date\nFROM busybox AS last\n", "FROM app\n"}
    assert written.notes == ()


def test_a_later_version_takes_the_place_of_an_earlier_one_which_is_named(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "%%context app.py\n1",
        "%%dockerfile -t app\nFROM busybox",
        "%%context app.py\n2",
        "%%dockerfile -t app\nFROM busybox\nCOPY . .",
        "%%dockerfile -t app --graph\nFROM busybox\nCOPY . .",
        ("%%dockerfile -t bad\nFRM busybox", {"tags": ["raises-exception"]}),
        "%context add told.txt --var told",
        "%context clear",
    )
    written = export_project(path, tmp_path / "out")
    assert (tmp_path / "out" / "Dockerfile").read_text() == "FROM busybox\nCOPY . .\n"
    assert (tmp_path / "out" / "app.py").read_text() == "2\n"
    assert written.notes == (
        "An earlier version of a Dockerfile, in cell 2: cell 4 replaces it.",
        "The Dockerfile of cell 6, which is meant to fail.",
        "`told.txt`: its content is the notebook's variable told.",
    )


def test_of_two_that_want_a_name_both_are_there(tmp_path: Path) -> None:
    named = {"dockerlab": {"file": "Dockerfile"}}
    path = notebook(
        tmp_path / "n.ipynb", ("%%dockerfile -t one\nFROM busybox", named), ("%%dockerfile -t me/two:v1\nFROM scratch", named)
    )
    export_project(path, tmp_path / "out")
    assert {name: data for name, (data, _) in without_readme(tmp_path / "out").items()} == {
        "Dockerfile": b"FROM busybox\n",
        "Dockerfile.two-v1": b"FROM scratch\n",
    }
