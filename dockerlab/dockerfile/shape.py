"""What a Dockerfile says of who takes from whom, as it is written: for what shows a build whose arguments are not known.

    shape = Shape(dockerfile)
    shape.base(stage)        the earlier stage that FROM names, None for an image
    shape.sources(index)     the stages that an instruction takes files from: COPY --from, RUN --mount=from=
    shape.chain(target)      the stages that lie on each other in the target, the lowest first

Pure. Names that are made of ARGs stay as they are, unless it is told what FROM names; `planning` expands them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockerlab.dockerfile.parser import Dockerfile, Node
from dockerlab.dockerfile.stage import Stage, stages


class Shape:
    """What a Dockerfile says of who takes from whom. A stage is its index here, an instruction too. bases: of stages whose FROM is made of
    ARGs, what it names, where that is known."""

    def __init__(self, dockerfile: Dockerfile, bases: Iterable[tuple[int, str]] = ()) -> None:
        self._bases = dict(bases)
        self.nodes = dockerfile.nodes
        self.stages = stages(dockerfile)
        self.labels = [stage.name or f"stage-{stage.index}" for stage in self.stages]
        self.stage_of = {index: stage for stage in self.stages for index in stage.nodes}

    def base(self, stage: Stage) -> int | None:
        """The earlier stage that FROM names; of two of one name the later."""
        name = self._bases.get(stage.index, stage.base).lower()
        return next((s.index for s in reversed(self.stages[: stage.index]) if s.name == name), None)

    def sources(self, index: int) -> tuple[int, ...]:
        """The stages that an instruction takes files from."""
        found = (self._named(name, self.stage_of[index].index) for name in _froms(self.nodes[index]))
        return tuple(dict.fromkeys(stage for stage in found if stage is not None))

    def target(self, name: str) -> int | None:
        """The stage of a name or a number, the last one for ""; None where there is none."""
        if not name:
            return len(self.stages) - 1 if self.stages else None
        named = next((s.index for s in reversed(self.stages) if s.name == name.lower()), None)
        return named if named is not None else self._named(name, len(self.stages))

    def chain(self, target: str) -> tuple[int, ...]:
        """The stages that lie on each other in a target, the lowest first."""
        found: list[int] = []
        at = self.target(target)
        while at is not None:
            found.append(at)
            at = self.base(self.stages[at])
        return tuple(reversed(found))

    def takes(self) -> dict[str, tuple[str, ...]]:
        found = dict[str, tuple[str, ...]]()
        for stage in self.stages:
            base = self.base(stage)
            taken = [*([] if base is None else [base]), *(s for index in stage.nodes for s in self.sources(index))]
            found[self.labels[stage.index]] = tuple(dict.fromkeys(self.labels[one] for one in taken))
        return found

    def _named(self, name: str, stage: int) -> int | None:
        if name.isascii() and name.isdigit() and len(name) < 6:
            return int(name) if int(name) < stage else None
        return next((s.index for s in reversed(self.stages[:stage]) if s.name == name.lower()), None)


def _froms(node: Node) -> Iterator[str]:
    for flag in node.flags:
        name, _, value = flag.removeprefix("--").partition("=")
        if name == "from":
            yield value
        elif name == "mount":
            yield from (part.partition("=")[2] for part in value.split(",") if part.startswith("from="))
