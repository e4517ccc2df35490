"""`%%dockerfile --append`: a Dockerfile that grows cell by cell, built on every engine; and what a line of it is called in an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dockerlab.client import Client
from dockerlab.errors import BuildError, DockerfileError, UsageError
from dockerlab.testing.shell import Shell

pytestmark = pytest.mark.contract


class Page:
    """The kernel's side of a page that names its cells."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}

    def get_parent(self) -> dict[str, Any]:
        return {"metadata": self.metadata}


class Notebook:
    """Runs cells as a page does: by their ids."""

    def __init__(self, shell: Shell) -> None:
        self.shell, self.page = shell, Page()

    def run(self, cell: str, text: str, deleted: tuple[str, ...] = ()) -> Any:
        self.page.metadata = {"cellId": cell, "deletedCells": list(deleted)}
        return self.shell.run(text).value

    def said(self, image: Any) -> str:
        """What the image's /said holds."""
        return self.shell.run(f"%container run --rm {image.id} cat /said").stdout


@pytest.fixture
def shell(client: Client) -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


@pytest.fixture
def notebook(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    notebook = Notebook(shell)
    monkeypatch.setattr(shell.shell, "kernel", notebook.page)
    return notebook


def test_each_cell_builds_the_whole_down_to_itself(notebook: Notebook, prefix: str) -> None:
    start = f"%%dockerfile --append -t {prefix}app\n"
    notebook.run("a", f"{start}FROM busybox\nRUN echo a > /said")
    assert notebook.said(notebook.run("b", f"{start}RUN echo b >> /said")) == "a\nb\n"
    assert notebook.said(notebook.run("c", f"{start}RUN echo c >> /said")) == "a\nb\nc\n"
    # Run again, it is there once; edited, it keeps its place.
    assert notebook.said(notebook.run("c", f"{start}RUN echo c >> /said")) == "a\nb\nc\n"
    assert notebook.said(notebook.run("b", f"{start}RUN echo B >> /said")) == "a\nB\n"
    assert notebook.said(notebook.run("c", f"{start}RUN echo c >> /said")) == "a\nB\nc\n"
    # A deleted cell is gone, also where the page says so with another cell.
    notebook.run("x", "1 + 1", deleted=("b",))
    assert notebook.said(notebook.run("c", f"{start}RUN echo c >> /said")) == "a\nc\n"
    # Another name is another Dockerfile; a cell without --append begins anew.
    other = notebook.run("d", f"%%dockerfile -t {prefix}other\nFROM busybox\nRUN echo other > /said")
    assert notebook.said(other) == "other\n"
    assert notebook.said(notebook.run("e", f"%%dockerfile --append -t {prefix}other\nRUN echo e >> /said")) == "other\ne\n"
    assert notebook.said(notebook.run("f", f"{start}RUN echo f >> /said")) == "a\nc\nf\n"


def test_an_error_says_the_line_of_the_whole_and_of_the_cell(notebook: Notebook, prefix: str) -> None:
    start = f"%%dockerfile --append -t {prefix}app\n"
    notebook.run("a", f"{start}FROM busybox\nRUN echo a > /said")
    with pytest.raises(BuildError) as caught:
        notebook.run("b", f"{start}RUN true\nRUN exit 3")
    assert str(caught.value).startswith("line 4 (line 2 of this cell): the command ended with exit code 3")
    assert (caught.value.line, caught.value.place[0]) == (4, "4 | RUN exit 3")
    # It is still there, since the cell is: the next one meets it, and is told where.
    with pytest.raises(BuildError) as caught:
        notebook.run("c", f"{start}RUN true")
    assert str(caught.value).startswith("line 4 (line 2 of the 2nd of its 3 cells): the command ended with exit code 3")
    assert notebook.said(notebook.run("b", f"{start}RUN echo b >> /said")) == "a\nb\n"
    assert notebook.said(notebook.run("c", f"{start}RUN echo c >> /said")) == "a\nb\nc\n"


def test_a_heredoc_without_its_end_is_of_a_cell(notebook: Notebook, prefix: str) -> None:
    start = f"%%dockerfile --append -t {prefix}app\n"
    notebook.run("a", f"{start}FROM busybox\nRUN echo a > /said")
    with pytest.raises(DockerfileError, match=r"^line 3 \(line 1 of this cell\): "):
        notebook.run("b", f"{start}RUN <<EOF\necho")


def test_where_no_cell_is_named_a_failed_one_is_taken_back(shell: Shell, prefix: str) -> None:
    start = f"%%dockerfile --append -t {prefix}app\n"
    shell.run(f"{start}FROM busybox\nRUN echo a > /said")
    with pytest.raises(BuildError):
        shell.run(f"{start}RUN false")
    image = shell.run(f"{start}RUN echo b >> /said").value
    assert shell.run(f"%container run --rm {image.id} cat /said").stdout == "a\nb\n"
    graph = shell.run(f"%%dockerfile --append --graph -t {prefix}app\nFROM busybox AS last").value
    assert "last" in str(graph)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%dockerfile --append\nFROM busybox", "--append needs -t NAME"),
        ("%dockerfile --append -t app", "--append is for a cell"),
    ],
)
def test_what_it_needs(cell: str, message: str, shell: Shell) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        shell.run(cell)


def test_a_file_of_the_context_has_its_mode_and_its_end(shell: Shell, prefix: str) -> None:
    shell.run("%%context --chmod 755 run.sh\n#!/bin/sh\necho ran")
    shell.run("%%context -n end.txt\nno newline")
    image = shell.run(f"%%dockerfile -t {prefix}app\nFROM busybox\nCOPY . /\nRUN /run.sh").value
    assert shell.run(f"%container run --rm {image.id} sh -c '/run.sh; wc -c < /end.txt'").stdout == "ran\n10\n"
    with pytest.raises(UsageError, match=r"^--chmod 'u\+x' is not a file's mode"):
        shell.run("%%context --chmod u+x run.sh\n#!/bin/sh")
