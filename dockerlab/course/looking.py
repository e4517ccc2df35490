"""`exercise()`: carries out the checks of an exercise, in their order."""

from __future__ import annotations

from collections.abc import Mapping

from dockerlab.client import Client, connect
from dockerlab.course.finding import find
from dockerlab.course.look import Look
from dockerlab.course.model import Check, Exercise, Progress
from dockerlab.errors import Conflict, NotFound, NotReady
from dockerlab.faces.exercise import Finding


def exercise(which: str | Exercise, *, client: Client | None = None) -> Progress:
    """What of an exercise is done, by what the engine has now: `.solved`, `.missing`, `.findings`; it displays itself.

    which: the name of one of the course's, or an Exercise of your own. Raises UsageError for a name that there is not, NoEngine,
    EngineGone, EngineError.
    """
    found = which if isinstance(which, Exercise) else find(which)
    look = Look(client or connect())
    findings: dict[Check, Finding] = {}
    for check in found.checks:
        findings[check] = _finding(check, findings, look)
    return Progress(found, tuple(findings.values()))


def _finding(check: Check, before: Mapping[Check, Finding], look: Look) -> Finding:
    if check.after is not None and not before[check.after].holds:
        return Finding(check.wants, f"(first: {check.after.wants})", waits=True)
    try:
        return Finding(check.wants, check.lacks(look))
    except (NotFound, Conflict) as error:
        # It ended, or was removed, between two questions.
        return Finding(check.wants, f"{error.message}; look again")
    except NotReady as error:
        return Finding(check.wants, error.message)
