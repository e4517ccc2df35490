"""The names that <TAB> offers: an engine's images and containers, asked in the background so that no engine can hang the page.

An answer counts for a few seconds. While one is awaited for longer than a moment, the one before it is offered, or nothing; at the
next <TAB> it is there. An engine that is not there has no names.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from dockerlab.client import Client, engine_errors
from dockerlab.errors import DockerlabError, InvalidReference
from dockerlab.reference import parse

FRESH_SECONDS = 2.0
PATIENCE_SECONDS = 0.5
_ANSWER_SECONDS = 5

_RUNNING = ("running", "paused", "restarting")


class Names:
    """What one notebook's engine has. client: gives the client; it may raise, and take its time."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client
        self._answers: dict[str, _Answer] = {}

    def images(self) -> list[str]:
        """The references of the images, in the short form, by the alphabet."""
        tags = [tag for image in self._ask("/images/json") for tag in image.get("RepoTags") or [] if "<none>" not in tag]
        return sorted({_familiar(tag) for tag in tags})

    def containers(self, which: Literal["all", "running", "stopped"] = "all") -> list[str]:
        """The names of the containers, newest first."""
        found = self._ask("/containers/json", all=1)
        wanted = {"all": (True, False), "running": (True,), "stopped": (False,)}[which]
        names = [(c.get("Names") or [""], c.get("State") in _RUNNING) for c in found]
        return [own for own in (_own_name(n) for n, is_running in names if is_running in wanted) if own]

    def nodes(self) -> list[str]:
        """The names of the nodes of the Swarm."""
        return sorted({str((node.get("Description") or {}).get("Hostname") or "") for node in self._ask("/nodes")} - {""})

    def services(self) -> list[str]:
        """The names of the services of the Swarm."""
        return sorted({str((service.get("Spec") or {}).get("Name") or "") for service in self._ask("/services")} - {""})

    def _ask(self, path: str, **params: int) -> list[dict[str, Any]]:
        before = self._answers.get(path)
        if before is None or before.is_old:
            self._answers[path] = _Answer(self._client, path, params, before.value if before else [])
        return self._answers[path].within(PATIENCE_SECONDS)


class _Answer:
    """One request, under way or answered. value: what it gave, or until then what the one before it gave."""

    def __init__(self, client: Callable[[], Client], path: str, params: Mapping[str, int], before: list[dict[str, Any]]) -> None:
        self.value = before
        self._answered_at = 0.0
        self._waited = False
        self._done = threading.Event()
        worker = threading.Thread(target=self._get, args=(client, path, params), name="dockerlab names", daemon=True)
        worker.start()

    @property
    def is_old(self) -> bool:
        return self._done.is_set() and time.monotonic() - self._answered_at > FRESH_SECONDS

    def within(self, seconds: float) -> list[dict[str, Any]]:
        """The value after at most `seconds`, which are granted once."""
        if not self._waited:
            self._waited = True
            self._done.wait(seconds)
        return self.value

    def _get(self, client: Callable[[], Client], path: str, params: Mapping[str, int]) -> None:
        try:
            with engine_errors("list names"):
                api: Any = client().api  # its requests with a time-out of their own are not public
                self.value = api._result(api._get(api._url(path), params=params, timeout=_ANSWER_SECONDS), json=True)
        except DockerlabError:
            # Completion is no place for an error; the magic itself will tell.
            self.value = []
        finally:
            self._answered_at = time.monotonic()
            self._done.set()


def _familiar(tag: str) -> str:
    try:
        return parse(tag).familiar
    except InvalidReference:
        return tag


def _own_name(names: list[str]) -> str:
    """Of a container's names the one that is no link: /web, not /other/web."""
    return next((name[1:] for name in names if name.count("/") == 1), names[0].strip("/"))
