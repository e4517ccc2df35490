"""The one error tree: what is wrong, where, and what to do next.

    DockerlabError
    ├── UsageError              a wrong flag, verb or argument
    │   ├── UndefinedName       `{name}` in a magic's line, and the notebook has no such name
    │   └── InvalidReference    not an image reference
    ├── DockerfileError         a Dockerfile that cannot be parsed
    ├── ContextError            a build context that cannot be read
    ├── NotebookError           a notebook that cannot be read
    ├── ArchiveError            an archive of images that cannot be read
    ├── CredentialsError        a registry's credentials that cannot be kept or forgotten
    ├── NoEngine                no engine answers
    ├── EngineError             the engine answered with an error
    │   ├── NotFound            404: no such image, container, …
    │   ├── Conflict            409: a name or a state that is in the way
    │   ├── RegistryUnreachable a registry does not answer the engine, or this machine
    │   └── SwarmError          the engine has no Swarm, is no manager of its own, or its Swarm has lost its quorum
    ├── EngineGone              the connection broke while an answer was awaited
    ├── BuildError              a build failed
    ├── ComposeError            Docker Compose failed
    ├── Unsolved                an exercise is not solved, where it had to be
    ├── CommandError            a command in a container ended with a non-zero exit code
    ├── ServiceFailed           a service did not become what it was to be
    └── NotReady                a container, or a command in one, was not ready in time

`str(error)` is one line that is the same on every run: no ids, times or addresses. The rest is in attributes, is added as notes
for plain Python (PEP 678), and in IPython is shown in place of a traceback (`_render_traceback_`), so that a cell fails with a
message a reader can use. Foreign errors (docker-py's, requests') are mapped to these once, in `dockerlab.client`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MASK = "***"
_PASSWORD = re.compile(r"(://[^\s/:@]*):[^\s/]*@(?!sha256:)")  # docker-image://name:tag@sha256:… has none
_BOLD_RED, _BOLD, _PLAIN = "\x1b[1;31m", "\x1b[1m", "\x1b[0m"


def without_passwords(text: str) -> str:
    """`text` with `***` for the password in each address, `tcp://user:password@host`."""
    return _PASSWORD.sub(rf"\1:{MASK}@", text)


def printable(text: str) -> str:
    """`text` with control characters shown as `\\x1b`, so that no text from outside can steer a terminal."""
    return "".join(c if c in "\n\t" or (c.isprintable()) else c.encode("unicode_escape").decode() for c in text)


def _shown(text: str) -> str:
    return printable(without_passwords(text))


class DockerlabError(Exception):
    """Base of all errors that a user can meet.

    message: one line, what is wrong.
    place: where, one line an item (a Dockerfile line with its number, a caret under it, a file, a flag).
    evidence: what was seen, one line an item (the last lines of a log).
    hint: what to do next.
    status: the HTTP status that the Docker Engine API has for it, or None.
    """

    status: int | None = None

    def __init__(
        self,
        message: str,
        *,
        place: Sequence[str] = (),
        evidence: Sequence[str] = (),
        hint: str | None = None,
        status: int | None = None,
    ) -> None:
        self.message = _shown(message)
        super().__init__(self.message)
        self.place = tuple(map(_shown, place))
        self.evidence = tuple(map(_shown, evidence))
        self.hint = _shown(hint) if hint else None
        if status is not None:
            self.status = status
        for line in self.lines()[1:]:
            self.add_note(line)

    def reword(self, message: str) -> None:
        """Says it in other words."""
        self.message = _shown(message)
        self.args = (self.message, *self.args[1:])

    def lines(self) -> list[str]:
        """The whole of it as plain text: what, where, evidence, next step."""
        lines = [self.message, *(f"  {line}" for line in self.place)]
        if self.evidence:
            lines += ["", *(f"  {line}" for line in self.evidence)]
        if self.hint:
            lines += ["", *f"→ {self.hint}".splitlines()]
        return lines

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        what, *rest = self.lines()
        name = type(self).__name__
        return [f"{_BOLD_RED}{name}{_PLAIN}: {_BOLD}{what}{_PLAIN}", *rest]


class UsageError(DockerlabError, ValueError):
    """A wrong flag, verb or argument."""

    status = 400


class UndefinedName(UsageError):
    """A `{name}` in a magic's line that the notebook does not define."""


class InvalidReference(UsageError):
    """Text that is not an image reference."""


class DockerfileError(DockerlabError, ValueError):
    """A Dockerfile that cannot be parsed. line: 1-based line number, or None where no one line is at fault.

    column: 1-based, of the text that is at fault, or None for the whole instruction.
    """

    status = 400

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        place: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, place=place, hint=hint)
        self.line, self.column = line, column


class ContextError(DockerlabError, OSError):
    """A build context that cannot be read."""

    status = 400


class ComposeError(DockerlabError):
    """Docker Compose failed. line: of the Compose file, 1-based, or None where no one line is at fault."""

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        place: Sequence[str] = (),
        evidence: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, place=place, evidence=evidence, hint=hint)
        self.line = line


class NotebookError(DockerlabError, ValueError):
    """A notebook that cannot be read."""

    status = 400

    def __init__(self, message: str, *, evidence: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, evidence=evidence, hint=hint)


class ArchiveError(DockerlabError, ValueError):
    """An archive of images that cannot be read, or describes none."""

    status = 400


class CredentialsError(DockerlabError, OSError):
    """A registry's credentials that a helper or Docker's config file does not keep, or does not forget."""


class NoEngine(DockerlabError, ConnectionError):
    """No engine answers. attempts: what was tried and what each said, as `dockerlab.client.Attempt`."""

    def __init__(self, message: str, *, attempts: Sequence[object] = (), hint: str | None = None) -> None:
        super().__init__(message, evidence=[str(attempt) for attempt in attempts], hint=hint)
        self.attempts = tuple(attempts)


class EngineError(DockerlabError):
    """The engine answered with an error; `status` is its HTTP status."""


class NotFound(EngineError, LookupError):
    """The engine has no such image, container, network or volume."""

    status = 404


class Conflict(EngineError):
    """A name that is in use, or a state that does not allow the call."""

    status = 409


class RegistryUnreachable(EngineError):
    """A registry does not answer the engine, or this machine, or not in a way that is trusted."""

    status = 502


class SwarmError(EngineError):
    """The engine has no Swarm, is no manager of its own, or its Swarm has lost its quorum."""

    status = 503


class EngineGone(DockerlabError, ConnectionError):
    """The connection to the engine broke while an answer was awaited."""


class BuildError(DockerlabError):
    """A build failed.

    line: 1-based first line of the failing instruction, or None. instruction: its text. exit_code: of its command, or None.
    log: the whole log of the failing step. build: the record of the build up to there (`dockerlab.builds.Build`), or None.
    asked: what was to be built (`dockerlab.builds.driving.Asked`), for `dockerlab.debug`, or None.
    """

    asked: object | None = None

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        instruction: str | None = None,
        exit_code: int | None = None,
        log: str = "",
        build: object | None = None,
        place: Sequence[str] = (),
        evidence: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, place=place, evidence=evidence, hint=hint)
        self.line = line
        self.instruction = instruction
        self.exit_code = exit_code
        self.log = log
        self.build = build


class CommandError(DockerlabError):
    """A command in a container ended with a non-zero exit code. exit_code: 1 to 255."""

    def __init__(self, message: str, *, exit_code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class Unsolved(DockerlabError):
    """An exercise is not solved, where it had to be."""


class ServiceFailed(DockerlabError):
    """A service did not become what it was to be. service: what it is now (`dockerlab.services.Service`), or None."""

    def __init__(
        self, message: str, *, service: object | None = None, evidence: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, evidence=evidence, hint=hint)
        self.service = service


class NotReady(DockerlabError, TimeoutError):
    """A container did not become ready in time, or ended before it was; or a command in one did not end in time."""
