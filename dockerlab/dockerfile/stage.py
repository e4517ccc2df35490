"""Instructions → stages: what each FROM begins.

    ARG VERSION=3                  before the first FROM: of no stage
    FROM golang AS build           stage 0, named `build`, base `golang`
    FROM python:$VERSION           stage 1, without a name, base `python:$VERSION` as written

Pure: a table of what stands where; nothing is expanded or resolved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from dockerlab.dockerfile.parser import Dockerfile

_SPACES = re.compile(r"[\t\v\f\r ]+")


@dataclass(frozen=True, slots=True)
class Stage:
    """index: 0-based. name: after AS, in lower case as BuildKit has it, or None. base: what FROM names, as written; '' for nothing.

    nodes: the indexes of its instructions among the Dockerfile's, FROM first.
    """

    index: int
    name: str | None
    base: str
    nodes: tuple[int, ...]


def stages(dockerfile: Dockerfile) -> tuple[Stage, ...]:
    """The stages, each from its FROM to the next. Instructions before the first FROM belong to none."""
    starts = [i for i, node in enumerate(dockerfile.nodes) if node.keyword == "FROM"]
    found = []
    for index, (start, end) in enumerate(pairwise([*starts, len(dockerfile.nodes)])):
        words = _SPACES.split(dockerfile.nodes[start].arguments)
        name = words[2].lower() if len(words) == 3 and words[1].lower() == "as" else None
        found.append(Stage(index, name, words[0], tuple(range(start, end))))
    return tuple(found)
