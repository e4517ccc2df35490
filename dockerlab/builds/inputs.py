"""What the steps of a build hang on, as values: of this build, and remembered of the one before. Pure.

    found = stages(dockerfile, {"WHO": "you"}, digest=salted(salt))      the stages that the build needs, FROM first in each
    found[0].instructions[2].values                                      names of the variables that it sees → digests of their values

No value of a variable is kept in clear: only digests, with a salt. The text of an instruction is kept as it is written in the Dockerfile,
without what looks like a secret (`TOKEN=…`), for the lines that are shown when it changes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from typing import Final

from dockerlab.builds.contexts import FLAG as CONTEXT_FLAG
from dockerlab.builds.contexts import Contexts, Named
from dockerlab.dockerfile import Dockerfile, Node
from dockerlab.dockerfile.commands import Add, Arg, Command, Copy, Env, Run, Transfer
from dockerlab.dockerfile.expansion import expanded
from dockerlab.dockerfile.planning import SCRATCH, Plan, Planned
from dockerlab.dockerfile.program import program

Digest = Callable[[str], str]

UNSET: Final = ""
MANY: Final = "the environment"  # in the place of very many names
_MOST_VARIABLES: Final = 200
_SUMS: Final = 1 << 128
_LONGEST: Final = 4000  # characters of an instruction that are kept
_REMOTE: Final = re.compile(r"^(?:https?|git|ssh)://|^git@|\.git(?:#|$)")
# A name is looked at once, from where it begins: a long word of a script must not be looked at from each of its letters.
_NAME_OF_SECRET: Final = r"(?=[\w.-]*?(?:passw|pword|secret|token|credential|auth(?!or)|key(?=\b|_)))[\w.-]++"
_SECRET: Final = re.compile(
    rf"(?i)(?<![\w.-])({_NAME_OF_SECRET}=|(?=-){_NAME_OF_SECRET}\s++)(?![\"']?\$)(\"[^\"]*\"|'[^']*'|[^\s\"']+)"
)
_OLD_FORM: Final = re.compile(rf"(?i)(?<!\S)(ENV\s++{_NAME_OF_SECRET}\s++)(?!\$)(\S.*)")
_USERINFO: Final = re.compile(r"(://)[^/?#\s\"']+@")


@dataclass(frozen=True, slots=True)
class Instruction:
    """text: its lines as written, heredocs too. line: 1-based. digest: of what it says with variables replaced.

    values: the variables that it sees → digests; UNSET for one that has no value; and what the contexts that it names stand for. sources,
    exclude: patterns of the context's files that it takes. stages: indexes of those that it copies from. images: those that it is based on
    or copies from. named: named contexts that are folders → patterns of their files that it takes. contexts: those that are addresses, of
    whose files nothing is known. is_remote: whether it takes what an address gives. is_trigger: whether the base image brought it
    (ONBUILD). state: as of `Step`, once it is known.
    """

    keyword: str
    text: str
    line: int
    digest: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    stages: tuple[int, ...] = ()
    images: tuple[str, ...] = ()
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contexts: tuple[str, ...] = ()
    is_remote: bool = False
    is_trigger: bool = False
    state: str = "waiting"

    @property
    def words(self) -> str:
        """The text on one line, by which an instruction is found again."""
        return " ".join(self.text.replace("\\\n", " ").split())

    @property
    def has_run(self) -> bool:
        """Whether it was worked on, and not taken from the cache."""
        return self.state in ("done", "running", "failed")


@dataclass(frozen=True, slots=True)
class Stage:
    """index: in the Dockerfile. name: after AS, or "". base_stage: the one it begins from, None for an image. instructions: FROM first."""

    index: int
    name: str
    base_stage: int | None
    instructions: tuple[Instruction, ...]


def salted(salt: str) -> Digest:
    """Digests that tell nothing to who does not have the salt."""

    def digest(text: str) -> str:
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=salt.encode()[:64]).hexdigest()

    return digest


def stages(
    dockerfile: Dockerfile,
    args: Mapping[str, str | None],
    *,
    digest: Digest,
    target: str = "",
    platform: str = "",
    on_build: Callable[[str], Sequence[str]] = lambda base: (),
    contexts: Contexts | None = None,
) -> tuple[Stage, ...]:
    """The stages that a build needs. on_build: as of `Program.plan`. Raises DockerfileError for what our parser does not understand."""
    contexts = contexts or Contexts()
    plan = program(dockerfile).plan(target, args, target_platform=platform, on_build=contexts.on_build(on_build))
    needed = contexts.needed(plan)
    given = {name: value for name, value in args.items() if value is not None}
    scopes: dict[int, _Scope] = {}
    waiting = Counter(planned.base_stage for planned in plan.stages if planned.stage.index in needed)
    names = {index: name for name, index in plan.names.items()}
    digest = cache(digest)  # many steps see the same variables
    found = []
    for planned in plan.stages:
        if planned.stage.index not in needed:
            continue
        start = scopes.get(planned.base_stage) if planned.base_stage is not None else None
        waiting[planned.base_stage] -= 1
        # The last stage that begins from another takes its variables over.
        scope = (start.copy() if waiting[planned.base_stage] else start) if start else _Scope()
        scopes[planned.stage.index] = scope
        reading = _Reading(dockerfile, plan, names, given, scope, digest, contexts)
        first = reading.first(planned)
        triggers = [reading.read(command, is_trigger=True) for command in planned.triggers]
        rest = [reading.read(command) for command in planned.stage.commands]
        base_stage = planned.base_stage if planned.base_stage in needed else None
        found.append(Stage(planned.stage.index, planned.stage.name, base_stage, (first, *triggers, *rest)))
    return tuple(found)


class _Watched(Mapping[str, str]):
    """Variables that know which of them were asked for, whether they are set or not."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.asked: set[str] = set()

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked.add(key)
        return self._values.get(key, default)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(slots=True)
class _Scope:
    """Variables of a stage so far. values: of those that have one. environment: names of those of ENV, which go before those of ARG.

    seen: name → digest of each. sum: of all of them, which a change of one changes without a look at the others.
    """

    environment: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    sum: int = 0

    def copy(self) -> _Scope:
        return _Scope({*self.environment}, {**self.values}, {**self.seen}, self.sum)

    def declare(self, name: str, value: str | None, digest: Digest) -> None:
        """An ARG. value: None for none."""
        if name not in self.environment:
            self._set(name, value, digest)

    def assign(self, pairs: Iterable[tuple[str, str]], digest: Digest) -> None:
        """An ENV."""
        for name, value in pairs:
            self.environment.add(name)
            self._set(name, value, digest)

    def _set(self, name: str, value: str | None, digest: Digest) -> None:
        if name in self.seen:
            self.sum -= _hashed(name, self.seen[name])
        if value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = value
        self.seen[name] = UNSET if value is None else digest(value)
        self.sum += _hashed(name, self.seen[name])


def _hashed(name: str, digest: str) -> int:
    return int.from_bytes(blake2b(f"{name}={digest}".encode("utf-8", "surrogatepass"), digest_size=16).digest(), "big")


@dataclass(frozen=True, slots=True)
class _Reading:
    """The instructions of one stage, one after the other. names: of stages, by index."""

    dockerfile: Dockerfile
    plan: Plan
    names: Mapping[int, str]
    given: Mapping[str, str]
    scope: _Scope
    digest: Digest
    contexts: Contexts

    def first(self, planned: Planned) -> Instruction:
        source = planned.stage.source
        values = _Watched(self.plan.globals)
        expanded_base = f"{planned.base}\0{planned.platform}"
        names = {name for name in self.plan.globals if re.search(rf"\$\{{?{re.escape(name)}\b", f"{source.base} {source.platform}")}
        images = () if planned.base_stage is not None or planned.is_scratch else (planned.base,)
        found = Instruction(
            source.node.keyword,
            _text(source.node, self.dockerfile),
            source.node.line,
            self.digest(expanded_base),
            {name: self.digest(values[name]) for name in names},
            images=images,
        )
        return self._with_contexts(found, [(planned.base, (".",))])

    def read(self, command: Command, *, is_trigger: bool = False) -> Instruction:
        watched = _Watched(self.scope.values)
        said = expanded(command, watched, self.dockerfile)
        if isinstance(said, Arg):
            for name, default in said.pairs:
                self.scope.declare(
                    name, self.given.get(name, default if default is not None else self.plan.globals.get(name)), self.digest
                )
                watched.asked.add(name)
        values = {name: self._valued(name) for name in watched.asked}
        if isinstance(said, Env):
            self.scope.assign(said.pairs, self.digest)
        elif isinstance(said, Run):
            values |= self._seen()
        node = command.node
        found = Instruction(
            node.keyword,
            without_secrets(f"ONBUILD {node.text}") if is_trigger else _text(node, self.dockerfile),
            node.line,
            self.digest(repr(replace(said, node=_NOWHERE))),
            values,
            is_trigger=is_trigger,
        )
        return self._with_contexts(*_with_sources(found, said, self.plan, self.names))

    def _valued(self, name: str) -> str:
        value = self.scope.values.get(name)
        return UNSET if value is None else self.digest(value)

    def _seen(self) -> dict[str, str]:
        """What a RUN is run with. Very many are told as one: each step would have all of them again."""
        seen = self.scope.seen
        return dict(seen) if len(seen) <= _MOST_VARIABLES else {MANY: f"{self.scope.sum % _SUMS:032x}"}

    def _with_contexts(self, found: Instruction, taken: Sequence[tuple[str, tuple[str, ...]]]) -> Instruction:
        """With the named contexts among the names that it uses, each in the place of an image or a stage.

        taken: the names, and patterns of what it takes of each.
        """
        named = {name: one for name, _ in taken if (one := self.contexts.get(name))}
        if not named:
            return found
        patterns: dict[str, tuple[str, ...]] = {}
        for name, some in taken:
            if name in named and named[name].folder:
                patterns[self.contexts.named(name)] = (*patterns.get(self.contexts.named(name), ()), *some)
        values = {f"{CONTEXT_FLAG} {name}": self.digest(one.address or _FOLDER) for name, one in named.items()}
        return replace(
            found,
            values={**found.values, **values},
            images=tuple(_image(named.get(name), name) for name in found.images if name not in named or named[name].image),
            named=patterns,
            contexts=tuple(name for name, one in named.items() if not one.image and not one.folder),
        )


_FOLDER: Final = "folder"
_NOWHERE: Final = Node("", 0, 0, "", (), "")


def _image(named: Named | None, name: str) -> str:
    return named.image if named else name


def _with_sources(
    instruction: Instruction, command: Command, plan: Plan, stage_names: Mapping[int, str]
) -> tuple[Instruction, list[tuple[str, tuple[str, ...]]]]:
    """What it takes; and what it names with `--from` or `from=`, with what it takes of that. A stage by its name, even for its number."""
    sources: list[str] = []
    named: list[tuple[str, tuple[str, ...]]] = []
    is_remote = False
    match command:
        case Copy(from_=str(name)) if name:
            named.append((name, command.sources))
        case Transfer():
            local = [source for source in command.sources if not (isinstance(command, Add) and _REMOTE.search(source))]
            is_remote = len(local) < len(command.sources)
            sources += local
        case Run():
            for mount in command.mounts:
                if mount.from_:
                    named.append((mount.from_, (mount.source or ".",)))
                elif mount.type == "bind":
                    sources.append(mount.source or ".")
    needs = [(name, plan.source(command, name), some) for name, some in named if isinstance(command, Copy | Run)]
    found = replace(
        instruction,
        sources=tuple(sources),
        exclude=command.exclude if isinstance(command, Transfer) else (),
        stages=tuple(index for _, index, _ in needs if index is not None),
        images=tuple(name for name, index, _ in needs if index is None and name != SCRATCH),
        is_remote=is_remote,
    )
    return found, [(name if index is None else stage_names.get(index, name), some) for name, index, some in needs]


def _text(node: Node, dockerfile: Dockerfile) -> str:
    return without_secrets("\n".join(dockerfile.source[node.line - 1 : node.end_line]))[:_LONGEST]


def without_secrets(text: str) -> str:
    """An instruction's text without what looks like the value of a secret."""
    text = "\n".join(_OLD_FORM.sub(r"\1…", line) if "=" not in line else line for line in text.split("\n"))
    return _USERINFO.sub(r"\1…@", _SECRET.sub(r"\1…", text))


# Which paths an instruction takes
