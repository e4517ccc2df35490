"""A service's picture, live: tasks start, fail and move as the Swarm has them.

An engine tells nothing of tasks by itself: it is asked twice a second while a page shows the picture, and less often while nothing changes.
The thread ends with the view: when it is frozen, when its page is gone, when the engine or the service is, after an hour.
"""

from __future__ import annotations

import contextvars
import threading
import time
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from dockerlab.errors import DockerlabError
from dockerlab.faces import markup
from dockerlab.faces import service as faces
from dockerlab.notebook.view import LiveView
from dockerlab.services import Service, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockerlab.client import Client
    from dockerlab.notebook.session import Session

_SOON: Final = 0.5  # seconds
_LATER: Final = 2.0
_HOUR: Final = 3600.0
_FREEZE: Final = (
    '<div class="muted"><span class="done">\N{BLACK CIRCLE}</span> live '
    '<button type="button" data-action="freeze">Freeze</button></div>'
)


@dataclass(frozen=True, repr=False)
class _Live(Service):
    """A service in a view that follows it."""

    def _live_html(self) -> str:
        return faces.picture_html(self.facts) + markup.page(_FREEZE)


@dataclass(frozen=True, repr=False)
class _InPage(Service):
    """A value as any other, that is live where a cell displays it."""

    opened: Callable[[], object] = field(default=lambda: None, compare=False)

    def _ipython_display_(self) -> None:
        self.opened()


def in_page(session: Session, service: Service, client: Client) -> Service:
    """The service, which is live where the cell that runs displays it."""
    return _InPage(**_parts(service), opened=lambda: _LiveService(session, service, client))


class _LiveService:
    def __init__(self, session: Session, service: Service, client: Client) -> None:
        self._client, self._last = client, service
        self._over = threading.Event()
        self._view = LiveView(
            session, _Live(**_parts(service)), actions={"freeze": lambda _: self._freeze()}, closed=self._over.set
        )
        if self._view.is_open:
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(self._run,), name="dockerlab service", daemon=True).start()

    def _run(self) -> None:
        began = changed = time.monotonic()
        while not self._over.wait(_SOON if time.monotonic() - changed < 10 else _LATER):
            try:
                found = get(self._last.id, client=self._client)
            except DockerlabError as error:
                self._end(f"Not live any more: {error.message}.")
                return
            if time.monotonic() - began > _HOUR:
                self._end("Not live any more, after an hour.")
                return
            if found.facts != self._last.facts:
                self._last, changed = found, time.monotonic()
                self._view.show(_Live(**_parts(found)))

    def _end(self, said: str) -> None:
        if not self._over.is_set():
            self._last = replace(self._last, facts=replace(self._last.facts, notes=(*self._last.facts.notes, said)))
            self._freeze()

    def _freeze(self) -> None:
        self._over.set()
        self._view.freeze(self._last)


def _parts(service: Service) -> dict[str, Any]:
    return {one.name: getattr(service, one.name) for one in fields(Service)}
