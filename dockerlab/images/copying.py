"""`copy`: images from one engine straight to another, streamed in constant memory, and compared at the end.

What the one saves is what the other loads: no file, no registry. An image that the other has already gets its name there, and nothing is
sent. Ids are the same where both engines keep images in the same way; where one keeps them in containerd's image store, whose ids are
manifests' and not configs', the layers' diff_ids are compared.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing

from dockerlab import hijacking
from dockerlab import reference as references
from dockerlab.client import Client, connect, engine_errors
from dockerlab.errors import EngineError, NotFound, UsageError
from dockerlab.image import layouts
from dockerlab.images.archiving import Report, Told, asked, platform, said, sent, several
from dockerlab.images.model import Image
from dockerlab.images.store import Name, get
from dockerlab.images.values import ArchiveProgress, Copied


def copy(names: Name | Iterable[Name], to: str | Client, *, progress: Report | None = None, client: Client | None = None) -> Copied:
    """Sends images to another engine, under the names by which they are asked for.

    to: a docker context, a URL (unix://, tcp://, ssh://), "embedded", or a client. progress: is called in this thread, at most ten times
    a second, and once at the end. An interrupt ends it in both engines.

    An image for another platform than that engine is sent all the same, with a warning.
    Raises NotFound for an image that is not there, before anything is sent; NoEngine; UsageError where both are one engine;
    EngineError, EngineGone; ArchiveError where the other refuses it.
    """
    source = client or connect()
    wanted = several(names)
    if not wanted:
        raise UsageError("name the images to copy", hint="`%image copy IMAGE… --to ENGINE`")
    images = [get(name, client=source) for name in wanted]
    with ExitStack() as stack:
        target = to if isinstance(to, Client) else stack.enter_context(closing(connect(to)))
        if target.identity == source.identity:
            raise UsageError(
                f"cannot copy {_named(images)}: it is the same engine at both ends",
                hint="`%engine ls` lists others. For another name on this one: `%image tag`.",
            )
        has = platform(target)
        warnings = tuple(warning for image in images if (warning := _warning(image, has)))
        called = asked(wanted, images)
        absent = [(name, image) for name, image in zip(called, images, strict=True) if not _is_there(name, image, target)]
        size = _send(source, target, absent, has, progress) if absent else 0
        found = tuple(get(image.name if image.tags else str(image.id), client=target) for image in images)
        for before, after in zip(images, found, strict=True):
            _compare(before, after)
        same = all(before.id == after.id for before, after in zip(images, found, strict=True))
        return Copied(found, target.endpoint.shown, size, same, warnings)


def _send(source: Client, target: Client, absent: list[tuple[str, Image]], has: layouts.Platform, progress: Report | None) -> int:
    """How many bytes were sent."""
    images = [image for _, image in absent]
    doing = f"copy {_named(images)}"
    told = Told(
        progress,
        ArchiveProgress(
            ", ".join(image.name for image in images), "copying", total=sum(int(image.attrs.get("Size") or 0) for image in images)
        ),
    )
    with closing(_Source(source, [name for name, _ in absent], doing, told)) as saving:
        sent(target, _named(images), layouts.loadable(saving, has, _named(images)), told)
    return told.current


class _Source:
    """The archive as it comes. It may be closed from any thread, while another waits for more."""

    def __init__(self, client: Client, names: list[str], doing: str, told: Told) -> None:
        self._connections: list[object] = []
        self._chunks: Generator[bytes] = said(client, names, doing, told, self._connections.append)

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        for connection in self._connections:
            hijacking.end(connection)


def _is_there(name: str, image: Image, target: Client) -> bool:
    """Whether the other engine has the image already; if so, it has the name by then, too."""
    try:
        get(str(image.id), client=target)
    except NotFound:
        return False
    if image.tags and name != image.id:
        named = references.parse(name)
        with engine_errors(f"tag image '{name}'"):
            target.api.tag(image.id, f"{named.domain}/{named.path}", named.tag)
    return True


def _warning(image: Image, has: layouts.Platform) -> str:
    wanted = (str(image.attrs.get("Os") or ""), str(image.attrs.get("Architecture") or ""))
    if wanted == has or not all(wanted):
        return ""
    needs = "an emulator" if wanted[0] == has[0] else "another kernel"
    return f"{image.name} is {'/'.join(wanted)}, that engine is {'/'.join(has)}: to run there it needs {needs}"


def _compare(before: Image, after: Image) -> None:
    layers = [(image.attrs.get("RootFS") or {}).get("Layers") or [] for image in (before, after)]
    if layers[0] != layers[1]:
        raise EngineError(
            f"image '{before.name}' is not the same on the other engine",
            evidence=[f"here:  {', '.join(layers[0])}", f"there: {', '.join(layers[1])}"],
            hint="Somebody may have given its name there to another image meanwhile: copy it again.",
        )


def _named(images: Iterable[Image]) -> str:
    return ", ".join(f"'{image.name}'" for image in images)
