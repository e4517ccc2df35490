"""BuildKit's rules about what instructions do, in the stages that are needed: variables, secrets, commands, ports, the working directory.

    for finding in Effect(program, plan, given, base, ignore).findings(): …

Stages are gone through as a build carries them out (frontend/dockerfile/dockerfile2llb/convert.go), ONBUILD instructions of their bases
included, which are said to be where FROM is. What a base image holds is asked of `base`. Of one that is not known, variables may be
anything: then only a variable is said to be undefined that the Dockerfile has under nearly that name, or before its first FROM alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from dockerlab.dockerfile import commands as c
from dockerlab.dockerfile.arguments import quoted_words
from dockerlab.dockerfile.checks.distance import closest
from dockerlab.dockerfile.checks.finding import BUILDKIT, Finding
from dockerlab.dockerfile.checks.form import keyword, lines
from dockerlab.dockerfile.expansion import expanded
from dockerlab.dockerfile.ignore import Ignore
from dockerlab.dockerfile.parser import Node
from dockerlab.dockerfile.planning import Plan, Planned
from dockerlab.dockerfile.program import Program
from dockerlab.dockerfile.words import Lexer, quoted
from dockerlab.errors import DockerfileError

_PATH: Final = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
# Arguments that no instruction sees.
_HIDDEN: Final = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")
_SECRET: Final = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE | re.ASCII
)
_PUBLIC: Final = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE | re.ASCII)
_REMOTE: Final = re.compile(r"(?:https?|git|ssh)://|git@")
_PROTOCOLS: Final = ("tcp", "udp", "sctp")
_MOST: Final = 1 << 26  # bytes that the variables of all stages take: each stage has its base's, and a value may grow
_OF_ONE: Final = 64  # besides its value


@dataclass(frozen=True, slots=True)
class Base:
    """What of an image matters to what stands on it. has_shell: whether it has a SHELL of its own."""

    environment: Mapping[str, str]
    has_shell: bool = False


@dataclass(slots=True)
class _State:
    """Of a stage, as far as it has been gone through. names: of its ARGs. is_known: whether all variables are."""

    variables: dict[str, str]
    is_known: bool
    has_shell: bool = False
    has_workdir: bool = False
    names: set[str] = field(default_factory=set)
    once: dict[type[c.Command], Node] = field(default_factory=dict)

    def begun(self) -> _State:
        """Of a stage that begins with this one."""
        return _State({**self.variables}, self.is_known, self.has_shell, self.has_workdir, {*self.names})


class Effect:
    """given: the build's arguments. base: what an image holds, None where that is not known. ignore: the build context's."""

    def __init__(
        self,
        program: Program,
        plan: Plan,
        given: Mapping[str, str],
        base: Callable[[str], Base | None],
        ignore: Ignore | None = None,
    ) -> None:
        self._program, self._plan, self._given, self._base, self._ignore = program, plan, given, base, ignore
        self._lexer = Lexer(program.dockerfile.escape)
        self._declared = {name for command in program.arguments for name, _ in command.pairs}
        self._states: dict[int, _State] = {}
        self._left = _MOST

    def findings(self) -> Iterator[Finding]:
        """Stage by stage, in the Dockerfile's order. Ends early where variables take more memory than there is for them."""
        for planned in self._plan.stages:
            if self._left < 0:
                return
            state = self._states[planned.stage.index] = self._begun(planned)
            self._left -= _OF_ONE * (len(state.variables) + len(state.names))
            for command in planned.commands:
                if self._left < 0:
                    return
                yield from self._carried_out(command, state)

    def _begun(self, planned: Planned) -> _State:
        if planned.base_stage is not None:
            return self._states[planned.base_stage].begun()
        base = Base({}) if planned.is_scratch else self._base(planned.base)
        variables = {**(base.environment if base else {})}
        variables.setdefault(*_PATH)
        return _State(variables, base is not None, base is not None and base.has_shell)

    def _carried_out(self, command: c.Command, state: _State) -> Iterator[Finding]:
        if isinstance(command, c.Arg):
            yield from self._arg(command, state)
            return
        unset = list[frozenset[str]]()
        try:
            done = expanded(command, state.variables, self._program.dockerfile, unset.append)
        except DockerfileError:
            done = command  # the build says what is wrong with it
        for names in unset:
            yield from self._undefined(names, command.node, state)
        match done:
            case c.Env():
                yield from self._env(done, state)
            case c.Label():
                yield from self._legacy(done.node)
            case c.Workdir(path=path):
                if not state.has_workdir and not path.startswith("/"):
                    text = f"Relative workdir {quoted(path)} can have unexpected results if the base image changes"
                    yield BUILDKIT["WorkdirRelativePath"].finding(text, lines(done.node))
                state.has_workdir = True
            case c.Cmd(line=line) | c.Entrypoint(line=line):
                yield from self._once(done, state)
                if line.is_shell and not state.has_shell:
                    name = keyword(done.node)
                    text = f"JSON arguments recommended for {name} to prevent unintended behavior related to OS signals"
                    yield BUILDKIT["JSONArgsRecommended"].finding(text, lines(done.node))
            case c.Healthcheck():
                yield from self._once(done, state)
            case c.Shell():
                state.has_shell = True
            case c.Expose(ports=ports):
                for port in ports:
                    yield from _port(port, done.node)
            case c.Add(sources=sources) | c.Copy(sources=sources, from_=""):
                yield from self._ignored(sources, done)

    def _arg(self, command: c.Arg, state: _State) -> Iterator[Finding]:
        for name, default in command.pairs:
            yield from _secret("ARG", name, command.node)
            value = self._given.get(name)
            if value is None and default is None:
                value = self._plan.globals.get(name)
            elif value is None and default is not None:
                try:
                    found = self._lexer.expand(default, state.variables)
                except DockerfileError:
                    value = ""
                else:
                    yield from self._undefined(found.unmatched, command.node, state)
                    value = found.text
            if value is not None and name not in _HIDDEN:
                self._set(state, name, value)
            state.names.add(name)

    def _env(self, command: c.Env, state: _State) -> Iterator[Finding]:
        yield from self._legacy(command.node)
        for name, value in command.pairs:
            yield from _secret("ENV", name, command.node)
            self._set(state, name, value)

    def _set(self, state: _State, name: str, value: str) -> None:
        self._left -= _OF_ONE + len(value)
        state.variables[name] = value

    def _legacy(self, node: Node) -> Iterator[Finding]:
        if "=" not in quoted_words(node.arguments, self._program.dockerfile.escape)[0]:
            name = keyword(node)
            text = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
            yield BUILDKIT["LegacyKeyValueFormat"].finding(text, lines(node))

    def _undefined(self, names: frozenset[str], node: Node, state: _State) -> Iterator[Finding]:
        for name in sorted(names - state.names - {*_HIDDEN}):
            near = closest(name, state.variables)
            if state.is_known or name in self._declared or (len(name) > 2 and closest(name, state.variables, edits=1)):
                text = f"Usage of undefined variable '${name}'" + (f" (did you mean ${near}?)" if near else "")
                yield BUILDKIT["UndefinedVar"].finding(text, lines(node))

    def _once(self, command: c.Command, state: _State) -> Iterator[Finding]:
        """The instruction before is the one that does not count."""
        if before := state.once.get(type(command)):
            name = keyword(command.node)
            text = f"Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            yield BUILDKIT["MultipleInstructionsDisallowed"].finding(text, lines(before))
        state.once[type(command)] = command.node

    def _ignored(self, sources: tuple[str, ...], command: c.Command) -> Iterator[Finding]:
        if self._ignore is None:
            return
        for source in sources:
            if not _REMOTE.match(source) and self._ignore.names(source):
                verb = "Add" if isinstance(command, c.Add) else "Copy"
                text = f"Attempting to {verb} file {quoted(source)} that is excluded by .dockerignore"
                yield BUILDKIT["CopyIgnoredFile"].finding(text, lines(command.node))


def _secret(instruction: str, name: str, node: Node) -> Iterator[Finding]:
    if _SECRET.search(name) and not _PUBLIC.search(name):
        text = f"Do not use ARG or ENV instructions for sensitive data ({instruction} {quoted(name)})"
        yield BUILDKIT["SecretsUsedInArgOrEnv"].finding(text, lines(node))


def _port(text: str, node: Node) -> Iterator[Finding]:
    before, mapped, own = text.rpartition(":")
    number, _, protocol = own.partition("/")
    if not number or protocol.lower() not in ("", *_PROTOCOLS):
        return  # the build says what is wrong with it
    if protocol != protocol.lower():
        reason = f"Defined protocol '{text}' in EXPOSE instruction should be lowercase"
        yield BUILDKIT["ExposeProtoCasing"].finding(reason, lines(node))
    if mapped and before:
        reason = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
        yield BUILDKIT["ExposeInvalidFormat"].finding(reason, lines(node))
