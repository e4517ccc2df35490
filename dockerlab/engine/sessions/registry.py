"""The sessions that there are, by their ids."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from dockerlab.engine.sessions.session import Session
from dockerlab.errors import Conflict, EngineError

if TYPE_CHECKING:
    from dockerlab.engine.building.cancellation import Cancellation
    from dockerlab.engine.http.types import Connection

_SECONDS: Final = 5.0  # as BuildKit waits: a client may ask for the build and open its session at one time


class Sessions:
    """Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sessions: dict[str, Session] = {}

    def check(self, id: str) -> None:
        """Raises Conflict where an id is taken."""
        with self._changed:
            if id in self._sessions:
                raise Conflict(f"session {id} already exists")

    def serve(self, session: Session, connection: Connection) -> None:
        """Runs a session to its end. Raises Conflict."""
        with self._changed:
            self.check(session.id)
            self._sessions[session.id] = session
            self._changed.notify_all()
        try:
            session.run(connection)
        finally:
            with self._changed:
                del self._sessions[session.id]

    def find(self, id: str, cancellation: Cancellation, seconds: float = _SECONDS) -> Session:
        """Waits a while for one that is not there yet. Raises EngineError, Cancelled."""
        end = time.monotonic() + seconds

        def wake() -> None:
            with self._changed:
                self._changed.notify_all()

        with cancellation.calling(wake), self._changed:
            while id not in self._sessions and (left := end - time.monotonic()) > 0:
                cancellation.check()
                self._changed.wait(left)
            cancellation.check()
            if found := self._sessions.get(id):
                return found
        hint = "The client that asks for a build with a session opens it with POST /session, and keeps it open."
        raise EngineError(f"no active session for {id}: context deadline exceeded", hint=hint, status=500)
