"""`exercise()`: carries out the checks of an exercise, in their order."""

from __future__ import annotations

from dockerlab.client import Client, connect
from dockerlab.course.finding import find
from dockerlab.course.look import Look
from dockerlab.course.model import Check, Exercise, Progress
from dockerlab.errors import Conflict, NotFound
from dockerlab.faces.exercise import Finding


def exercise(which: str | Exercise, *, client: Client | None = None) -> Progress:
    """What of an exercise is done, by what the engine has now: `.solved`, `.missing`, `.findings`; it displays itself.

    which: the name of one of the course's, or an Exercise of your own. Raises UsageError for a name that there is not, NoEngine,
    EngineGone, EngineError.
    """
    found = which if isinstance(which, Exercise) else find(which)
    look = Look(client or connect())
    missing: dict[Check, str | None] = {}
    for check in found.checks:
        missing[check] = _missing(check, missing, look)
    return Progress(found, tuple(Finding(check.wants, said) for check, said in missing.items()))


def _missing(check: Check, before: dict[Check, str | None], look: Look) -> str | None:
    if check.after is not None and before[check.after] is not None:
        return f"(first: {check.after.wants})"
    try:
        return check.lacks(look)
    except (NotFound, Conflict) as error:
        # It ended, or was removed, between two questions.
        return f"{error.message}; look again"
