"""The name that a misspelt one most likely stands for, as BuildKit suggests it (util/suggest): the nearest by edits, if it is near."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_LONGEST: Final = 100
_MOST: Final = 1000


def closest(word: str, choices: Iterable[str], edits: int = 2) -> str:
    """The first of the nearest, "" where none is as near as `edits`, or there are too many to look at."""
    found, least = "", edits + 1
    options = [*choices]
    if len(word) > _LONGEST or len(options) > _MOST:
        return ""
    for choice in options:
        if choice == word:
            return ""
        if abs(len(choice) - len(word)) < least and (needed := _edits(word, choice, least)) < least:
            found, least = choice, needed
    return found


def _edits(one: str, other: str, most: int) -> int:
    """How many characters must be put in, taken out or changed: Levenshtein's distance. `most` for that many, or more.

    What lies so far beside the diagonal is not looked at, nor what comes after a row that has nothing less: a Dockerfile's names are
    anybody's, and many.
    """
    row = [min(at, most) for at in range(len(other) + 1)]
    for number, character in enumerate(one, start=1):
        before, row = row, [most] * len(row)
        row[0] = min(number, most)
        for at in range(max(1, number - most + 1), min(len(other), number + most - 1) + 1):
            row[at] = min(most, before[at] + 1, row[at - 1] + 1, before[at - 1] + (character != other[at - 1]))
        if min(row) >= most:
            return most
    return row[-1]
