"""The pipeline, live: containers appear and go as they start and end, and a click opens what is behind a part.

The engine's events say what happens; nothing is asked for again and again. What a drawer shows is made when it is opened. The thread and
its connection end with the view: when it is frozen, when its page is gone, when the engine is.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from dockerlab.containers import panel
from dockerlab.errors import NotFound
from dockerlab.faces import panel as panels
from dockerlab.faces import pipeline as faces
from dockerlab.faces.human import plain
from dockerlab.notebook.view import LiveView
from dockerlab.pipelines.watching import Watching

if TYPE_CHECKING:
    from dockerlab.client import Client
    from dockerlab.images import Image
    from dockerlab.notebook.session import Session
    from dockerlab.pipelines import Pipeline
    from dockerlab.pipelines.model import Running


class LivePipeline:
    """Shows it in the cell that runs, and follows the engine until it ends."""

    def __init__(self, session: Session, pipeline: Pipeline, image: Image, client: Client) -> None:
        self._pipeline, self._image, self._client = pipeline, image, client
        self._changing = threading.Lock()
        self._watching: Watching | None = None
        self._view = LiveView(
            session,
            pipeline,
            actions={"freeze": lambda _: self.freeze(), "again": lambda _: self._watch()},
            drawer=self._drawer,
            closed=self._close,
        )
        if self._view.is_open:
            self._watch()

    def freeze(self) -> None:
        """Ends it; the output keeps what is seen."""
        self._close()
        self._view.freeze(self._pipeline)
        self._close()  # somebody may have asked again meanwhile

    def _close(self) -> None:
        if self._watching is not None:
            self._watching.close()

    def _watch(self) -> None:
        self._close()
        self._change(alert="")
        self._watching = Watching(self._client, str(self._image.id), self._show, self._gone)
        if not self._view.is_open:
            self._close()

    def _show(self, containers: tuple[Running, ...]) -> None:
        self._change(containers=containers)

    def _gone(self, said: str) -> None:
        moment = time.strftime("%H:%M:%S", time.localtime(self._pipeline.moment))
        self._change(alert=f"Not live any more: {plain(said)} What is shown is as of {moment}.")

    def _change(self, *, containers: tuple[Running, ...] | None = None, alert: str | None = None) -> None:
        with self._changing:
            if containers is not None:
                self._pipeline = self._pipeline.with_containers(containers, time.time())
            if alert is not None:
                self._pipeline = self._pipeline.with_alert(alert)
            self._view.show(self._pipeline)

    # Drawers

    def _drawer(self, asked: str) -> str | None:
        if self._watching is not None:
            self._watching.touch()
        kind, _, name = asked.partition(":")
        if kind == "container":
            return self._container(name)
        place, _, key = name.partition(":") if kind == "files" else ("", "", name)
        row = self._pipeline.row(key)
        if row is None:
            return None
        if kind == "files":
            layers = {layer.place for layer in row.layers}
            if not place.isascii() or not place.isdigit() or int(place) not in layers:
                return None
            return faces.files_html(self._files(int(place)), row)
        return faces.row_html(self._pipeline, row) if kind == "row" else None

    def _files(self, place: int) -> str:
        """What the layer of a line of the history changed; the image is read for that, once."""
        return self._image.layers[place].tree.only("added", "modified", "removed")._repr_html_()

    def _container(self, identity: str) -> str | None:
        if identity not in {one.facts.id for one in self._pipeline.containers}:
            return None
        try:
            return panels.drawer(panel.glance(identity, client=self._client))
        except NotFound:
            return '<div class="muted">It is not there any more.</div>'
