"""Why the steps of a build ran, and were not cached: this build held against the one before. Pure.

    reasons(now, before, {"": changes}) → (Reason(line=4, kind="files", sentence="the file app.py changed", …), …)

A step has one reason. What changed of its own comes first (instruction, argument, files, base image), then what ran before it, in its stage
or in one that it copies from. A file that was only touched is no reason. FROM has a reason only where the base image is another one.

The two kinds of builders differ in what a step hangs on. For a classic builder it is all that stands before it; for BuildKit what changes
the files, and what a RUN is run with: an EXPOSE that is new makes nothing run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dockerlab.builds.aligning import Aligned, align
from dockerlab.builds.changes import Changes
from dockerlab.builds.inputs import Instruction, Stage
from dockerlab.faces.human import short_id, shorten

FIRST: Final = "first"
NO_CACHE: Final = "no-cache"
BUILDER: Final = "builder"
INSTRUCTION: Final = "instruction"
ARGUMENT: Final = "argument"
FILES: Final = "files"
BASE: Final = "base"
STEP: Final = "step"
UNFINISHED: Final = "unfinished"
UNKNOWN: Final = "unknown"
PRUNED: Final = "pruned"

_WORK: Final = ("RUN", "COPY", "ADD", "WORKDIR")
_CHAIN: Final = (*_WORK, "FROM", "ENV", "ARG", "USER", "SHELL")
_NAMED: Final = 3
_KEPT: Final = 20
_WIDTH: Final = 60


@dataclass(frozen=True)
class Reason:
    """Why one step ran.

    line, text: of the step; of a trigger that a base image brought (ONBUILD) the line of its FROM. kind: "first" (nothing is remembered
    of a build like this one), "no-cache", "builder" (another one than before), "instruction", "argument", "files", "base", "step" (another
    step ran before it), "unfinished" (the build before did not come to its end), "unknown" (files, or what an address gives, that cannot
    be compared), or "pruned" (nothing changed). sentence: for people.

    diff: of an instruction that changed, lines with `-` and `+`. names: of arguments and variables. added, modified, removed: paths of
    files, at most 20 of each; files: how many there are; context: the named context that they are of, "" for the build's own. old, new:
    ids of an image. cause: the line of the step that ran before it.
    """

    line: int
    text: str
    kind: str
    sentence: str
    diff: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    files: int = 0
    context: str = ""
    old: str = ""
    new: str = ""
    cause: int | None = None


@dataclass(frozen=True)
class Inputs:
    """What a build hangs on. builder: as of `Build`. images: name → its ids, for those whose id is known."""

    builder: str
    platform: str
    stages: tuple[Stage, ...]
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def reasons(
    now: Inputs,
    before: Inputs | None,
    changes: Mapping[str, Changes] | None = None,
    *,
    name: str = "",
    no_cache: bool = False,
    anew: Sequence[str] = (),
) -> tuple[Reason, ...]:
    """One for each step that ran, in the Dockerfile's order.

    changes: of the files of contexts, by name, "" for the build's own; of those that are not there they are not known. name: of the image,
    for the sentence about a first build. anew: names of stages that were built without the cache.
    """
    if not any(one.has_run for stage in now.stages for one in stage.instructions if one.keyword != "FROM"):
        return ()
    if no_cache:
        return _alike(now, NO_CACHE, "--no-cache")
    if before is None:
        return _alike(now, FIRST, f"first build of {name} here" if name else "first build here")
    if before.builder != now.builder:
        return _alike(now, BUILDER, f"the build before ran on the {before.builder} builder, which has a cache of its own")
    found = _Explaining(now, before, changes or {}, align(now.stages, before.stages), [one.lower() for one in anew]).found()
    return tuple(sorted(found, key=lambda reason: reason.line))


def _alike(now: Inputs, kind: str, sentence: str) -> tuple[Reason, ...]:
    ran = [one for stage in now.stages for one in stage.instructions if one.has_run and one.keyword != "FROM"]
    return tuple(_reason(one, kind, sentence) for one in sorted(ran, key=lambda one: one.line))


def _reason(one: Instruction, kind: str, sentence: str) -> Reason:
    return Reason(one.line, shorten(one.words, 200), kind, sentence)


class _Explaining:
    def __init__(self, now: Inputs, before: Inputs, changes: Mapping[str, Changes], aligned: Aligned, anew: Sequence[str]) -> None:
        self._now, self._before, self._changes, self._aligned, self._anew = now, before, changes, aligned, anew
        self._stages = {stage.index: stage for stage in now.stages}
        self._own: dict[tuple[int, int], Reason] = {}
        self._found: dict[tuple[int, int], Reason] = {}

    def found(self) -> Iterator[Reason]:
        for stage in self._now.stages:
            for place, one in enumerate(stage.instructions):
                key = (stage.index, place)
                if own := self._of_its_own(one, self._aligned.before(*key)):
                    self._own[key] = own
                is_told = one.has_run if one.keyword != "FROM" else bool(own) and any(i.has_run for i in stage.instructions)
                if is_told:
                    self._found[key] = own or self._because(stage, place)
        yield from self._found.values()

    # What changed of its own

    def _of_its_own(self, one: Instruction, old: Instruction | None) -> Reason | None:
        if old is None:
            diff = tuple(f"+ {line}" for line in one.text.split("\n"))
            return replace(_reason(one, INSTRUCTION, f"the {_what(one)} is new"), diff=diff)
        names = tuple(sorted(name for name, value in one.values.items() if old.values.get(name, value) != value))
        if one.digest != old.digest and (one.words != old.words or not names):
            diff = _diff(old.text, one.text)
            sentence = f"the {_what(one)} changed" + ("" if diff else ", in a value that is not shown")
            return replace(_reason(one, INSTRUCTION, sentence), diff=diff, names=names)
        if names:
            what = "the value" if len(names) == 1 else "the values"
            return replace(_reason(one, ARGUMENT, f"{what} of {', '.join(names)} changed"), names=names)
        if one.keyword == "FROM" and one.images and self._now.platform != self._before.platform:
            platforms = [platform or "the engine's own" for platform in (self._before.platform, self._now.platform)]
            return replace(_reason(one, ARGUMENT, f"the platform changed: {' → '.join(platforms)}"), names=("--platform",))
        for context in ("", *one.named):
            if context in self._changes and (changes := self._changes[context].of(one, context)):
                return _files(one, changes, context)
        return next(filter(None, (self._moved(one, name) for name in one.images)), None)

    def _moved(self, one: Instruction, name: str) -> Reason | None:
        old, new = self._before.images.get(name, ()), self._now.images.get(name, ())
        if not old or not new or set(old) & set(new):
            return None
        what = "the base image" if one.keyword == "FROM" else "the image"
        sentence = f"{what} {name} moved: {short_id(old[0])} → {short_id(new[0])}"
        return replace(_reason(one, BASE, sentence), old=old[0], new=new[0])

    # What ran before it

    def _because(self, stage: Stage, place: int) -> Reason:
        one = stage.instructions[place]
        if stage.name.lower() in self._anew:
            return _reason(one, NO_CACHE, "--no-cache-filter")
        for needed in one.stages:
            if needed in self._stages and (cause := self._cause(self._stages[needed], len(self._stages[needed].instructions))):
                return self._step(one, cause)
        if cause := self._cause(stage, place):
            return self._step(one, cause)
        old = self._aligned.before(stage.index, place)
        if old is not None and old.state not in ("done", "cached"):
            said = "it failed in the build before" if old.state == "failed" else "the build before did not carry it out"
            return _reason(one, UNFINISHED, said)
        if name := self._unseen(stage, place):
            return _reason(one, UNKNOWN, f"what the build context {name} holds may have changed: nothing else did")
        if one.is_remote:
            return _reason(one, UNKNOWN, "what the address gives may have changed: nothing else did")
        if one.sources and "" not in self._changes:
            return _reason(one, UNKNOWN, "nothing else changed; which files did is not known")
        return _reason(one, PRUNED, "no input changed: the cache was pruned, or comes from elsewhere")

    def _unseen(self, stage: Stage, place: int) -> str:
        """A named context of whose files nothing is known and that a step hangs on: its own, or one of a step before it, cached with other
        files perhaps. "" for none."""
        waiting, seen = [(stage, place + 1)], set[int]()
        while waiting:
            at, end = waiting.pop()
            for one in reversed(at.instructions[:end]):
                if unseen := [*one.contexts, *(name for name in one.named if name not in self._changes)]:
                    return unseen[0]
                more = one.stages if one.keyword != "FROM" else () if at.base_stage is None else (at.base_stage,)
                waiting += [
                    (self._stages[i], len(self._stages[i].instructions)) for i in more if i in self._stages and i not in seen
                ]
                seen.update(more)
        return ""

    def _cause(self, stage: Stage, place: int) -> tuple[str, int | None] | None:
        """What made a step run, as words and a line: the nearest before it that ran, or changed."""
        chains = [_CHAIN, None] if self._now.builder == "buildkit" else [None]
        for keywords in chains:
            at: Stage | None = stage
            end = place
            while at is not None:
                for index in range(end, -1, -1):
                    if index < end and (cause := self._itself(at, index, keywords)):
                        return cause
                    if gone := [o for o in self._aligned.gone(at.index, index) if keywords is None or o.keyword in keywords]:
                        return f"because '{shorten(gone[-1].words, _WIDTH)}', which stood before it, is gone", None
                at = self._stages.get(at.base_stage) if at.base_stage is not None else None
                end = len(at.instructions) if at else 0
        return None

    def _itself(self, stage: Stage, place: int, keywords: Sequence[str] | None) -> tuple[str, int | None] | None:
        """Whether this one is what made a later one run."""
        one, own = stage.instructions[place], self._own.get((stage.index, place))
        if keywords is not None and one.keyword not in keywords:
            return None
        if own and one.keyword == "FROM":
            whats = {BASE: "the base image moved", FILES: f"files of context {own.context} changed"}
            what = whats.get(own.kind, "FROM changed")
            return f"because {what} (line {one.line})", one.line
        words = shorten(one.words, _WIDTH)
        what = "the base image's trigger" if one.is_trigger else f"line {one.line}"
        if one.has_run and (own or one.keyword in _WORK):
            return f"because {what} ran: {words}", one.line
        return (f"because {what} changed: {words}", one.line) if own else None

    def _step(self, one: Instruction, cause: tuple[str, int | None]) -> Reason:
        return replace(_reason(one, STEP, cause[0]), cause=cause[1])


def _what(one: Instruction) -> str:
    return "base image's trigger" if one.is_trigger else "instruction"


def _files(one: Instruction, changes: Changes, context: str) -> Reason:
    by_kind = {"modified": changes.modified, "added": changes.added, "removed": changes.removed}
    named = [f"{path} ({kind})" for kind, paths in by_kind.items() for path in paths[:_NAMED]][:_NAMED]
    count = sum(map(len, by_kind.values()))
    rest = f", and {count - len(named):,} more" if count > len(named) else ""
    of_what = f" of context {context}" if context else ""
    sentence = f"{count:,} file{'s' if count != 1 else ''}{of_what} changed: {', '.join(named)}{rest}"
    kept = [paths[:_KEPT] for paths in (changes.added, changes.modified, changes.removed)]
    added, modified, removed = kept
    found = _reason(one, FILES, sentence)
    return replace(found, added=added, modified=modified, removed=removed, files=count, context=context)


def _diff(old: str, new: str) -> tuple[str, ...]:
    lines = [*difflib.ndiff(old.split("\n"), new.split("\n"))]
    return tuple(line.rstrip() for line in lines if not line.startswith("?")) if old != new else ()
