"""The `docker` command on several engines, as a session: `.venv/bin/python -m tests.conformance.docker_command [NAME=URL …]`.

The session is `docker_command.session`, a text: each line a command for the shell, run in a folder of its own with DOCKER_HOST set. Its
exit code, output and errors must be the same on every engine as on the first (see `suite.engines`), after ids, times, addresses and
sizes have been given names. Two registries are there for it on this machine, at $REGISTRY and, for user `me` with the password
`secret`, $PRIVATE. A line `#differs ENGINES: reason` before a command says that it need not be on those engines (`*`: all),
and why; one that no command needs any more is an error, too.

    -v            prints what each command says on the first engine, and the differences that have a reason
    -k TEXT       only the parts of the session whose heading (`## …`) holds the text

What the session makes it labels `conformance` and names with `cf-`, and it removes it in the end.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockerlab import standins
from tests.conformance.suite import engines
from tests.embedded.registries import docker_registry
from tests.engines import Engine

SESSION = Path(__file__).with_suffix(".session")
SECONDS = 60
_CLEAN = """
docker ps -aq --filter label=conformance | xargs -r docker rm -f -v
docker ps -aq --filter name=cf- | xargs -r docker rm -f -v
docker network ls -q --filter name=cf- | xargs -r docker network rm
docker volume ls -q --filter name=cf- | xargs -r docker volume rm
docker images --format '{{.Repository}}:{{.Tag}}' 'cf-*' | xargs -r docker rmi -f
docker images --format '{{.Repository}}:{{.Tag}}' '*/cf-*' | xargs -r docker rmi -f
docker images -q --filter label=conformance | xargs -r docker rmi -f
"""
# What is different each time → its name.
_NAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\x1b\[[0-9;?]*[a-zA-Z]", ""),
        (r"^\^@", ""),  # what script(1) shows of an input that has ended
        # Whose program it was that could not go on: containerd's shim, runc, or the embedded engine.
        (
            r"(failed to create shim task: )?(OCI runtime create failed: )?(runc create failed: )?(?=unable to start container process)",
            "",
        ),
        (r"(?<=unable to start container process: )error during container init: ", ""),
        (r'(Get|Head) "https://(registry-1|index)\.docker\.io/.*|this engine cannot search for images: .*', "NO REGISTRY"),
        (r"(?<=dial tcp: lookup )(\S+) on \S+: ", r"\1: "),  # whom it asked for the name
        (r"(?<=dial tcp )(localhost|\[::1\]):", "ADDRESS:"),  # which of the host's addresses it tried
        (r"/tmp/cf-\w+", "FOLDER"),
        (r"\b(sha256:)?[0-9a-f]{64}\b", "ID"),
        (r"\b(sha256:)?(?=[0-9a-f]*\d)[0-9a-f]{12}\b", "id"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d))?( [A-Z]{3})?", "TIME"),
        (r"(?<=Maximum supported API version is )1\.\d+", "API"),
        (r"(Less than a|About an?|\d+) (second|minute|hour|day|week|month|year)s?\b", "DURATION"),
        (r"\b(172|127|10|192)\.\d+\.\d+\.\d+\b(?!/)", "ADDRESS"),
        (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC"),
        (r"\b(3[2-9]|4\d|5\d|6[0-5])\d{3}\b", "PORT"),
        (r"\b\d+(\.\d+)? ?([kKMGT]i?)?B\b", "SIZE"),
        (r"\d+\.\d+%", "PERCENT"),
        (r"[ \t]{2,}", "  "),
        (r"[ \t]+$", ""),
    )
)


@dataclass(frozen=True)
class Step:
    """A command, with the engines on which it may differ and why."""

    number: int
    command: str
    engines: tuple[str, ...] = ()
    reason: str = ""

    def may_differ(self, engine: str) -> bool:
        return "*" in self.engines or engine in self.engines


@dataclass(frozen=True)
class Said:
    """What it said, with names for what is different each time."""

    code: int
    out: str
    err: str


def steps(text: str, part: str = "") -> Iterator[Step]:
    """The session's steps; only of the parts whose heading holds `part`."""
    heading, names, reason = "", "", ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("#differs "):
            names, _, reason = line.removeprefix("#differs ").partition(":")
        elif line.strip() and not line.startswith("#"):
            if part in heading:
                yield Step(number, line, tuple(names.split()), reason.strip())
            names, reason = "", ""


def play(engine: Engine, session: Sequence[Step]) -> list[Said]:
    """Runs the session on an engine."""
    with (
        engine.configured() as client,
        tempfile.TemporaryDirectory(prefix="cf-") as folder,
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        docker_registry(Path(one)) as registry,
        docker_registry(Path(other), password=True) as private,
    ):
        standins.prepare("busybox", "python:3.10", client=client)
        environment = {
            "PATH": os.environ["PATH"], "HOME": folder, "DOCKER_CONFIG": folder, "DOCKER_HOST": client.endpoint.url,
            "REGISTRY": registry, "PRIVATE": private, "DOCKER_CLI_HINTS": "false", "LANG": "C", "TERM": "dumb", "COLUMNS": "200",
        }  # fmt: skip
        _shell(_CLEAN, folder, environment)
        try:
            return [_shell(step.command, folder, environment) for step in session]
        finally:
            _shell(_CLEAN, folder, environment)


def _shell(command: str, folder: str, environment: dict[str, str]) -> Said:
    try:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        return Said(-1, _named(error.stdout or b"", environment), f"no end after {SECONDS} s")
    return Said(done.returncode, _named(done.stdout, environment), _named(done.stderr, environment))


def _named(data: bytes, environment: Mapping[str, str]) -> str:
    text = data.decode(errors="replace").replace("\r\n", "\n")
    for name in ("REGISTRY", "PRIVATE"):
        text = text.replace(environment[name], name.lower())
    lines = []
    for line in text.splitlines():
        for pattern, name in _NAMES:
            line = pattern.sub(name, line)
        lines.append(line)
    return "\n".join(lines).rstrip()


def main(arguments: Sequence[str]) -> int:
    """Plays the session everywhere and prints what differs. Gives the exit code."""
    parser = argparse.ArgumentParser(prog="docker_command")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-k", "--part", default="")
    parser.add_argument("engines", nargs="*")
    given = parser.parse_args(arguments)
    if not shutil.which("docker-registry"):
        raise SystemExit("docker-registry is missing: apt-get install docker-registry, or `make engines`")
    session = list(steps(SESSION.read_text(), given.part))
    reference, *others = engines(given.engines)
    wanted = play(reference, session)
    if given.verbose:
        for step, said in zip(session, wanted, strict=True):
            print(f"{step.number}: {step.command}\n  {said.code}\n{said.out}\n{said.err}")
    needed: set[int] = set()
    unexplained = 0
    for engine in others:
        found = play(engine, session)
        different = [(step, there, here) for step, there, here in zip(session, wanted, found, strict=True) if there != here]
        explained = [step for step, _, _ in different if step.may_differ(engine.name)]
        needed |= {step.number for step in explained}
        unexplained += len(different) - len(explained)
        print(f"{engine.name:16} {len(session)} commands, {len(different)} differ, {len(explained)} of them with a reason")
        for step, there, here in different:
            if given.verbose or step not in explained:
                print(f"{SESSION.name}:{step.number}: {step.command}" + (f"  ({step.reason})" if step in explained else ""))
                for label in ("code", "out", "err"):
                    if (one := getattr(there, label)) != (other := getattr(here, label)):
                        print(f"  {label}\n    {reference.name}: {one!r}\n    {engine.name}: {other!r}")
    names = {engine.name for engine in others}
    stale = [
        step for step in session if step.reason and step.number not in needed and (names & set(step.engines) or "*" in step.engines)
    ]
    for step in stale:
        print(f"{SESSION.name}:{step.number}: differs no more: {step.reason}")
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
