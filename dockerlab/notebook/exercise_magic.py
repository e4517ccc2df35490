"""`%exercise NAME`: what of an exercise is done, by what the engine has; `--hint`; `--strict`. Without a name, all exercises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab.course import Exercise, course, exercise, find
from dockerlab.errors import UsageError
from dockerlab.notebook.arguments import HelpShown, Parser
from dockerlab.notebook.expand import words

if TYPE_CHECKING:
    from dockerlab.course import Course, Hint, Progress
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """The magic's parser, under the key ''; completion reads it too."""
    parser = Parser(
        "%exercise",
        "Looks at what the engine has, and shows what of an exercise is done and what is missing. Without a name, lists the exercises.",
        epilog="An exercise of your own, a dockerlab.course.Exercise in a variable of this notebook, goes by its name, too.",
    )
    parser.add_argument("exercise", nargs="?", metavar="EXERCISE")
    parser.add_argument("--hint", action="store_true", help="give a hint, the next one each time; nothing is looked at")
    parser.add_argument("--strict", action="store_true", help="fail the cell while the exercise is not solved")
    return {"": parser}


def magic(session: Session, line: str, cell: str | None = None) -> Course | Hint | Progress | None:
    """What the line asks for."""
    try:
        asked = parsers()[""].parse_args(words(line, session.namespace))
    except HelpShown:
        return None
    if asked.hint and asked.strict:
        raise UsageError("--hint and --strict exclude each other", hint="Leave out one of them.")
    own = own_exercises(session)
    if asked.exercise is None:
        if asked.hint or asked.strict:
            raise UsageError("%exercise needs a name for that", hint="`%exercise` lists the exercises.")
        return course(own)
    found = find(asked.exercise, own)
    if asked.hint:
        number = session.hints.get(found.name, 0) + 1
        session.hints[found.name] = number
        return found.hint(number)
    progress = exercise(found, client=session.client)
    return progress.require() if asked.strict else progress


def own_exercises(session: Session) -> list[Exercise]:
    """Those in the notebook's variables, each once."""
    mine = [value for name, value in session.namespace.items() if isinstance(value, Exercise) and not name.startswith("_")]
    return list({id(value): value for value in mine}.values())
