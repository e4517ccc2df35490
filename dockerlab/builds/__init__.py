"""`dockerlab.build()`: a Dockerfile and a build context → an image.

- `context`: the files that COPY and ADD can reach; as a tar stream, for a classic builder
- `session`: what BuildKit asks this process for while it builds; `walking`, `sending`: the context's files, of which changed ones travel
- `classic`, `buildkit`: a builder's stream → the one event type (`dockerlab.wire.trace`)
- `driving`: which of them runs the build, and how
- `record`: events → steps with state, time and log: the value that stays on the image, or on the error
- `diagnosis`: an engine's words → an error with line, caret and next step
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dockerlab import images, reference
from dockerlab.builds.context import Context
from dockerlab.builds.driving import Asked, run
from dockerlab.builds.record import Build, Step
from dockerlab.client import Client, connect
from dockerlab.dockerfile import parse
from dockerlab.errors import BuildError, ContextError, UsageError
from dockerlab.images import Image

__all__ = ["Build", "Context", "Step", "build"]


def build(
    dockerfile: str | os.PathLike[str],
    *,
    context: str | os.PathLike[str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    tag: str | Iterable[str] = (),
    build_arg: Mapping[str, str | None] | Iterable[str] = (),
    target: str | None = None,
    no_cache: bool = False,
    pull: bool = False,
    platform: str | None = None,
    label: Mapping[str, str] | Iterable[str] = (),
    progress: Callable[[Build], object] | None = None,
    client: Client | None = None,
) -> Image:
    """Builds an image. Parameters are named as the flags of `docker build`.

    dockerfile: its text; or a path object, to a file on disk.
    context: the folder that COPY and ADD see. None: `files` alone, never the working directory.
    files: path → content, over that folder.
    tag: one or several references. build_arg, label: a mapping, or `KEY=VALUE` strings; a build_arg `KEY` takes its value from the
    environment, as docker does.
    progress: is called in this thread with the build so far, at most ten times a second, and once with how it ended.

    Returns the image; `image.build` is the record of the build. An interrupt (KeyboardInterrupt) stops the build in the engine.

    Raises BuildError (with line, log, exit code), DockerfileError, ContextError, InvalidReference, NoEngine, EngineGone.
    """
    text = _text(dockerfile)
    parsed = parse(text)
    tags = tuple(reference.parse(t).familiar for t in ([tag] if isinstance(tag, str) else tag))
    source = Context.of(context, files)
    asked = Asked(
        parsed,
        text,
        source,
        tags,
        _pairs("--build-arg", build_arg, from_environment=True),
        _pairs("--label", label, from_environment=False),
        target or "",
        no_cache,
        pull,
        platform or "",
    )
    client = client or connect()
    record = run(client, asked, progress or (lambda build: None))
    assert record.image_id, "a build that is done has an image"
    image = images.get(record.image_id, client=client)
    image.build = record
    if platform:
        _check_platform(image, platform, tags, client)
    return image


def _check_platform(image: Image, platform: str, tags: tuple[str, ...], client: Client) -> None:
    """A classic builder takes a base image of another platform without a word. Such an image keeps no name. Raises BuildError."""
    asked, made = platform.split("/"), [image.attrs.get("Os", ""), image.attrs.get("Architecture", "")]
    if made[: len(asked)] == asked[:2]:
        return
    for tag in tags:
        client.api.remove_image(tag)
    raise BuildError(
        f"the image would be for {'/'.join(made)}, not for {platform}",
        build=image.build,
        hint=f"The base image that the engine has is for {'/'.join(made)}. Leave out --platform, or pull one for {platform} first.",
    )


def _text(dockerfile: str | os.PathLike[str]) -> str:
    if isinstance(dockerfile, str):
        return dockerfile
    path = Path(dockerfile)
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ContextError(
            f"cannot read the Dockerfile '{path}': {reason}", hint=f"Seen from the working directory, {Path.cwd()}."
        ) from error


def _pairs(
    flag: str, given: Mapping[str, str | None] | Mapping[str, str] | Iterable[str], *, from_environment: bool
) -> dict[str, str | None]:
    if isinstance(given, Mapping):
        return dict(given)
    pairs: dict[str, str | None] = {}
    for item in [given] if isinstance(given, str) else given:
        key, equals, value = item.partition("=")
        if not key:
            raise UsageError(f"{flag} '{item}': give KEY=VALUE")
        pairs[key] = value if equals or not from_environment else os.environ.get(key)
        if not equals and not from_environment:
            pairs[key] = ""
    return pairs
