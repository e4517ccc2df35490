"""The exercises of the course by name, from the table; nothing is imported that the table does not name."""

from __future__ import annotations

from collections.abc import Iterable

from dockerlab.course.exercises import COURSE
from dockerlab.course.model import Course, Exercise
from dockerlab.dockerfile import nearest
from dockerlab.errors import UsageError


def course(own: Iterable[Exercise] = ()) -> Course:
    """All exercises of the course, by notebook. own: others to be listed with them."""
    mine = tuple(own)
    return Course({**COURSE, "": mine} if mine else COURSE)


def find(name: str, own: Iterable[Exercise] = ()) -> Exercise:
    """The exercise of that name. own: others, which come before those of the course. Raises UsageError, with the nearest name."""
    known = [*own, *course().exercises]
    for exercise in known:
        if exercise.name == name:
            return exercise
    near = nearest(name, [exercise.name for exercise in known])
    message = f"there is no exercise {name}" + (f": did you mean {near}?" if near else "")
    raise UsageError(message, hint="`%exercise` lists them.")
