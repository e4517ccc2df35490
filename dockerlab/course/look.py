"""`Look`: what an exercise may ask of an engine. State alone: what a cell or a log says can be printed by anybody.

What is not there is None or empty, never an error; an engine that is gone or refuses is one. Nothing of the learner's is changed: a file
of an image is read by a container that is never started, an image is tried in one of its own, and both are removed.
"""

from __future__ import annotations

import io
import posixpath
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dockerlab import containers, images
from dockerlab.client import Client, engine_errors
from dockerlab.containers import Container, Page
from dockerlab.containers.container import acting
from dockerlab.containers.ports import published_in
from dockerlab.errors import CommandError, NotFound, NotReady, UsageError
from dockerlab.faces import human
from dockerlab.images import Image

if sys.version_info >= (3, 11, 4):
    import tarfile
else:
    from backports import tarfile  # type: ignore[import-not-found,import-untyped,no-redef,unused-ignore]

_LARGEST = 1_000_000  # bytes of a file, or of an output, that are looked at
_LINKS = 10
_WIDTH = 40
_SECONDS = 15.0  # for a command in a container
_PATIENCE = 30.0  # seconds for a container that is tried to answer


@dataclass(frozen=True)
class Ran:
    """What a command in a container gave. output: both streams."""

    exit_code: int
    output: str


@dataclass(frozen=True)
class Look:
    """The engine as it is now; each question is asked anew."""

    client: Client

    # Containers. What docker-py's Container has is there, too: `container.attrs` is what `inspect` says.

    def containers(self, image: str | None = None, *, stopped: bool = False) -> tuple[Container, ...]:
        """The containers that run, the newest first. image: only those made from what now bears that name. stopped: others, too."""
        wanted = None if image is None else self.image(image)
        if image is not None and wanted is None:
            return ()
        with engine_errors("list the containers"):
            listed = self.client.api.containers(all=stopped)
        found = [self.container(one["Id"]) for one in listed if wanted is None or _same(one.get("ImageID"), wanted.id)]
        return tuple(one for one in found if one is not None and (stopped or one.facts.state == "running"))

    def container(self, name: str) -> Container | None:
        """The container of that name, whether it runs or not: `container.facts.state` says."""
        try:
            return containers.get(name, client=self.client)
        except NotFound:
            return None

    def environment(self, container: Container) -> dict[str, str]:
        """The variables that it was started with, those of its image included."""
        return _environment(container.attrs)

    def mounts(self, container: Container) -> dict[str, str]:
        """What is mounted in it: path in the container → name of the volume, or path on the engine's machine."""
        mounts = container.attrs.get("Mounts") or ()
        return {str(one["Destination"]): str(one.get("Name") or one.get("Source") or "") for one in mounts}

    def networks(self, container: Container) -> tuple[str, ...]:
        """The names of the networks that it is in."""
        return tuple(sorted((container.attrs.get("NetworkSettings") or {}).get("Networks") or ()))

    def is_published(self, container: Container, port: int | str) -> bool:
        """Whether a port of it, 5000 or "5000/udp", is published."""
        number, _, protocol = str(port).partition("/")
        return any((str(one.port), one.protocol) == (number, protocol or "tcp") for one in published_in(container.attrs))

    def page(self, container: Container, port: int | str, path: str = "/") -> Page | None:
        """What a published port answers to a browser (`.status`, `.text`); None where it is not published, or is silent for 5 s."""
        try:
            return container.page(port, path)
        except (NotReady, UsageError):
            return None

    def run(self, container: Container, *command: str) -> Ran:
        """Runs a command in a container that runs. One that is not there gives 127, as in a shell; NotReady for one that does not end."""
        gathered = bytearray()

        def gather(_: int, data: bytes) -> None:
            gathered.extend(data[: _LARGEST - len(gathered)])

        try:
            containers.exec(container, command, seconds=_SECONDS, output=gather, client=self.client)
        except CommandError as error:
            return Ran(error.exit_code, gathered.decode("utf-8", "replace"))
        return Ran(0, gathered.decode("utf-8", "replace"))

    # Files

    def read(self, place: Container | Image, path: str) -> str | None:
        """The text of a file in a container, running or not, or in an image; None where there is none, or one of over 1 MB."""
        if isinstance(place, Image):
            with self._made_of(place) as container:
                return self.read(container, path)
        for _ in range(_LINKS):
            member, content = self._member(place, path)
            if member is None or not member.issym():
                return content
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
        return None

    def _member(self, container: Container, path: str) -> tuple[tarfile.TarInfo | None, str | None]:
        """What is at a path, and its text if it is a file."""
        try:
            with acting("read a file of", container):
                chunks, stat = self.client.api.get_archive(container.id, path)
                if int(stat.get("mode") or 0) & 1 << 31:  # Go's bit for a folder, which may be large
                    return None, None
                packed = io.BytesIO()
                for chunk in chunks:
                    packed.write(chunk)
                    if packed.tell() > 2 * _LARGEST:
                        break
        except NotFound:
            return None, None
        packed.seek(0)
        with tarfile.open(fileobj=packed, mode="r|") as archive:
            member = archive.next()
            file = archive.extractfile(member) if member is not None and member.isreg() and member.size < _LARGEST else None
            return member, file.read().decode("utf-8", "replace") if file else None

    @contextmanager
    def trial(self, image: Image, port: int) -> Iterator[Container | None]:
        """A container of an image, with that port published, which is removed afterwards; None where it ends, or its port stays silent.

        What is in an image says little of whether it works. Here it may show it.
        """
        name = f"dockerlab-trial-{secrets.token_hex(6)}"
        try:
            try:
                started = containers.run(
                    image,
                    detach=True,
                    name=name,
                    publish=[port],
                    label={"dockerlab.course": "trial"},
                    wait=port,
                    wait_timeout=_PATIENCE,
                    client=self.client,
                )
            except (CommandError, NotReady):
                started = None
            yield started
        finally:
            containers.rm(name, force=True, volumes=True, client=self.client)

    def write(self, container: Container, path: str, text: str) -> None:
        """Puts a file into a container, for a trial of it. Raises NotFound where there is no such folder."""
        content = text.encode()
        member = tarfile.TarInfo(posixpath.basename(path))
        member.size, member.mode = len(content), 0o644
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.addfile(member, io.BytesIO(content))
        with acting("write a file of", container):
            self.client.api.put_archive(container.id, posixpath.dirname(path) or "/", packed.getvalue())

    @contextmanager
    def _made_of(self, image: Image) -> Iterator[Container]:
        api: Any = self.client.api
        with engine_errors(f"create a container of {image.name}"):
            made = api.create_container(image.id, ["none"], labels={"dockerlab.course": "look"})
        try:
            yield containers.get(made["Id"], client=self.client)
        finally:
            containers.rm(made["Id"], force=True, volumes=True, client=self.client)

    # Images, volumes, networks

    def image(self, name: str) -> Image | None:
        """The image of that name. `image.layers` are the lines of its history, the oldest first; `image.files` the tree of its files."""
        try:
            return images.get(name, client=self.client)
        except NotFound:
            return None

    def configuration(self, image: Image) -> dict[str, Any]:
        """What is noted in it: "Cmd", "Env", "ExposedPorts", "WorkingDir", "User", … as the engine names them."""
        return dict(image.attrs.get("Config") or {})

    def volume(self, name: str) -> dict[str, Any] | None:
        """All that the engine says of a volume."""
        return self._inspected(name, "volume", self.client.api.inspect_volume)

    def network(self, name: str) -> dict[str, Any] | None:
        """All that the engine says of a network."""
        return self._inspected(name, "network", self.client.api.inspect_network)

    def _inspected(self, name: str, kind: str, inspect: Any) -> dict[str, Any] | None:
        try:
            with engine_errors(f"look at {kind} '{name}'", f"{kind} '{name}'"):
                found: dict[str, Any] = inspect(name)
                return found
        except NotFound:
            return None


def quoted(text: str) -> str:
    """Text from a container for a sentence: `'Hi'`, in one line, cut where it is long."""
    return f"'{human.shorten(human.plain(text), _WIDTH)}'"


def _environment(attrs: dict[str, Any]) -> dict[str, str]:
    pairs = (str(entry).partition("=") for entry in (attrs.get("Config") or {}).get("Env") or ())
    return {name: value for name, _, value in pairs}


def _same(one: Any, other: Any) -> bool:
    """Whether two ids of an image are the same; engines leave out the algorithm now and then."""
    return str(one or "").removeprefix("sha256:") == str(other or "").removeprefix("sha256:") != ""
