"""`%container show`: a container's panel, live until the container ends, until it is frozen, or until nobody has clicked for an hour.

What the buttons do is done by the public functions, on the view's threads; their errors are shown in the view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from dockerlab import containers
from dockerlab.containers.watching import IDLE_SECONDS, Watch
from dockerlab.faces.panel import LOG
from dockerlab.notebook.view import LiveView

if TYPE_CHECKING:
    from dockerlab.client import Client
    from dockerlab.containers.panel import Panel
    from dockerlab.notebook.session import Session

Act = Callable[[str, "Client"], object]

ACTIONS: Final[dict[str, Act]] = {
    "start": lambda id, client: containers.start(id, client=client),
    "stop": lambda id, client: containers.stop(id, client=client),
    "restart": lambda id, client: containers.restart(id, client=client),
    "pause": lambda id, client: containers.pause(id, client=client),
    "unpause": lambda id, client: containers.unpause(id, client=client),
    "kill": lambda id, client: containers.kill(id, client=client),
    "remove": lambda id, client: containers.rm(id, force=True, client=client),
}


def show(session: Session, container: str, *, idle: float = IDLE_SECONDS) -> Panel | None:
    """Displays the live panel; where displays are not live, gives one that is static. idle: seconds without a click after which it freezes.

    Raises NotFound.
    """
    if not session.is_in_page:
        return containers.show(container, client=session.client)
    _LivePanel(session, container, idle)
    return None


class _LivePanel:
    """A view and the watch that feeds it; each ends with the other."""

    def __init__(self, session: Session, container: str, idle: float) -> None:
        found = containers.get(container, client=session.client)
        self._watch = Watch(found, show=self._show, log=self._log, ended=self._freeze, idle=idle)
        actions = {name: self._action(act) for name, act in ACTIONS.items()}
        try:
            self._view = LiveView(
                session, self._watch.panel, actions={**actions, "freeze": lambda _: self._end()}, closed=self._watch.close
            )
        except BaseException:
            self._watch.close()
            raise
        self._watch.start()

    def _action(self, act: Act) -> Callable[[str], object]:
        def do(_: str) -> None:
            with self._watch.acting():
                act(self._watch.panel.facts.id, self._watch.client)

        return do

    def _show(self, panel: Panel) -> None:
        self._view.show(panel)

    def _log(self, lines: Sequence[str]) -> None:
        self._view.log(LOG, lines)

    def _freeze(self, panel: Panel) -> None:
        self._view.freeze(panel)

    def _end(self) -> None:
        """By its Freeze button: as it is now."""
        self._watch.close()
        self._view.freeze(self._watch.panel)
