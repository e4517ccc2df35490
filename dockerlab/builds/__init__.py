"""`dockerlab.build()`: a Dockerfile and a build context → an image.

- `context`: the files that COPY and ADD can reach, as a tar stream
- `classic`: the classic builder's stream → the one event type (`dockerlab.wire.trace`)
- `record`: events → steps with state, time and log: the value that stays on the image, or on the error
- `diagnosis`: an engine's words → an error with line, caret and next step
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dockerlab import embedded, images, reference
from dockerlab.builds.classic import Adapter
from dockerlab.builds.context import DOCKERFILE, Context
from dockerlab.builds.diagnosis import diagnose, refuse_heredocs
from dockerlab.builds.record import Build, Step, Trace
from dockerlab.client import Client, connect, engine_errors, gone
from dockerlab.dockerfile import Dockerfile, parse
from dockerlab.errors import BuildError, ContextError, EngineError, UsageError
from dockerlab.images import Image
from dockerlab.stream import streaming

__all__ = ["Build", "Context", "Step", "build"]

_TICK = 0.1  # seconds between two reports: at most ten a second
_REASON = "dockerlab speaks to an engine's classic builder through docker-py"


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
    parameters = {
        "dockerfile": DOCKERFILE,
        "t": list(tags),
        "buildargs": json.dumps(_pairs("--build-arg", build_arg, from_environment=True)),
        "labels": json.dumps(_pairs("--label", label, from_environment=False)),
        "target": target or "",
        "nocache": no_cache,
        "pull": pull,
        "platform": platform or "",
        "rm": True,
        "forcerm": True,
    }
    client = client or connect()
    if any(node.heredocs for node in parsed.nodes):
        with engine_errors("ask the engine what it is"):
            is_own = embedded.is_own(client.version())
        if not is_own:
            refuse_heredocs(parsed, "classic")
    record = _run(client, parsed, text, source, tags, {k: v for k, v in parameters.items() if v}, progress or (lambda build: None))
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


def _run(
    client: Client,
    parsed: Dockerfile,
    text: str,
    source: Context,
    tags: tuple[str, ...],
    parameters: Mapping[str, Any],
    progress: Callable[[Build], object],
) -> Build:
    """Drives one build: messages → events → record, reports while it runs, and raises what went wrong."""
    adapter, trace = Adapter(parsed), Trace(parsed, tags, "classic", _REASON, time.time())
    for event in adapter.begin():
        trace.apply(event)
    headers = {"Content-Type": "application/x-tar"}
    api: Any = client.api
    api._set_auth_headers(headers)
    outcome = "failed"
    try:
        with streaming(
            client, "POST", "/build", doing="build the image", params=parameters, headers=headers, data=source.tar(text)
        ) as stream:
            reported = 0.0
            for message in stream.messages(_TICK):
                now = time.time()
                for event in adapter.feed(message, now) if message else ():
                    trace.apply(event)
                if now - reported >= _TICK:
                    progress(trace.snapshot(now))
                    reported = now
        for event in adapter.end(time.time()):
            trace.apply(event)
        if adapter.error is None and adapter.image_id is None:
            raise gone("build the image")
        outcome = "failed" if adapter.error is not None else "done"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    except EngineError as error:
        # Refused before the first step, as an HTTP answer.
        said = getattr(error.__cause__, "explanation", None) or error.message
        raise diagnose(str(said), None, parsed, trace.snapshot(time.time(), "failed"), source.paths()) from error
    finally:
        record = trace.snapshot(time.time(), outcome, adapter.image_id)
        progress(record)
    if adapter.error is not None:
        raise diagnose(adapter.error, adapter.exit_code, parsed, record, source.paths())
    return record
