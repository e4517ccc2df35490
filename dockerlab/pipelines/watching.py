"""What happens to an image's containers, as the engine tells it: no matter who starts or ends them, and without asking again and again.

    watching = Watching(client, image_id, changed, ended)      changed: called with the containers that there are now
    watching.touch()                                           somebody looks; after an hour without that it ends
    watching.close()                                           from any thread: its thread and its connection are gone

The engine's events say that something happened; the containers are asked for then, once for all that came at a time. When the engine
goes away, `ended` is called with what there is to say.
"""

from __future__ import annotations

import contextvars
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from dockerlab.client import Client
from dockerlab.errors import DockerlabError
from dockerlab.pipelines.asking import running
from dockerlab.pipelines.model import Running
from dockerlab.stream import Stream, streaming

_DOING: Final = "watch the engine's events"
# Docker's words and Podman's.
_NEW: Final = ("create", "start", "restart")
_CHANGES: Final = (
    *("die", "died", "stop", "destroy", "remove", "pause", "unpause", "rename", "oom", "health_status", "kill", "cleanup"),
    *_NEW,
)
_QUIET: Final = 0.1  # seconds without an event after which the containers are asked for
_LATEST: Final = 0.5  # seconds after which they are, however many come
_BEFORE: Final = 2  # seconds of events that are told once more: clocks differ, and one may have come while we connected
_JOIN_SECONDS: Final = 5
_MINUTE: Final = 60.0
_IDLE: Final = "Nobody has looked for an hour."
_NOT_UNDERSTOOD: Final = "What the engine answered was not understood."


class Watching:
    """Watches from now on. changed, ended: called on a thread of its own; not after `close`. idle: seconds without `touch`."""

    def __init__(
        self,
        client: Client,
        image_id: str,
        changed: Callable[[tuple[Running, ...]], object],
        ended: Callable[[str], object],
        *,
        idle: float = 3600.0,
    ) -> None:
        self._client, self._image_id, self._changed, self._ended = client, image_id, changed, ended
        self._idle, self._touched = idle, time.monotonic()
        self._known: frozenset[str] = frozenset()
        self._is_closed = threading.Event()
        self._stream: Stream | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="dockerlab pipeline", daemon=True)
        self._thread.start()

    def touch(self) -> None:
        """Somebody looks. From any thread."""
        self._touched = time.monotonic()

    def close(self) -> None:
        """Ends it. From any thread, also its own; twice does no harm."""
        self._is_closed.set()
        if self._stream is not None:
            self._stream.close()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        since = str(int(time.time()) - _BEFORE)
        params = {"since": since, "filters": json.dumps({"type": ["container"]})}
        said = _NOT_UNDERSTOOD  # an error of ours, which Python tells of
        try:
            with streaming(self._client, "GET", "/events", doing=_DOING, params=params) as stream:
                self._stream = stream
                if not self._is_closed.is_set():
                    self._look()
                    said = self._follow(stream)
        except DockerlabError as error:
            said = f"{error.message}."
        finally:
            if not self._is_closed.is_set():
                self._ended(said)

    def _follow(self, stream: Stream) -> str:
        """Until it ends; why it did."""
        for message in stream.messages(min(_MINUTE, self._idle)):
            if time.monotonic() >= self._touched + self._idle:
                return _IDLE
            if message is None:
                continue
            is_new, until = self._is_change(message), time.monotonic() + _LATEST
            for more in stream.messages(_QUIET):
                is_new |= self._is_change(more)
                if more is None or time.monotonic() >= until:
                    break
            if is_new and not self._is_closed.is_set():
                self._look()
        return "The engine closed its stream of events."

    def _is_change(self, message: Mapping[str, Any] | None) -> bool:
        """Whether an event may be about one of the image's containers: a new one, or one that is known."""
        if message is None:
            return False
        action = str(message.get("Action") or message.get("status") or "").partition(":")[0]
        actor = message.get("Actor")
        name = str((actor.get("ID") if isinstance(actor, Mapping) else None) or message.get("id") or "")
        return action in _NEW or (action in _CHANGES and name in self._known)

    def _look(self) -> None:
        found = running(self._image_id, self._client)
        self._known = frozenset(one.facts.id for one in found)
        if not self._is_closed.is_set():
            self._changed(found)
