"""`dockerlab.stages()`: a Dockerfile's stages as a graph. Without an engine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dockerlab.builds import pairs_of, text_of
from dockerlab.builds.contexts import Contexts
from dockerlab.builds.inputs import without_secrets
from dockerlab.dockerfile import parse
from dockerlab.dockerfile.graph import Graph, graph
from dockerlab.dockerfile.program import program
from dockerlab.drawing import Drawn
from dockerlab.faces import stages as faces

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}


@dataclass(frozen=True, repr=False)
class StageGraph(Drawn):
    """A Dockerfile's stages, the images that they are made of, and what they take from each other."""

    graph: Graph

    @property
    def dot(self) -> str:
        """The picture as DOT text: `dot -Tpng`."""
        return faces.dot(self.graph)

    def _label(self) -> str:
        return faces.title(self.graph)

    def _text(self) -> str:
        return faces.text(self.graph)

    def _html(self) -> str:
        return faces.html(self.graph, self.picture)


def stages(
    dockerfile: str | os.PathLike[str],
    *,
    target: str | None = None,
    build_arg: Mapping[str, str | None] | Iterable[str] = (),
    build_contexts: Mapping[str, str | os.PathLike[str]] | Iterable[str] = (),
) -> StageGraph:
    """The stages of a Dockerfile, the images from elsewhere, and what is taken from where: FROM, COPY --from, RUN --mount=from=.

    dockerfile: its text; or a path object, to a file on disk. target: the stage that is wanted, the last one unless given; others that it
    does not need are marked. build_arg: as of `build`, for names that are made of ARGs. build_contexts: as of `build`; one stands in the
    place of the image or the stage of its name.

    Nothing is built, and no engine is asked; platforms are this machine's. Returns a value that shows itself; `.dot` is Graphviz's text.

    Raises DockerfileError for a Dockerfile that cannot be built, ContextError for a file that cannot be read, UsageError.
    """
    read = program(parse(text_of(dockerfile)))
    arguments = pairs_of("--build-arg", build_arg, from_environment=True)
    named = Contexts.of(build_contexts)

    def context(name: str) -> str:
        found = named.get(name)
        return "" if found is None else found.image or without_secrets(found.address) or "a folder"

    machine = platform.machine().lower()
    system = f"linux/{_ARCHITECTURES.get(machine, machine or 'amd64')}"
    return StageGraph(graph(read, target or "", arguments, build_platform=system, context=context))
