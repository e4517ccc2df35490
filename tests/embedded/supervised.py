"""Supervised containers for tests: of stand-in images, run as root or as somebody else, without an engine.

All that touches a container's files happens in a forked process with the uid that the test asks for, as in a real engine.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import select
import shutil
import socket
import tarfile
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from dockerlab import standins
from dockerlab.engine.home import Home
from dockerlab.engine.rootfs import Change, Root
from dockerlab.engine.rootfs.tree_snapshots import TreeSnapshots
from dockerlab.engine.runtime.inside import Stdio
from dockerlab.engine.runtime.plan import Mount, Network, Plan, Process
from dockerlab.engine.runtime.supervisor.guard import SupervisedGuard
from dockerlab.engine.store.values import Layer

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOMEBODY = 1000
_PATIENCE = 60.0


@dataclass(frozen=True)
class Ran:
    """code: None where it did not start; then `problem` says why."""

    code: int | None
    out: str
    err: str
    problem: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """A container's files; `run` runs one command over them, as often as wanted."""

    box: Box
    identifier: str
    root: Root

    def run(
        self, *argv: str, stdin: bytes = b"", mounts: Sequence[Mount] = (), network: Network | None = None, readonly: bool = False,
        hostname: str = "box", **process: Any,
    ) -> Ran:  # fmt: skip
        """Runs a command alone in the container."""
        plan = replace(self.plan(), mounts=tuple(mounts), network=network or Network(), readonly=readonly, hostname=hostname)
        fields: dict[str, Any] = {"argv": argv, "env": (PATH,), "stdin": True} | process
        command = Process(**fields)
        return cast(Ran, self.box.do(lambda: _alone(plan, command, stdin)))

    def sh(self, script: str, **more: Any) -> Ran:
        """Runs a script of the container's shell."""
        return self.run("sh", "-c", script, **more)

    def plan(self) -> Plan:
        """The bare container."""
        directory = str(self.box.home.container(self.identifier))
        return Plan(self.identifier, directory, "supervised", self.root, Process(("true",)))

    def changes(self) -> list[Change]:
        """As `docker diff`."""
        return cast(list[Change], self.box.do(lambda: self.box.snapshots().changes(self.root)))

    def changed(self) -> list[str]:
        """The same as `docker diff` prints it."""
        return [f"{'CAD'[change.kind]} {change.path}" for change in self.changes()]

    def diff(self) -> bytes:
        """As a layer."""

        def work() -> bytes:
            out = io.BytesIO()
            self.box.snapshots().diff(self.root, out)
            return out.getvalue()

        return cast(bytes, self.box.do(work))

    def usage(self) -> int:
        """Bytes of what it wrote."""
        return cast(int, self.box.do(lambda: self.box.snapshots().usage(self.root)))

    def remove(self) -> None:
        """With all its files."""
        self.box.do(lambda: self.box.snapshots().remove(self.box.home.container(self.identifier)))


@dataclass(frozen=True)
class Box:
    """A home that belongs to `uid`."""

    home: Home
    uid: int

    def do(self, work: Callable[[], object]) -> Any:
        """What `work` gives, in a process that belongs to `uid`."""
        return as_user(self.uid, work)

    def snapshots(self) -> TreeSnapshots:
        """Of this home."""
        return TreeSnapshots(self.home)

    def prepare(self, layers: Sequence[bytes]) -> tuple[str, ...]:
        """Unpacks layers, the lowest first."""
        chain = ""
        values, contents = [], {}
        for content in layers:
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            chain = "sha256:" + hashlib.sha256(f"{chain} {digest}".encode()).hexdigest()
            values.append(Layer(digest, chain, digest, "application/vnd.oci.image.layer.v1.tar", len(content), len(content)))
            contents[chain] = content
        return cast(
            tuple[str, ...], self.do(lambda: self.snapshots().prepare(values, lambda layer: io.BytesIO(contents[layer.chain_id])))
        )

    def container(self, lowers: Sequence[str]) -> Container:
        """A new one."""
        identifier = os.urandom(16).hex()
        root = self.do(lambda: self.snapshots().create(self.home.container(identifier), lowers))
        return Container(self, identifier, root)


@contextmanager
def box(uid: int) -> Iterator[Box]:
    """A new home, for the time of a test."""
    folder = Path(tempfile.mkdtemp(prefix="dockerlab-test-"))
    try:
        folder.chmod(0o700)
        if os.geteuid() == 0:
            os.chown(folder, uid, uid)
        yield Box(Home(folder / "root", folder / "run"), uid)
    finally:
        shutil.rmtree(folder)


def image(name: str) -> list[bytes]:
    """The layers of a stand-in image."""
    with standins.archive(name) as file, tarfile.open(fileobj=file) as archive:
        manifest = json.load(_member(archive, "manifest.json"))[0]
        return [_member(archive, path).read() for path in manifest["Layers"]]


def layer(*members: tuple[str, bytes | str | None, Mapping[str, Any]]) -> bytes:
    """A tar of (name, content, other fields of the TarInfo); content: bytes for a file, None for a directory, a text for a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, fields in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if content is None else 0o644
            info.type = tarfile.DIRTYPE if content is None else tarfile.SYMTYPE if isinstance(content, str) else tarfile.REGTYPE
            info.linkname = content if isinstance(content, str) else ""
            for key, value in fields.items():
                setattr(info, key, value)
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def state_of(folder: Path) -> list[tuple[object, ...]]:
    """All that must not change in an image: names, contents, owners, modes, times, attributes."""
    found: list[tuple[object, ...]] = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        attributes = [] if path.is_symlink() else [(name, os.getxattr(path, name)) for name in os.listxattr(path)]
        found.append((str(path), status.st_ino, status.st_mode, status.st_uid, status.st_mtime_ns, attributes, content))
    return found


def as_user(uid: int, work: Callable[[], object]) -> Any:
    """Forks, becomes `uid`, and gives what `work` gives. Raises AssertionError with the traceback of what it raised."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(read)
            if os.geteuid() != uid:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            try:
                result = (True, work())
            except BaseException:  # noqa: BLE001  it is raised again by who waits
                result = (False, traceback.format_exc())
            with os.fdopen(write, "wb") as file:
                pickle.dump(result, file)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    assert data, "the process has ended without a word"
    good, result = pickle.loads(data)
    assert good, result
    return result


@contextmanager
def guarded(plan: Plan) -> Iterator[SupervisedGuard]:
    """A guard, closed in the end."""
    guard = SupervisedGuard(plan)
    try:
        yield guard
    finally:
        guard.close()


@dataclass
class Started:
    """A process of a guard: its pid, or why there is none, and its pipes."""

    pid: int
    problem: Mapping[str, Any]
    stdin: int
    outputs: dict[int, int]
    tty: int | None = None


def start(guard: SupervisedGuard, process: Process) -> Started:
    """Makes a process, and waits until its command runs."""
    status, status_write = os.pipe()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pipes = [os.pipe() for _ in range(3)]
    fds = () if process.tty else (pipes[0][0], pipes[1][1], pipes[2][1])
    pid = guard.spawn(process, Stdio(fds, status_write, theirs))
    for fd in (status_write, pipes[0][0], pipes[1][1], pipes[2][1]):
        os.close(fd)
    theirs.close()
    with os.fdopen(status, "rb") as file:
        problem = file.read()
    tty = None
    if process.tty:
        tty = socket.recv_fds(ours, 16, 1)[1][0]
    ours.close()
    return Started(pid, json.loads(problem) if problem else {}, pipes[0][1], {1: pipes[1][0], 2: pipes[2][0]}, tty)


def wait(guard: SupervisedGuard, pid: int) -> int:
    """The exit code of a process."""
    while select.select([guard.fileno()], [], [], _PATIENCE)[0]:
        for ended, code in guard.exits():
            if ended == pid:
                return code
    raise AssertionError("the process does not end")


def finish(guard: SupervisedGuard, started: Started, stdin: bytes = b"") -> Ran:
    """Feeds a process, reads what it says, waits for its end."""
    with suppress(BrokenPipeError):
        os.write(started.stdin, stdin)
    os.close(started.stdin)
    found = {1: b"", 2: b""}
    streams = {fd: stream for stream, fd in started.outputs.items()}
    while streams:
        for fd in select.select(list(streams), [], [], _PATIENCE)[0]:
            data = os.read(fd, 65536)
            if not data:
                os.close(fd)
                del streams[fd]
                continue
            found[streams[fd]] += data
    code = wait(guard, started.pid)
    return Ran(None if started.problem else code, found[1].decode(), found[2].decode(), started.problem)


def _alone(plan: Plan, process: Process, stdin: bytes) -> Ran:
    with guarded(plan) as guard:
        return finish(guard, start(guard, process), stdin)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    assert found is not None
    return found
