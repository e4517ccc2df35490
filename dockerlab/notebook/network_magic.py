"""`%network`: the verbs of `docker network`."""

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
        "network",
        makes="Makes a network: containers that join it call one another by name.",
        removes="Removes networks that no container is in.",
    )


def magic(session: Session, line: str, cell: str | None = None) -> Shown | None:
    """Does what the line says, and returns what the verb returns."""
    return belongings.magic("network", parsers(), session, line)
