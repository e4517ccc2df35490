"""The loop of a monitor: what can be read or written, what is due, children that have ended. One thread; nothing blocks."""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress


class Loop:
    """What is registered with `selector` is a function of the event mask; it is called when its file is ready."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self._deadlines: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Calls `act` once, that many seconds from now."""
        self._deadlines.append((time.monotonic() + seconds, act))

    def on_child(self, act: Callable[[], None]) -> None:
        """Calls `act` whenever a child has ended, several maybe."""
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)

        def drain(mask: int) -> None:
            with suppress(BlockingIOError):
                wake.recv(4096)
            act()

        # Both ends live as long as the process: the one by this descriptor, the other by its handler.
        signal.set_wakeup_fd(woken.detach(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(wake, selectors.EVENT_READ, drain)

    def run(self, is_over: Callable[[], bool]) -> None:
        """Until `is_over` says so."""
        while not is_over():
            for key, mask in self.selector.select(self._next_deadline()):
                # An earlier handler of this round may have closed it, or closed it and opened another in its place.
                now = self.selector.get_map().get(key.fd)
                if now and now.data is key.data:
                    key.data(mask)
            self._expire()

    def _next_deadline(self) -> float | None:
        if not self._deadlines:
            return None
        return max(0.0, min(when for when, _ in self._deadlines) - time.monotonic())

    def _expire(self) -> None:
        now = time.monotonic()
        due = [act for when, act in self._deadlines if when <= now]
        self._deadlines = [entry for entry in self._deadlines if entry[0] > now]
        for act in due:
            act()
