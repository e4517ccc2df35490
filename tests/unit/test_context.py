"""The build context as a tar stream, read back with `tarfile`."""

from __future__ import annotations

import io
import os
import socket
import sys
import tarfile
from pathlib import Path

import pytest

from dockerlab.builds.context import DOCKERFILE, IGNORE, Context, clean_path
from dockerlab.builds.walking import Content
from dockerlab.errors import ContextError

OURS = {DOCKERFILE, IGNORE}


def unpack(context: Context, dockerfile: str = "FROM x\n") -> dict[str, bytes | None]:
    """path → content, None for what is not a file."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(context.tar(dockerfile)))) as tar:
        return {member.name: stream.read() if (stream := tar.extractfile(member)) and member.isreg() else None for member in tar}


def test_cells_alone_are_the_context_and_never_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stray.txt").write_text("stray")
    monkeypatch.chdir(tmp_path)
    found = unpack(Context.of(files={"app.py": "print()\n", "src/b.bin": b"\0"}))
    assert {path: data for path, data in found.items() if path not in OURS} == {
        "app.py": b"print()\n",
        "src": None,
        "src/b.bin": b"\0",
    }
    assert found[DOCKERFILE] == b"FROM x\n"


def test_cells_lie_over_the_folder(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("old")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1")
    (tmp_path / "Dockerfile").write_text("FROM folder\n")
    found = unpack(Context.of(tmp_path, {"app.py": "new"}))
    assert {path: data for path, data in found.items() if path not in OURS} == {
        "app.py": b"new",
        "data": None,
        "data/a.csv": b"1",
        "Dockerfile": b"FROM folder\n",
    }


def test_dockerignore_counts_from_the_folder_and_from_a_cell(tmp_path: Path) -> None:
    (tmp_path / IGNORE).write_text("*.log\nbig\n!big/keep\n")
    (tmp_path / "big").mkdir()
    for name in ("a.log", "a.py", "big/x", "big/keep"):
        (tmp_path / name).write_text("")
    assert set(Context.of(tmp_path).paths()) == {IGNORE, "a.py", "big/keep"}
    assert set(Context.of(tmp_path, {IGNORE: "*.py\n", "b.py": ""}).paths()) == {IGNORE, "a.log", "big/x", "big/keep"}


def test_our_own_files_stay_out_of_every_copy() -> None:
    assert unpack(Context.of(files={}))[IGNORE] == f"\n{DOCKERFILE}\n{IGNORE}\n".encode()
    given = unpack(Context.of(files={IGNORE: "*.log\n"}))[IGNORE]
    assert given == f"*.log\n\n{DOCKERFILE}\n".encode(), "a .dockerignore of the user's own is copied, as Docker does"


def test_the_same_cells_give_the_same_bytes() -> None:
    one, two = (b"".join(Context.of(files=files).tar("FROM x")) for files in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}))
    assert one == two
    assert len(one) % 512 == 0


@pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and modes as on Unix")
def test_links_modes_and_special_files(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
    name = "long" * 60
    (tmp_path / name).write_text("x")
    with tarfile.open(fileobj=io.BytesIO(b"".join(Context.of(tmp_path).tar("FROM x")))) as tar:
        members = {member.name: member for member in tar}
    assert set(members) - OURS == {"run.sh", "link", "loop", name}
    assert members["run.sh"].mode == 0o755
    assert (members["run.sh"].uid, members["run.sh"].gid) == (0, 0)
    assert members["link"].linkname == "/etc/passwd"


def test_a_missing_folder_a_file_and_an_unreadable_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ContextError, match="does not exist"):
        Context.of(tmp_path / "none")
    with pytest.raises(ContextError, match="is a file, not a folder"):
        Context.of(tmp_path / "file")


def test_a_file_that_changes_while_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (3 << 20))
    chunks = Context.of(tmp_path).tar("FROM x")
    for piece in chunks:
        if len(piece) == 1 << 20:
            break
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(ContextError, match="became shorter"):
        list(chunks)


@pytest.mark.parametrize("path", ["", ".", "../a", "a/../../b", "C:\\x", "a/", "\0"])
def test_paths_that_are_no_files_of_a_context(path: str) -> None:
    with pytest.raises(ContextError):
        clean_path(path)


@pytest.mark.parametrize(("path", "cleaned"), [("./a/b", "a/b"), ("/a", "a"), ("a\\b", "a/b"), ("a//b", "a/b")])
def test_paths_are_made_relative(path: str, cleaned: str) -> None:
    assert clean_path(path) == cleaned


def test_a_file_given_by_content_can_have_a_mode() -> None:
    context = Context.of(files={"run.sh": Content(b"#!/bin/sh\n", 0o755), "a": b""})
    with tarfile.open(fileobj=io.BytesIO(b"".join(context.tar("FROM x\n")))) as tar:
        assert {member.name: oct(member.mode) for member in tar if member.name not in OURS} == {"a": "0o644", "run.sh": "0o755"}
