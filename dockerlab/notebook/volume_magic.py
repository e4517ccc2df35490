"""`%volume`: the verbs of `docker volume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab.notebook import belongings

if TYPE_CHECKING:
    from dockerlab.faces.shown import Shown
    from dockerlab.notebook.arguments import Parser
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """A parser for each verb; completion reads them too."""
    return belongings.parsers(
        "volume",
        makes="Makes a volume, a folder that outlives containers.",
        removes="Removes volumes that no container has, with their files.",
    )


def magic(session: Session, line: str, cell: str | None = None) -> Shown | None:
    """Does what the line says, and returns what the verb returns."""
    return belongings.magic("volume", parsers(), session, line)
