"""dockerlab's own engine, seen from the client side: where its socket is, and how its process is started.

The engine is a program of its own, `python -m dockerlab.engine`; nothing of it is imported here.
"""

from __future__ import annotations

import os
import platform as machine
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dockerlab.errors import EngineError

NAME = "dockerlab's own engine"
TARGET = "embedded"
_HOST = "DOCKER_HOST="
_PLATFORM = "dockerlab engine"  # what it says of itself in `GET /version`
_SYSTEMS = {"darwin": "macOS", "win32": "Windows"}


class CannotStart(EngineError):
    """The engine could not be started, or not on this machine."""


def address(environ: Mapping[str, str], platform: str) -> str | None:
    """The URL at which it answers if it runs. None where it cannot run, and where its directory belongs to somebody else."""
    if platform != "linux":
        return None
    folder = _runtime(environ)
    try:
        is_ours = os.lstat(folder).st_uid == os.getuid()
    except OSError:
        is_ours = True  # there is nothing yet
    return f"unix://{folder}/engine.sock" if is_ours else None


def is_own(version: Mapping[str, Any]) -> bool:
    """Whether an engine that answers `GET /version` so is this one: its classic builder has all that BuildKit's instructions have."""
    return (version.get("Platform") or {}).get("Name") == _PLATFORM


def start(platform: str = sys.platform, environ: Mapping[str, str] | None = None, folder: str | None = None) -> str:
    """Starts it where it does not run yet. environ: in place of this process's. folder: all of an engine that ends with this process,
    be that killed; it goes then, too. Gives its URL. Raises CannotStart.
    """
    if platform != "linux":
        raise CannotStart(
            f"{NAME} does not run on {_SYSTEMS.get(platform, machine.system() or platform)}: a container needs a Linux kernel",
            hint="Start Docker Desktop or Podman, whose engines bring one, or name an engine elsewhere: `%engine use ssh://user@host`.",
        )
    done = run(["start", *(["--owner", str(os.getpid()), "--folder", folder] if folder else [])], environ)
    for line in done.stdout.splitlines():
        if line.startswith(_HOST):
            return line.removeprefix(_HOST)
    what, _, hint = done.stderr.strip().partition("\n→ ")
    first, *rest = what.strip().splitlines() or [f"its process ended with {done.returncode}"]
    raise CannotStart(f"{NAME} does not start: {first}", evidence=[line.strip() for line in rest if line.strip()],
                      hint=hint or "`dockerlab doctor` says what this machine lacks.")  # fmt: skip


def apart(folder: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of an engine beside the user's own: its data and its socket are in `folder`, whose path must be short."""
    return {
        **environ,
        "DOCKERLAB_ENGINE_ROOT": os.path.join(folder, "root"),
        "DOCKERLAB_ENGINE_RUNTIME": os.path.join(folder, "run"),
    }


def run(words: Sequence[str], environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `python -m dockerlab.engine` with these words, and gives what it printed. environ: as in `start`. Raises CannotStart."""
    command, variables = program(os.environ if environ is None else environ)
    try:
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, env=variables, stdin=subprocess.DEVNULL, check=False
        )
    except OSError as error:
        raise CannotStart(f"{NAME} does not start: {error}") from error


def program(environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command line of the engine, and the environment in which it finds just this package, in whatever directory."""
    return [sys.executable, "-P", "-m", "dockerlab.engine"], with_this_package(environ)


def with_this_package(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which `python -P` finds just this package, in whatever directory."""
    place = Path(__file__).resolve().parents[1]
    if place.name in ("site-packages", "dist-packages"):
        return dict(environ)
    # A source tree, or a folder that somebody put on the path.
    return {**environ, "PYTHONPATH": os.pathsep.join([str(place), *filter(None, [environ.get("PYTHONPATH")])])}


# The same places as in `dockerlab.engine.home`; a test compares them.
def _runtime(environ: Mapping[str, str]) -> str:
    if named := environ.get("DOCKERLAB_ENGINE_RUNTIME"):
        return os.path.abspath(named)
    for base in (environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}"):
        if base and os.access(base, os.W_OK | os.X_OK):
            return os.path.join(os.path.abspath(base), "dockerlab")
    return f"/tmp/dockerlab-{os.getuid()}"
