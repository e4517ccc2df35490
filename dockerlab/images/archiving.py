"""`save` and `load`: images into a file and out of one, as `docker save` and `docker load` have them; streamed, in constant memory.

An archive takes its file's place when all of it is there: what breaks off, or is interrupted, leaves what was there before. What engines
take differs from one to the other (Podman no gzip, Docker 20.10 no zstd, Docker's own image store no OCI layout alone), so an archive is
decompressed on its way, and gets what it lacks.
"""

from __future__ import annotations

import http.client
import os
import re
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, cast
from urllib.parse import urlencode

import docker.models.images

from dockerlab import hijacking, ledger
from dockerlab.client import Client, connect, engine_errors, gone, meaning
from dockerlab.errors import ArchiveError, DockerlabError, EngineError, NotFound, UsageError
from dockerlab.image import layouts
from dockerlab.images.model import Image
from dockerlab.images.store import Name, get, identity, is_id
from dockerlab.images.transfer import TICK, follow
from dockerlab.images.values import ArchiveProgress, Loaded, Saved
from dockerlab.stream import streaming
from dockerlab.wire import streams
from dockerlab.wire.trace import Status

Report = Callable[[ArchiveProgress], object]
Format = Literal["docker-archive", "oci-archive"]
Compression = Literal["gzip", "zstd", "none"]

FORMATS: Final[tuple[Format, ...]] = ("docker-archive", "oci-archive")
COMPRESSIONS: Final[tuple[Compression, ...]] = ("gzip", "zstd", "none")

_CHUNK: Final = 1 << 20
_END: Final = bytes(1024)  # what every tar ends with
_LOADED: Final = re.compile(r"Loaded image(?:\(s\)| ID)?: (.+)")
_SUFFIXES: Final[dict[str, Compression]] = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".tzst": "zstd"}


def save(
    file: str | os.PathLike[str],
    names: Name | Iterable[Name],
    *,
    format: Format = "docker-archive",
    compress: Compression | None = None,
    progress: Report | None = None,
    client: Client | None = None,
) -> Saved:
    """Writes images into one file, which `load` reads on any engine. A file that is there is replaced.

    format: "docker-archive", as the engine writes it and `docker load` reads it (Docker 25 and later, and dockerlab's own engine, put an
    OCI layout into it, too); "oci-archive", an OCI layout alone, as skopeo and containerd read it. compress: unless given, what the file's
    name says, `.tar.gz`, `.tgz`, `.tar.zst` or `.tzst`; `docker load` takes gzip, and zstd from 23.0 on.
    progress: is called in this thread, at most ten times a second, and once at the end.
    Raises NotFound (an image, the folder), ArchiveError where the file cannot be written, EngineError, EngineGone.
    """
    if format not in FORMATS or compress not in (None, *COMPRESSIONS):
        raise UsageError(
            f"no such format or compression: {format}, {compress}",
            hint=f"Formats: {', '.join(FORMATS)}; compressions: {', '.join(COMPRESSIONS)}.",
        )
    client = client or connect()
    wanted = several(names)
    if not wanted:
        raise UsageError("name the images to save", hint="`%image save FILE IMAGE…`")
    images = [get(name, client=client) for name in wanted]
    path = Path(file).expanduser()
    if path.is_dir():
        raise ArchiveError(f"cannot write '{path}': it is a folder", hint="Name a file in it: app.tar.")
    if path.exists() and not path.is_file():
        # The archive would take its place: there would be no /dev/null any more.
        raise ArchiveError(f"cannot write '{path}': it is a device, a pipe or a socket", hint="Name a file: app.tar.")
    compression = compress or _SUFFIXES.get(path.suffix.lower(), "none")
    doing = f"save {', '.join(image.name for image in images)}"
    told = Told(progress, ArchiveProgress(path.name, "saving", total=sum(int(image.attrs.get("Size") or 0) for image in images)))
    saving = said(client, asked(wanted, images), doing, told)
    whole: Iterator[bytes] = saving if format == "docker-archive" else layouts.oci(saving, lambda: _spool(path.parent))
    try:
        with closing(saving):
            size = _write(path, streams.compressed(whole, "" if compression == "none" else compression))
    except OSError as error:
        if isinstance(error, DockerlabError):
            raise
        raise _unwritable(path, error) from error
    return Saved(path, tuple(image.name for image in images), size)


def asked(wanted: Iterable[Name], images: Iterable[Image]) -> list[str]:
    """What an engine is to be asked for: an archive holds the names by which images were asked for; one that is asked for by its id has
    none there."""
    return [identity(image.name if not isinstance(name, str) else name) for name, image in zip(wanted, images, strict=True)]


def several(names: Name | Iterable[Name]) -> list[Name]:
    """One or several, as a list."""
    return [names] if isinstance(names, str | docker.models.images.Image) else list(names)


def load(file: str | os.PathLike[str], *, progress: Report | None = None, client: Client | None = None) -> Loaded:
    """Gives the engine the images of an archive, compressed (gzip, zstd, xz, bzip2) or not, under the names that they have in it.

    It is a docker-archive or an OCI layout in a tar; of an image for several platforms, the engine's own comes.
    progress: as in `save`. An interrupt ends it in the engine. Raises NotFound where there is no such file; ArchiveError for one that is
    damaged, not safe, or that holds no image for the engine; EngineGone.
    """
    client = client or connect()
    path = Path(file).expanduser()
    with _opened(path) as archive:
        told = Told(progress, ArchiveProgress(path.name, "loading", total=os.fstat(archive.fileno()).st_size))
        plain = layouts.loadable(_counted(archive, told), platform(client), f"'{path.name}'")
        return Loaded(path, sent(client, f"'{path.name}'", _readable(path, plain), told))


def platform(client: Client) -> layouts.Platform:
    """What an engine runs containers for: os and architecture."""
    with engine_errors("ask the engine what it runs on"):
        version = client.version()
    return str(version.get("Os") or ""), str(version.get("Arch") or "")


class Told:
    """Reports how far it is. current: bytes, which another thread may count."""

    def __init__(self, report: Report | None, first: ArchiveProgress) -> None:
        self._report, self._first, self._last = report, first, 0.0
        self.current = 0
        self.tell({})

    def tell(self, layers: dict[str, Status], *, at_once: bool = False) -> None:
        """A report, if it is time for one."""
        now = time.monotonic()
        if self._report and (at_once or now - self._last >= TICK):
            first, self._last = self._first, now
            self._report(ArchiveProgress(first.file, first.doing, self.current, first.total, tuple(layers.values())))


# save


def said(
    client: Client, names: list[str], doing: str, told: Told, opened: Callable[[Any], object] | None = None
) -> Generator[bytes]:
    """The archive, as the engine sends it, on a connection of its own. opened: gets that, for a thread that may end it; reports are then
    that thread's.

    Raises EngineError, EngineGone where it is not whole.
    """
    end = b""
    with engine_errors(doing):
        connection = hijacking.opened(client)
        if opened:
            opened(connection)
        try:
            query = urlencode([("names", name) for name in names])
            response = hijacking.ask(connection, client, "GET", f"/images/get?{query}", headers=[("Connection", "close")])
            if response.status != http.client.OK:
                raise meaning(hijacking.said(response), doing, response.status)
            while chunk := response.read(_CHUNK):
                yield chunk
                told.current += len(chunk)
                if not opened:
                    told.tell({})
                end = (end + chunk)[-len(_END) :]
        except http.client.HTTPException as error:
            raise gone(doing) from error
        finally:
            hijacking.end(connection)
    if not opened:
        told.tell({}, at_once=True)
    if end != _END:
        # An engine that fails on its way says so where the rest of the archive should be.
        words = [line for line in end.decode("utf-8", "replace").splitlines() if line.startswith("{")]
        if not words:
            raise gone(doing)
        raise EngineError(f"cannot {doing}: the engine broke off", evidence=[f"the engine says: {words[-1]}"])


def _spool(folder: Path) -> BinaryIO:
    """A file without a name, which is gone when it is closed."""
    return cast("BinaryIO", tempfile.TemporaryFile(dir=folder))


def _write(path: Path, chunks: Iterator[bytes]) -> int:
    """A file of these bytes, once they are all there; how many. A link stays: what it leads to is written. Raises OSError."""
    path = Path(os.path.realpath(path))
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        try:
            for chunk in chunks:
                draft.write(chunk)
            size = draft.tell()
            draft.close()
            os.replace(draft.name, path)
        except BaseException:
            draft.close()
            Path(draft.name).unlink(missing_ok=True)
            raise
    return size


def _unwritable(path: Path, error: OSError) -> ArchiveError | NotFound:
    if isinstance(error, FileNotFoundError):
        return NotFound(f"cannot write '{path}': there is no folder '{path.parent}'", hint="Make it, or name another.")
    return ArchiveError(
        f"cannot write '{path}': {error.strerror or error}", hint="Another place? What was there before is still there."
    )


# load


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        hint = "`%image save FILE IMAGE` writes one. Is it in this folder: `%pwd`?"
        raise NotFound(f"no file '{path}'", hint=hint) from error
    except OSError as error:
        raise ArchiveError(f"'{path}' cannot be read: {error.strerror or error}") from error


def sent(client: Client, what: str, body: Iterator[bytes], told: Told) -> tuple[Image, ...]:
    """The images of an archive that the engine gets, in its order. what: it is, for errors."""
    lines, error, layers = [], None, dict[str, Status]()
    request: dict[str, Any] = {"params": {"quiet": "0"}, "data": body, "headers": {"Content-Type": "application/x-tar"}}
    try:
        with streaming(client, "POST", "/images/load", doing=f"load {what}", **request) as stream:
            for message in stream.messages(TICK):
                if message:
                    layers = follow(layers, message, what, time.time())
                    error = error or message.get("error")
                    lines += [str(message["stream"])] if "stream" in message else []
                told.tell(layers)
        told.tell(layers, at_once=True)
    except EngineError as answer:
        explanation = getattr(answer.__cause__, "explanation", None)
        if explanation is None or answer.status in (None, 501):  # not of the engine that loads
            raise
        error = str(explanation or answer.message)
    if error is not None:
        raise ArchiveError(
            f"the engine cannot load all of {what}" if lines else f"the engine finds no images in {what}",
            evidence=[f"the engine says: {line}" for line in str(error).strip().splitlines()[:3]],
            hint="It takes what `%image save` and `docker save` write, and the whole of it.",
        )
    names = [name.strip() for line in lines if (match := _LOADED.search(line)) for name in match[1].split(",")]
    images = tuple(_loaded(client, name) for name in names)
    client.api.note(*map(ledger.tag, names), *(ledger.Entry("image", str(image.id)) for image in images))
    return images


def _counted(archive: BinaryIO, told: Told) -> Iterator[bytes]:
    for chunk in streams.chunks(archive):
        told.current += len(chunk)
        yield chunk


def _readable(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Passes them on. Raises ArchiveError for a file that cannot be read."""
    try:
        yield from chunks
    except OSError as error:
        raise ArchiveError(f"'{path.name}' cannot be read: {error.strerror or error}") from error


def _loaded(client: Client, name: str) -> Image:
    """name: a reference, or an id."""
    return get(name.removeprefix("sha256:") if is_id(name.removeprefix("sha256:")) else name, client=client)
