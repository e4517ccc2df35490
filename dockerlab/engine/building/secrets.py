"""What a command sees of its client's secrets and of its ssh agent, as long as it runs: `RUN --mount=type=secret|ssh`.

    secrets.value("token")                        the bytes, None where the client has none of that name
    with secrets.file(data, mode, uid, gid) as path:     in memory: never on a disk
    with secrets.agent("default", mode, uid, gid) as path:   a socket behind which the client's agent is; None where there is none

A secret is in no text: not in a key of the cache, a layer, a history, a log, the record of a container. A file system in memory is
`/dev/shm`, else the user's runtime directory; where neither is one the build ends, rather than write a secret to a disk.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.home import Home
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.store.disk import file_system
from dockerlab.errors import DockerlabError, EngineError
from dockerlab.wire import services
from dockerlab.wire.protobuf import MalformedError, decode, encode

if TYPE_CHECKING:
    from dockerlab.engine.sessions.session import Call, Session

LONGEST: Final = 500 << 10  # bytes of a secret, as BuildKit's
_IN_MEMORY: Final = ("tmpfs", "ramfs")
_PIECE: Final = 1 << 15
_MOST_AT_ONCE: Final = 32  # connections to an agent


def places(home: Home) -> list[Path]:
    """Where secrets may lie, the first choice first."""
    named = os.environ.get("XDG_RUNTIME_DIR")
    return [Path("/dev/shm"), *([Path(named)] if named else []), Path(f"/run/user/{os.getuid()}"), home.runtime]


def in_memory(path: Path) -> bool:
    """Whether a directory's file system is one, and may be written to."""
    if not os.access(path, os.W_OK | os.X_OK):
        return False
    return file_system(path) in _IN_MEMORY


def _prefix(home: Home) -> str:
    """Of this engine's directories: those of a killed engine are found by it."""
    return f"dockerlab-{hashlib.sha256(os.fsencode(home.root)).hexdigest()[:16]}-"


def clear(home: Home) -> None:
    """Removes what a killed engine left."""
    for place in places(home):
        with suppress(OSError):
            for path in place.glob(f"{_prefix(home)}*"):
                remove(path)


class Secrets:
    """session: None for a build without one, which has no secrets. Thread-safe."""

    def __init__(self, session: Session | None, home: Home, cancellation: Cancellation) -> None:
        self._session, self._home, self._cancellation = session, home, cancellation

    def value(self, id: str) -> bytes | None:
        """A secret's bytes. Raises EngineError, SessionEnded, Cancelled."""
        answer = self._ask(services.GET_SECRET, encode(services.GetSecretRequest(id)))
        if answer is None:
            return None
        try:
            found = decode(services.GetSecretResponse, answer).data
        except MalformedError:
            raise EngineError(f"secret {id}: the client's answer is malformed", status=500) from None
        if len(found) > LONGEST:
            raise EngineError(
                f"secret {id} is longer than {LONGEST >> 10} KB", hint="A bigger file is no secret: bind it.", status=500
            )
        return found

    def _ask(self, path: str, message: bytes) -> bytes | None:
        """The answer; None where the client serves no such thing, or has not what is asked for."""
        from dockerlab.engine.sessions.session import CallFailed  # h2 is imported by whoever has a session
        from dockerlab.wire import grpc

        if self._session is None or not self._session.supports(path):
            return None
        try:
            return self._session.ask(path, message, self._cancellation)
        except CallFailed as error:
            if error.code in (grpc.NOT_FOUND, grpc.UNIMPLEMENTED):
                return None
            if path == services.CHECK_AGENT:
                return None  # agents say it without a status of their own
            raise

    @contextmanager
    def file(self, data: bytes, mode: int, uid: int, gid: int) -> Iterator[Path]:
        """A file that holds it. Raises EngineError where there is no memory-backed place."""
        with self._folder() as folder:
            path = folder / "secret"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            _own(path, mode, uid, gid)
            yield path

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        place = next((place for place in places(self._home) if in_memory(place)), None)
        if place is None:
            hint = "Mount a tmpfs at /dev/shm, or let XDG_RUNTIME_DIR name a directory on one."
            raise EngineError(
                "there is no file system in memory for a secret, and none is written to a disk", hint=hint, status=500
            )
        folder = Path(tempfile.mkdtemp(prefix=_prefix(self._home), dir=place))
        try:
            yield folder
        finally:
            remove(folder)

    # An agent

    def has_agent(self, id: str) -> bool:
        """Whether the client forwards an agent of that name."""
        return self._ask(services.CHECK_AGENT, encode(services.CheckAgentRequest(id))) is not None

    @contextmanager
    def agent(self, id: str, mode: int, uid: int, gid: int) -> Iterator[Path]:
        """A socket at which the client's agent answers."""
        assert self._session
        with ExitStack() as stack:
            path = stack.enter_context(self._folder()) / "agent"
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            _own(path, mode, uid, gid)
            listener.listen(_MOST_AT_ONCE)
            forwarding = _Forwarding(self._session, id, listener, self._cancellation)
            stack.callback(forwarding.close)
            yield path


class _Forwarding:
    """Each connection to a socket is a call of the session."""

    def __init__(self, session: Session, id: str, listener: socket.socket, cancellation: Cancellation) -> None:
        self._session, self._id, self._listener = session, id, listener
        self._outer = cancellation
        self._cancellation = Cancellation()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._is_over = False
        self._accepting = threading.Thread(target=self._accept, name="ssh agent", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """No thread is left."""
        with self._lock:
            self._is_over = True
            socks = [*self._open]
        self._cancellation.cancel()
        for sock in (self._listener, *socks):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with self._lock:
                    if self._is_over or len(self._open) >= _MOST_AT_ONCE:
                        sock.close()
                        continue
                    self._open.add(sock)
                    self._threads = [thread for thread in self._threads if thread.is_alive()]
                    thread = threading.Thread(target=self._serve, args=(sock,), name="ssh agent", daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self._session.call(services.FORWARD_AGENT, {"buildkit.ssh.id": [self._id]}, self._cancellation) as call:
                up = threading.Thread(target=self._up, args=(sock, call), name="ssh agent", daemon=True)
                up.start()
                try:
                    while (message := call.receive()) is not None:
                        sock.sendall(decode(services.BytesMessage, message).data)
                finally:
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                    up.join()
        except (DockerlabError, OSError):
            pass  # who uses the agent sees its connection end
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def _up(self, sock: socket.socket, call: Call) -> None:
        with suppress(DockerlabError, OSError):
            while data := sock.recv(_PIECE):
                call.send(encode(services.BytesMessage(data)))
            call.finish()


def _own(path: Path, mode: int, uid: int, gid: int) -> None:
    path.chmod(mode & 0o7777)
    if uid or gid:
        with suppress(PermissionError):  # of an engine without rights: to the disk all users are one
            os.chown(path, uid, gid)
