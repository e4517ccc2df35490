"""A Dockerfile that grows cell by cell: `%%dockerfile --append -t app`. Pure.

    growth = Growth().grown("cell-1", "FROM busybox\\n").grown("cell-2", "RUN date\\n")
    growth.text                          the whole, down to the cell that ran last
    growth.place(2)                      "line 1 of this cell"

What a reader of the notebook expects:

- a cell that is new goes to the end
- a cell that is run again keeps its place: its text, edited or not, stands where it stood
- what is built is the Dockerfile down to the cell that runs, so that what is under a cell is the same however often it is run;
  the cells below it are kept: the next one that runs builds on all that is above it, as it is then
- a cell that the page says is deleted is gone (`without`)
- a cell without `--append` begins anew (`Growth().grown(…)`)

A page names its cells. Where none is named (a terminal, a program that runs notebooks), a cell is known by its text.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """cell: its id, or "". text: with a newline at its end."""

    cell: str
    text: str

    @property
    def count(self) -> int:
        """How many lines it has."""
        return self.text.count("\n")


@dataclass(frozen=True)
class Growth:
    """parts: all cells, in their order. last: the index of the one that ran last; -1 for none."""

    parts: tuple[Part, ...] = ()
    last: int = -1

    def grown(self, cell: str, text: str) -> Growth:
        """With a cell that runs. cell: its id, or "" where it has none."""
        part = Part(cell, text if text.endswith("\n") else f"{text}\n")
        at = next((i for i, old in enumerate(self.parts) if (old.cell == cell if cell else old == part)), len(self.parts))
        return Growth((*self.parts[:at], part, *self.parts[at + 1 :]), at)

    def without(self, cells: Collection[str]) -> Growth:
        """Without the cells of these ids."""
        kept = tuple(part for part in self.parts if not part.cell or part.cell not in cells)
        return self if len(kept) == len(self.parts) else Growth(kept, len(kept) - 1)

    def undone(self, before: Growth) -> Growth:
        """After a cell failed. One without an id is taken back: mended, it is another text."""
        return self if self.last >= 0 and self.parts[self.last].cell else before

    @property
    def text(self) -> str:
        """The Dockerfile down to the cell that ran last."""
        return "".join(part.text for part in self.parts[: self.last + 1])

    def place(self, line: int) -> str:
        """Where a line of `text` stands: `line 2 of this cell`, `line 1 of the 1st of its 3 cells`. "" where all is one cell."""
        if self.last < 1:
            return ""
        for index, part in enumerate(self.parts[: self.last + 1]):
            if line <= part.count or index == self.last:
                which = "this cell" if index == self.last else f"the {_ordinal(index + 1)} of its {self.last + 1} cells"
                return f"line {line} of {which}"
            line -= part.count
        return ""


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
