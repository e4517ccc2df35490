"""`save` and `load`: images into a file and out of one, as `docker save` and `docker load` have them; streamed, in constant memory.

An archive takes its file's place when all of it is there: what breaks off, or is interrupted, leaves what was there before. What engines
take compressed differs from one to the other (Podman no gzip, Docker 20.10 no zstd), so an archive is decompressed on its way.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final

import docker.models.images

from dockerlab import ledger
from dockerlab.client import Client, connect, engine_errors, gone
from dockerlab.errors import ArchiveError, DockerlabError, EngineError, NotFound, UsageError
from dockerlab.images.model import Image
from dockerlab.images.store import Name, get, identity, is_id
from dockerlab.images.transfer import TICK, follow
from dockerlab.images.values import ArchiveProgress, Loaded, Saved
from dockerlab.stream import streaming
from dockerlab.wire import streams
from dockerlab.wire.trace import Status

Report = Callable[[ArchiveProgress], object]

_CHUNK: Final = 1 << 20
_END: Final = bytes(1024)  # what every tar ends with
_LOADED: Final = re.compile(r"Loaded image(?:\(s\)| ID)?: (.+)")


def save(
    file: str | os.PathLike[str], names: Name | Iterable[Name], *, progress: Report | None = None, client: Client | None = None
) -> Saved:
    """Writes images into one file, which `load` and `docker load` read on any engine. A file that is there is replaced.

    progress: is called in this thread, at most ten times a second, and once at the end.
    Raises NotFound (an image, the folder), ArchiveError where the file cannot be written, EngineError, EngineGone.
    """
    client = client or connect()
    wanted = [names] if isinstance(names, str | docker.models.images.Image) else list(names)
    if not wanted:
        raise UsageError("name the images to save", hint="`%image save FILE IMAGE…`")
    images = [get(name, client=client) for name in wanted]
    path = Path(file).expanduser()
    if path.is_dir():
        raise ArchiveError(f"cannot write '{path}': it is a folder", hint="Name a file in it: app.tar.")
    if path.exists() and not path.is_file():
        # The archive would take its place: there would be no /dev/null any more.
        raise ArchiveError(f"cannot write '{path}': it is a device, a pipe or a socket", hint="Name a file: app.tar.")
    # An archive holds the names by which the images were asked for; one that is asked for by its id has none there.
    asked = [image.name if not isinstance(name, str) else name for name, image in zip(wanted, images, strict=True)]
    doing = f"save {', '.join(image.name for image in images)}"
    told = _Told(progress, ArchiveProgress(path.name, "saving", total=sum(int(image.attrs.get("Size") or 0) for image in images)))
    try:
        size = _write(path, _said(client, [identity(name) for name in asked], doing, told))
    except OSError as error:
        if isinstance(error, DockerlabError):
            raise
        raise _unwritable(path, error) from error
    return Saved(path, tuple(image.name for image in images), size)


def load(file: str | os.PathLike[str], *, progress: Report | None = None, client: Client | None = None) -> Loaded:
    """Gives the engine the images of an archive, compressed (gzip, zstd, xz, bzip2) or not, under the names that they have in it.

    progress: as in `save`. An interrupt ends it in the engine. Raises NotFound where there is no such file; ArchiveError for one that is
    damaged, or that the engine finds no images in; EngineGone.
    """
    client = client or connect()
    path = Path(file).expanduser()
    with _opened(path) as archive:
        told = _Told(progress, ArchiveProgress(path.name, "loading", total=os.fstat(archive.fileno()).st_size))
        said = _sent(client, path, archive, told)
    names = [name.strip() for line in said if (match := _LOADED.search(line)) for name in match[1].split(",")]
    images = tuple(_loaded(client, name) for name in names)
    client.api.note(*map(ledger.tag, names), *(ledger.Entry("image", str(image.id)) for image in images))
    return Loaded(path, images)


class _Told:
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


def _said(client: Client, names: list[str], doing: str, told: _Told) -> Generator[bytes]:
    """The archive, as the engine sends it. Raises EngineError where it is not whole."""
    api: Any = client.api
    end = b""
    with engine_errors(doing):
        response = api.get(api._url("/images/get"), params={"names": names}, stream=True, timeout=None)
        with closing(response):
            api._raise_for_status(response)
            for chunk in response.iter_content(_CHUNK):
                yield chunk
                told.current += len(chunk)
                told.tell({})
                end = (end + chunk)[-len(_END) :]
    told.tell({}, at_once=True)
    if end != _END:
        # An engine that fails on its way says so where the rest of the archive should be.
        words = [line for line in end.decode("utf-8", "replace").splitlines() if line.startswith("{")]
        if not words:
            raise gone(doing)
        raise EngineError(f"cannot {doing}: the engine broke off", evidence=[f"the engine says: {words[-1]}"])


def _write(path: Path, chunks: Generator[bytes]) -> int:
    """A file of these bytes, once they are all there; how many. A link stays: what it leads to is written. Raises OSError."""
    path = Path(os.path.realpath(path))
    with closing(chunks), tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
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


def _sent(client: Client, path: Path, archive: BinaryIO, told: _Told) -> list[str]:
    """What the engine says of an archive that it gets."""
    said, error, layers = [], None, dict[str, Status]()
    body = _checked(path, streams.decompressed(_counted(archive, told)))
    request: dict[str, Any] = {"params": {"quiet": "0"}, "data": body, "headers": {"Content-Type": "application/x-tar"}}
    try:
        with streaming(client, "POST", "/images/load", doing=f"load '{path.name}'", **request) as stream:
            for message in stream.messages(TICK):
                if message:
                    layers = follow(layers, message, path.name, time.time())
                    error = error or message.get("error")
                    said += [str(message["stream"])] if "stream" in message else []
                told.tell(layers)
        told.tell(layers, at_once=True)
    except EngineError as answer:
        if answer.status is None or answer.status == 501:
            raise
        error = str(getattr(answer.__cause__, "explanation", None) or answer.message)
    if error is not None:
        raise ArchiveError(
            f"the engine finds no images in '{path.name}'" if not said else f"the engine cannot load all of '{path.name}'",
            evidence=[f"the engine says: {line}" for line in str(error).strip().splitlines()[:3]],
            hint="It takes what `%image save` and `docker save` write, and the whole of it.",
        )
    return said


def _counted(archive: BinaryIO, told: _Told) -> Iterator[bytes]:
    for chunk in streams.chunks(archive):
        told.current += len(chunk)
        yield chunk


def _checked(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Passes them on. Raises ArchiveError for a file that cannot be read, or is damaged."""
    try:
        yield from chunks
    except OSError as error:
        raise ArchiveError(f"'{path.name}' cannot be read: {error.strerror or error}") from error
    except EngineError as error:
        raise ArchiveError(f"'{path.name}' is damaged or not whole", evidence=[error.message], hint=error.hint) from error


def _loaded(client: Client, name: str) -> Image:
    """name: a reference, or an id."""
    return get(name.removeprefix("sha256:") if is_id(name.removeprefix("sha256:")) else name, client=client)
