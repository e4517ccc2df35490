"""BuildKit's rules about what is written, in whichever stage: names, casing, forms, and what FROM names.

    for finding in Form(program, …).findings(): …

They are asked of a whole Dockerfile, before any stage is built (frontend/dockerfile/instructions, dockerfile2llb/validations.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from dockerlab import reference
from dockerlab.dockerfile.arguments import first_word, words
from dockerlab.dockerfile.checks.distance import closest
from dockerlab.dockerfile.checks.finding import BUILDKIT, Finding
from dockerlab.dockerfile.commands import Arg, Command, From, Maintainer
from dockerlab.dockerfile.parser import Node
from dockerlab.dockerfile.planning import global_values
from dockerlab.dockerfile.program import Program
from dockerlab.dockerfile.words import SPACE, Expansion, Lexer, quoted
from dockerlab.errors import DockerfileError, InvalidReference

_RESERVED: Final = ("context", "scratch")
_TARGET: Final = "TARGETPLATFORM"
_ARCHITECTURES: Final = {
    **dict.fromkeys(("x86_64", "x86-64"), "amd64"),
    "aarch64": "arm64",
    **dict.fromkeys(("armhf", "armel"), "arm"),
    **dict.fromkeys(("i386", "i486", "i586", "i686"), "386"),
}
_SYSTEMS: Final = ("linux", "windows", "darwin", "macos", "freebsd", "wasip1", "js")
_PART: Final = re.compile(r"[A-Za-z0-9_.-]+")


def lines(node: Node) -> tuple[int, ...]:
    """All lines of an instruction."""
    return tuple(range(node.line, node.end_line + 1))


def keyword(node: Node) -> str:
    """An instruction's keyword as it is written."""
    return first_word(node.text.strip(SPACE))[0]


class Form:
    """start: what the ARGs mean that describe platforms. given: the build's arguments."""

    def __init__(self, program: Program, start: Mapping[str, str], given: Mapping[str, str]) -> None:
        self._program, self._start, self._given = program, start, given
        self._lexer = Lexer(program.dockerfile.escape)

    def findings(self) -> Iterator[Finding]:
        """In BuildKit's order."""
        for node in self._program.dockerfile.nodes:
            yield from self._continuation(node)
        for command in self._commands(with_arguments=True):
            yield from self._written(command)
        yield from self._names()
        yield from self._casing()
        yield from self._defaults()
        yield from self._bases()

    def _commands(self, *, with_arguments: bool) -> Iterator[Command]:
        if with_arguments:
            yield from self._program.arguments
        for stage in self._program.stages:
            yield stage.source
            yield from stage.commands

    def _continuation(self, node: Node) -> Iterator[Finding]:
        source = self._program.dockerfile.source
        # Lines of heredocs come after the instruction's own.
        last = node.end_line - sum(1 + heredoc.content.count("\n") for heredoc in node.heredocs)
        if any(not line.strip(SPACE) for line in source[node.line : last]):
            yield BUILDKIT["NoEmptyContinuation"].finding("Empty continuation line", (last,))

    # As it is read

    def _written(self, command: Command) -> Iterator[Finding]:
        match command:
            case From(node=node):
                yield from self._from(node)
            case Arg(node=node, pairs=pairs):
                yield from _description("ARG", [name for name, _ in pairs], node)
            case Maintainer(node=node):
                text = "Maintainer instruction is deprecated in favor of using label"
                yield BUILDKIT["MaintainerDeprecated"].finding(text, lines(node))

    def _from(self, node: Node) -> Iterator[Finding]:
        found = words(node.arguments)
        if len(found) != 3:
            return
        _, between, name = found
        if name != name.lower():
            yield BUILDKIT["StageNameCasing"].finding(f"Stage name '{name}' should be lowercase", lines(node))
        word = keyword(node)
        wanted = {word.lower(): between.lower(), word.upper(): between.upper()}.get(word, between)
        if between != wanted:
            yield BUILDKIT["FromAsCasing"].finding(f"'{between}' and '{word}' keywords' casing do not match", lines(node))
        yield from _description("FROM", [name], node)

    # Of all stages

    def _names(self) -> Iterator[Finding]:
        seen = set[str]()
        for stage in self._program.stages:
            if stage.name in _RESERVED:
                text = f"Stage name should not use the same name as reserved stage {quoted(stage.name)}"
                yield BUILDKIT["ReservedStageName"].finding(text, lines(stage.source.node))
            if stage.name in seen:
                text = f"Duplicate stage name {quoted(stage.name)}, stage names should be unique"
                yield BUILDKIT["DuplicateStageName"].finding(text, lines(stage.source.node))
            seen |= {stage.name} - {""}

    def _casing(self) -> Iterator[Finding]:
        found = [(keyword(command.node), command.node) for command in self._commands(with_arguments=False)]
        lower = sum(word == word.lower() for word, _ in found)
        is_lower = lower > sum(word == word.upper() for word, _ in found)
        for word, node in found:
            if word != (word.lower() if is_lower else word.upper()):
                majority = "lowercase" if is_lower else "uppercase"
                text = f"Command '{word}' should match the case of the command majority ({majority})"
                yield BUILDKIT["ConsistentInstructionCasing"].finding(text, lines(node))

    # What FROM names

    def _defaults(self) -> Iterator[Finding]:
        """What FROM names where the build is given no arguments."""
        try:
            values = global_values(self._program.dockerfile, self._program.arguments, self._start, {})
            bases = [self._lexer.word(stage.source.base, values) for stage in self._program.stages]
        except DockerfileError:
            return
        for stage, base in zip(self._program.stages, bases, strict=True):
            try:
                reference.parse(base)
            except InvalidReference:
                text = f"Default value for ARG {stage.source.base} results in empty or invalid base image name"
                yield BUILDKIT["InvalidDefaultArgInFrom"].finding(text, lines(stage.source.node))

    def _bases(self) -> Iterator[Finding]:
        program = self._program
        try:
            values = global_values(program.dockerfile, program.arguments, self._start, self._given)
        except DockerfileError:
            return
        declared = dict.fromkeys([*values, *(name for command in program.arguments for name, _ in command.pairs)])
        for stage in program.stages:
            source = stage.source
            try:
                yield from self._undeclared(self._lexer.expand(source.base, values), [*declared], source.node)
                if source.platform:
                    found = self._lexer.expand(source.platform, values)
                    yield from self._undeclared(found, [*declared], source.node)
                    yield from self._platform(source, found, values)
            except DockerfileError:
                return

    def _undeclared(self, found: Expansion, declared: Sequence[str], node: Node) -> Iterator[Finding]:
        for name in sorted(found.unmatched - {*declared}):
            near = closest(name, declared)
            text = f"FROM argument '{name}' is not declared" + (f" (did you mean {near}?)" if near else "")
            yield BUILDKIT["UndefinedArgInFrom"].finding(text, lines(node))

    def _platform(self, source: From, found: Expansion, values: Mapping[str, str]) -> Iterator[Finding]:
        if not found.unmatched and found.matched == {_TARGET} and found.text == values[_TARGET]:
            text = f"Setting platform to predefined {source.platform} in FROM is redundant as this is the default behavior"
            yield BUILDKIT["RedundantTargetPlatform"].finding(text, lines(source.node))
        if found.matched or found.unmatched:
            return
        named = _platform(found.text)
        if named and not (source.name and any(part in source.name for part in named)):
            text = f"FROM --platform flag should not use constant value {quoted(found.text)}"
            yield BUILDKIT["FromPlatformFlagConstDisallowed"].finding(text, lines(source.node))


def _description(word: str, names: Sequence[str], node: Node) -> Iterator[Finding]:
    if node.comments and names and node.comments[-1].split(" ")[0] not in names:
        example = names[0] if len(names) == 1 else "<arg_key>"
        text = f"Comment for {word} should follow the format: `# {example} <description>`"
        yield BUILDKIT["InvalidDefinitionDescription"].finding(text, lines(node))


def _platform(text: str) -> tuple[str, str] | None:
    """System and architecture; None for what is no platform. A part that is missing is this machine's: the first of the two is Linux."""
    parts = text.lower().split("/")
    if not all(_PART.fullmatch(part) for part in parts) or len(parts) > 3:
        return None
    if len(parts) == 1 and parts[0] not in _SYSTEMS:
        parts = ["linux", parts[0]]
    system, architecture = [*parts, "amd64"][:2]
    return {"macos": "darwin"}.get(system, system), _ARCHITECTURES.get(architecture, architecture)
