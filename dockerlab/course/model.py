"""An exercise as a value: a task, its checks in order, its hints; and `Progress`, what the checks have found.

What a check says is a sentence, the same on every engine and on every run: no ids, no times, no ports that an engine chose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockerlab.errors import Unsolved, UsageError
from dockerlab.faces import exercise as faces
from dockerlab.faces.exercise import Finding
from dockerlab.faces.shown import Shown

if TYPE_CHECKING:
    from dockerlab.course.look import Look

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True, eq=False)
class Check:
    """wants: what is to be, "two containers of greeter run". lacks: looks at the engine; None where it is so, else what is missing.

    after: an earlier check, without which this one cannot be made; until that one holds, this one only says so.
    """

    wants: str
    lacks: Callable[[Look], str | None]
    after: Check | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Exercise(Shown):
    """name: as `%exercise` takes it, "two-greetings". title: a few words. task: one or two sentences for a beginner.

    checks: in the order in which they are shown. hints: from the slightest to the one that nearly says it; in all texts
    `…` stands for code. Raises UsageError for one that cannot be.
    """

    name: str
    title: str
    task: str
    checks: Sequence[Check]
    hints: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"'{self.name}' is no name for an exercise", hint="Small letters, digits and `-`: two-greetings.")
        if not self.checks:
            raise UsageError(f"exercise {self.name} has no check", hint="`checks=[dockerlab.course.Check(wants, lacks)]`")
        for place, check in enumerate(self.checks):
            if check.after is not None and not any(check.after is earlier for earlier in self.checks[:place]):
                raise UsageError(f"exercise {self.name}: what '{check.wants}' comes after is no earlier check of it")
        object.__setattr__(self, "checks", tuple(self.checks))
        object.__setattr__(self, "hints", (self.hints,) if isinstance(self.hints, str) else tuple(self.hints))

    def hint(self, number: int) -> Hint:
        """The hint of that number, from 1; after the last there is none. Raises UsageError for a number below."""
        if number < 1:
            raise UsageError(f"exercise {self.name} has no hint {number}", hint="The first is 1.")
        return Hint(self, number)

    def _text(self) -> str:
        return faces.task_text(self.name, self.title, self.task)

    def _html(self) -> str:
        return faces.task_html(self.name, self.title, self.task)


@dataclass(frozen=True, eq=False, repr=False)
class Hint(Shown):
    """A hint of an exercise. number: which, from 1; one above the last says that there is none left."""

    exercise: Exercise
    number: int

    @property
    def text(self) -> str:
        """What it says, "" where there is none left."""
        hints = self.exercise.hints
        return hints[self.number - 1] if self.number <= len(hints) else ""

    @property
    def is_last(self) -> bool:
        """Whether no other follows."""
        return self.number >= len(self.exercise.hints)

    def _text(self) -> str:
        return faces.hint_text(self.exercise.name, self.number, len(self.exercise.hints), self.text)

    def _html(self) -> str:
        return faces.hint_html(self.exercise.name, self.number, len(self.exercise.hints), self.text)


@dataclass(frozen=True, eq=False, repr=False)
class Progress(Shown):
    """What of an exercise is done. findings: one for each check, in their order."""

    exercise: Exercise
    findings: tuple[Finding, ...]

    @property
    def solved(self) -> bool:
        """Whether every check holds."""
        return not self.missing

    @property
    def missing(self) -> tuple[str, ...]:
        """What each check that does not hold says."""
        return tuple(finding.missing for finding in self.findings if finding.missing is not None)

    def require(self) -> Progress:
        """Itself, where it is solved. Raises Unsolved."""
        if self.solved:
            return self
        raise Unsolved(
            f"exercise {self.exercise.name} is not solved: {faces.score(self.findings)}",
            evidence=[line for finding in self.findings if finding.missing is not None for line in faces.lines(finding)],
            hint=f"`%exercise {self.exercise.name} --hint` gives a hint." if self.exercise.hints else None,
        )

    def _text(self) -> str:
        exercise = self.exercise
        return faces.text(exercise.name, exercise.title, exercise.task, self.findings, bool(exercise.hints))

    def _html(self) -> str:
        exercise = self.exercise
        return faces.html(exercise.name, exercise.title, exercise.task, self.findings, bool(exercise.hints))


@dataclass(frozen=True, eq=False, repr=False)
class Course(Shown):
    """Exercises by the notebook that they are in: its file's name without `.ipynb`, or "" for those of no notebook."""

    notebooks: Mapping[str, tuple[Exercise, ...]]

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """All of them, in the order of the course."""
        return tuple(exercise for exercises in self.notebooks.values() for exercise in exercises)

    @property
    def names(self) -> list[str]:
        """Theirs."""
        return [exercise.name for exercise in self.exercises]

    def _text(self) -> str:
        return faces.course_text(self._rows)

    def _html(self) -> str:
        return faces.course_html(self._rows)

    @property
    def _rows(self) -> list[tuple[str, list[tuple[str, str]]]]:
        return [(notebook, [(one.name, one.title) for one in found]) for notebook, found in self.notebooks.items() if found]
