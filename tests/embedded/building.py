"""COPY and ADD for tests, without an engine: a context of given files, an instruction, and what its layer says.

    with benches(tmp_path) as make:
        bench = make([("a.txt", b"A", {})])
        bench.copy("COPY a.txt /to/")  → ["to/ d755 0:0", "to/a.txt f644 0:0 'A'"]

A line is a path, the kind and mode, the owner, and the content or where a link leads.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dockerlab.dockerfile.commands import Add, Copy
from dockerlab.dockerfile.parser import parse
from dockerlab.dockerfile.reading import read
from dockerlab.engine.building import copying
from dockerlab.engine.building.archive import Archive, spooled
from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.building.context import Context
from dockerlab.engine.home import Home
from dockerlab.engine.rootfs.reading import View
from dockerlab.engine.rootfs.views import EMPTY
from dockerlab.errors import DockerlabError
from tests.embedded.archives import File, layer

TIME = 1_000_000_000
KINDS = {
    tarfile.REGTYPE: "f",
    tarfile.DIRTYPE: "d",
    tarfile.SYMTYPE: "l",
    tarfile.LNKTYPE: "h",
    tarfile.FIFOTYPE: "p",
    tarfile.CHRTYPE: "c",
}


def dated(*files: File) -> bytes:
    """A tar of files that are all of one time."""
    return layer(*((name, content, {"mtime": TIME, **fields}) for name, content, fields in files))


def instruction(text: str) -> Copy | Add:
    """A COPY or an ADD, as it stands in a Dockerfile."""
    dockerfile = parse(f"FROM scratch\n{text}\n")
    command = read(dockerfile.nodes[1], dockerfile)
    assert isinstance(command, Copy | Add)
    return command


def listed(data: bytes) -> list[str]:
    """A layer's entries, a line each."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            kind = KINDS.get(member.type, "f" if member.isfile() else "?")
            file = tar.extractfile(member) if member.isfile() else None
            said = f" {file.read(100).decode('latin-1')!r}" if file else f" -> {member.linkname}" if member.linkname else ""
            name = member.name + ("/" if member.isdir() else "")
            found.append(f"{name} {kind}{member.mode:o} {member.uid}:{member.gid}{said}")
    return found


def times(data: bytes) -> dict[str, float]:
    """When each of a layer's entries was changed last."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member.mtime for member in tar}


# What COPY is tried with: a context, and the root that is there already.
FILES: list[File] = [
    ("a.txt", b"A", {}),
    ("b.txt", b"B", {}),
    ("a.md", b"M", {}),
    (".hid", b"h", {}),
    ("[x]", b"br", {}),
    ("s p", b"sp", {}),
    ("ln", "a.txt", {}),
    ("lnd", "dir", {}),
    ("dir", None, {"mode": 0o700, "uid": 9}),
    ("dir/x.txt", b"X", {"uid": 5, "gid": 6}),
    ("dir/l", "x.txt", {}),
    ("dir/sub", None, {"mode": 0o711}),
    ("dir/sub/y", b"Y", {"mode": 0o4755}),
    ("dir/sub/z.md", b"Z", {}),
    ("hd", None, {}),
    ("hd/1", b"11", {}),
    ("hd/2", b"", {"type": tarfile.LNKTYPE, "linkname": "hd/1"}),
    ("p", None, {}),
    ("p/q", None, {"mode": 0o711}),
    ("p/q/g", b"g", {}),
    ("p/q/r", None, {}),
    ("p/q/r/f", b"f", {}),
    ("p/sl", "q", {}),
    ("over", None, {}),
    ("over/d", b"a file", {}),
    ("under", None, {}),
    ("under/f", None, {}),
    ("under/f/z", b"z", {}),
    ("links", None, {}),
    ("merge", None, {"mode": 0o700}),
    ("merge/dd", None, {"mode": 0o750}),
    ("merge/dd/new", b"N", {}),
    ("links/sf", "elsewhere", {}),
]
BASE = dated(
    ("etc", None, {}),
    ("etc/passwd", b"root:x:0:0::/:/bin/sh\njoe:x:70:71::/:/bin/sh\n", {}),
    ("etc/group", b"root:x:0:\njoe:x:71:joe\nstaff:x:50:\n", {}),
    ("d", None, {"mode": 0o711, "uid": 9, "gid": 9}),
    ("d/f", b"old", {}),
    ("d/dd", None, {}),
    ("file", b"file", {}),
    ("sl", "d", {}),
    ("abs", "/d", {}),
    ("dang", "/nowhere/there", {}),
    ("up", "../../d", {}),
    ("sf", "file", {}),
    ("loop", "loop", {}),
    ("own", b"own", {"uid": 7, "gid": 8, "mode": 0o4755}),
    ("owned", None, {"uid": 7, "gid": 8, "mode": 0o2750}),
    ("owned/z", b"z", {"uid": 7, "gid": 8}),
    ("h1", b"H", {}),
    ("h2", b"", {"type": tarfile.LNKTYPE, "linkname": "h1"}),
    ("fifo", b"", {"type": tarfile.FIFOTYPE}),
    ("null", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
)


@dataclass
class Bench:
    """files: of the context. base: a tar of what is in the root already. stack: closes what was opened."""

    folder: Path
    stack: ExitStack
    files: Sequence[File] = ()
    base: bytes = b""
    cancellation: Cancellation = field(default_factory=Cancellation)

    @cached_property
    def home(self) -> Home:
        home = Home(self.folder / "root", self.folder / "run")
        home.create()
        return home

    def context(self) -> Context:
        """The files with a Dockerfile, as a client sends them."""
        return self.read(dated(("Dockerfile", b"FROM scratch\n", {}), *self.files))

    def read(self, data: bytes, dockerfile: str = "Dockerfile", remote: str = "") -> Context:
        context = Context.read(io.BytesIO(data), self.home, dockerfile, remote, self.cancellation)
        self.stack.callback(context.close)
        return context

    def archive(self, data: bytes) -> Archive:
        """A view of a tar, with its owners."""
        archive = Archive(spooled([data], self.home.tmp), owners=True)
        self.stack.callback(archive.close)
        return archive

    def root(self) -> View:
        return self.archive(self.base) if self.base else EMPTY

    def plan(self, text: str, *, workdir: str = "/", epoch: int | None = None, source: View | None = None) -> copying.Plan:
        return copying.plan(
            instruction(text),
            source or self.context(),
            self.root(),
            workdir,
            epoch=epoch,
            home=self.home,
            cancellation=self.cancellation,
        )

    def layer(self, text: str, *, workdir: str = "/", epoch: int | None = None, source: View | None = None) -> bytes:
        """The layer that an instruction makes."""
        out = io.BytesIO()
        with self.plan(text, workdir=workdir, epoch=epoch, source=source) as plan:
            plan.write(out)
        return out.getvalue()

    def copy(self, text: str, *, workdir: str = "/", source: View | None = None) -> list[str]:
        return listed(self.layer(text, workdir=workdir, source=source))

    def digest(self, text: str, source: View | None = None) -> str:
        with self.plan(text, source=source) as plan:
            return plan.digest

    def fails(self, text: str) -> str:
        """The error that an instruction ends with."""
        with pytest.raises(DockerlabError) as caught:
            self.layer(text)
        return caught.value.message

    def left(self) -> list[Path]:
        """What lies in the place for half-made files."""
        return [*self.home.tmp.iterdir()]


@contextmanager
def benches(folder: Path) -> Iterator[Callable[..., Bench]]:
    """Makes benches, of files and a base."""
    with ExitStack() as stack:

        def make(files: Sequence[File] = (), base: bytes = b"") -> Bench:
            return Bench(folder / "bench", stack, files, base)

        yield make


Make = Callable[..., Bench]


class _Handler(BaseHTTPRequestHandler):
    """Gives what `server.pages` has, with the headers of `server.headers`; a callable page answers itself."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        page = self.server.pages.get(path)  # type: ignore[attr-defined]
        if callable(page):
            page(self)
            return
        self.send_response(404 if page is None else 200)
        for name, value in self.server.headers.get(path, {}).items():  # type: ignore[attr-defined]
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page or b"")))
        self.end_headers()
        self.wfile.write(page or b"")

    def log_message(self, *_arguments: object) -> None: ...


Page = bytes | Callable[[Any], None]


@contextmanager
def published(pages: Mapping[str, Page], headers: Mapping[str, Mapping[str, str]] | None = None) -> Iterator[str]:
    """A web server's address. pages, headers: by path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.pages, server.headers = pages, headers or {}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def repository(folder: Path, files: Mapping[str, str]) -> dict[str, Page]:
    """A repository `/project.git` with a branch `main`, a tag `v1` and a second commit on `next`, as the pages of a plain web server.

    Skips where git is not installed.
    """
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    work = folder / "work"
    work.mkdir(parents=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "a", f"GIT_{who}_EMAIL": "a@b", f"GIT_{who}_DATE": f"{TIME} +0000"}

    def git(*words: str, where: Path = work) -> None:
        subprocess.run(["git", *words], cwd=where, env=environment, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    for name, text in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    git("add", "-A")
    git("commit", "-q", "-m", "one")
    git("tag", "v1")
    git("checkout", "-q", "-b", "next")
    (work / "next").write_text("next")
    git("add", "-A")
    git("commit", "-q", "-m", "two")
    git("checkout", "-q", "main")
    bare = folder / "project.git"
    git("clone", "-q", "--bare", str(work), str(bare))
    git("update-server-info", where=bare)
    return {f"/project.git/{path.relative_to(bare)}": path.read_bytes() for path in bare.rglob("*") if path.is_file()}


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[Path]:
    """A file system of that many bytes; skips where none can be mounted."""
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"needs a small file system, and none can be mounted: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
