"""BuildKit's report of a build → the events of `dockerlab.wire.trace`, joined with the Dockerfile. Pure: messages in, events out.

    {"id": "moby.buildkit.trace", "aux": "<base64 of a StatusResponse>"}      vertexes, statuses, logs, lints
    {"id": "moby.image.id", "aux": {"ID": "sha256:…"}}
    {"error": "failed to solve: …"}

A vertex is named `[stage 2/4] RUN make`: the second of the stage's four instructions that have a vertex, which are RUN, COPY, ADD and
WORKDIR, and a FROM that names an image. It gets the digest that the instruction has in the record (its index in the Dockerfile), also where
others name it as their input; vertexes without an instruction keep theirs. Instructions without a vertex (ENV, CMD, …) are done as soon as
a later one of their stage begins, or with the build; they are cached unless one before them in their stage ran.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from dockerlab.builds import wording
from dockerlab.builds.classic import names
from dockerlab.dockerfile import Dockerfile, Stage, stages
from dockerlab.errors import EngineError
from dockerlab.wire import control
from dockerlab.wire.protobuf import MalformedError
from dockerlab.wire.trace import Event, Lint, Log, Status, Vertex

_NAME: Final = re.compile(
    r"\[(?:[a-z0-9]+/\S+ )?(?:(?P<stage>[^\s\]]+) )? *(?P<number>\d+)/(?P<total>\d+)\] (?P<keyword>\w+)\b.*", re.DOTALL
)
_IMAGE: Final = re.compile(r"(?:\[internal\] load metadata for |FROM )(?P<image>\S+)|(?P<url>https?://\S+)")
_COUNTED: Final = ("RUN", "COPY", "ADD", "WORKDIR")
_EXIT_CODE: Final = re.compile(r"\bexit code: (\d+)")
_CANCELLED: Final = re.compile(r"\bcontext canceled\b")
_SCRATCH: Final = "scratch"


class Adapter:
    """Feeds on the messages of one build. After the last: `image_id` of the result, or `error` and `exit_code`.

    needed: the indexes of the stages that the build needs; None where that is not known.
    """

    def __init__(self, dockerfile: Dockerfile, needed: frozenset[int] | None = None) -> None:
        self.image_id: str | None = None
        self.error: str | None = None
        self.exit_code: int | None = None
        self._nodes = dockerfile.nodes
        self._stages = stages(dockerfile)
        self._needed = needed if needed is not None else frozenset(range(len(self._stages)))
        self._places, self._totals = _places(dockerfile, self._stages)
        self._waiting = {index: Vertex(str(index), name) for index, name in enumerate(names(dockerfile))}
        self._settled: dict[int, Vertex] = {}
        self._ran: set[int] = set()
        self._digests: dict[str, str] = {}
        self._stage_of = {index: stage for stage in self._stages for index in stage.nodes}

    def begin(self) -> Iterator[Event]:
        """Every instruction as a waiting vertex; its digest is its index among the Dockerfile's instructions."""
        yield from self._waiting.values()

    def feed(self, message: Mapping[str, Any], now: float) -> Iterator[Event]:
        """The events that a message stands for; now: seconds since the epoch. Raises EngineError for what is none of BuildKit's."""
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail")
            more = detail.get("message") if isinstance(detail, Mapping) else detail
            said = str(message.get("error") or more or "").strip()
            self.error = wording.plain(said)
            match = _EXIT_CODE.search(said)
            self.exit_code = int(match[1]) if match else None
        elif message.get("id") == control.TRACE:
            for event in _events(message.get("aux")):
                yield from self._event(event, now)
        elif message.get("id") == control.IMAGE and isinstance(message.get("aux"), Mapping):
            self.image_id = message["aux"].get("ID", self.image_id)

    def end(self, now: float) -> Iterator[Event]:
        """What remains when the stream has ended well."""
        if self.error is not None:
            return
        for index in [*self._waiting]:
            stage = self._stage_of.get(index)
            if stage is None or stage.index in self._needed:
                self._settle(index, now)
        yield from (replace(vertex, cached=self._is_cached(index)) for index, vertex in self._settled.items())

    def _event(self, event: Event, now: float) -> Iterator[Event]:
        match event:
            case Vertex():
                yield from self._vertex(event, now)
            case Status() | Log() | Lint():
                if event.vertex in self._digests or isinstance(event, Lint):
                    yield replace(event, vertex=self._digests.get(event.vertex, event.vertex))

    def _vertex(self, vertex: Vertex, now: float) -> Iterator[Event]:
        index = self._place(vertex.name)
        digest = self._digests.setdefault(vertex.digest, vertex.digest if index is None else str(index))
        inputs = tuple(self._digests.get(one, one) for one in vertex.inputs)
        error, completed = vertex.error, vertex.completed
        if error and _CANCELLED.search(error):
            # Another step failed, and this one was stopped with it.
            error, completed = "", None
        if index is not None and (vertex.started is not None or vertex.completed is not None):
            self._waiting.pop(index, None)
            yield from self._before(index, vertex.started or now)
            if self._nodes[index].keyword in _COUNTED:
                (self._ran.discard if vertex.cached else self._ran.add)(index)
        found = replace(vertex, digest=digest, inputs=inputs, error=error, completed=completed)
        yield found
        if error and index is None and (cause := self._cause(vertex.name)) is not None:
            # It failed for an instruction whose own vertex it never came to.
            yield replace(self._waiting.pop(cause), error=error, started=found.started, completed=completed)

    def _before(self, index: int, now: float) -> Iterator[Event]:
        """The instructions without a vertex that stand before one that begins: those before FROM, and those of its stage."""
        stage = self._stage_of[index]
        for other in (*range(self._stages[0].nodes[0]), *stage.nodes):
            if other >= index:
                return
            if other in self._waiting and other not in self._places.values():
                self._settle(other, now)
                yield replace(self._settled[other], cached=self._is_cached(other))

    def _settle(self, index: int, now: float) -> None:
        """An instruction that BuildKit does not tell of is done."""
        self._settled[index] = replace(self._waiting.pop(index), started=now, completed=now)

    def _is_cached(self, index: int) -> bool:
        """One with a vertex that was never looked at is in the cache; one without a vertex is, if all before it in its stage is."""
        stage = self._stage_of.get(index)
        before = [other for other in stage.nodes if other < index] if stage else ()
        return index in self._places.values() or not self._ran.intersection(before)

    def _place(self, name: str) -> int | None:
        """Which of the Dockerfile's instructions a vertex is. ONBUILD's triggers come after FROM and are not in the Dockerfile."""
        match = _NAME.fullmatch(name)
        if not match:
            return None
        label, number, total = (match["stage"] or "").lower(), int(match["number"]), int(match["total"])
        triggers = total - self._totals.get(label, total)
        if triggers > 0 and number > 1:
            number = number - triggers if number > 1 + triggers else 0
        index = self._places.get((label, number))
        return index if index is not None and self._nodes[index].keyword == match["keyword"].upper() else None

    def _cause(self, name: str) -> int | None:
        """The first instruction that waits and names the image or URL that a vertex is about."""
        match = _IMAGE.fullmatch(name)
        if not match:
            return None
        wanted = match["url"] or wording.canonical(match["image"])
        with_variables = None
        for index in sorted(self._waiting):
            node = self._nodes[index]
            words = [*node.arguments.split(), *(flag.partition("=")[2] for flag in node.flags)]
            if node.keyword in ("FROM", *_COUNTED) and (wanted in words or wanted in map(wording.canonical, words)):
                return index
            if with_variables is None and node.keyword == "FROM" and "$" in node.arguments:
                with_variables = index
        return with_variables


def _places(dockerfile: Dockerfile, found: tuple[Stage, ...]) -> tuple[dict[tuple[str, int], int], dict[str, int]]:
    """(a stage's name for BuildKit, the number of a vertex in it) → the index of the instruction; and how many a stage has.

    A lone stage has a name only now and then. Of two stages of one name the later counts.
    """
    places: dict[tuple[str, int], int] = {}
    totals: dict[str, int] = {}
    earlier: set[str] = set()
    for stage in found:
        first, *others = stage.nodes
        is_image = stage.base.lower() != _SCRATCH and stage.base.lower() not in earlier
        counted = [*([first] if is_image else []), *(index for index in others if dockerfile.nodes[index].keyword in _COUNTED)]
        for label in (stage.name or f"stage-{stage.index}", *([""] if len(found) == 1 else [])):
            places.update({(label, number): index for number, index in enumerate(counted, start=1)})
            totals[label] = len(counted)
        if stage.name:
            earlier.add(stage.name)
    return places, totals


def _events(aux: Any) -> Iterator[Event]:
    try:
        yield from control.events(base64.b64decode(aux, validate=True))
    except (TypeError, ValueError, binascii.Error, MalformedError) as error:
        raise EngineError("the engine's report of the build cannot be read", evidence=[str(error)]) from error
