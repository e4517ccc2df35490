"""`dockerlab.debug()`: a container of the state in which a failed step began, to try the step by hand.

The Dockerfile is cut before the step and built again, with the context, arguments and secrets that the failed build had, which its error
holds: all of it is in the cache, and says so where it is not. A container of it runs a command that does nothing, whatever the image's own
is, with the working directory, user and variables of the step; `ARG`s in scope are variables of the container. What cannot be given is
told: the step's own mounts, its rights.

The image has no name. A container of the same name, made here for the step that failed before, is replaced; another one never is.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from dockerlab import containers, embedded, images
from dockerlab.builds.cutting import SHELL, Point, arguments, point, reading_input
from dockerlab.builds.cutting import shell as shell_of
from dockerlab.builds.driving import BUILDKIT, Asked, run
from dockerlab.builds.exporting import Output
from dockerlab.builds.record import Build
from dockerlab.client import Client, connect, engine_errors
from dockerlab.containers import Container
from dockerlab.dockerfile import parse
from dockerlab.errors import (
    BuildError,
    CommandError,
    Conflict,
    DockerfileError,
    DockerlabError,
    EngineError,
    NotFound,
    NotReady,
    UsageError,
)
from dockerlab.faces import debugging as faces
from dockerlab.faces.debugging import Guide
from dockerlab.images import Image

__all__ = ["LABEL", "NAME", "DebugContainer", "debug"]

NAME: Final = "debug"
LABEL: Final = "dockerlab.debug"

# What keeps a container alive, by what an image may have. The last reads an input that never comes.
_IDLE: Final = (("sleep", "2147483647"), ("tail", "-f", "/dev/null"))
_USUAL: Final = ("sh", "-c")  # what `%%container exec` feeds unless told otherwise; /bin/sh, if it is there
_CANNOT_START: Final = (126, 127)
_SECONDS: Final = 15.0  # for a shell that does nothing
_AGAIN: Final = "Not all that stands before it was in the cache: what ran again may have made another state."


class DebugContainer(Container):
    """The container, with what to do in it. guide: the step, and how to try it. build: the record of the build that was cut."""

    guide: Guide
    build: Build

    def _text(self) -> str:
        return faces.text(self._current(), self.guide)

    def _table(self) -> str:
        return faces.table(self._current(), self.guide)

    def _html(self) -> str:
        return faces.html(self._current(), self.guide)


def debug(
    error: BuildError | DockerfileError,
    *,
    name: str = NAME,
    user: str | None = None,
    progress: Callable[[Build], object] | None = None,
    client: Client | None = None,
) -> DebugContainer:
    """Starts a container of the state before the step that failed; it runs until it is removed.

    error: of the failed build. name: the container's. user: in place of the one whom the step runs as. progress: as of `build`.

    Raises UsageError where there is no such state, or nothing in it that keeps a container alive; Conflict where another container has
    the name; BuildError where what stands before the step no longer builds; EngineError where the engine cannot start it.
    """
    asked, found = _failed(error)
    client = client or connect()
    owner = _owner()
    is_ours = _check_name(client, name, owner)
    text = found.before(asked.text)
    cut = replace(
        asked,
        dockerfile=parse(text),
        text=text,
        tags=(),
        target="",
        no_cache=False,
        no_cache_filter=(),
        cache_to=(),
        output=Output(),
    )
    record = run(client, cut, progress or (lambda build: None), remember=False)
    assert record.image_id, "a build that is done has an image"
    image = images.get(record.image_id, client=client)
    words, variables = _surroundings(text, cut, image, _inherits(client, record))
    options: dict[str, Any] = {
        "name": name,
        "replace": is_ours,
        "env": variables,
        "user": user,
        "network": found.network or None,
        "label": {LABEL: owner},
        "platform": asked.platform or None,
        "client": client,
    }
    container = _idle(record.image_id, words[0], options, found)
    try:
        there = next((one for one in dict.fromkeys([words, _USUAL]) if _has(container, one[0])), None)
    except BaseException:
        with suppress(DockerlabError):
            containers.rm(container, force=True, volumes=True, client=client)
        raise
    guide = _guide(found, container, words, there, _ran_again(record))
    collection: Any = client.containers
    made = DebugContainer(attrs=container.attrs, client=client, collection=collection)
    made.guide, made.build = guide, record
    return made


def _failed(error: BuildError | DockerfileError) -> tuple[Asked, Point]:
    """What was to be built, and where it is to be cut. Raises UsageError."""
    asked, line = getattr(error, "asked", None), error.line
    if not isinstance(error, BuildError) or not isinstance(asked, Asked) or line is None:
        hint = f"No instruction of the Dockerfile was carried out and failed. The failure was: {error}"
        raise UsageError("there is no step to debug in this failure", hint=hint)
    found = point(asked.dockerfile, line)
    failed = [step.line for step in error.build.steps if step.state == "failed"] if isinstance(error.build, Build) else []
    if found is not None and line in failed:
        return asked, found
    if not failed:
        reason = "The engine refused the Dockerfile before it carried out any step: its message says where to mend it."
    else:
        reason = f"Nothing stands before it in its stage that could be started. The failure was: {error}"
    raise UsageError(f"there is no state before line {line} to debug", hint=reason)


def _check_name(client: Client, name: str, owner: str) -> bool:
    """Whether a container of ours has the name. Raises Conflict where it is another's."""
    try:
        there = containers.get(name, client=client)
    except NotFound:
        return False
    if ((there.attrs.get("Config") or {}).get("Labels") or {}).get(LABEL) != owner:
        hint = f"Remove it, or choose another name: `%container debug --name {name}2`."
        raise Conflict(f"there is a container '{name}', and not one that debugs a build of this folder", hint=hint)
    return True


def _owner() -> str:
    """Names this machine and folder, so that two who share an engine keep what is theirs; it cannot be read back."""
    return hashlib.sha256(f"{socket.gethostname()}\0{os.getcwd()}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _inherits(client: Client, record: Build) -> bool:
    """Whether a stage has the ARGs of the one that it begins from: not in the classic builders of others."""
    with engine_errors("ask the engine what it is"):
        return record.builder == BUILDKIT or embedded.is_own(client.version())


def _surroundings(text: str, asked: Asked, image: Image, are_inherited: bool) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The step's shell, and the variables that it sees besides the image's."""
    config = image.attrs.get("Config") or {}
    own = dict(item.partition("=")[::2] for item in config.get("Env") or ())
    platform = f"{image.attrs.get('Os') or 'linux'}/{image.attrs.get('Architecture') or 'amd64'}"
    words, variables = tuple(config.get("Shell") or ()), {}
    with suppress(DockerfileError):  # the engine understood it, which is what counts
        words = words or shell_of(text)
        variables = arguments(text, asked.args, own, build_platform=platform, platform=asked.platform, are_inherited=are_inherited)
    return (_USUAL if words in ((), SHELL) else words), variables


def _idle(image: str, program: str, options: Mapping[str, Any], found: Point) -> Container:
    """A container that does nothing, by what the image has."""
    for entrypoint, *command in (*_IDLE, *dict.fromkeys([(program,), ("sh",)])):
        try:
            started = containers.run(image, command, entrypoint=entrypoint, detach=True, interactive=not command, **options)
        except CommandError as error:
            if error.exit_code not in _CANNOT_START:
                raise
        except EngineError as error:
            if "user" not in error.message or options["user"]:
                raise
            hint = "So it was for the step. As another user: `%container debug -u root`."
            raise type(error)(error.message, evidence=error.evidence, hint=hint, status=error.status) from error
        else:
            assert started is not None, "a detached run has a container"
            return started
    line = found.node.line
    raise UsageError(
        f"the state before line {line} has no command that could keep a container alive: no sleep, no tail, no shell",
        hint=f"To look at its files: build the lines above line {line} with `%%dockerfile --output FOLDER`. For a shell in it, put "
        "`COPY --from=busybox /bin/busybox /bin/sh` above the line while you debug.",
    )


def _has(container: Container, program: str) -> bool:
    """Whether there is a shell to be opened. Raises Conflict where the container has ended."""
    try:
        containers.exec(
            container, [program, "-c", ":"], seconds=_SECONDS, output=lambda stream, data: None, client=container.client
        )
    except CommandError as error:
        return error.exit_code not in _CANNOT_START
    except NotReady:  # it started; what it does is its own affair
        return True
    return True


def _ran_again(record: Build) -> bool:
    """Whether something that stands before the step was not in the cache."""
    return any(step.line and step.state == "done" and step.keyword in ("RUN", "COPY", "ADD") for step in record.steps)


def _guide(found: Point, container: Container, wanted: Sequence[str], shell: Sequence[str] | None, ran_again: bool) -> Guide:
    """wanted: the step's shell. shell: the one that is there, or None."""
    name, node = container.facts.engine_name, found.node
    notes = []
    if found.mounts:
        notes.append(f"Absent here: the step's own mounts, {', '.join(f'`{mount}`' for mount in found.mounts)}.")
    if found.is_privileged:
        notes.append("Absent here: the rights of `--security=insecure`.")
    if shell is None:
        notes.append(f"It has no shell: `%container exec {name} PROGRAM` runs what it has.")
    elif shell != wanted:
        notes.append(f"It has no `{wanted[0]}`, which the step's SHELL names.")
    program = found.interpreter or (reading_input(shell) if shell else ())
    script = found.script or "ls -l"
    reads = () if program == _USUAL[:1] else program
    cell = f"{shlex.join(['%%container', 'exec', name, *reads])}\n{script}" if program else ""
    terminal = shlex.join([*_docker(container.client), "exec", "-it", name, shell[0]]) if shell else ""
    return Guide(node.line, " ".join(node.text.split()), cell, terminal, tuple(notes), _AGAIN if ran_again else "")


def _docker(client: Client) -> Sequence[str]:
    """The `docker` command for an engine. Where DOCKER_HOST says which, a terminal may not know it."""
    url = client.endpoint.url
    return ("docker",) if url == "unix:///var/run/docker.sock" else ("docker", "-H", client.endpoint.shown)
