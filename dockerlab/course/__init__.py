"""Exercises that look at what an engine really has: `dockerlab.exercise("two-greetings")`, `%exercise two-greetings`.

An exercise of your own, in a package or in a cell; a check's function gets a `Look` and gives None where it holds, else what is missing:

    def runs(look): return None if look.containers("shop") else "none runs yet"
    check = dockerlab.course.Check("a container of `shop` runs", runs)
    shop = dockerlab.course.Exercise("shop", "A shop", "Start the image `shop`.", [check], ["`%container run -d shop`"])
    dockerlab.exercise(shop)    # what is done, what is missing; `%exercise shop` and its --hint find it by its name

- `model`: an exercise, its checks, and what became of them; `look`: what may be asked of an engine
- `notebooks`: where the course's notebooks are; `export`: they as a website
- `exercises`: those of the course, a file for each notebook; `finding`: by name; `looking`: carries the checks out
"""

from __future__ import annotations

from dockerlab.course.finding import course, find
from dockerlab.course.look import Look, Ran, quoted
from dockerlab.course.looking import exercise
from dockerlab.course.model import Check, Course, Exercise, Hint, Progress

__all__ = ["Check", "Course", "Exercise", "Hint", "Look", "Progress", "Ran", "course", "exercise", "find", "quoted"]
