"""Why the steps of a build ran, from what is kept of the build before; and what is kept of this one.

    remembering = Remembering(client, asked, place, bases)      before: the base images, as they are now
    remembering.look(tally)                                     meanwhile, whenever the builder says something, or nothing
    remembering.reasons(record, tally)                          after: a reason for each step that ran; this build is kept for the next

Nothing here raises, and nothing holds a build up: what cannot be told leaves it without reasons; a fault of ours goes to the log. The
files of the contexts are those that the engine was told of; what travelled was digested on its way, what is unchanged has its digest from
before, and the rest is read now.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from dockerlab.builds import wording
from dockerlab.builds.bases import Bases
from dockerlab.builds.changes import ByContext, Changes, File, Files, difference
from dockerlab.builds.inputs import Digest, Instruction, Stage, salted, stages
from dockerlab.builds.memory import MOST_FILES, Memory, Past, Slots, folder
from dockerlab.builds.reading import opened
from dockerlab.builds.reasons import Inputs, Reason, reasons
from dockerlab.builds.record import Build
from dockerlab.builds.rows import ONBUILD
from dockerlab.builds.tally import Tally, hashing
from dockerlab.builds.walking import Found
from dockerlab.client import Client
from dockerlab.errors import DockerfileError, DockerlabError

if TYPE_CHECKING:
    from dockerlab.builds.driving import Asked

LOG = logging.getLogger(__name__)
# Nanoseconds: two changes that are less than this apart may leave a file with one time; more where a file system has whole seconds.
_TICK: Final = 20_000_000
_COARSE: Final = 2_000_000_000
_READING: Final = (
    1.0  # seconds that a build may be held up by reading files; of what remains, its time and size are all that is known
)
_CHUNK: Final = 1 << 20
_UNSTABLE: Final = "~"
_PINNED: Final = re.compile(r"\] FROM (\S+?)(?:@(sha256:[0-9a-f]{64}))")


class _Seen(NamedTuple):
    """past: the build before. mark: of the context, "" where its files are too many, or were not told. old: the files, where they differ.

    told: of each context, how many files the engine had been told of.
    """

    slots: Slots
    past: Past | None
    mark: str
    old: ByContext
    told: Mapping[str, int]


class Remembering:
    """Of one build. place: names the context. bases: of the same build."""

    def __init__(self, client: Client, asked: Asked, place: str, bases: Bases) -> None:
        self._asked, self._place, self._bases = asked, place, bases
        self._started = time.time_ns()
        # Asked now: a build that is interrupted asks the engine nothing more.
        self._identity: str | None = None
        with suppress(DockerlabError):  # the build says so
            self._identity = client.identity
        with suppress(DockerfileError):  # the engine says what is wrong with it
            self._stages(salted(""))  # which looks at the base images
        self._looked: _Seen | None = None
        self._can_look = True

    def look(self, tally: Tally) -> None:
        """At what was kept, and at the files that the engine was told of, as soon as it was: the build's end need not wait for it.

        Where that fails it is not tried again before the end: a builder may say very much.
        """
        if self._can_look and tally.each and self._identity is not None:
            self._can_look = False
            with _without_reasons():
                self._looked = self._seen(self._identity, tally)
                self._can_look = True

    def reasons(self, record: Build, tally: Tally) -> tuple[Reason, ...]:
        """Of the build as it ended."""
        with _without_reasons():
            return self._reasons(record, tally)
        return ()

    def _reasons(self, record: Build, tally: Tally) -> tuple[Reason, ...]:
        asked = self._asked
        if self._identity is None:
            return ()
        memory = Memory(folder(os.environ, sys.platform))
        slots, past, mark, old, _ = self._seen(self._identity, tally)
        salt = past.salt if past else secrets.token_hex(16)
        found = _with_states(self._stages(salted(salt), record), record)
        now = Inputs(record.builder, asked.platform, found, self._identified(found, record))
        # The files, and how they differ from those before.
        files: ByContext | None = None
        changes: dict[str, Changes] = {}
        moment = self._started
        if past and past.mark == mark:
            changes, moment = dict.fromkeys(tally.each if mark else (), Changes()), past.moment
        elif mark:
            files = _files(tally.each, old, past.moment if past else 0, 0 if record.outcome == "interrupted" else _READING)
            changes = {name: difference(old[name], found) for name, found in files.items() if name in old}
        told = reasons(
            now,
            past.inputs if past else None,
            changes,
            name=asked.tags[0] if asked.tags else "",
            no_cache=asked.no_cache,
            anew=asked.no_cache_filter,
        )
        if record.outcome == "done" or any(one.state in ("done", "cached") for stage in found for one in stage.instructions[1:]):
            if past and not tally.each:
                mark, moment = past.mark, past.moment
            elif files:
                is_part = bool(asked.target) or (record.outcome != "done" and bool(old.keys() - files.keys()))
                if is_part:
                    # Those that only other stages take, or steps that were not reached, were not told.
                    files = _with_untold(files, old, each=bool(asked.target))
                if is_part or any(_is_recent(file.time, moment) for found in files.values() for file in found.values()):
                    mark = _UNSTABLE + mark
            with suppress(OSError):
                memory.keep(
                    slots, Past(self._with_others(now, past), salt, mark, moment, record.image_id, past.stem if past else ""), files
                )
        return told

    def _seen(self, identity: str, tally: Tally) -> _Seen:
        told = {name: len(one.found) for name, one in tally.each.items()}
        if self._looked is not None and self._looked.told == told:
            return self._looked
        words = (one.words for stage in self._stages(salted("")) for one in stage.instructions if not one.is_trigger)
        slots = Slots.of(identity, self._asked.tags, f"{self._place} {self._asked.target}", words)
        memory = Memory(folder(os.environ, sys.platform))
        past = memory.recall(slots)
        mark = _mark(tally.each) if told and sum(told.values()) <= MOST_FILES else ""
        old = memory.files(past) if past and mark and past.mark != mark else None
        return _Seen(slots, past, mark, old or {}, told)

    def _stages(self, digest: Digest, record: Build | None = None) -> tuple[Stage, ...]:
        """record: says which triggers ran of an image that the engine does not have: BuildKit keeps those that it pulls to itself."""
        asked = self._asked
        told = _triggers(record) if record else {}
        return stages(
            asked.dockerfile,
            asked.args,
            digest=digest,
            target=asked.target,
            platform=asked.platform,
            on_build=lambda base: self._bases.on_build(base) or told.get(wording.canonical(base), ()),
            contexts=asked.contexts,
        )

    def _with_others(self, now: Inputs, past: Past | None) -> Inputs:
        """With the stages that only another target needs, as they are remembered."""
        if past is None or not self._asked.target:
            return now
        known = {stage.index for stage in now.stages}
        count = sum(node.keyword == "FROM" for node in self._asked.dockerfile.nodes)
        others = [stage for stage in past.inputs.stages if stage.index not in known and stage.index < count]
        return replace(now, stages=tuple(sorted([*now.stages, *others], key=lambda stage: stage.index)))

    # Images

    def _identified(self, found: Sequence[Stage], record: Build) -> dict[str, tuple[str, ...]]:
        """The ids of the images that the build took."""
        pinned = {wording.canonical(match[1]): match[2] for step in record.steps if (match := _PINNED.search(step.vertex.name))}
        names = {name for stage in found for one in stage.instructions for name in one.images}
        ids = {}
        for name in names:
            known = self._bases.ids(name)
            if record.outcome != "interrupted" and (self._asked.pull or not known):
                # It was not there before, and may have been pulled by now.
                known = self._bases.again(name)
            more = pinned.get(wording.canonical(name))
            ids[name] = (*known, *((more,) if more else ()))
        return {name: known for name, known in ids.items() if known}


@contextmanager
def _without_reasons() -> Iterator[None]:
    """What goes wrong leaves a build without reasons."""
    try:
        yield
    except (DockerlabError, OSError):
        LOG.debug("the engine is gone, or the Dockerfile is none", exc_info=True)
    except Exception:
        LOG.exception("why the steps of a build ran cannot be told")


def _triggers(record: Build) -> dict[str, list[str]]:
    """By base image, as the builder told of them: for the first stage that starts from it."""
    found: dict[str, list[str]] = {}
    bases = {node.line: wording.canonical(node.arguments.split()[0]) for node in record.dockerfile.nodes if node.keyword == "FROM"}
    lines = dict[str, int]()
    for step in record.steps:
        if step.base_line in bases and lines.setdefault(bases[step.base_line], step.base_line) == step.base_line:
            found.setdefault(bases[step.base_line], []).append(step.text.removeprefix(ONBUILD))
    return found


def _with_states(found: Sequence[Stage], record: Build) -> tuple[Stage, ...]:
    states = {(step.line or step.base_line, step.trigger): step.state for step in record.steps}
    return tuple(replace(stage, instructions=tuple(_with_state(stage, states))) for stage in found)


def _with_state(stage: Stage, states: Mapping[tuple[int | None, int], str]) -> Iterator[Instruction]:
    for place, one in enumerate(stage.instructions):
        # Triggers stand right behind FROM.
        key = (one.line, place if one.is_trigger else 0)
        yield replace(one, state=states.get(key, one.state))


# Files


def _mark(told: Mapping[str, Tally]) -> str:
    """The same for contexts in which nothing was touched."""
    rows = []
    for name, tally in told.items():
        rows.append(f"{name}\n" if name else "")
        rows += [_row(one) for one in tally.found]
    return blake2b("".join(rows).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _row(one: Found) -> str:
    if isinstance(one.source, bytes):
        return f"{one.path}\0{one.mode}\0{_content(one.source)}\n"
    return f"{one.path}\0{one.size}\0{one.time}\0{one.inode}\0{one.mode}\0{one.link}\n"


def _content(data: bytes) -> str:
    hashed = hashing()
    hashed.update(data)
    return hashed.hexdigest()


def _files(told: Mapping[str, Tally], old: ByContext, moment: int, seconds: float) -> ByContext:
    """What the engine was told of, with what is known of its content. old: as it was seen at that moment. seconds: for reading."""
    until = time.monotonic() + seconds
    return {name: dict(_each(tally, old.get(name, {}), moment, until)) for name, tally in told.items()}


def _with_untold(files: ByContext, old: ByContext, *, each: bool) -> ByContext:
    """With those that were not told this time: whole contexts, and each file of the others."""
    found = {**old, **files}
    return {name: {**old.get(name, {}), **some} for name, some in found.items()} if each else found


def _is_recent(changed: int, moment: int) -> bool:
    """Whether a file may have changed after that moment and still have this time."""
    return changed > moment - _COARSE and changed > moment - (_TICK if changed % 1_000_000_000 else _COARSE)


def _each(tally: Tally, old: Files, moment: int, until: float) -> Iterator[tuple[str, File]]:
    digests = tally.digests
    for one in tally.found:
        path = f"{one.path}/" if stat.S_ISDIR(one.mode) else one.path
        if not one.is_file:
            # Of a folder neither time nor inode count.
            yield path, File(0, 0, 0, one.mode, f"→{one.link}" if one.link else "-")
            continue
        before = old.get(path)
        if isinstance(one.source, bytes):
            digest = _content(one.source)
        elif sent := digests.get(one.path):
            digest = sent.hex()
        elif (
            before
            and before.digest
            and before[:4] == (one.size, one.time, one.inode, one.mode)
            and not _is_recent(one.time, moment)
        ):
            yield path, before
            continue
        else:
            digest = _read(one, until)
        yield path, File(one.size, one.time, one.inode, one.mode, digest)


def _read(one: Found, until: float) -> str:
    """The digest of a file that did not travel; "" where it has changed since, cannot be read, or takes too long."""
    hashed = hashing()
    if time.monotonic() >= until:
        return ""
    with suppress(OSError), opened(one) as stream:
        while data := stream.read(_CHUNK):
            hashed.update(data)
            if time.monotonic() >= until:
                return ""
        status = os.fstat(stream.fileno())
        if (status.st_size, status.st_mtime_ns) == (one.size, one.time):
            return hashed.hexdigest()
    return ""
