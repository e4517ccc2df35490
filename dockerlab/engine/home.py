"""Where the engine keeps what: a root for what lasts, a runtime directory for sockets. And the one way of writing a file of JSON.

<root>/oci-layout, index.json, blobs/, images.json     images
<root>/layers/, trees/                                  unpacked layers
<root>/containers/<id>/, volumes/<name>/, networks/     what was made of them
<root>/caches/, contexts/                               what builds keep for the next: of RUN --mount=type=cache, of sessions' folders
<root>/tmp/                                             everything half-written
<root>/reserve                                          room for the records of what is removed when the disk is full
<runtime>/engine.sock, <runtime>/m/<id>                 the engine's socket, and one for each container's monitor
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dockerlab.errors import EngineError

_Result = TypeVar("_Result")
BUILD_FILES = "build-"  # in `tmp`: what a build has half made
_RESERVE = "reserve"
_RESERVE_SIZE = 1 << 20
_PORTION = 1 << 16

_PLACES = "DOCKERLAB_ENGINE_ROOT and DOCKERLAB_ENGINE_RUNTIME name directories of your own, for its data and for its sockets."


@dataclass(frozen=True)
class Home:
    """root: on a disk, the user's own. runtime: short (a socket's path holds 107 bytes), for this user alone."""

    root: Path
    runtime: Path

    @property
    def socket(self) -> Path:
        """The engine's socket."""
        return self.runtime / "engine.sock"

    @property
    def host(self) -> str:
        """What DOCKER_HOST is for this engine."""
        return f"unix://{self.socket}"

    @property
    def tmp(self) -> Path:
        """Half-written files; on the same file system as what they become."""
        return self.root / "tmp"

    @property
    def containers(self) -> Path:
        """A directory for each container."""
        return self.root / "containers"

    def container(self, identifier: str) -> Path:
        """The directory of one container."""
        return self.containers / identifier

    @property
    def monitors(self) -> Path:
        """The monitors' sockets."""
        return self.runtime / "m"

    def monitor_socket(self, identifier: str) -> Path:
        """The socket of a running container's monitor."""
        return self.monitors / identifier[:16]

    def create(self) -> None:
        """Makes the directories. Raises EngineError where that is not allowed, or the runtime directory is somebody else's."""
        for path in (self.runtime, self.monitors, self.root, self.tmp, self.containers):
            try:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise EngineError(f"cannot make {path}: {error.strerror}", hint=_PLACES) from error
        found = self.runtime.lstat()
        if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
            raise EngineError(f"{self.runtime} belongs to another user", hint=_PLACES)
        # Images bring set-id programs that no other user of the machine must get at.
        for path in (self.runtime, self.root):
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(0o700)
        self.keep_reserve()

    def keep_reserve(self) -> None:
        """Makes the reserve whole again. Where there is no room for it, there is none: an engine starts on a full disk, too."""
        path = self.root / _RESERVE
        with suppress(OSError), path.open("ab") as file:
            if file.tell() < _RESERVE_SIZE:
                os.posix_fallocate(file.fileno(), 0, _RESERVE_SIZE)


def find(environ: Mapping[str, str]) -> Home:
    """The user's engine: DOCKERLAB_ENGINE_ROOT and DOCKERLAB_ENGINE_RUNTIME, else the XDG base directories, else /tmp for sockets."""
    root = environ.get("DOCKERLAB_ENGINE_ROOT") or os.path.join(_data(environ), "dockerlab", "engine")
    return Home(Path(root).absolute(), Path(_runtime(environ)).absolute())


def _data(environ: Mapping[str, str]) -> str:
    if named := environ.get("XDG_DATA_HOME"):
        return named
    home = environ.get("HOME") or os.path.expanduser("~")
    if not os.path.isabs(home):
        raise EngineError("this user has no home directory", hint=_PLACES)
    return os.path.join(home, ".local", "share")


def _runtime(environ: Mapping[str, str]) -> str:
    if named := environ.get("DOCKERLAB_ENGINE_RUNTIME"):
        return named
    for base in (environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}"):
        if base and os.access(base, os.W_OK | os.X_OK):
            return os.path.join(base, "dockerlab")
    return f"/tmp/dockerlab-{os.getuid()}"


def write_json(path: Path, value: object, *, is_new: bool = False) -> None:
    """Replaces a file by `value` as JSON: whoever reads it, also after this process was killed, finds the old one or the new one, whole.

    On a full disk the reserve makes room, or nobody could stop and remove what fills it; but not for what is new. Raises OSError.
    """
    text = text_of(value)
    if is_new:
        _replace_text(path, text)
    else:
        with_reserve(path, lambda: _replace_text(path, text))


def text_of(value: object) -> str:
    """JSON on one line. Not by `json.dump`, which goes without the encoder in C."""
    return json.dumps(value, separators=(",", ":"))


def with_reserve(path: Path, write: Callable[[], _Result]) -> _Result:
    """Writes to a file; on a full disk the reserve makes room, as long as there is some. Raises OSError."""
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not spend_reserve(path):
                raise


def _replace_text(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_all(fd: int, data: bytes) -> None:
    """write(2) until all is written. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def spend_reserve(path: Path) -> bool:
    """Frees a part of the reserve of the home that a file lies in; whether there was one left."""
    for folder in path.parents:
        with suppress(FileNotFoundError):
            size = (folder / _RESERVE).stat().st_size
            if size:
                os.truncate(folder / _RESERVE, max(0, size - _PORTION))
            return size > 0
    return False


def read_json(path: Path) -> Any:
    """What `write_json` wrote. Raises FileNotFoundError; ValueError for a file that is no JSON."""
    return json.loads(path.read_text(encoding="utf-8"))
