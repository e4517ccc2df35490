"""Which line of an engine's history made which layer, as far as that is certain. Pure.

    found = account(lines(history), diff_ids)      None: the history does not fit the layers at all
    found.made[3]        Made(is_layer=True, place=2): the line made the third layer
    found.totals[4]      how many layers there are up to the fourth line; None where that is not certain

An engine answers a history whose lines have a size, but does not say which of those without bytes made a layer. Here all ways to lay the
layers on the lines are looked at; what is the same in each of them is certain, all else is not known. (`layers` gives the likeliest way.)

- A line that has bytes made a layer. An instruction that only changes the configuration made none, and neither did `WORKDIR /`.
- BuildKit makes a layer for each RUN, COPY, ADD and WORKDIR, also an empty one. Other builders leave empty ones out.
- A layer whose tar is empty was not made by a line that has bytes, unless they are those of an empty folder: containerd counts blocks.
- What is known otherwise (`known`) counts: a base image's layers, those of a step in between that a classic builder kept.

An image whose layers were squashed has lines without layers, and one without an instruction that has them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dockerlab.image.instruction import clean, keyword
from dockerlab.image.layer import CONFIG_ONLY

EMPTY: Final = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"  # the diff_id of a tar without entries
_TAR_END: Final = 1024  # Podman counts the tar: an empty one has two blocks
_FOLDER: Final = 4096  # containerd counts what a layer takes on the disk: an empty one has a folder there, of one block
_MOST: Final = 1_000_000  # lines times layers; what is more is no image that anybody made
_BUILDKIT: Final = "buildkit.dockerfile"
_MISSING: Final = "<missing>"
_MORE: Final = 64  # lines that no instruction accounts for


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a history. instruction: cleaned. size: bytes. id: of the image that it made, "" where the engine does not have it."""

    instruction: str
    size: int = 0
    is_buildkit: bool = False
    id: str = ""
    comment: str = ""

    @property
    def keyword(self) -> str:
        return keyword(self.instruction)


@dataclass(frozen=True, slots=True)
class Made:
    """What a line made. is_layer: None where it is not certain. place: of the layer among the diff_ids, None where not certain."""

    is_layer: bool | None = None
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """made: by line. totals: how many layers there are below each line, and at the end all; None where it is not certain."""

    made: tuple[Made, ...]
    totals: tuple[int | None, ...]


def lines(history: Sequence[Mapping[str, Any]]) -> tuple[Line, ...]:
    """The lines that an engine answers, the oldest first."""
    return tuple(
        Line(
            clean(str(entry.get("CreatedBy") or "")),
            max(int(entry.get("Size") or 0), 0),
            str(entry.get("Comment") or "").startswith(_BUILDKIT),
            "" if entry.get("Id") in (None, _MISSING) else str(entry["Id"]),
            str(entry.get("Comment") or ""),
        )
        for entry in reversed(history)
    )


def account(told: Sequence[Line], diff_ids: Sequence[str], known: Mapping[int, int] | None = None) -> Account | None:
    """The layers laid on the lines. known: how many layers there are below a line, by its index. None where no way fits."""
    if len(told) * len(diff_ids) > _MOST:
        return None
    for is_strict in (True, False):
        # Layers that are all there, and then squashed or rewritten, are no more what BuildKit makes.
        if found := _account(told, diff_ids, known or {}, is_strict=is_strict):
            return found
    return None


def followed(words: Sequence[str], told: Sequence[Line]) -> dict[int, int] | None:
    """Which line each instruction of a Dockerfile left, both by their places. words: keywords of what is in the image, in order, without
    FROM. None where the history does not follow them.

    Each leaves one line, in order, the last one's at the end; except that an ONBUILD, or another that only configures, may leave none, and
    `--label` may leave one more at the end. So it is the same for each that makes a layer, whichever of the others are.
    """
    start = max(0, len(told) - len(words) - _MORE)
    # fits[i][j]: whether the first i words can stand on the lines before `start + j`.
    fits = [[True] * (len(told) - start + 1)]
    for word in words:
        before, now = fits[-1], [word in CONFIG_ONLY and fits[-1][0]]
        for j, line in enumerate(told[start:]):
            is_match = line.keyword == word and before[j]
            now.append(is_match or (word in CONFIG_ONLY and before[j + 1]) or (line.keyword == "LABEL" and now[j]))
        fits.append(now)
    i, j = len(words), len(told) - start
    if not fits[i][j]:
        return None
    found: dict[int, int] = {}
    while i:
        word = words[i - 1]
        if j and told[start + j - 1].keyword == word and fits[i - 1][j - 1]:
            i, j = i - 1, j - 1
            found[i] = start + j
        elif word in CONFIG_ONLY and fits[i - 1][j]:
            i -= 1
        else:
            j -= 1
    return found


def _account(told: Sequence[Line], diff_ids: Sequence[str], known: Mapping[int, int], *, is_strict: bool) -> Account | None:
    count = len(diff_ids)
    may = [_may(line, is_strict=is_strict) for line in told]

    def fits(index: int, place: int) -> bool:
        return diff_ids[place] != EMPTY or told[index].size <= _TAR_END or told[index].size == _FOLDER

    ahead = _reached(len(told), count, may, fits, known)
    if count not in ahead[len(told)]:
        return None
    # From the end back: of what can be reached only what leads to the end.
    real: list[set[int]] = [set() for _ in range(len(told) + 1)]
    real[len(told)] = {count}
    made: list[Made] = []
    for index in range(len(told) - 1, -1, -1):
        places = set[int | None]()
        for total in real[index + 1]:
            if False in may[index] and total in ahead[index]:
                places.add(None)
                real[index].add(total)
            if True in may[index] and total and total - 1 in ahead[index] and fits(index, total - 1):
                places.add(total - 1)
                real[index].add(total - 1)
        is_layer = None if len(places) > 1 and None in places else None not in places
        made.append(Made(is_layer, next(iter(places)) if len(places) == 1 else None))
    totals = (next(iter(some)) if len(some) == 1 else None for some in real)
    return Account(tuple(reversed(made)), tuple(totals))


def _reached(
    length: int,
    count: int,
    may: Sequence[frozenset[bool]],
    fits: Callable[[int, int], bool],
    known: Mapping[int, int],
) -> list[set[int]]:
    """How many layers there can be below each line."""
    ahead: list[set[int]] = [{0}]
    for index in range(length):
        if index in known:
            ahead[index] &= {known[index]}
        totals = set[int]()
        for total in ahead[index]:
            if False in may[index]:
                totals.add(total)
            if True in may[index] and total < count and fits(index, total):
                totals.add(total + 1)
        ahead.append(totals)
    return ahead


def _may(line: Line, *, is_strict: bool) -> frozenset[bool]:
    """Whether a line can have made a layer, and whether it can have made none."""
    word = line.keyword
    if line.size > 0:
        return frozenset((True,))
    if word in CONFIG_ONLY or line.instruction == "WORKDIR /":
        return frozenset((False,))
    if is_strict and line.is_buildkit and word in ("RUN", "COPY", "ADD", "WORKDIR"):
        return frozenset((True,))
    return frozenset((False, True))
