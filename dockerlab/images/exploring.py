"""`explore` and `diff`: what the layers of an image hold, from an engine or from an archive on disk.

An engine is asked for the image as `docker save` does, and its answer is read as it comes: nothing is stored. Of an archive in a file
only headers are read, and the bytes of files that were stored twice. What was read of an engine's image is kept with the client, for the
few that were asked for last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from dockerlab.errors import ArchiveError, NotFound, UsageError
from dockerlab.image import layers as joined
from dockerlab.image.archive import Archive, Described
from dockerlab.image.comparison import Comparison
from dockerlab.image.files import Contents, File, repeated
from dockerlab.image.stacking import State
from dockerlab.images.explored import Exploration, ImagesDiff
from dockerlab.wire import streams
from dockerlab.wire.tar import Flow, Readable

# What speaks to an engine is imported where one is asked: it takes longer than a file takes to be read.
if TYPE_CHECKING:
    from dockerlab.client import Client
    from dockerlab.images.model import Image
    from dockerlab.images.store import Name

    Source: TypeAlias = Name | os.PathLike[str]  # an image of an engine, or a file

_CHUNK = 1 << 20
_KEPT = 4
_SUFFIXES = (".tar", ".tgz", ".gz", ".zst", ".xz", ".oci")


def explore(source: Source, *, image: str | None = None, client: Client | None = None) -> Exploration:
    """The layers of an image with their files, what each changed, and what is wasted. It shows itself.

    source: an image, or the path of an archive: `docker save`'s, or an OCI layout in a tar; needs no engine then. A text is a path if it
    looks like one (a slash, or `.tar` and the like at its end) and the file is there. image: which one, if the archive holds several.
    Raises NotFound; ArchiveError for an archive that cannot be read.
    """
    if (path := archive_path(source)) is not None:
        with _archive(path) as archive:
            described = _chosen(archive, image)
            archive.layers(described)
            layers = archive.mark(described, repeated(archive.layers(described)))
            return _exploration(_name(described, path.name), described, layers)
    from dockerlab.client import connect
    from dockerlab.images.store import get

    client = client or connect()
    found = get(source, client=client)  # type: ignore[arg-type]
    found.build = getattr(source, "build", None)
    return explored(found, client)


def passing(stream: Readable, name: str, *, image: str | None = None) -> Exploration:
    """The same of an archive as it comes by, read to its end once: of a pipe, or of another program's answer.

    stream: has `read(n)`, which may give less than n. name: for what is shown. image: which one, if the archive holds several.
    """
    archive = Archive.passing(stream, f"the archive '{name}'")
    described = _chosen(archive, image)
    return _exploration(_name(described, name), described, archive.layers(described))


def explored(image: Image, client: Client) -> Exploration:
    """An engine's image, explored now or kept from before."""
    key = str(image.id)
    kept = client.explored.get(key)
    if isinstance(kept, Exploration):
        return kept.called(image.name, image.build)
    archive = _saved(image, client)
    described = archive.images()[0]
    exploration = _exploration(image.name, described, archive.layers(described))
    client.explored[key] = exploration
    while len(client.explored) > _KEPT:
        client.explored.pop(next(iter(client.explored)), None)
    return exploration.called(image.name, image.build)


def diff(one: Source, other: Source, *, client: Client | None = None) -> ImagesDiff:
    """What differs from one image to another: files, sizes, configuration. Each may be an engine's, or an archive on disk."""
    with ExitStack() as stack:
        sides: list[tuple[str, Described, tuple[Contents, ...], Archive | None]] = []
        for source in (one, other):
            if (path := archive_path(source)) is not None:
                archive = stack.enter_context(_archive(path))
                described = _chosen(archive, None)
                sides.append((_name(described, path.name), described, archive.layers(described), archive))
            else:
                from dockerlab.client import connect

                client = client or connect()
                exploration = explore(source, client=client)
                sides.append((exploration.name, exploration.described, exploration.contents, None))
        files = [_files(layers) for _, _, layers, _ in sides]
        wanted = {path for path, file in files[0].items() if path in files[1] and _unsure(file, files[1][path])}
        if wanted:
            hashed = [archive.mark(described, wanted) if archive else layers for _, described, layers, archive in sides]
            files = [_files(layers) for layers in hashed]
    (name, described, _, _), (other_name, other_described, _, _) = sides
    comparison = Comparison.of(files[0], files[1], described.config, other_described.config)
    ours, theirs = described.diff_ids, other_described.diff_ids
    shared = next(
        (place for place, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), min(len(ours), len(theirs))
    )
    return ImagesDiff((name, other_name), comparison, (len(ours), len(theirs)), shared)


def _files(layers: tuple[Contents, ...]) -> dict[str, File]:
    state = State()
    for contents in layers:
        state.apply(contents)
    return state.files()


def _unsure(file: File, other: File) -> bool:
    return bool(file.size) and file.same(other) and (file.content is None or other.content is None)


def _exploration(name: str, described: Described, layers: tuple[Contents, ...]) -> Exploration:
    diff_ids = described.diff_ids or [""] * len(layers)
    return Exploration(name, described, joined(described.history, diff_ids), layers)


def archive_path(source: Source) -> Path | None:
    """The file that is meant, or None for an image's name."""
    if isinstance(source, os.PathLike):
        return Path(source).expanduser()
    if not isinstance(source, str) or not (os.sep in source or source.endswith(_SUFFIXES)):
        return None
    path = Path(source).expanduser()
    is_path = source.startswith((".", "~")) or path.is_absolute()
    return path if is_path or path.is_file() else None


@contextmanager
def _archive(path: Path) -> Iterator[Archive]:
    """The archive in a file, which is open meanwhile."""
    what = f"the archive '{path.name}'"
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise NotFound(f"no file '{path}'", hint="Name an image, or the file that `docker save -o FILE IMAGE` wrote.") from error
    except OSError as error:
        raise ArchiveError(f"{what} cannot be read: {error.strerror}") from error
    with file:
        compressed = streams.compression(file.read(6))
        file.seek(0)
        yield Archive.passing(file, what) if compressed else Archive.lying(file, what)


def _saved(image: Image, client: Client) -> Archive:
    """The engine's answer to a save, read as it comes."""
    from dockerlab.client import engine_errors

    api: Any = client.api
    name = f"image '{image.name}'"
    with engine_errors(f"read {name}", name):
        response = api.get(api._url("/images/{0}/get", image.id), stream=True, timeout=None)
        with closing(response):
            api._raise_for_status(response)
            chunks = response.iter_content(_CHUNK)
            return Archive.passing(Flow(chunks), f"what the engine says of {name}")


def _chosen(archive: Archive, wanted: str | None) -> Described:
    found = archive.images()
    if wanted is None and len(found) == 1:
        return found[0]
    from dockerlab import reference as references
    from dockerlab.images.model import familiar_names

    # Podman writes names in full, Docker in short.
    named = [image for image in found if wanted is not None and references.parse(wanted).familiar in familiar_names(image.tags)]
    if named:
        return named[0]
    names = ", ".join(tag for image in found for tag in image.tags) or f"{len(found)} without a name"
    if wanted is None:
        raise UsageError(f"{archive.what} holds {len(found)} images: {names}", hint="Say which: `--image NAME`, or `image=NAME`.")
    raise NotFound(f"{archive.what} has no image '{wanted}'", hint=f"It holds: {names}.")


def _name(described: Described, file: str) -> str:
    return f"{described.tags[0]} in {file}" if described.tags else file
