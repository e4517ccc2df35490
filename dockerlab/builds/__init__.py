"""`dockerlab.build()`: a Dockerfile and a build context → an image.

- `context`: the files that COPY and ADD can reach; as a tar stream, for a classic builder
- `session`: what BuildKit asks this process for while it builds; `walking`, `sending`: the context's files, of which changed ones travel
- `classic`, `buildkit`: a builder's stream → the one event type (`dockerlab.wire.trace`)
- `driving`: which of them runs the build, and how; `solving`: by BuildKit's own API, for `contexts`, named, and `caching`
- `record`: events → steps with state, time and log: the value that stays on the image, or on the error
- `checking`, `hadolint`: what is to be said of a Dockerfile before it is built; `linting`: and beside its lines, once it is
- `remembering`, `memory`: what is kept of a build for the next; `inputs`, `changes`, `aligning`, `reasons`: why a step ran
- `diagnosis`: an engine's words → an error with line, caret and next step
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dockerlab import images, reference
from dockerlab.builds.caching import CacheTo, check_stages
from dockerlab.builds.context import Context
from dockerlab.builds.contexts import Contexts
from dockerlab.builds.driving import Asked, run
from dockerlab.builds.exporting import Output
from dockerlab.builds.reasons import Reason
from dockerlab.builds.record import Build, Step
from dockerlab.builds.secrets import Secrets
from dockerlab.builds.ssh import Agents
from dockerlab.client import Client, connect
from dockerlab.dockerfile import parse
from dockerlab.errors import BuildError, ContextError, UsageError
from dockerlab.images import Image

__all__ = ["Build", "Context", "Reason", "Step", "build", "export"]


def build(
    dockerfile: str | os.PathLike[str],
    *,
    context: str | os.PathLike[str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    tag: str | Iterable[str] = (),
    build_arg: Mapping[str, str | None] | Iterable[str] = (),
    target: str | None = None,
    no_cache: bool = False,
    no_cache_filter: str | Iterable[str] = (),
    pull: bool = False,
    platform: str | None = None,
    label: Mapping[str, str] | Iterable[str] = (),
    cache_from: str | Iterable[str] = (),
    cache_to: str | Iterable[str] = (),
    build_contexts: Mapping[str, str | os.PathLike[str]] | Iterable[str] = (),
    secret: Secrets | Mapping[str, str | bytes] | Iterable[str] = (),
    ssh: str | Iterable[str] = (),
    progress: Callable[[Build], object] | None = None,
    client: Client | None = None,
) -> Image:
    """Builds an image. Parameters are named as the flags of `docker build`.

    dockerfile: its text; or a path object, to a file on disk.
    context: the folder that COPY and ADD see. None: `files` alone, never the working directory.
    files: path → content, over that folder.
    tag: one or several references. build_arg, label: a mapping, or `KEY=VALUE` strings; a build_arg `KEY` takes its value from the
    environment, as docker does.
    no_cache_filter: stages that are built anew. cache_from: images whose layers count as a cache, too. cache_to: `type=inline`, or where
    the engine can `type=registry,ref=…`.
    build_contexts: what else FROM, COPY --from and RUN --mount=from can name: a folder, `docker-image://IMAGE` or an address, by name; a
    mapping, or `NAME=WHAT` strings.
    secret: values by id, or texts such as `id=token,env=TOKEN` and `id=token,src=FILE`. ssh: `default`, or `ID=SOCKET`.
    progress: is called in this thread with the build so far, at most ten times a second, and once with how it ended.

    Returns the image; `image.build` is the record of the build. An interrupt (KeyboardInterrupt) stops the build in the engine.

    Raises BuildError (with line, log, exit code), DockerfileError, ContextError, InvalidReference, UsageError (also for what needs
    BuildKit, or BuildKit's own API, where there is none), NoEngine, EngineGone.
    """
    asked = _asked(
        dockerfile,
        context=context,
        files=files,
        tag=tag,
        build_arg=build_arg,
        target=target,
        no_cache=no_cache,
        no_cache_filter=no_cache_filter,
        pull=pull,
        platform=platform,
        label=label,
        cache_from=cache_from,
        cache_to=cache_to,
        build_contexts=build_contexts,
        secret=secret,
        ssh=ssh,
    )
    client = client or connect()
    record = run(client, asked, progress or (lambda build: None))
    assert record.image_id, "a build that is done has an image"
    image = images.get(record.image_id, client=client)
    image.build = record
    if platform:
        _check_platform(image, platform, asked.tags, client)
    return image


def export(
    dockerfile: str | os.PathLike[str],
    output: str,
    *,
    progress: Callable[[Build], object] | None = None,
    client: Client | None = None,
    **options: Any,
) -> Build:
    """Builds, and writes the result's files to this machine in place of making an image: `docker build --output`.

    output: a folder, `type=tar,dest=FILE`, or another of Docker's forms. options: as of `build`. Returns the record of the build.

    Raises as `build`.
    """
    found = Output.of(output).checked()
    if found.is_pushed:
        raise UsageError("--output does not push", hint="Build it with -t NAME, then: `docker push NAME`.")
    return run(client or connect(), replace(_asked(dockerfile, **options), output=found), progress or (lambda build: None))


def _asked(
    dockerfile: str | os.PathLike[str],
    *,
    context: str | os.PathLike[str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    tag: str | Iterable[str] = (),
    build_arg: Mapping[str, str | None] | Iterable[str] = (),
    target: str | None = None,
    no_cache: bool = False,
    no_cache_filter: str | Iterable[str] = (),
    pull: bool = False,
    platform: str | None = None,
    label: Mapping[str, str] | Iterable[str] = (),
    cache_from: str | Iterable[str] = (),
    cache_to: str | Iterable[str] = (),
    build_contexts: Mapping[str, str | os.PathLike[str]] | Iterable[str] = (),
    secret: Secrets | Mapping[str, str | bytes] | Iterable[str] = (),
    ssh: str | Iterable[str] = (),
) -> Asked:
    """What `build` is given, checked."""
    text = text_of(dockerfile)
    parsed = parse(text)
    anew = tuple(_several(no_cache_filter))
    check_stages(anew, parsed)
    return Asked(
        parsed,
        text,
        Context.of(context, files),
        tags=tuple(reference.parse(t).familiar for t in _several(tag)),
        args=pairs_of("--build-arg", build_arg, from_environment=True),
        labels=pairs_of("--label", label, from_environment=False),
        target=target or "",
        no_cache=no_cache,
        no_cache_filter=anew,
        pull=pull,
        platform=platform or "",
        cache_from=tuple(_several(cache_from)),
        cache_to=tuple(CacheTo.of(one) for one in _several(cache_to)),
        contexts=Contexts.of(build_contexts),
        secrets=secret if isinstance(secret, Secrets) else Secrets.of(secret),
        agents=Agents.of(_several(ssh)),
        ignore=_ignore(dockerfile),
    )


def _several(given: str | Iterable[str]) -> Iterable[str]:
    return [given] if isinstance(given, str) else given


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


def text_of(dockerfile: str | os.PathLike[str]) -> str:
    """A Dockerfile's text. Raises ContextError for a file that cannot be read."""
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


def _ignore(dockerfile: str | os.PathLike[str]) -> bytes | None:
    """What stands in `Dockerfile.dockerignore` beside a Dockerfile on disk: for BuildKit it goes before the context's."""
    if isinstance(dockerfile, str):
        return None
    path = Path(f"{os.fspath(dockerfile)}.dockerignore")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ContextError(f"cannot read '{path}': {error.strerror}") from error


def pairs_of(
    flag: str, given: Mapping[str, str | None] | Mapping[str, str] | Iterable[str], *, from_environment: bool
) -> dict[str, str | None]:
    """What a flag of `KEY=VALUE`s says. Raises UsageError."""
    if isinstance(given, Mapping):
        return dict(given)
    pairs: dict[str, str | None] = {}
    for item in _several(given):
        key, equals, value = item.partition("=")
        if not key:
            raise UsageError(f"{flag} '{item}': give KEY=VALUE")
        pairs[key] = value if equals or not from_environment else os.environ.get(key)
        if not equals and not from_environment:
            pairs[key] = ""
    return pairs
