"""What an engine is: its name and version, what it runs on, how it stores images. And which engines are
known here, and answer.

*Platform* is what the engine runs containers for, which need not be this machine's: Docker Desktop on macOS is `linux/arm64`. The
*image store* is either a *graph driver* (overlay2: Docker's own store of layers) or a *snapshotter* of containerd (overlayfs:
containerd's store, which also keeps images of several platforms).
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from dockerlab import contexts, embedded
from dockerlab.client import Client, connect, engine_errors
from dockerlab.client import use as use_target
from dockerlab.endpoints import usual_sockets
from dockerlab.errors import EngineError, UsageError
from dockerlab.faces import engine as faces
from dockerlab.faces.shown import Shown

_NAMES = {"Engine": "Docker Engine", "Podman Engine": "Podman"}
_ISOLATION = {
    "namespaces": "namespaces: files, processes, hostname",
    "supervised": "supervised: files, hostname",
}
_OLDEST = (1, 40)  # Podman 4 says 1.40 or 1.41, Docker Engine 20.10 says 1.41
_SNAPSHOTTER = "io.containerd.snapshotter"


@dataclass(frozen=True, repr=False)
class Engine(Shown):
    """An engine that answered.

    name: "Docker Engine", "Podman", or what it calls itself. platform: "linux/amd64". image_store: "overlay2 (graph driver)" or
    "overlayfs (containerd snapshotter)". cgroup: "1", "2", or "" where it says none. url: where it was reached, without a password.
    source: why it was looked for there. is_local: whether its published ports are this machine's. isolation: what keeps containers apart,
    where the engine says so: "namespaces", "supervised". warnings: what it says that it cannot do.
    """

    name: str
    version: str
    api_version: str
    platform: str
    operating_system: str
    kernel: str
    image_store: str
    cgroup: str
    is_rootless: bool
    url: str
    source: str
    is_local: bool
    isolation: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    @property
    def facts(self) -> dict[str, str]:
        """Everything else but the warnings, as people read it."""
        return {
            "address": f"{self.url} ({self.source})",
            "host": "this machine" if self.is_local else "a remote machine",
            "API": self.api_version,
            "platform": self.platform,
            "system": self.operating_system,
            "kernel": self.kernel,
            "image store": self.image_store,
            "cgroup": f"v{self.cgroup}" if self.cgroup else "unknown",
            "rights": "rootless" if self.is_rootless else "root",
            **({"isolation": _ISOLATION.get(self.isolation, self.isolation)} if self.isolation else {}),
        }

    def _text(self) -> str:
        return faces.TEXT

    def _table(self) -> str:
        return faces.table(self.title, self.facts, self.warnings)

    def _html(self) -> str:
        return faces.html(self.title, self.facts, self.warnings)


def show(*, client: Client | None = None) -> Engine:
    """The engine that answers. Raises NoEngine, EngineGone."""
    client = client or connect()
    with engine_errors("ask the engine what it is"):
        return engine(client, client.version(), client.info())


class SecondEngine(Shown):
    """An engine of dockerlab's own beside the one in use, as on another machine: with no image, and nothing that outlives it.

    with dockerlab.engines.second() as server:
        dockerlab.images.copy("app", server.client)
        dockerlab.run("app", detach=True, client=server.client)

    client: to it. It ends with `stop()`, with the `with` block, or with this process, also where that is killed.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="dockerlab-")
        self._environ = embedded.apart(self._folder, os.environ)
        self._is_running = True
        atexit.register(self.stop)
        try:
            self.client = connect(embedded.start(environ=self._environ, folder=self._folder))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends it, with its containers, and removes all that it had. Once it has, does nothing. Raises EngineError, OSError."""
        if not self._is_running:
            return
        if hasattr(self, "client"):
            self.client.close()
        done = embedded.run(["stop"], self._environ)
        if done.returncode:
            raise EngineError(
                "the second engine does not end", evidence=done.stderr.splitlines(), hint=f"Its data are in {self._folder}."
            )
        _remove(self._folder)
        self._is_running = False
        atexit.unregister(self.stop)

    def __enter__(self) -> SecondEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _shown(self) -> Engine | None:
        return show(client=self.client) if self._is_running else None

    def _text(self) -> str:
        return "a second engine" if self._is_running else "a second engine, which has ended"

    def _table(self) -> str:
        shown = self._shown()
        return self._text() if shown is None else shown._table()

    def _html(self) -> str:
        shown = self._shown()
        return f"<p>{self._text()}</p>" if shown is None else shown._html()


def second() -> SecondEngine:
    """Starts one more engine of dockerlab's own. Raises CannotStart where none can run, as on macOS and Windows."""
    return SecondEngine()


def _remove(folder: str) -> None:
    """A folder, with the folders in it that somebody has closed to us."""
    for place, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(folder)


@dataclass(frozen=True, repr=False)
class Listed(Shown):
    """An engine that is known here. name: what `use` takes. address: without a password. sources: why it is known. engine: what it is,
    None where it does not answer; answer: what it said instead, hint: what to do about that. images, running, containers: how many it
    has. seconds: until it had answered. is_chosen: whether it is the one in use.
    """

    name: str
    address: str
    sources: tuple[str, ...]
    is_chosen: bool
    engine: Engine | None = None
    images: int = 0
    running: int = 0
    containers: int = 0
    seconds: float = 0.0
    answer: str = ""
    hint: str = ""

    def _text(self) -> str:
        return faces.listed_text([self])

    def _table(self) -> str:
        return faces.listed_table([self])

    def _html(self) -> str:
        return faces.listed_html([self])


class Engines(list[Listed], Shown):
    """The engines that are known here: the one in use first, then those that answer."""

    __repr__ = Shown.__repr__

    def _text(self) -> str:
        return faces.listed_text(self)

    def _table(self) -> str:
        return faces.listed_table(self)

    def _html(self) -> str:
        return faces.listed_html(self)


def ls(*, seconds: float = 5.0) -> Engines:
    """The engines that are known on this machine, and which of them answer: docker contexts, DOCKER_HOST, the usual sockets (Docker,
    rootless, Docker Desktop, Podman, Colima and others), dockerlab's own. They are asked at once; seconds: how long that may take.
    """
    from dockerlab.roster import asked, configured, is_at, roster

    if seconds <= 0:
        raise UsageError("--timeout is more than 0 seconds", hint="`%engine ls --timeout 5`")
    known = roster(os.environ, sys.platform)
    place = configured(os.environ)
    found = []
    for one, answer in zip(known, asked(known, seconds), strict=True):
        address = one.endpoint.shown if one.endpoint else ""
        is_chosen = is_at(one, place)
        if answer.client and answer.version is not None and answer.info is not None:
            with closing(answer.client):
                what = engine(answer.client, answer.version, answer.info)
            images, running, containers = (int(answer.info.get(key) or 0) for key in ("Images", "ContainersRunning", "Containers"))
            found.append(Listed(one.name, address, one.sources, is_chosen, what, images, running, containers, answer.seconds))
        elif answer.attempt:
            said = answer.attempt
            found.append(Listed(one.name, address, one.sources, is_chosen, answer=said.answer, hint=said.hint))
        else:
            found.append(Listed(one.name, address, one.sources, is_chosen, answer=one.problem, hint="See: docker context inspect"))
    if place is None:  # nothing is configured: the first of the usual sockets that answers
        usual = [endpoint.url for endpoint in usual_sockets(os.environ, sys.platform)]
        first = min(
            (one for one in found if one.engine and one.address in usual), key=lambda one: usual.index(one.address), default=None
        )
        found = [replace(one, is_chosen=one is first) for one in found]
    return Engines(sorted(found, key=lambda one: (not one.is_chosen, one.engine is None)))


def use(target: str) -> Engine:
    """Makes `target`, a URL, a docker context or "embedded", the engine of this process and its children.

    Raises as `dockerlab.client.use`.
    """
    client = use_target(target)
    try:
        return show(client=client)
    finally:
        client.close()


def engine(client: Client, version: Mapping[str, Any], info: Mapping[str, Any]) -> Engine:
    """The engine that gave these answers to /version and /info."""
    components = version.get("Components") or [{}]
    component = str(components[0].get("Name", "Engine"))
    return Engine(
        name=_NAMES.get(component, component),
        version=str(version.get("Version", "")),
        api_version=str(version.get("ApiVersion", "")),
        platform=f"{version.get('Os', '')}/{version.get('Arch', '')}",
        operating_system=str(info.get("OperatingSystem") or ""),
        kernel=str(version.get("KernelVersion") or info.get("KernelVersion") or ""),
        image_store=_image_store(info),
        cgroup=str(info.get("CgroupVersion") or ""),
        is_rootless=bool(info.get("Rootless")) or "name=rootless" in (info.get("SecurityOptions") or []),
        url=client.endpoint.shown,
        source=client.endpoint.source,
        is_local=client.endpoint.is_local,
        isolation=_isolation(info),
        warnings=(*_age(version), *(str(line).removeprefix("WARNING: ") for line in info.get("Warnings") or [])),
    )


def targets() -> list[str]:
    """What `use` takes by name on this machine: the docker contexts, and "embedded" where our own engine runs."""
    ours = [embedded.TARGET] if sys.platform == "linux" else []
    return sorted({*contexts.names(os.environ), *ours})


def _age(version: Mapping[str, Any]) -> list[str]:
    """What is to be said of an engine that is older than those that dockerlab is tried with."""
    numbers = str(version.get("ApiVersion") or "").split(".")
    if all(number.isdecimal() for number in numbers) and tuple(map(int, numbers)) < _OLDEST:
        return ["it is older than Docker Engine 20.10 and Podman 4, which dockerlab is tried with: some of it may fail"]
    return []


def _isolation(info: Mapping[str, Any]) -> str:
    """What keeps containers apart: dockerlab's own engine says it with its driver, others do not."""
    return _driver_status(info).get("Isolation", "")


def _driver_status(info: Mapping[str, Any]) -> dict[str, str]:
    return {str(pair[0]): str(pair[1]) for pair in info.get("DriverStatus") or [] if len(pair) == 2}


def _image_store(info: Mapping[str, Any]) -> str:
    status = _driver_status(info)
    kind = "containerd snapshotter" if status.get("driver-type", "").startswith(_SNAPSHOTTER) else "graph driver"
    return f"{info.get('Driver', 'unknown')} ({kind})"
