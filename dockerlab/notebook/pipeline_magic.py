"""`%pipeline TAG`: one picture that joins Dockerfile line ↔ build step ↔ layer ↔ image ↔ its containers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from dockerlab import images
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command
from dockerlab.notebook.expand import words
from dockerlab.pipelines import Pipeline, pipeline
from dockerlab.project.command import Command
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.client import Client
    from dockerlab.images import Image
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """The magic's parser, under the key ''; completion reads it too."""
    parser = Parser(
        "%pipeline",
        "Shows an image as one picture: the Dockerfile's lines, the steps of its build, its layers, and its containers.",
        epilog="Of an image that this notebook did not build the instructions are those of its history.",
    )
    add_show_command(parser)
    parser.add_argument("image", metavar="IMAGE")
    return {"": parser}


def magic(session: Session, line: str, cell: str | None = None) -> Pipeline | Command | None:
    """The picture of an image, as it is now; in a page a live view of it."""
    try:
        given = words(line, session.namespace)
        arguments = parsers()[""].parse_args(given)
    except HelpShown:
        return None
    if arguments.show_command:
        return command("pipeline", given)
    client = session.client
    image = images.get(arguments.image, client=client)
    found = pipeline(image, build=session.built.get(str(image.id)), client=client)
    if not session.is_in_page:
        return found
    return _InPage(
        **{one.name: getattr(found, one.name) for one in fields(found)}, opened=lambda: _open(session, found, image, client)
    )


@dataclass(frozen=True, repr=False)
class _InPage(Pipeline):
    """A value as any other, that is live where a cell displays it."""

    opened: Callable[[], object] = field(default=lambda: None, compare=False)

    def _ipython_display_(self) -> None:
        self.opened()


def _open(session: Session, found: Pipeline, image: Image, client: Client) -> None:
    from dockerlab.notebook.live_pipeline import LivePipeline

    LivePipeline(session, found, image, client)
