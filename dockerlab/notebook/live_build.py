"""A build's live display: its progress as often as it is reported, and, for several stages, its graph at most twice a second.

What a step prints goes to the log that is named after the digest of its vertex. One stage is a chain, which the rows of the progress show
already. Drawing is another program's work, and waited for; so it is done more rarely the longer it takes, and not at all for a large
graph.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from dockerlab import drawing
from dockerlab.faces import build as faces
from dockerlab.faces.shown import Shown

if TYPE_CHECKING:
    from dockerlab.builds import Build
    from dockerlab.builds.graph import Graph
    from dockerlab.notebook.live import LiveDisplay

_PAUSE: Final = 0.5  # seconds between two pictures
_SHARE: Final = 0.05  # of the time that drawing may take
_MOST: Final = 60  # vertexes of a graph that is drawn while it changes


class LiveBuild:
    """`show` is a build's `progress`."""

    def __init__(self, live: LiveDisplay) -> None:
        self._live = live
        self._can_draw = live.shows_html and drawing.program() is not None
        self._due = 0.0
        self._drawn: tuple[Graph, str] | None = None
        # Vertex → how many of its lines were shown.
        self._lines: dict[str, int] = {}

    def show(self, build: Build) -> None:
        """The build as it is now; one that has ended is its own, final face."""
        if build.outcome == "running" and self._live.shows_html:
            if self._can_draw:
                self._draw(build)
            self._live.show(_Running(build, *(self._drawn or (None, None))))
        else:
            self._live.show(build)
        self._log(build)

    def _log(self, build: Build) -> None:
        for step in build.steps:
            # The last line of a step that runs may not be whole.
            end = len(step.output) - (step.state == "running")
            if end > (shown := self._lines.get(step.vertex.digest, 0)):
                self._live.log(step.vertex.digest, step.output[shown:end])
                self._lines[step.vertex.digest] = end

    def _draw(self, build: Build) -> None:
        began = time.monotonic()
        if began < self._due:
            return
        graph = build.graph
        self._can_draw = len(graph.stages) > 1 and len(graph.vertices) <= _MOST
        if self._can_draw and (picture := graph.picture) is not None:
            self._drawn = graph, picture
        now = time.monotonic()
        self._due = now + max(_PAUSE, (now - began) / _SHARE)


class _Running(Shown):
    """A running build, under it the graph as it was a moment ago, if it is drawn."""

    def __init__(self, build: Build, graph: Graph | None, picture: str | None) -> None:
        self._build, self._graph, self._picture = build, graph, picture

    def _text(self) -> str:
        return repr(self._build)

    def _table(self) -> str:
        return str(self._build)

    def _html(self) -> str:
        return faces.html(self._build, self._graph, self._picture)

    def _live_html(self) -> str:
        return faces.live_html(self._build, self._graph, self._picture)
