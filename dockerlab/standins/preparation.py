"""`prepare`: base images that are there, pulled, or made from this machine's own files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from dockerlab import images, ledger
from dockerlab import reference as references
from dockerlab.client import Client, connect, engine_errors
from dockerlab.dockerfile import nearest
from dockerlab.errors import DockerlabError, EngineError, NotFound, RegistryUnreachable, UsageError
from dockerlab.faces import markup
from dockerlab.faces.shown import Shown
from dockerlab.images import Image, PullProgress
from dockerlab.standins import archives, busybox, debian, machine, python, registry
from dockerlab.standins.archives import Recipe

NAMES = (busybox.NAME, python.NAME, debian.NAME, registry.NAME)


@dataclass(frozen=True, repr=False)
class Base(Shown):
    """A base image that is ready. how: how it came to be there, for people."""

    name: str
    image: Image
    how: str

    def _text(self) -> str:
        return f"{self.name}: ready"

    def _table(self) -> str:
        return f"{self.name}: ready   {self.what}; {self.how}"

    def _html(self) -> str:
        return Prepared((self,))._html()

    @property
    def what(self) -> str:
        """Whether it is the real one, and if not, what it holds."""
        holds = self.image.stand_in
        return "the real image" if holds is None else f"a stand-in that holds {holds}"


@dataclass(frozen=True, repr=False)
class Prepared(Shown):
    """What `prepare` did, a base image each."""

    bases: tuple[Base, ...]

    def _text(self) -> str:
        return "\n".join(base._text() for base in self.bases)

    def _table(self) -> str:
        return "\n".join(base._table() for base in self.bases)

    def _html(self) -> str:
        rows = [
            (
                f"<strong>{markup.text(base.name)}</strong>",
                markup.state("done", "ready"),
                markup.volatile(f'{markup.text(base.what)} <span class="muted">{markup.text(base.how)}</span>'),
            )
            for base in self.bases
        ]
        return markup.page(markup.table(("image", "", ""), rows, wrap=(2,)))


def prepare(*names: str, progress: Callable[[PullProgress], object] | None = None, client: Client | None = None) -> Prepared:
    """Makes sure that the engine has these base images; without names, all of `NAMES` that this machine can make.

    One that is there is kept; else it is pulled; where the registry does not answer, or does not give it, a stand-in is made.
    progress: as for `images.pull`.

    Raises UsageError for a name that no stand-in is known for; DockerlabError where this machine cannot make one for the engine.
    """
    client = client or connect()
    wanted = [(name, _known(name)) for name in names or makeable()]
    return Prepared(tuple(_ready(name, known, progress, client) for name, known in wanted))


def archive(name: str) -> IO[bytes]:
    """The stand-in of that name as a docker-archive: a temporary file, at its start, that goes when it is closed.

    Raises UsageError for an unknown name; DockerlabError where this machine cannot make it.
    """
    known = _known(name)
    machine.require_linux()
    recipe = _recipe(known)
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        archives.write(recipe, file)
        file.seek(0)
        stack.pop_all()
    return file


def makeable() -> tuple[str, ...]:
    """The stand-ins that a machine like this one is made of: `debian` only on a Debian."""
    return tuple(name for name in NAMES if name != debian.NAME or debian.is_possible())


def _recipe(known: str) -> Recipe:
    if known == debian.NAME:
        return debian.recipe()
    if known == registry.NAME:
        return registry.recipe(registry.installed())
    return busybox.recipe(machine.static_busybox()) if known == busybox.NAME else python.recipe()


def _known(name: str) -> str:
    familiar = references.parse(name).familiar
    if familiar in NAMES:
        return familiar
    near = nearest(familiar.partition(":")[0], [known.partition(":")[0] for known in NAMES])
    near = next((known for known in NAMES if near and known.startswith(f"{near}:")), None)
    raise UsageError(
        f"no stand-in is known for '{name}'" + (f": did you mean '{near}'?" if near else ""),
        hint=f"There are: {', '.join(NAMES)}. Others: `%image pull {name}`.",
    )


def _ready(name: str, known: str, progress: Callable[[PullProgress], object] | None, client: Client) -> Base:
    try:
        return Base(name, images.get(known, client=client), "it was there")
    except NotFound:
        pass
    try:
        return Base(name, images.pull(known, progress=progress, client=client), "pulled")
    except RegistryUnreachable:
        reason = "the registry does not answer"
    except EngineError as error:
        # It is a well-known name: the registry has it, and yet does not give it to us.
        reason = "the engine cannot pull" if error.status == 501 else error.message
    _load(known, client)
    return Base(name, images.get(known, client=client), f"made from this machine's files: {reason}")


def _load(known: str, client: Client) -> None:
    machine.require_linux()
    with engine_errors("ask the engine what it runs on"):
        version = client.version()
    platform, here = f"{version.get('Os')}/{version.get('Arch')}", f"linux/{machine.architecture()}"
    if platform != here:
        raise DockerlabError(
            f"a stand-in made here is for {here}, and the engine runs {platform}", hint=f"Pull the real one: `%image pull {known}`."
        )
    with archive(known) as file, engine_errors(f"load the stand-in for '{known}'"):
        # The bytes ride in the request's body; docker-py reads the answer to its end and raises what it says.
        client.images.load(file)
    client.api.note(ledger.tag(known))
