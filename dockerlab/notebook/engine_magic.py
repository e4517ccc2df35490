"""`%engine`: which engine answers. `%engine use <url or context>`: speak to another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab import engines
from dockerlab.notebook.arguments import HelpShown, Parser, parse_verb
from dockerlab.notebook.expand import words

if TYPE_CHECKING:
    from dockerlab.engines import Engine
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """A parser for each verb, and under '' the one of the magic without a verb; completion reads them too."""
    use = Parser("%engine use", description="Switches to another engine, for the magics, the Python API and `!docker` alike.")
    use.add_argument(
        "target",
        metavar="CONTEXT",
        help="a docker context, a URL (unix://, tcp://, ssh://), or `embedded`: dockerlab's own engine, started if need be",
    )
    return {"": Parser("%engine", description="Shows which engine answers."), "use": use}


def magic(session: Session, line: str, cell: str | None = None) -> Engine | None:
    """Shows the engine in use, after switching if told to."""
    try:
        verb, arguments = parse_verb("%engine", words(line, session.namespace), parsers())
    except HelpShown:
        return None
    if verb == "use":
        return engines.use(arguments.target)
    return engines.show(client=session.client)
