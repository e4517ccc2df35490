"""BuildKit's report of a build → the events of `dockerlab.wire.trace`, joined with the Dockerfile. Pure: messages in, events out.

    {"id": "moby.buildkit.trace", "aux": "<base64 of a StatusResponse>"}      vertexes, statuses, logs, lints
    {"id": "moby.image.id", "aux": {"ID": "sha256:…"}}
    {"error": "failed to solve: …"}

A vertex is named `[stage 2/4] RUN make`: the second of the stage's four instructions that have a vertex, which are RUN, COPY, ADD and
WORKDIR, and a FROM that names an image; one that names a context has none. It gets the digest that the instruction has in the record (see
`rows`), also where others name it as their input; vertexes without an instruction keep theirs. Instructions without a vertex (ENV, CMD, …)
are done as soon as a later one of their stage begins, or with the build; they are cached unless one before them in their stage ran.

Stages with one base image share its vertex, and those of its ONBUILD triggers, which is named after one of them, or by another build after
a stage of its own: a FROM is found by its image. The first of the stages has it; of the others the row has the same state, and that one as
its only input.

Triggers come after FROM. Docker Engine 28 names them `[stage 2/6] ONBUILD RUN make` and counts all of them into the total, those without a
vertex too; Docker Engine 20.10 says `[stage 2/2] RUN make` and leaves them out of it, and so the last number of a stage says how many there
are. dockerlab's own engine says `[stage 2/5] RUN make` and counts those that have a vertex.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from dockerlab.builds import wording
from dockerlab.builds.rows import COUNTED, ONBUILD, StageRows, place, rows, waiting
from dockerlab.dockerfile import Dockerfile
from dockerlab.dockerfile.planning import Plan
from dockerlab.errors import EngineError
from dockerlab.wire import control
from dockerlab.wire.protobuf import MalformedError
from dockerlab.wire.trace import Event, Lint, Log, Status, Vertex

_NAME: Final = re.compile(
    r"\[(?:[a-z0-9]+/\S+ )?(?:(?P<stage>[^\s\]]+) )? *(?P<number>[0-9]{1,9})/\d+\] (?P<trigger>ONBUILD )?(?P<text>(?P<keyword>\w+)\b.*)",
    re.DOTALL,
)
_FROM: Final = re.compile(
    r"(?P<place>\[(?:(?P<platform>[a-z0-9]+/\S+) )?(?:(?P<stage>[^\s\]]+) )? *\d+/\d+\] )?FROM (?P<image>\S+)"
)
_IMAGE: Final = re.compile(
    r"\[internal\] load metadata for (?P<image>\S+)|FROM (?P<from>\S+)|\[context (?P<context>\S+)\] .+|(?P<url>https?://\S+)",
    re.DOTALL,
)
_TAKEN: Final = re.compile(r"\bfrom=([^\s,]+)")
_EXIT_CODE: Final = re.compile(r".*\bexit code: ([0-9]{1,9})\b", re.DOTALL)  # the last: the command stands before it
_CANCELLED: Final = re.compile(r"\bcontext canceled\b")
_MOST_TRIGGERS: Final = 1000  # what a name may say of a number is no reason to make more rows


class Adapter:
    """Feeds on the messages of one build. After the last: `image_id` of the result, or `error` and `exit_code`.

    plan: of the build; None where the Dockerfile is not understood, which the engine may.
    """

    def __init__(self, dockerfile: Dockerfile, plan: Plan | None = None) -> None:
        self.image_id: str | None = None
        self.error: str | None = None
        self.exit_code: int | None = None
        self._nodes = dockerfile.nodes
        self._stages = rows(dockerfile, plan)
        self._by_name = {stage.name: stage for stage in self._stages}
        self._stage_of = {row.digest: stage for stage in self._stages for row in (stage.source, *stage.own)}
        if len(self._stages) == 1:
            # A lone stage has a name only now and then.
            self._by_name[""] = self._stages[0]
        self._waiting = waiting(dockerfile, self._stages)
        self._settled: dict[str, Vertex] = {}
        self._ran: set[str] = set()
        self._cached: set[str] = set()
        self._rows: dict[str, tuple[str, ...]] = {}
        self._owners: dict[str, str] = {}
        self._blamed: set[str] = set()
        said = [node.text for node in dockerfile.nodes] + [row.text for stage in self._stages for row in stage.triggers]
        self._taken = {wording.canonical(image) for text in said for image in _TAKEN.findall(text)}

    def begin(self) -> Iterator[Event]:
        """Every row as a waiting vertex."""
        yield from self._waiting.values()

    def feed(self, message: Mapping[str, Any], now: float) -> Iterator[Event]:
        """The events that a message stands for; now: seconds since the epoch. Raises EngineError for what is none of BuildKit's."""
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail")
            more = detail.get("message") if isinstance(detail, Mapping) else detail
            said = str(message.get("error") or more or "").strip()
            self.error = wording.plain(said)
            match = _EXIT_CODE.match(said)
            self.exit_code = int(match[1]) if match else None
        elif message.get("id") == control.TRACE:
            # A digest that names a row is none of BuildKit's.
            found = [one for one in _events(message.get("aux")) if not (isinstance(one, Vertex) and place(one.digest))]
            for event in found:
                if isinstance(event, Vertex):
                    self._count(event.name)
            for event in found:
                yield from self._event(event, now)
        elif message.get("id") == control.IMAGE and isinstance(message.get("aux"), Mapping):
            self.image_id = message["aux"].get("ID", self.image_id)

    def end(self, now: float) -> Iterator[Event]:
        """What remains when the stream has ended well."""
        if self.error is not None:
            return
        unneeded = {row.digest for stage in self._stages if not stage.is_needed for row in stage.chain()}
        for digest in [*self._waiting]:
            if digest not in unneeded:
                self._settle(digest, now)
        yield from (replace(vertex, cached=self._is_cached(digest)) for digest, vertex in self._settled.items())

    def _event(self, event: Event, now: float) -> Iterator[Event]:
        match event:
            case Vertex():
                yield from self._vertex(event, now)
            case Status() | Log():
                if event.vertex in self._rows:
                    yield replace(event, vertex=self._rows[event.vertex][0])
            case Lint():
                yield replace(event, vertex=self._rows.get(event.vertex, (event.vertex,))[0])

    def _vertex(self, vertex: Vertex, now: float) -> Iterator[Event]:
        self._count(vertex.name)
        if self._is_foreign(vertex.name) or (vertex.started is None and not vertex.error and self._is_early(vertex)):
            return
        first, *others = self._rows[vertex.digest] = self._places(vertex) or (vertex.digest,)
        if (stage := self._stage(first)) and first != stage.source.digest:
            # What another cache had is told twice, the second time as it is fetched.
            if vertex.cached and vertex.completed is not None:
                self._cached.add(first)
            vertex = replace(vertex, cached=vertex.cached or first in self._cached)
        error, completed = vertex.error, vertex.completed
        if error and _CANCELLED.search(error):
            # Another step failed, and this one was stopped with it.
            error, completed = "", None
        name = self._name(first, vertex.name)
        found = replace(vertex, digest=first, name=name, inputs=self._inputs(vertex, first), error=error, completed=completed)
        yield from self._begun(found, now)
        yield found
        for other in others:
            same = replace(found, digest=other, name=self._name(other, vertex.name), inputs=(first,))
            if error:
                # A failure is told once.
                same = replace(same, started=None, completed=None, error="")
            yield from self._begun(same, now)
            yield same
        if error and first == vertex.digest and (cause := self._cause(vertex)) is not None:
            # It failed for an instruction whose own vertex it never came to.
            yield replace(self._waiting.pop(cause), error=error, started=found.started, completed=completed)

    def _begun(self, vertex: Vertex, now: float) -> Iterator[Event]:
        """What a row's beginning says of others."""
        stage = self._stage(vertex.digest)
        if stage is None or (vertex.started is None and vertex.completed is None):
            return
        self._waiting.pop(vertex.digest, None)
        yield from self._before(vertex.digest, vertex.started or now)
        if vertex.digest != stage.source.digest:
            (self._ran.discard if vertex.cached else self._ran.add)(vertex.digest)

    def _inputs(self, vertex: Vertex, digest: str) -> tuple[str, ...]:
        """As rows; of a vertex that several stages share the one of this stage."""
        chain = {row.digest for row in stage.chain()} if (stage := self._stage(digest)) else set()
        found = (self._rows.get(one, (one,)) for one in vertex.inputs)
        return tuple(next((one for one in several if one in chain), several[0]) for several in found)

    def _name(self, digest: str, name: str) -> str:
        """As BuildKit names it; a trigger as one."""
        spot = place(digest)
        if spot is None or not spot[1]:
            return name
        stage = self._stage(digest)
        text = stage.triggers[spot[1] - 1].text if stage else ""
        opening, bracket, said = name.partition("] ")
        return f"{opening}{bracket}{ONBUILD}{text or said.removeprefix(ONBUILD)}"

    # Instructions without a vertex

    def _before(self, digest: str, now: float) -> Iterator[Event]:
        """Those that stand before one that begins: before the first FROM, and in its stage."""
        stage = self._stage(digest)
        others = [str(index) for index in range(int(self._stages[0].source.digest))]
        if stage is not None:
            chain = [row.digest for row in stage.chain()]
            without = {stage.source.digest} if stage.image is None else set()
            without |= {row.digest for row in (*stage.triggers, *stage.own) if not row.is_counted}
            others += [one for one in chain[: chain.index(digest)] if one in without]
        for other in others:
            if other in self._waiting:
                self._settle(other, now)
                yield replace(self._settled[other], cached=self._is_cached(other))

    def _settle(self, digest: str, now: float) -> None:
        """An instruction that BuildKit does not tell of is done."""
        self._settled[digest] = replace(self._waiting.pop(digest), started=now, completed=now)

    def _is_cached(self, digest: str) -> bool:
        """One with a vertex that was never looked at is in the cache; one without a vertex is, if all before it in its stage is."""
        stage = self._stage(digest)
        if stage is None:
            return True
        chain = stage.chain()
        index = next(index for index, row in enumerate(chain) if row.digest == digest)
        has_vertex = chain[index].is_counted if index else stage.image is not None
        return has_vertex or not self._ran.intersection(row.digest for row in chain[:index])

    # Which vertex is which row

    def _stage(self, digest: str) -> StageRows | None:
        """The stage of a row."""
        return self._stage_of.get(digest.partition(".")[0])

    def _count(self, name: str) -> None:
        """A number beyond the Dockerfile's own tells of triggers that were not known."""
        match = _NAME.fullmatch(name)
        stage = self._by_name.get((match["stage"] or "").lower()) if match else None
        if match is None or stage is None or match["keyword"].upper() == "FROM":
            return
        begin = int(stage.image is not None)
        own = sum(row.is_counted for row in stage.own)
        wanted = int(match["number"]) - begin - (0 if match["trigger"] else own)
        for other in self._alike(stage):
            known = sum(row.is_counted for row in other.triggers)
            for _ in range(min(wanted, _MOST_TRIGGERS) - known):
                other.trigger("")

    def _alike(self, stage: StageRows) -> list[StageRows]:
        """The stages that are needed and begin with the same, itself among them."""
        return [one for one in self._stages if one is stage or (one.is_needed and one.base == stage.base)]

    def _places(self, vertex: Vertex) -> tuple[str, ...]:
        """The rows that a vertex is; () for none."""
        if match := _FROM.fullmatch(vertex.name):
            return self._sources(match)
        match = _NAME.fullmatch(vertex.name)
        stage = self._by_name.get((match["stage"] or "").lower()) if match else None
        if match is None or stage is None:
            return ()
        triggers = [row for row in stage.triggers if row.is_counted]
        number = int(match["number"]) - int(stage.image is not None)
        if 0 < number <= len(triggers):
            row = triggers[number - 1]
            spot = stage.triggers.index(row)
            if row.text and row.keyword != match["keyword"].upper():
                return ()
            self._owners[row.digest] = vertex.digest
            alike = [one.triggers[spot].digest for one in self._alike(stage) if spot < len(one.triggers)]
            return tuple(one for one in alike if self._owners.get(one, vertex.digest) == vertex.digest)
        own = [row for row in stage.own if row.is_counted]
        number -= len(triggers)
        if not 0 < number <= len(own) or own[number - 1].keyword != match["keyword"].upper():
            return ()
        return (own[number - 1].digest,)

    def _sources(self, match: re.Match[str]) -> tuple[str, ...]:
        """The FROMs that name an image."""
        image = wording.canonical(match["image"])
        names = {image, wording.canonical(match["image"].partition("@")[0])}
        found = [stage for stage in self._stages if stage.is_needed and stage.image in names]
        if len({stage.base for stage in found}) > 1 and match["stage"]:
            # Of several platforms.
            named = self._by_name.get(match["stage"].lower())
            found = [stage for stage in found if named is not None and stage.base == named.base]
        if not found and match["place"]:
            # A name with variables, in a Dockerfile that is not understood.
            named = self._by_name.get((match["stage"] or "").lower())
            found = [named] if named is not None and named.image is not None and "$" in named.image else []
        return tuple(stage.source.digest for stage in found)

    def _is_early(self, vertex: Vertex) -> bool:
        """Whether it is a step of a stage, but which cannot be said yet: those that tell how many triggers there are come later."""
        match = _NAME.fullmatch(vertex.name)
        return match is not None and (match["stage"] or "").lower() in self._by_name and not self._places(vertex)

    def _is_foreign(self, name: str) -> bool:
        """Whether it is the base of another build, at work at the same time: BuildKit tells of it now and then."""
        match = _FROM.fullmatch(name)
        return (
            match is not None
            and bool(match["place"])
            and not self._sources(match)
            and wording.canonical(match["image"]) not in self._taken
        )

    def _cause(self, vertex: Vertex) -> str | None:
        """The first instruction that waits and names the image or URL that a vertex is about."""
        match = _IMAGE.fullmatch(vertex.name)
        if not match or vertex.digest in self._blamed:
            return None
        self._blamed.add(vertex.digest)
        wanted = match["url"] or wording.canonical(match["image"] or match["from"] or match["context"])
        sources = {stage.source.digest: stage.image for stage in self._stages}
        with_variables = None
        for index, node in enumerate(self._nodes):
            digest = str(index)
            if digest not in self._waiting:
                continue
            words = [*node.arguments.split(), *(word for flag in node.flags for word in re.split("[=,]", flag)[1:])]
            names = (*words, *map(wording.canonical, words), sources.get(digest))
            if node.keyword in ("FROM", *COUNTED) and wanted in names:
                return digest
            if with_variables is None and node.keyword == "FROM" and "$" in node.arguments:
                with_variables = digest
        return with_variables


def _events(aux: Any) -> Iterator[Event]:
    try:
        yield from control.events(base64.b64decode(aux, validate=True))
    except (TypeError, ValueError, binascii.Error, MalformedError) as error:
        raise EngineError("the engine's report of the build cannot be read", evidence=[str(error)]) from error
