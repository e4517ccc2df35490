"""`%pipeline TAG`: one picture that joins Dockerfile line ↔ build step ↔ layer ↔ image ↔ its containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab import images
from dockerlab.notebook.arguments import HelpShown, Parser
from dockerlab.notebook.expand import words
from dockerlab.pipelines import pipeline

if TYPE_CHECKING:
    from dockerlab.notebook.session import Session
    from dockerlab.pipelines import Pipeline


def parsers() -> dict[str, Parser]:
    """The magic's parser, under the key ''; completion reads it too."""
    parser = Parser(
        "%pipeline",
        "Shows an image as one picture: the Dockerfile's lines, the steps of its build, its layers, and its containers.",
        epilog="Of an image that this notebook did not build the instructions are those of its history.",
    )
    parser.add_argument("image", metavar="IMAGE")
    return {"": parser}


def magic(session: Session, line: str, cell: str | None = None) -> Pipeline | None:
    """The picture of an image, as it is now."""
    try:
        arguments = parsers()[""].parse_args(words(line, session.namespace))
    except HelpShown:
        return None
    client = session.client
    image = images.get(arguments.image, client=client)
    return pipeline(image, build=session.built.get(str(image.id)), client=client)
