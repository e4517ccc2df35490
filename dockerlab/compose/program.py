"""Docker Compose as a program: where it is, how it is told which engine, and what it says while it works.

Plugins of the `docker` command run by themselves, too; they are looked for where the command looks for them
(https://docs.docker.com/engine/extend/cli_plugins/), in Docker's configuration first.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dockerlab.compose.model import Progress, Row, located
from dockerlab.endpoints import Endpoint
from dockerlab.errors import ComposeError, UsageError

_NAME: Final = "docker-compose"
_FOLDERS: Final = (
    *("/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins"),
    *("/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins"),
    *("/opt/homebrew/lib/docker/cli-plugins", "/Applications/Docker.app/Contents/Resources/cli-plugins"),
)
_TOLD: Final = 20  # lines of what it said that an error shows
_SECONDS: Final = 20.0  # that it has to end after an interrupt


@dataclass(frozen=True)
class Program:
    """path: of the program. environment: what it runs with; it says which engine is meant."""

    path: str
    environment: Mapping[str, str] = field(repr=False)

    def run(
        self,
        words: Sequence[str],
        text: str | None,
        name: str | None,
        doing: str,
        report: Callable[[Progress], object] | None = None,
    ) -> Progress:
        """Runs a verb, and reports each thing that it says. Gives the last of it. Raises ComposeError."""
        last = Progress(name or "the project", doing)
        said: list[str] = []
        failed = ""
        with self._started(["--progress", "json"], words, text, name, subprocess.STDOUT) as started:
            try:
                assert started.stdout is not None
                for line in started.stdout:
                    event = _event(line)
                    if event is None:
                        said = [*said, line.rstrip()][-_TOLD:]
                    elif event.get("error"):
                        failed = str(event.get("message") or "")
                    elif event.get("id") and not event.get("parent_id"):
                        last = last.told(str(event["id"]), Row.of(event))
                        if report is not None:
                            report(last)
            except BaseException:
                _interrupt(started)
                raise
        if started.returncode:
            raise _error(doing, failed or (said.pop() if said else f"it ended with code {started.returncode}"), said, text)
        return last.ended()

    def output(self, words: Sequence[str], text: str | None, name: str | None) -> str:
        """What a verb prints. Raises ComposeError."""
        with self._started([], words, text, name, subprocess.PIPE) as started:
            try:
                printed, said = started.communicate()
            except BaseException:
                _interrupt(started)
                raise
        if started.returncode:
            *before, last = said.strip().splitlines() or [f"it ended with code {started.returncode}"]
            raise _error(f"reading the file for `{words[0]}`", last, before[-_TOLD:], text)
        return str(printed)

    def _started(
        self, options: Sequence[str], words: Sequence[str], text: str | None, name: str | None, errors: int
    ) -> subprocess.Popen[str]:
        """Started, with the file on its standard input."""
        named = ["--project-name", name] if name else []
        file = ["--file", "-"] if text is not None else []
        # An interrupt is for us to pass on: a terminal would send it to both.
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            started = subprocess.Popen(
                [self.path, *options, *named, *file, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=dict(self.environment),
                **apart,
            )
        except OSError as error:
            raise UsageError(f"cannot start {self.path}: {error.strerror}", hint="Install Docker Compose anew.") from error
        assert started.stdin is not None
        with suppress(BrokenPipeError), started.stdin:  # one that ends at once reads nothing, and says why
            started.stdin.write(text or "")
        started.stdin = None
        return started


def find(endpoint: Endpoint, environ: Mapping[str, str]) -> Program:
    """The Compose of this machine, for an engine. Raises UsageError where there is none."""
    configured = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    plugins = [folder / _NAME for folder in (configured, *map(Path, _FOLDERS))]
    if sys.platform == "win32":
        plugins += [Path(environ.get("ProgramFiles", "")) / "Docker" / "cli-plugins" / f"{_NAME}.exe"]
    path = next((str(plugin) for plugin in plugins if os.access(plugin, os.X_OK)), None) or shutil.which(
        _NAME, path=environ.get("PATH")
    )
    if path is None:
        raise UsageError(
            "Docker Compose is not installed: neither the plugin of `docker compose` nor docker-compose",
            hint="Docker Desktop has it. On Debian or Ubuntu: `sudo apt-get install docker-compose-plugin`, from Docker's packages.",
        )
    return Program(path, _environment(endpoint, environ))


def _environment(endpoint: Endpoint, environ: Mapping[str, str]) -> dict[str, str]:
    """The engine, as every client of Docker's is told which."""
    found = {
        name: value for name, value in environ.items() if name not in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
    }
    found["DOCKER_HOST"] = endpoint.url
    certificates = endpoint.tls.cert if endpoint.tls else None
    if certificates:
        found |= {
            "DOCKER_TLS_VERIFY": "1" if endpoint.tls and endpoint.tls.verify else "",
            "DOCKER_CERT_PATH": str(Path(certificates[0]).parent),
        }
    return found


def _event(line: str) -> dict[str, Any] | None:
    """What a line of `--progress json` says; None for one that is text."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _error(doing: str, message: str, said: Sequence[str], text: str | None) -> ComposeError:
    event = _event(message)
    words = str((event or {}).get("message") or message).removeprefix("validating -: ").removeprefix("Error response from daemon: ")
    line, place = located(words, text or "")
    return ComposeError(f"{doing} failed: {words}", line=line, place=place, evidence=[one for one in said if one])


def _interrupt(started: subprocess.Popen[str]) -> None:
    """It ends by itself, so that nothing is left half made; if it does not, it is ended."""
    if started.poll() is None:
        started.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))
    try:
        started.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        started.kill()
        started.communicate()
