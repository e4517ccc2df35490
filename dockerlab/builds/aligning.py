"""What of a Dockerfile was already in the one before: stages and instructions, found again after an edit. Pure.

    aligned = align(now, before)
    aligned.before(stage, place)      the instruction that this one was, or None for one that is new
    aligned.gone(stage, place)        those that stood just before this one, and are gone

As a diff does it: a line that was put in makes nothing after it another one. What has changed is found again by its likeness, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from dockerlab.builds.inputs import Instruction, Stage

_MOST_PAIRS = 400  # in a block of changes; else they are paired by their places


@dataclass(frozen=True)
class Aligned:
    """Keys: a stage's index, and the place of an instruction in it."""

    matched: dict[tuple[int, int], Instruction] = field(default_factory=dict)
    removed: dict[tuple[int, int], tuple[Instruction, ...]] = field(default_factory=dict)

    def before(self, stage: int, place: int) -> Instruction | None:
        """What an instruction was in the build before."""
        return self.matched.get((stage, place))

    def gone(self, stage: int, place: int) -> tuple[Instruction, ...]:
        """What stood before it, and after what stands before it now."""
        return self.removed.get((stage, place), ())


def align(now: Sequence[Stage], before: Sequence[Stage]) -> Aligned:
    """The instructions of two builds, matched."""
    found = Aligned()
    for new, old in _stages(now, before):
        _instructions(new, old, found)
    return found


def _stages(now: Sequence[Stage], before: Sequence[Stage]) -> list[tuple[Stage, Stage]]:
    """By name; those without one, and those with another name, by likeness, in order."""
    named = {stage.name: stage for stage in before if stage.name}
    pairs = [(stage, named[stage.name]) for stage in now if stage.name in named]
    taken = {old.index for _, old in pairs}
    new = [stage for stage in now if stage.name not in named]
    old = [stage for stage in before if stage.index not in taken]
    texts = [[{one.words for one in stage.instructions} for stage in side] for side in (new, old)]
    table = [[1.0 + len(a & b) / max(len(a), len(b)) for b in texts[1]] for a in texts[0]]
    return [*pairs, *((new[i], old[j]) for i, j in _best(table))]


def _instructions(new: Stage, old: Stage, found: Aligned) -> None:
    words = [[one.words for one in stage.instructions] for stage in (new, old)]
    for tag, start, end, old_start, old_end in SequenceMatcher(None, words[1], words[0], autojunk=False).get_opcodes():
        # difflib tells how to make the second of the first.
        start, end, old_start, old_end = old_start, old_end, start, end
        if tag == "equal":
            pairs = [*zip(range(start, end), range(old_start, old_end), strict=True)]
        else:
            pairs = _pairs(new.instructions[start:end], old.instructions[old_start:old_end])
            pairs = [(start + i, old_start + j) for i, j in pairs]
        found.matched.update({(new.index, i): old.instructions[j] for i, j in pairs})
        partners = {j: i for i, j in pairs}
        gap: list[Instruction] = []
        for j in range(old_start, old_end):
            if j not in partners:
                gap.append(old.instructions[j])
            elif gap:
                found.removed[new.index, partners[j]] = tuple(gap)
                gap = []
        if gap:
            found.removed[new.index, end] = tuple(gap)


def _pairs(new: Sequence[Instruction], old: Sequence[Instruction]) -> list[tuple[int, int]]:
    """Of a block of changes: which is which. Only instructions of one keyword are the same."""
    if len(new) * len(old) > _MOST_PAIRS:
        return [(i, i) for i in range(min(len(new), len(old))) if new[i].keyword == old[i].keyword]
    table = [
        [0.1 + SequenceMatcher(None, a.words, b.words).quick_ratio() if a.keyword == b.keyword else 0.0 for b in old] for a in new
    ]
    return _best(table)


def _best(table: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """The pairs, in order, with the greatest sum; 0 for what is no pair."""
    rows, columns = len(table), len(table[0]) if table else 0
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            paired = table[i][j] + best[i + 1][j + 1] if table[i][j] else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    found, i, j = [], 0, 0
    while i < rows and j < columns:
        if table[i][j] and best[i][j] == table[i][j] + best[i + 1][j + 1]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return found
