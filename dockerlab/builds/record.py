"""What a build was: its steps with their states, times and logs, as values. `Trace` folds events into them.

A `Step` is a vertex joined with the line of the Dockerfile that it stands for. A `Build` is the whole at one moment: while the build
runs, `Trace.snapshot` gives one after the other; the last is the record that stays on the image (`image.build`) or on the error.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from functools import cached_property

from dockerlab.builds.graph import Graph, graph
from dockerlab.builds.reasons import Reason
from dockerlab.builds.rows import ONBUILD, place
from dockerlab.builds.tally import Sent
from dockerlab.dockerfile import INSTRUCTIONS, Dockerfile
from dockerlab.faces import build as faces
from dockerlab.faces.human import plain
from dockerlab.faces.reasons import Explanation
from dockerlab.faces.shown import Shown
from dockerlab.pipelines.model import Pipeline
from dockerlab.pipelines.recorded import recorded
from dockerlab.wire.trace import Event, Lint, Log, Status, Vertex

_KEYWORDS = frozenset(keyword for keyword, _ in INSTRUCTIONS)


@dataclass(frozen=True)
class Step:
    """One instruction at work.

    line, end_line: 1-based, or None for a step that is not in the Dockerfile (a --label, a trigger of ONBUILD). text: the instruction on
    one line. output: the lines that it printed so far, as plain text. statuses: layers that it pulls. base_line, trigger: of what a base
    image says with ONBUILD, the line of the FROM that names the image, and its place among the triggers, from 1.
    """

    vertex: Vertex
    text: str
    line: int | None = None
    end_line: int | None = None
    output: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ()
    base_line: int | None = None
    trigger: int = 0

    @property
    def state(self) -> str:
        """waiting, running, cached, done or failed."""
        if self.vertex.error:
            return "failed"
        if self.vertex.cached:
            return "cached"
        if self.vertex.completed is not None:
            return "done"
        return "waiting" if self.vertex.started is None else "running"

    @property
    def keyword(self) -> str:
        """Of the instruction; of a trigger's own."""
        text = self.text.removeprefix(ONBUILD) if self.trigger else self.text
        return text.partition(" ")[0].upper()

    @property
    def effect(self) -> str:
        """What the instruction adds: the base image, a layer, or configuration; '' for what the builder does of its own."""
        effects = {"FROM": "base", "RUN": "layer", "COPY": "layer", "ADD": "layer", "WORKDIR": "layer"}
        return effects.get(self.keyword, "config" if self.keyword in _KEYWORDS else "")

    def seconds(self, now: float) -> float:
        """How long it took, or has been running at `now`."""
        if self.vertex.started is None:
            return 0.0
        return max(0.0, (self.vertex.completed or now) - self.vertex.started)


@dataclass(frozen=True, repr=False)
class Build(Shown):
    """A build at one moment, or as it ended.

    tags: as asked for. builder: which of the engine's builders ran it, "buildkit" or "classic". reason: why that one. moment, started,
    completed: seconds since the epoch. outcome: "running", "done", "failed" or "interrupted". image_id: of the result, else None.
    warnings: what the builder's linter says, and once it is over dockerlab's rules; and of a context that is too big. context: what was
    sent of it. dockerfile: what was built. target: the stage that was asked for, "" for the last. reasons: why each step that ran did so,
    once the build is over. bases: of stages, by their index, what FROM names once its ARGs are filled in, as far as that is known.
    """

    tags: tuple[str, ...]
    steps: tuple[Step, ...]
    builder: str
    reason: str
    started: float
    moment: float
    completed: float | None = None
    outcome: str = "running"
    image_id: str | None = None
    warnings: tuple[Lint, ...] = ()
    context: Sent = field(default_factory=Sent)
    dockerfile: Dockerfile = field(default=Dockerfile((), ()), repr=False)
    reasons: tuple[Reason, ...] = ()
    target: str = ""
    bases: tuple[tuple[int, str], ...] = field(default=(), repr=False)

    @cached_property
    def pipeline(self) -> Pipeline:
        """Its instructions, steps and what they add; `dockerlab.pipeline(image)` joins the image's layers and its containers."""
        return recorded(self)

    @cached_property
    def graph(self) -> Graph:
        """What took what from where, and which chain of it made the build as long as it was."""
        return graph(self, self.dockerfile)

    @property
    def explanation(self) -> Explanation:
        """The reasons, in a table."""
        return Explanation(self)

    @property
    def log(self) -> str:
        """All that the steps printed, each after its instruction, as plain text."""
        parts = []
        for step in self.steps:
            if step.vertex.started is not None:
                parts += [f"#{'' if step.line is None else f' {step.line}'} {step.text}", *step.output]
        return "\n".join(parts) + ("\n" if parts else "")

    @property
    def seconds(self) -> float:
        return (self.completed or self.moment) - self.started

    def _text(self) -> str:
        return faces.text(self)

    def _table(self) -> str:
        return faces.table(self)

    def _html(self) -> str:
        return faces.html(self, *((self.graph, self.graph.picture) if self.outcome != "running" else ()))

    def _live_html(self) -> str:
        return faces.live_html(self) if self.outcome == "running" else self._html()

    def _png(self) -> bytes | None:
        # One stage is a chain, which the rows show as well.
        return self.graph.png if self.outcome != "running" and len(self.graph.stages) > 1 else None


@dataclass
class _Row:
    """What is known of one vertex; the fold's working state."""

    vertex: Vertex
    text: str
    line: int | None
    end_line: int | None
    base_line: int | None = None
    trigger: int = 0
    lines: list[str] = field(default_factory=list)
    partial: str = ""
    statuses: dict[str, Status] = field(default_factory=dict)
    decode: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))
    step: Step | None = None

    def log(self, data: bytes) -> None:
        *whole, self.partial = (self.partial + self.decode.decode(data)).split("\n")
        self.lines += [plain(line) for line in whole]

    def frozen(self) -> Step:
        if self.step is None:
            rest = (plain(self.partial),) if self.partial else ()
            output = (*self.lines, *rest)
            place = (self.line, self.end_line)
            self.step = Step(self.vertex, self.text, *place, output, tuple(self.statuses.values()), self.base_line, self.trigger)
        return self.step


class Trace:
    """Folds a build's events into its record. sent: to be set as the context travels. Not for several threads at once."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        tags: tuple[str, ...],
        builder: str,
        reason: str,
        started: float,
        target: str = "",
        bases: tuple[tuple[int, str], ...] = (),
    ) -> None:
        self._dockerfile = dockerfile
        self._nodes = {str(i): node for i, node in enumerate(dockerfile.nodes)}
        self._rows: dict[str, _Row] = {}
        self._is_sorted = True
        self._lints: list[Lint] = []
        self.sent = Sent()
        self._tags, self._builder, self._reason, self._started, self._target = tags, builder, reason, started, target
        self._bases = bases

    def apply(self, event: Event) -> None:
        if isinstance(event, Lint):
            if event not in self._lints:
                self._lints.append(event)
            return
        if isinstance(event, Vertex):
            row = self._rows.get(event.digest) or self._add(event)
            row.vertex = event
        else:
            row = self._rows[event.vertex]
            if isinstance(event, Log):
                row.log(event.data)
            else:
                row.statuses[event.id] = event
        row.step = None

    @property
    def lints(self) -> tuple[Lint, ...]:
        """What was said against the Dockerfile so far."""
        return tuple(self._lints)

    def snapshot(self, now: float, outcome: str = "running", image_id: str | None = None) -> Build:
        """The build at `now`. outcome: as in `Build`."""
        if not self._is_sorted:
            # Triggers stand under their FROM, whenever they become known.
            self._rows = dict(sorted(self._rows.items(), key=lambda item: place(item[0]) or (len(self._nodes), 0)))
            self._is_sorted = True
        steps = tuple(row.frozen() for row in self._rows.values())
        completed = None if outcome == "running" else now
        what = (self._tags, steps, self._builder, self._reason)
        more = (self.lints, self.sent, self._dockerfile)
        return Build(*what, self._started, now, completed, outcome, image_id, *more, target=self._target, bases=self._bases)

    def _add(self, vertex: Vertex) -> _Row:
        node = self._nodes.get(vertex.digest)
        text = " ".join(node.text.split()) if node else vertex.name.partition("] ")[2] or vertex.name
        row = _Row(vertex, text, node.line if node else None, node.end_line if node else None)
        self._rows[vertex.digest] = row
        spot = place(vertex.digest)
        if spot and spot[1] and (base := self._nodes.get(str(spot[0]))):
            row.base_line, row.trigger = base.line, spot[1]
            self._is_sorted = False
        return row
