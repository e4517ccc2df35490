"""How a build is told: the seam between what is done and what is said of it, and the classic stream as one side of it (see `tracing`).

    telling = ClassicTelling(program, plan, labels)     of one build
    teller = telling.stage(planned, tape)               of one stage, in its thread
    teller.begin(command); teller.cached() or teller.ran(); teller.end(image)

What is printed here is what Docker's classic builder prints, byte for byte.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from dockerlab.dockerfile.commands import Command, From
from dockerlab.engine.json_lines import line
from dockerlab.engine.store.values import short
from dockerlab.wire.multiplex import STDERR, STDOUT

if TYPE_CHECKING:
    from dockerlab.dockerfile.planning import Plan, Planned
    from dockerlab.dockerfile.program import Program
    from dockerlab.engine.building.tape import Tape
    from dockerlab.engine.store import Image

Message = Mapping[str, Any]


class Teller(Protocol):
    """What a stage says. Each instruction begins, is cached or runs, and ends or fails."""

    def begin(self, command: Command, variables: Mapping[str, str]) -> None:
        """It is an instruction's turn. variables: what `$x` in it means."""

    def triggers(self, commands: Sequence[Command]) -> None:
        """What the base says with ONBUILD comes next."""

    def cached(self) -> None:
        """The cache has it."""

    def ran(self) -> None:
        """The cache has not: it is carried out now."""

    def running(self, container: str) -> None:
        """A command runs in a container."""

    def printed(self, stream: int, data: bytes) -> None:
        """What the command prints, cut anywhere."""

    def removed(self, container: str) -> None:
        """It prints no more, and the container is gone."""

    def end(self, image: Image | None) -> None:
        """The instruction is done."""

    def failed(self, error: BaseException) -> None:
        """It is not."""

    def message(self, message: Message) -> None:
        """Of a pull."""

    def finished(self, image: Image | None) -> None:
        """The stage is done."""

    def hurrying(self) -> AbstractContextManager[None]:
        """Within, nothing said waits for a reader."""


class Telling(Protocol):
    """How a build is told."""

    def before(self) -> Iterator[bytes]:
        """What is said before the first stage."""

    def stage(self, planned: Planned, tape: Tape) -> Teller:
        """Who tells of a stage. tape: where to."""

    def finding(self, name: str, tell: Callable[[Message], object]) -> AbstractContextManager[Callable[[Message], object]]:
        """Entered while the image `name` is looked for, or brought; once. Gives what takes a pull's messages."""


class ClassicTelling:
    """Steps are numbered by their place among all instructions up to the target's last, told or not."""

    def __init__(self, program: Program, plan: Plan, labels: Sequence[Command]) -> None:
        self._program = program
        counted: list[Command] = [*program.arguments]
        for stage in program.stages[: plan.target + 1]:
            counted += [stage.source, *stage.commands]
        counted += labels
        self._numbers = {id(command): number for number, command in enumerate(counted, start=1)}

    def before(self) -> Iterator[bytes]:
        """The ARGs before the first stage."""
        for command in self._program.arguments:
            for text in self.header(command):
                yield line({"stream": text})

    def stage(self, planned: Planned, tape: Tape) -> Teller:
        """See `Telling`."""
        return ClassicTeller(self, tape)

    def finding(self, name: str, tell: Callable[[Message], object]) -> AbstractContextManager[Callable[[Message], object]]:
        """See `Telling`."""
        return _Nothing(tell)

    def header(self, command: Command) -> tuple[str, ...]:
        """What begins a step; nothing for a trigger."""
        number = self._numbers.get(id(command))
        return (f"Step {number}/{len(self._numbers)} : {command.node.text.strip()}", "\n") if number else ()


class _Nothing(AbstractContextManager[Callable[[Message], object]]):
    def __init__(self, tell: Callable[[Message], object]) -> None:
        self._tell = tell

    def __enter__(self) -> Callable[[Message], object]:
        return self._tell

    def __exit__(self, *error: object) -> None:
        return None


class ClassicTeller:
    """A `Teller`."""

    def __init__(self, telling: ClassicTelling, tape: Tape) -> None:
        self._telling, self._tape = telling, tape
        self._decoders = _decoders()
        self._is_source = False

    def begin(self, command: Command, variables: Mapping[str, str]) -> None:
        """See `Teller`."""
        self._is_source = isinstance(command, From)
        for text in self._telling.header(command):
            self._say(text)

    def triggers(self, commands: Sequence[Command]) -> None:
        """See `Teller`."""
        if commands:
            self._say(f"# Executing {len(commands)} build trigger{'s' if len(commands) > 1 else ''}\n")

    def cached(self) -> None:
        """See `Teller`."""
        self._say(" ---> Using cache\n")

    def ran(self) -> None:
        """See `Teller`."""

    def running(self, container: str) -> None:
        """See `Teller`."""
        self._decoders = _decoders()
        self._say(f" ---> Running in {short(container)}\n")

    def printed(self, stream: int, data: bytes) -> None:
        """See `Teller`."""
        self._print(stream, self._decoders[stream].decode(data))

    def _print(self, stream: int, text: str) -> None:
        if text:
            self._say(f"\x1b[91m{text}\x1b[0m" if stream == STDERR else text)

    def removed(self, container: str) -> None:
        """See `Teller`."""
        for stream, decoder in self._decoders.items():
            self._print(stream, decoder.decode(b"", final=True))
        self._say(f" ---> Removed intermediate container {short(container)}\n")

    def end(self, image: Image | None) -> None:
        """See `Teller`."""
        if image or self._is_source:
            self._say(f" ---> {short(image.id) if image else ''}\n")

    def failed(self, error: BaseException) -> None:
        """See `Teller`. The stream's last message says it."""

    def message(self, message: Message) -> None:
        """See `Teller`."""
        self._tape.write(line(message))

    def finished(self, image: Image | None) -> None:
        """See `Teller`."""
        if image:
            self.message({"aux": {"ID": image.id}})

    def hurrying(self) -> AbstractContextManager[None]:
        """See `Teller`."""
        return self._tape.hurrying()

    def _say(self, text: str) -> None:
        self.message({"stream": text})


def _decoders() -> dict[int, codecs.IncrementalDecoder]:
    return {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (STDOUT, STDERR)}
