"""Compose files, run by Docker Compose: several containers of one app, with their networks and volumes.

    compose.up(text)                a Project: its services, what each waits for, how its containers are
    compose.ps(text)                the same of what is there
    compose.config(text)            a Config: the file as Compose reads it
    compose.logs(text)              what the containers printed
    compose.down(text)              Downed: removes the containers and networks; volumes only if asked for

text: the Compose file. Compose itself is the plugin of `docker compose`, or the program `docker-compose`, whichever is there. Relative
paths in a file begin at the current folder. A service whose `build:` names no folder, but an image of the engine, is that image: what a
cell built.

- `program`: the program, and what it says while it works
- `model`: a file as Compose reads it, with the engine's containers → services
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dockerlab import images
from dockerlab.client import Client, connect, engine_errors
from dockerlab.compose.model import Config, Downed, Progress, Project, Service, pinned, project
from dockerlab.compose.program import Program, find
from dockerlab.errors import NotFound, UsageError

__all__ = ["Config", "Downed", "Progress", "Project", "Service", "config", "down", "logs", "ps", "up"]

Report = Callable[[Progress], object]


def up(
    text: str,
    *,
    name: str | None = None,
    services: Iterable[str] = (),
    build: bool = False,
    wait: bool = False,
    progress: Report | None = None,
    client: Client | None = None,
) -> Project:
    """Makes and starts what the file describes, or those services of it and what they depend on; they run on in the background.

    name: of the project; else the file's `name:`, else the current folder's. build: also images that are there. wait: until each service
    runs or is healthy. progress: is called in this thread for each thing that Compose says.

    Raises ComposeError with Compose's words and the line that they are about; UsageError where Compose is not to be had. An interrupt is
    passed on to Compose.
    """
    client = client or connect()
    text = _pinned(text, client)
    words = ["up", "--detach", *(["--build"] if build else []), *(["--wait"] if wait else []), *services]
    _program(client).run(words, text, name, "bringing up", progress)
    return ps(text, name=name, client=client)


def down(
    text: str | None = None,
    *,
    name: str | None = None,
    volumes: bool = False,
    progress: Report | None = None,
    client: Client | None = None,
) -> Downed:
    """Stops and removes the containers and networks of a project. volumes: its volumes, too, with what is in them.

    text: its file, or None if `name` says which. Raises ComposeError, UsageError.
    """
    client = client or connect()
    _named(text, name)
    last = _program(client).run(["down", *(["--volumes"] if volumes else [])], text, name, "taking down", progress)
    return Downed(tuple(what for what, row in last.rows.items() if row.word.lower().startswith("removed")))


def ps(text: str | None = None, *, name: str | None = None, client: Client | None = None) -> Project:
    """The services of a project, with their containers. text: its file, or None for what the engine has of project `name`.

    Raises ComposeError, UsageError; NotFound for a name of which the engine has no container.
    """
    client = client or connect()
    _named(text, name)
    read = json_config(_pinned(text, client), name, client) if text is not None else {"name": name, "services": {}}
    wanted = str(read.get("name") or name)
    with engine_errors(f"list the containers of project '{wanted}'"):
        found = client.api.containers(all=True, filters={"label": f"com.docker.compose.project={wanted}"})
    if text is None and not found:
        raise NotFound(f"there is no project '{wanted}'", hint="A cell with its file brings it up: `%%compose up`.")
    return project(read, found)


def config(text: str, *, name: str | None = None, client: Client | None = None) -> Config:
    """The file as Compose reads it: with variables filled in, short forms written out, and defaults. Likely secrets are `***`.

    Raises ComposeError, UsageError.
    """
    client = client or connect()
    return Config(json_config(_pinned(text, client), name, client))


def logs(
    text: str | None = None,
    *,
    name: str | None = None,
    services: Iterable[str] = (),
    tail: int | None = None,
    client: Client | None = None,
) -> str:
    """What the containers printed, a line each after the service's name. tail: only so many lines of each.

    Raises ComposeError, UsageError.
    """
    client = client or connect()
    _named(text, name)
    words = ["logs", "--no-color", *(["--tail", str(tail)] if tail is not None else []), *services]
    return _program(client).output(words, text, name)


def json_config(text: str, name: str | None, client: Client) -> dict[str, Any]:
    """What `docker compose config` answers, with secrets and all."""
    read = json.loads(_program(client).output(["config", "--format", "json"], text, name))
    return dict(read)


def _program(client: Client) -> Program:
    return find(client.endpoint, os.environ)


def _pinned(text: str, client: Client) -> str:
    def is_image(named: str) -> bool:
        try:
            images.get(named, client=client)
        except (NotFound, UsageError):
            return False
        return True

    return pinned(text, Path.cwd(), is_image)


def _named(text: str | None, name: str | None) -> None:
    if text is None and name is None:
        raise UsageError("of which project?", hint="Say it: `%compose ps -p NAME`; or feed its file: `%%compose ps`.")
