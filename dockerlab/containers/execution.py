"""`exec`: a command in a running container. `logs`: what a container has printed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dockerlab.client import Client, connect
from dockerlab.containers import options
from dockerlab.containers.connection import conversing
from dockerlab.containers.container import Container, Which, acting, get, not_running
from dockerlab.containers.options import Pairs
from dockerlab.containers.output import Console, Output, failure
from dockerlab.containers.running import TICK, cannot_execute, pass_on, read_env_files
from dockerlab.errors import CommandError, EngineError, NotReady, UsageError
from dockerlab.faces import human

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|us|ns|m|s|d))+")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_RUNTIME_SAID = re.compile(rb"OCI runtime exec failed|executable file .*not found")
_SETTLE_SECONDS = 5.0


def exec(
    container: Which,
    command: str | Iterable[str],
    *,
    interactive: bool = False,
    stdin: bytes | str | None = None,
    env: Pairs = (),
    env_file: Iterable[str | os.PathLike[str]] = (),
    user: str | None = None,
    workdir: str | None = None,
    detach: bool = False,
    seconds: float | None = None,
    output: Output | None = None,
    client: Client | None = None,
) -> None:
    """Runs a command in a running container, and returns when it has ended with 0, or, detached, when it has started.

    Parameters as those of `run`. seconds: how long to wait; None: as long as it takes. An interrupt, or the end of that time, ends the
    wait and the command's input; an engine has no way to end the command itself.

    Raises CommandError (exit code not 0), NotReady (still runs after `seconds`), NotFound, Conflict where the container is not
    running, UsageError.
    """
    if detach and stdin is not None:
        raise UsageError("a detached command cannot be fed", hint="Leave out -d.")
    words = options.words(command)
    if not words:
        raise UsageError(
            "exec needs a command", hint="`%container exec NAME COMMAND`; `%%container exec NAME` feeds the cell to `sh`."
        )
    client = client or connect()
    found = get(container, client=client)
    if found.facts.state != "running":
        raise not_running(found)
    given = stdin.encode() if isinstance(stdin, str) else stdin
    fed = (given or b"") if interactive or given is not None else None
    body = {
        "Cmd": words,
        "Env": options.environment(env, read_env_files(env_file), os.environ),
        "User": user or "",
        "WorkingDir": workdir or "",
        "AttachStdin": fed is not None and not detach,
        "AttachStdout": not detach,
        "AttachStderr": not detach,
    }
    api: Any = client.api
    with acting("execute a command in", found):
        url = api._url("/containers/{0}/exec", found.id)
        identity = api._result(api._post_json(url, data={k: v for k, v in body.items() if v not in ("", [])}), json=True)["Id"]
    try:
        if detach:
            with acting("execute a command in", found):
                api.exec_start(identity, detach=True)
            return
        _attached(client, found, identity, words[0], fed, output, seconds)
    except EngineError as error:
        code = (
            127
            if re.search(r"not found|no such file", " ".join((error.message, *error.evidence))) and error.status != 404
            else None
        )
        if code is None:
            raise
        raise cannot_execute(code, found) from error


def _attached(
    client: Client,
    container: Container,
    identity: str,
    program: str,
    stdin: bytes | None,
    output: Output | None,
    seconds: float | None,
) -> None:
    console = Console() if output is None else None
    write = output or console
    assert write is not None, "there is one or the other"
    last = b""

    def noting(stream: int, data: bytes) -> None:
        nonlocal last
        last = (last + data)[-1000:]
        write(stream, data)

    doing = f"execute a command in container {container.facts.called}"
    body = {"Detach": False, "Tty": False}
    with conversing(client, "POST", f"/exec/{identity}/start", doing=doing, body=body, upgrade=True) as conversation:
        try:
            if stdin is not None:
                conversation.feed(stdin)
            if not pass_on(conversation, noting, seconds):
                what = f"`{human.plain(program)}` in container {container.facts.called} has not ended within {seconds:g} s"
                hint = "It goes on in there, and ends with the container. What is running: `%container top NAME`."
                raise NotReady(what, hint=hint)
        finally:
            if console:
                console.finish()
    exit_code = _exit_code(client, container, identity)
    # Docker 20 has 126 for a command that is not there, and says so in the output; newer ones have 127.
    if exit_code in (126, 127) and _RUNTIME_SAID.search(last):
        if b"chdir" in last:
            what = f"container {container.facts.called} has no such working directory"
            raise CommandError(what, exit_code=exit_code, hint="-w names a folder in the container.")
        raise cannot_execute(127 if b"not found" in last or b"no such file" in last else 126, container)
    if exit_code:
        raise failure(exit_code, container.facts.image)


def _exit_code(client: Client, container: Container, identity: str) -> int:
    """The engine learns of the exit a moment after the output has ended."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        with acting("execute a command in", container):
            state = client.api.exec_inspect(identity)
        if not state.get("Running") and state.get("ExitCode") is not None:
            return int(state["ExitCode"])
        if time.monotonic() >= deadline:
            raise EngineError(f"the engine did not say how the command in container {container.facts.called} ended")
        time.sleep(0.02)


def logs(
    container: Which,
    follow: bool = False,
    tail: int | str | None = None,
    since: str | float | datetime | None = None,
    output: Output | None = None,
    *,
    client: Client | None = None,
) -> None:
    """Writes what a container has printed. follow: go on until it ends, or until an interrupt.

    tail: how many of the last lines; None or "all": all of them. since: a duration back from now ("10m", "1h30m"), an ISO time,
    seconds since the epoch, or a datetime. output: as for `run`. Raises NotFound, UsageError.
    """
    params: dict[str, Any] = {"stdout": 1, "stderr": 1, "follow": int(follow), "tail": _tail(tail)}
    if since is not None:
        params["since"] = f"{moment(since, time.time()):.9f}"
    client = client or connect()
    found = get(container, client=client)
    console = Console() if output is None else None
    write = output or console
    assert write is not None, "there is one or the other"
    terminal = bool((found.attrs.get("Config") or {}).get("Tty"))
    doing = f"read the log of container {found.facts.called}"
    path = f"/containers/{found.id}/logs"
    with conversing(client, "GET", path, doing=doing, params=params, multiplexed=not terminal) as conversation:
        try:
            for chunk in conversation.chunks(TICK):
                if chunk:
                    write(*chunk)
        finally:
            if console:
                console.finish()


def _tail(given: int | str | None) -> str:
    if given is None or given == "all":
        return "all"
    if not str(given).isdecimal():
        raise UsageError(f"--tail '{given}': not a number of lines", hint="Give a number, or all.")
    return str(given)


def moment(given: str | float | datetime, now: float) -> float:
    """Seconds since the epoch of what `--since` was given. Raises UsageError."""
    if isinstance(given, datetime):
        return given.timestamp()
    if isinstance(given, (int, float)):
        return float(given)
    text = given.strip()
    if _DURATION.fullmatch(text):
        return now - sum(float(n) * _SECONDS[u] for n, u in re.findall(r"(\d+(?:\.\d+)?)(ms|us|ns|[hmsd])", text))
    try:
        return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        hint = "Give a duration (10m, 1h30m), or a time: 2026-01-31T12:00:00."
        raise UsageError(f"--since '{given}': not a time", hint=hint) from error
