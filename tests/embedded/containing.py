"""An engine of containers on the real runtime, with one image (busybox, unpacked by hand) in place of a store."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from dockerlab.engine.api import archive, containers, exec, networks, streams, volumes
from dockerlab.engine.containers import Containers
from dockerlab.engine.events import Event, Events
from dockerlab.engine.finding import Finding
from dockerlab.engine.home import Home
from dockerlab.engine.http.router import Router
from dockerlab.engine.networks import Networks
from dockerlab.engine.rootfs import Change, ChangeKind, Root
from dockerlab.engine.runtime import Runtime
from dockerlab.engine.volumes import Volumes
from dockerlab.errors import Conflict, NotFound
from dockerlab.wire.multiplex import Demultiplexer
from tests.embedded.rig import unpack_busybox
from tests.embedded.serving import Reply, Talk, serving

ROUTES = (*containers.ROUTES, *streams.ROUTES, *exec.ROUTES, *archive.ROUTES, *networks.ROUTES, *volumes.ROUTES)
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class OneImage:
    """What containers need of an image."""

    id: str
    run: dict[str, Any]
    layers: tuple[Any, ...] = ()
    size: int = 1000
    config: dict[str, Any] = field(default_factory=lambda: {"os": "linux", "architecture": "amd64"})


class OneStore:
    """A store of a few images that all have the same files."""

    def __init__(self) -> None:
        self.by_name = {
            "busybox:latest": OneImage("sha256:" + "b" * 64, {"Cmd": ["sh"], "Env": [PATH], "Labels": {"from": "image"}})
        }
        self.committed: list[tuple[dict[str, Any], list[str]]] = []

    def get(self, name: str) -> OneImage:
        full = name if ":" in name else f"{name}:latest"
        for known, image in self.by_name.items():
            if full in (known, image.id):
                return image
        raise NotFound(f"No such image: {full}")

    def images(self) -> list[OneImage]:
        return list(self.by_name.values())

    def adding(self) -> AbstractContextManager[None]:
        return nullcontext()

    def open_layer(self, layer: object) -> IO[bytes]:
        raise AssertionError("there are no layers")

    def commit(self, parent: OneImage, layer: IO[bytes], config: dict[str, Any], name: str | None, **more: Any) -> OneImage:
        with tarfile.open(fileobj=layer) as tar:
            self.committed.append((config, tar.getnames()))
        image = OneImage("sha256:" + f"{len(self.by_name):064x}", config)
        self.by_name[(name or image.id).removeprefix("docker.io/library/")] = image
        return image


class OneLower:
    """Roots on top of one unpacked directory."""

    kind = "overlay"

    def __init__(self, lower: Path) -> None:
        self._lower = lower

    def prepare(self, layers: Sequence[Any], open_layer: object) -> tuple[str, ...]:
        return (str(self._lower),)

    def create(self, container: Path, lowers: Sequence[str]) -> Root:
        for name in ("upper", "work"):
            (container / name).mkdir()
        return Root("overlay", tuple(lowers), str(container / "upper"), str(container / "work"))

    def changes(self, root: Root) -> list[Change]:
        found = sorted(path.relative_to(root.upper) for path in Path(root.upper).rglob("*"))
        return [Change(f"/{path}", ChangeKind.ADDED) for path in found]

    def diff(self, root: Root, out: IO[bytes]) -> None:
        with tarfile.open(fileobj=out, mode="w") as tar:
            tar.add(root.upper, arcname=".")

    def usage(self, root: Root) -> int:
        return sum(path.lstat().st_size for path in Path(root.upper).rglob("*") if path.is_file())

    def remove(self, container: Path) -> None:
        if container.exists():
            for path in container.rglob("*"):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o700)
            shutil.rmtree(container)

    def collect(self, keep: Collection[str]) -> None:
        """There is one, and it stays."""

    def sweep(self) -> int:
        return 0

    def check(self, images: object, open_layer: object, *, repair: bool) -> Iterator[Finding]:
        return iter(())


class Engine:
    """What handlers need. runtime: a running one; else one of its own."""

    def __init__(self, home: Home, lower: Path, runtime: Runtime, store: OneStore | None = None) -> None:
        self.home, self.runtime = home, runtime
        self.store = store or OneStore()
        self.events = Events()
        self.networks = Networks(home, self.events)
        self.volumes = Volumes(home, self.events, lambda name: self.containers.volume_users(name))
        parts: Any = (self.store, OneLower(lower), runtime, self.networks, self.volumes, self.events)
        self.containers = Containers(home, *parts)
        self.containers.recover()

    def history(self) -> list[Event]:
        """All events so far."""
        subscription = self.events.subscribe(since=1, until=2**62)
        self.events.unsubscribe(subscription)
        return subscription._past

    def actions(self, identifier: str) -> list[str]:
        """What has happened to a container."""
        return [event.action for event in self.history() if event.id == identifier]

    def clear(self) -> None:
        """Removes all containers and volumes."""
        for container in self.containers.all():
            removed = container.waiter("removed")
            # It may be removing itself at this moment.
            with suppress(Conflict):
                self.containers.remove(container, force=True, volumes=True)
            assert removed.wait(20)
        for volume in self.volumes.all():
            self.volumes.remove(volume.name)

    def close(self) -> None:
        """Removes all containers, and ends."""
        self.clear()
        self.leave()

    def leave(self) -> None:
        """Ends, and leaves containers alone."""
        self.containers.close()
        self.networks.close()


@contextmanager
def engine_at(folder: Path) -> Iterator[tuple[Engine, Path]]:
    """An engine with the busybox image, served on a socket."""
    home = Home(folder / "root", folder / "run")
    home.create()
    unpack_busybox(folder / "busybox")
    runtime = Runtime(home)
    engine = Engine(home, folder / "busybox", runtime)
    try:
        with serving(home.socket, Router(engine, ROUTES), {"Api-Version": "1.48", "Ostype": "linux"}):
            yield engine, home.socket
            engine.close()
    finally:
        runtime.close()


@contextmanager
def temporary_engine() -> Iterator[tuple[Engine, Path]]:
    """As `engine_at`, in a temporary directory with a short name."""
    with tempfile.TemporaryDirectory(prefix="dl-", ignore_cleanup_errors=True) as folder, engine_at(Path(folder)) as served:
        yield served


class Client:
    """Speaks to an engine, a connection a request."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, method: str, path: str, body: Any = None, /, **query: Any) -> Reply:
        """A request with JSON, or with bytes as they are."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
        text = urlencode({name: json.dumps(value) if isinstance(value, dict) else value for name, value in query.items()})
        with Talk(self.path) as talk:
            return talk.ask(method, f"{path}?{text}" if text else path, data, {"Content-Type": kind} if data else {})

    def get(self, path: str, /, **query: Any) -> Any:
        """The JSON of an answer that is fine."""
        reply = self.ask("GET", path, **query)
        assert reply.status == 200, reply.body
        return reply.json()

    def post(self, path: str, body: Any = None, /, **query: Any) -> Reply:
        return self.ask("POST", path, body, **query)

    def create(self, *command: str, name: str = "", host: dict[str, Any] | None = None, **config: Any) -> str:
        """A container of busybox; its id."""
        body = {"Image": "busybox", "Cmd": list(command) or None, "HostConfig": host or {}, **config}
        reply = self.post("/containers/create", body, **({"name": name} if name else {}))
        assert reply.status == 201, reply.body
        return str(reply.json()["Id"])

    def run(self, *command: str, **more: Any) -> str:
        """A container that is started; its id."""
        identifier = self.create(*command, **more)
        reply = self.post(f"/containers/{identifier}/start")
        assert reply.status == 204, reply.body
        return identifier

    def ready(self, *command: str, **more: Any) -> str:
        """A container that has printed its first words: its traps are set by then."""
        identifier = self.run(*command, **more)
        with Talk(self.path) as talk:
            talk.send(f"GET /containers/{identifier}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert talk.head().status == 200
            assert talk.chunk()
        return identifier

    def wait(self, identifier: str) -> int:
        """Its exit code, once it has ended."""
        return int(self.post(f"/containers/{identifier}/wait").json()["StatusCode"])

    def output(self, identifier: str, **query: Any) -> dict[int, bytes]:
        """What it printed, by stream."""
        reply = self.ask("GET", f"/containers/{identifier}/logs", stdout=1, stderr=1, **query)
        assert reply.status == 200, reply.body
        return by_stream(reply.body)

    def inspect(self, identifier: str) -> Any:
        return self.get(f"/containers/{identifier}/json")

    def message(self, method: str, path: str, body: Any = None, /, **query: Any) -> tuple[int, str]:
        """Status and message of an error."""
        reply = self.ask(method, path, body, **query)
        return reply.status, reply.json()["message"]

    @contextmanager
    def attached(self, identifier: str, **query: Any) -> Iterator[Talk]:
        """A connection that is attached."""
        text = urlencode({"stream": 1, "stdout": 1, "stderr": 1} | query)
        with Talk(self.path) as talk:
            talk.send(
                f"POST /containers/{identifier}/attach?{text} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            )
            assert talk.head().status == 101
            yield talk


def by_stream(data: bytes) -> dict[int, bytes]:
    """Frames, put together."""
    found = {1: b"", 2: b""}
    for stream, piece in Demultiplexer().feed(data):
        found[stream] += piece
    return found
