"""`run`: carries out the plan that `configuration` makes.

    create → attach (before the start, so that no output is missed) → start → the output, as it comes → the exit code

A detached run ends after the start, or when the container is ready. Either there is a container to return, or none is left behind;
only a foreground command that ended by itself leaves its container, as with `docker run`, unless --rm takes it away. There we
remove it, not the engine (AutoRemove): Podman 4 loses the exit code of a container that it removes.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker.errors
import requests

from dockerlab import images
from dockerlab.client import Client, connect, engine_errors, gone
from dockerlab.containers import container as there
from dockerlab.containers.calls import Call
from dockerlab.containers.configuration import CreateConfig, Surroundings, create_config
from dockerlab.containers.connection import Conversation, conversing
from dockerlab.containers.container import Container, acting
from dockerlab.containers.facts import image_name
from dockerlab.containers.options import Pairs, parse_env_file
from dockerlab.containers.output import Console, Output, failure
from dockerlab.containers.readiness import require_something, wait_ready
from dockerlab.errors import CommandError, DockerlabError, EngineError, UsageError
from dockerlab.faces import human
from dockerlab.stream import streaming
from dockerlab.wire.multiplex import STDERR

TICK = 0.1
_GRACE = 1.0  # seconds between SIGINT and SIGKILL
_LAST_WORDS = 2.0  # seconds for output to end after SIGKILL
_REMOVAL = 10.0  # seconds for an engine to finish a removal that it has begun
_KERNELS = {"linux": "Linux", "windows": "Windows"}
_LINES, _TAIL_BYTES = 20, 65536
_NOT_FOUND = re.compile(r"executable file .*not found|exec: .*no such file or directory|cannot find the file specified", re.DOTALL)
_NOT_EXECUTABLE = re.compile(r"exec: .*(?:permission denied|is a directory|not a directory|exec format error)", re.DOTALL)


def run(
    image: Any,
    command: str | Iterable[str] | None = None,
    *,
    detach: bool = False,
    interactive: bool = False,
    stdin: bytes | str | None = None,
    publish: Iterable[str | int] = (),
    env: Pairs = (),
    env_file: Iterable[str | os.PathLike[str]] = (),
    volume: Iterable[str] = (),
    workdir: str | None = None,
    user: str | None = None,
    name: str | None = None,
    rm: bool = False,
    network: str | None = None,
    memory: str | int | None = None,
    cpus: str | float | None = None,
    entrypoint: str | Iterable[str] | None = None,
    label: Pairs = (),
    restart: str | None = None,
    platform: str | None = None,
    replace: bool = False,
    wait: bool | int | str | None = None,
    wait_timeout: float = 60.0,
    output: Output | None = None,
    progress: Callable[[Any], object] | None = None,
    client: Client | None = None,
) -> Container | None:
    """Runs a command in a new container. Parameters are named as the flags of `docker run`.

    image: a reference, an id, or an Image; it is pulled if it is missing. command: words, or text that is split as a shell does;
    None: the image's own. stdin: fed to the command, and then ended. replace: a container of the same name is removed first, as
    Podman does.
    wait: with detach, return when the container is ready: True for its health check or all published ports, or a port;
    wait_timeout: in seconds. output: is called in this thread with (1|2, bytes) as output comes; None: sys.stdout and sys.stderr.
    progress: of a pull.

    Returns the container if detached, else None when the command has ended with 0. An interrupt stops the container.

    Raises UsageError, CommandError (exit code not 0; 127 and 126 also where the command cannot be started), NotReady, NotFound,
    Conflict (a name or a port in use), EngineError, EngineGone, NoEngine.
    """
    _check(detach, stdin, name, replace, wait)
    client = client or connect()
    reference = image if isinstance(image, str) else (image.tags or [image.id])[0]
    config = create_config(
        reference,
        command,
        attach=not detach,
        interactive=interactive or stdin is not None,
        publish=publish,
        env=env,
        env_file_items=read_env_files(env_file),
        volume=volume,
        workdir=workdir,
        user=user,
        name=name,
        rm=rm and detach,
        network=network,
        memory=memory,
        cpus=cpus,
        entrypoint=entrypoint,
        label=label,
        restart=restart,
        platform=platform,
        surroundings=Surroundings(os.environ, os.getcwd(), os.path.expanduser("~"), client.endpoint.is_local),
    )
    if platform is not None:
        _require_kernel(platform, client)
    images.ensure(reference, platform=platform, progress=progress, client=client)
    if replace and name is not None:
        _remove(client, name, volumes=False)
    if detach:
        awaited = None if wait in (None, False) else (None if wait is True else wait,)
        return _detached(client, config, awaited, wait_timeout, output)
    given = stdin.encode() if isinstance(stdin, str) else stdin
    _foreground(client, config, (given or b"") if interactive or given is not None else None, rm, output)
    return None


def _check(detach: bool, stdin: object, name: str | None, replace: bool, wait: object) -> None:
    if detach and stdin is not None:
        raise UsageError(
            "a detached container cannot be fed", hint="Leave out -d, or feed a command in it: `%%container exec NAME`."
        )
    if replace and name is None:
        raise UsageError("--replace needs --name", hint="It replaces the container of that name.")
    if wait not in (None, False) and not detach:
        raise UsageError("--wait needs -d", hint="Without -d a run returns when the command has ended.")


def _require_kernel(platform: str, client: Client) -> None:
    """Raises EngineError for a system that the engine's kernel is not of; another architecture may be emulated there."""
    wanted = platform.lower().partition("/")[0]
    with engine_errors("ask the engine what it runs on"):
        has = str(client.version().get("Os") or "").lower()
    if wanted in _KERNELS and has in _KERNELS and wanted != has:
        raise EngineError(
            f"a {_KERNELS[wanted]} container cannot run here: the kernel beneath this engine is {_KERNELS[has]}",
            evidence=[f"platform {platform} was asked for; the engine runs {has} containers"],
            hint=f"A container brings no kernel, it uses its host's: {_KERNELS[wanted]} programs need an engine on {_KERNELS[wanted]}.",
        )


def read_env_files(names: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The items of env files, in order. Raises UsageError for one that cannot be read."""
    items: list[str] = []
    for name in (names,) if isinstance(names, (str, os.PathLike)) else names:
        try:
            content = Path(name).read_bytes()
        except OSError as error:
            hint = f"Seen from the working directory, {Path.cwd()}."
            raise UsageError(f"--env-file '{name}' cannot be read: {error.strerror}", hint=hint) from error
        items += parse_env_file(content, str(name), os.environ)
    return items


def _detached(
    client: Client, config: CreateConfig, awaited: tuple[int | str | None] | None, timeout: float, output: Output | None
) -> Container:
    """awaited: None for no waiting, or a port, or None for whatever tells that the container is ready."""
    with _created(client, config, output or Console()) as container:
        if awaited is None:
            _start(container)
        else:
            container.refresh()
            require_something(container.attrs, awaited[0], config.published, f"container {container.facts.label}")
            with _attached(container) as conversation:
                tail = _Tail(conversation)
                _start(container)
                wait_ready(container, awaited[0], timeout, tail.lines, "The container was removed.")
        container.refresh()
        return container


def _foreground(client: Client, config: CreateConfig, stdin: bytes | None, rm: bool, output: Output | None) -> None:
    console = Console() if output is None else None
    write = output or console
    assert write is not None, "there is one or the other"
    with _created(client, config, write) as container:
        with _attached(container, stdin=stdin is not None) as conversation:
            _start(container)
            try:
                if stdin is not None:
                    conversation.feed(stdin)
                pass_on(conversation, write)
                (exit_code,) = exit_codes([container])
            except KeyboardInterrupt:
                _stop(container, conversation, write)
                if not rm:
                    raise _Interrupted from None
                raise
            finally:
                if console:
                    console.finish()
        hint = _memory_hint(container, config) if exit_code == 137 else None
        if rm:
            _remove(client, container.id, volumes=True)
    if exit_code:
        raise failure(exit_code, container.facts.image, hint)


def exit_codes(several: Sequence[Container]) -> list[int]:
    """Waits until containers have ended. An interrupt ends the wait alone."""
    codes = []
    with ExitStack() as stack:
        streams = [
            stack.enter_context(
                streaming(c.client, "POST", f"/containers/{c.id}/wait", doing=f"wait for container {c.facts.called}")
            )
            for c in several
        ]
        for container, stream in zip(several, streams, strict=True):
            with acting("wait for", container):
                answer = next((message for message in stream.messages(TICK) if message), None)
            if answer is None:
                raise gone(f"wait for container {container.facts.called}")
            codes.append(int(answer["StatusCode"]))
    return codes


class _Interrupted(KeyboardInterrupt):
    """An interrupt after which the container is kept."""


@contextmanager
def _created(client: Client, config: CreateConfig, output: Output) -> Iterator[Container]:
    """A container that is removed if the block fails. output: gets what the engine warns of, a limit that it cannot keep."""
    image = image_name(config.body["Image"]) or "the image"

    def create() -> Any:
        with engine_errors(f"create a container of {image}", f"image {image}"):
            api: Any = client.api
            return api.create_container_from_config(dict(config.body), config.name, config.platform)

    call = Call(create, "creates")
    try:
        created = call.result()
    except KeyboardInterrupt:
        # The request is under way: what it makes is to go, too.
        with suppress(DockerlabError):
            _remove(client, str(call.result()["Id"]), volumes=True)
        raise
    identity = str(created["Id"])
    try:
        for warning in created.get("Warnings") or ():
            output(STDERR, f"WARNING: {warning}\n".encode())
        yield there.get(identity, client=client)
    except _Interrupted:
        raise KeyboardInterrupt from None
    except BaseException:
        # The first error is the one to be told; an engine that is gone cannot remove anything either.
        with suppress(DockerlabError):
            _remove(client, identity, volumes=True)
        raise


def _start(container: Container) -> None:
    with cannot_start(container), acting("start", container):
        container.client.api.start(container.id)


@contextmanager
def cannot_start(container: Container) -> Iterator[None]:
    """Maps what a runtime says of a command that is not there, or cannot be executed, to CommandError."""
    try:
        yield
    except EngineError as error:
        said = " ".join((error.message, *error.evidence))
        code = 127 if _NOT_FOUND.search(said) else 126 if _NOT_EXECUTABLE.search(said) else None
        if code is None:
            raise
        raise cannot_execute(code, container) from error


def cannot_execute(code: int, container: Container) -> CommandError:
    """The error for a command that is not there, or cannot be executed; its exit code is the shell's for this."""
    image = container.facts.image or "the image"
    what = f"there is no such command in {image}" if code == 127 else f"the command in {image} cannot be executed"
    hint = failure(code, image).hint
    return CommandError(what, exit_code=code, hint=hint)


def pass_on(conversation: Conversation, output: Output, seconds: float | None = None) -> bool:
    """Output as it comes, until it ends (True), or for so many seconds."""
    deadline = None if seconds is None else time.monotonic() + seconds
    for chunk in conversation.chunks(TICK):
        if chunk:
            output(*chunk)
        if deadline is not None and time.monotonic() >= deadline:
            return False
    return True


def _stop(container: Container, conversation: Conversation, output: Output) -> None:
    """Asks the command to end, and ends it if it does not."""
    api = container.client.api
    ended = False
    try:
        with _unless_stopped():
            api.kill(container.id, signal="SIGINT")
        ended = pass_on(conversation, output, _GRACE)
    finally:
        if not ended:
            with _unless_stopped():
                api.kill(container.id, signal="SIGKILL")
            with suppress(DockerlabError):
                pass_on(conversation, output, _LAST_WORDS)


@contextmanager
def _unless_stopped() -> Iterator[None]:
    """A container that has ended meanwhile, or an engine that is gone, needs no signal."""
    with suppress(docker.errors.APIError, requests.exceptions.RequestException):
        yield


def _remove(client: Client, container: str, *, volumes: bool) -> None:
    """Removes it by force, and with it the volumes that were made for it alone. One that is gone, or going, is as good as
    removed."""
    try:
        with engine_errors(f"remove container '{container}'"):
            client.api.remove_container(container, force=True, v=volumes)
    except EngineError as error:
        if "in progress" in error.message:
            _wait_until_gone(client, container)
        elif error.status != 404:
            raise


def _wait_until_gone(client: Client, container: str) -> None:
    """The engine is removing it; gives it the time for that."""
    deadline = time.monotonic() + _REMOVAL
    while time.monotonic() < deadline:
        try:
            client.api.inspect_container(container)
        except docker.errors.NotFound:
            return
        time.sleep(TICK)


def _memory_hint(container: Container, config: CreateConfig) -> str | None:
    container.refresh()
    if not (container.attrs.get("State") or {}).get("OOMKilled"):
        return None
    limit = config.body.get("HostConfig", {}).get("Memory")
    return f"Its memory ran out{f': the limit is {human.size(limit)}' if limit else ''}. Give it more: `--memory`."


@contextmanager
def _attached(container: Container, *, stdin: bool = False) -> Iterator[Conversation]:
    """A conversation with the container's command, from before its start."""
    params = {"stream": 1, "stdout": 1, "stderr": 1, **({"stdin": 1} if stdin else {})}
    path = f"/containers/{container.id}/attach"
    doing = f"attach to container {container.facts.called}"
    with ExitStack() as stack:
        # Podman prepares the command already here, and finds what is wrong with it.
        with cannot_start(container), acting("start", container):
            attached = conversing(container.client, "POST", path, doing=doing, params=params, upgrade=True)
            conversation = stack.enter_context(attached)
        yield conversation


class _Tail:
    """The last lines of a container's output, gathered as it comes, so that they are there even after its removal."""

    def __init__(self, conversation: Conversation) -> None:
        self._bytes = bytearray()
        self._conversation = conversation
        self._thread = threading.Thread(target=self._gather, name="dockerlab gathers output", daemon=True)
        self._thread.start()

    def lines(self) -> Sequence[str]:
        self._thread.join(timeout=0.5)
        return human.plain(bytes(self._bytes).decode("utf-8", "replace")).rstrip().splitlines()[-_LINES:]

    def _gather(self) -> None:
        with suppress(DockerlabError):
            for chunk in self._conversation.chunks(TICK):
                if chunk:
                    self._bytes += chunk[1]
                    del self._bytes[:-_TAIL_BYTES]
