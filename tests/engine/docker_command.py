"""The `docker` command, run against the engine under test: each call's exit code, output and errors as one value.

A call is written as in a shell: `docker("run --rm busybox sh -c 'exit 3'")`. Names come from `docker.name()`, so that tests of two runs
do not meet; containers also get a label. What has either is removed when `opened` ends, whatever the test did.

Docker 28 is what every engine is held against. `docker.differs(podman="why")` skips a test where an engine is known to answer otherwise;
`fails(…, text=…)` leaves Podman's texts alone, which are its own. Texts are compared without regard to case, in which Docker changed some.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import pytest

from dockerlab.client import Client
from tests.engine import leftovers

MISSING = "no `docker` command on PATH, and this test is about it"
SECONDS = 30
Kind = Literal["docker28", "docker20", "podman"]
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """How a call of the command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True)
class Docker:
    """The command, with its environment. prefix: of all names that this test gives."""

    program: str
    environment: dict[str, str]
    prefix: str
    kind: Kind

    def __call__(self, command: str, *more: str, input: str | bytes = b"", env: dict[str, str] | None = None) -> Result:
        """Runs `docker command more…`, whatever its exit code."""
        data = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            self.argv(command, *more),
            input=data,
            capture_output=True,
            timeout=SECONDS,
            env=self.environment | (env or {}),
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(errors="surrogateescape"), done.stderr.decode(errors="surrogateescape"))

    def ok(self, command: str, *more: str, input: str | bytes = b"") -> str:
        """What it prints, where it succeeds; without the last line's end."""
        result = self(command, *more, input=input)
        assert result.code == 0, f"docker {command}: exit code {result.code}: {result.err}"
        return result.out.removesuffix("\n")

    def fails(self, command: str, *more: str, code: int = 1, text: str | Sequence[str] = ()) -> Result:
        """It ends with just this exit code, and each of `text` is in what it says."""
        result = self(command, *more)
        assert result.code == code, f"docker {command}: exit code {result.code}, not {code}: {result.out}{result.err}"
        if self.kind != "podman":
            for part in [text] if isinstance(text, str) else text:
                assert part.casefold() in result.err.casefold()
        return result

    def inspect(self, name: str, template: str) -> str:
        return self.ok(f"inspect {name} -f", template)

    def argv(self, command: str, *more: str) -> list[str]:
        words = shlex.split(command)
        if words[0] in ("run", "create"):
            words[1:1] = ["--label", self.label]
        return [self.program, *words, *more]

    def start(self, command: str, *more: str) -> subprocess.Popen[bytes]:
        """Runs it beside the test, which closes what this gives."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self.argv(command, *more), stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment)

    def name(self, suffix: str = "c") -> str:
        return f"{self.prefix}{suffix}"

    @property
    def label(self) -> str:
        return f"dockerlab-test={self.prefix}"

    def differs(self, **reasons: str) -> None:
        """Skips the test where the engine's kind is among `reasons`: kind="how it differs from Docker 28"."""
        differs(self.kind, **reasons)


def differs(kind: Kind, **reasons: str) -> None:
    if kind in reasons:
        pytest.skip(f"{kind}: {reasons[kind]}")


def kind(client: Client) -> Kind:
    version = client.version()
    if any("podman" in component["Name"].lower() for component in version.get("Components") or []):
        return "podman"
    return "docker20" if tuple(map(int, version["ApiVersion"].split("."))) < (1, 44) else "docker28"


@contextmanager
def opened(client: Client, kind: Kind, config: Path) -> Iterator[Docker]:
    """The command for one test, which finds its own configuration in `config`. Skips where there is no such command."""
    program = shutil.which("docker")
    if program is None:
        pytest.skip(MISSING)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(config),
        "DOCKER_CONFIG": str(config),
        "DOCKER_HOST": client.endpoint.url,
        "DOCKER_CLI_HINTS": "false",
        "LANG": "C",
    }
    docker = Docker(program, environment, leftovers.prefix(), kind)
    try:
        yield docker
    finally:
        leftovers.remove(client, docker.prefix)


def until(value: Callable[[], T], wanted: Callable[[T], bool] = bool, seconds: float = SECONDS) -> T:
    """The first of the values that is wanted, or the last one after that long: the test then fails on it."""
    deadline = time.monotonic() + seconds
    while not wanted(found := value()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
