"""The rows of a build's record: the Dockerfile's instructions and, under a FROM, what its base says with ONBUILD. Pure.

A row is known by its digest: an instruction's is its index in the Dockerfile, "3"; a trigger's, "3.2", is the index of the FROM whose base
brings it, and its place among the triggers. Triggers are known before the build where the engine has the base image, or where the base is
a stage; else they are learned from what the builder tells, as far as it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dockerlab.builds import wording
from dockerlab.dockerfile import Dockerfile, stages
from dockerlab.dockerfile.planning import SCRATCH, Plan
from dockerlab.wire.trace import Vertex

COUNTED: Final = ("RUN", "COPY", "ADD", "WORKDIR")  # instructions that are a vertex for BuildKit
ONBUILD: Final = "ONBUILD "


@dataclass(frozen=True)
class Row:
    """text: on one line; of a trigger without ONBUILD, "" where it is not known. is_counted: whether BuildKit has a vertex for it."""

    digest: str
    text: str

    @property
    def keyword(self) -> str:
        return self.text.partition(" ")[0].upper()

    @property
    def is_counted(self) -> bool:
        return not self.text or self.keyword in COUNTED


@dataclass
class StageRows:
    """One stage's. image: what FROM names, canonical; None for a stage or scratch. base: the same for stages that begin with the same.

    name: as BuildKit calls it. source: of FROM. triggers: grow as they become known. own: what follows in the Dockerfile. is_needed: by the
    build.
    """

    index: int
    name: str
    source: Row
    image: str | None
    base: tuple[str, str]
    own: tuple[Row, ...]
    triggers: list[Row] = field(default_factory=list)
    is_needed: bool = True

    def chain(self) -> list[Row]:
        """All, in the order in which they are carried out."""
        return [self.source, *self.triggers, *self.own]

    def trigger(self, text: str) -> Row:
        """One more that has become known."""
        row = Row(f"{self.source.digest}.{len(self.triggers) + 1}", text)
        self.triggers.append(row)
        return row


def place(digest: str) -> tuple[int, int] | None:
    """A row's instruction and, of a trigger, its place, else 0; None for a vertex that is no row."""
    index, dot, trigger = digest.partition(".")
    parts = (index, trigger) if dot else (index, "0")
    if not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts):
        return None
    return int(parts[0]), int(parts[1])


def bases(plan: Plan | None) -> tuple[tuple[int, str], ...]:
    """Of each stage that is needed, by its index, what its FROM names, with the arguments of the build."""
    return tuple((planned.stage.index, planned.base) for planned in plan.stages) if plan else ()


def rows(dockerfile: Dockerfile, plan: Plan | None = None) -> tuple[StageRows, ...]:
    """By stage. plan: of the build; without it all stages are needed, and nothing is known of triggers."""
    nodes = dockerfile.nodes
    planned = plan.by_index() if plan else {}
    found: list[StageRows] = []
    for stage in stages(dockerfile):
        first, *rest = stage.nodes
        known = planned.get(stage.index)
        earlier = [other.index for other in found if other.name == stage.base.lower()]
        base_stage = known.base_stage if known else (earlier[-1] if earlier else None)
        base = known.base if known else stage.base
        image = None if base_stage is not None or base.lower() == SCRATCH else wording.canonical(base)
        platform = next((flag for flag in nodes[first].flags if flag.startswith("--platform=")), "")
        one = StageRows(
            stage.index,
            stage.name or f"stage-{stage.index}",
            Row(str(first), _line(nodes[first].text)),
            image,
            (image or f"stage {base_stage} {base if base_stage is None else ''}", platform),
            tuple(Row(str(index), _line(nodes[index].text)) for index in rest),
            is_needed=known is not None or plan is None,
        )
        for command in known.triggers if known else ():
            one.trigger(_line(command.node.text))
        found.append(one)
    return tuple(found)


def waiting(dockerfile: Dockerfile, found: Sequence[StageRows]) -> dict[str, Vertex]:
    """A vertex for each row, in order, named as BuildKit does: `[stage 2/6] RUN make`; the stage only where there are several."""
    first = next((place(stage.source.digest) or (0, 0) for stage in found), (len(dockerfile.nodes), 0))[0]
    vertexes = [Vertex(str(index), _line(dockerfile.nodes[index].text)) for index in range(first)]
    for stage in found:
        label = f"{stage.name} " if len(found) > 1 else ""
        for number, row in enumerate((stage.source, *stage.own), start=1):
            vertexes.append(Vertex(row.digest, f"[{label}{number}/{1 + len(stage.own)}] {row.text}"))
            if row is stage.source:
                vertexes += [Vertex(one.digest, f"[{label}1/{1 + len(stage.own)}] {ONBUILD}{one.text}") for one in stage.triggers]
    return {vertex.digest: vertex for vertex in vertexes}


def _line(text: str) -> str:
    return " ".join(text.split())
