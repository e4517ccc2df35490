"""A container while the engine runs: its record, its monitor if it has one, and those who wait for something to happen to it.

`lock` is held while the container changes, never while somebody waits for its process, and never needed to read `record`: that is a
value, replaced as a whole.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

from dockerlab.engine import journal
from dockerlab.engine.containers import record as records
from dockerlab.engine.containers.readers import Readers
from dockerlab.engine.containers.record import Record, State
from dockerlab.engine.home import read_json, write_json
from dockerlab.engine.runtime import Running
from dockerlab.errors import Conflict

Condition = Literal["not-running", "next-exit", "removed"]
RECORD, HEALTH = "record.jsonl", "health.json"
_LONGEST = 1 << 18  # bytes of a record with its changes
_LOG = logging.getLogger(__name__)
_STATE = frozenset(one.name for one in fields(State))


class Waiter:
    """Waits for one thing to happen, once. exit_code: of the container when it happened. cancelled: nobody waits any more."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.exit_code = 0
        self.error = ""
        self.cancelled = False
        self._happened = threading.Event()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it happened in that time; without a time it waits until it does, or is cancelled."""
        return self._happened.wait(seconds)

    def tell(self, exit_code: int, error: str = "") -> None:
        """It happened."""
        self.exit_code, self.error = exit_code, error
        self._happened.set()

    def cancel(self) -> None:
        """Ends the waiting; from any thread."""
        self.cancelled = True
        self._happened.set()


class Attachment:
    """A client that attached before the container was started. `stream` is what `Running.attach` gives, once it is.

    `fileno` can be read when it has begun, or never will. close() it.
    """

    def __init__(self, *, stdin: bool, stdout: bool, stderr: bool) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.stream: socket.socket | None = None
        self._lock = threading.Lock()
        self._event = os.eventfd(0, os.EFD_CLOEXEC)

    def begin(self, running: Running) -> None:
        """The container is about to be started, or runs."""
        # A monitor that ends at once leaves the client with an empty stream.
        with suppress(ConnectionError, FileNotFoundError):
            stream = running.attach(stdin=self.stdin, stdout=self.stdout, stderr=self.stderr)
            with self._lock:
                if self._event < 0:
                    stream.close()
                else:
                    self.stream = stream
        self.end()

    def end(self) -> None:
        """Nothing more is to be waited for."""
        with self._lock:
            if self._event >= 0:
                os.eventfd_write(self._event, 1)

    def fileno(self) -> int:
        """To wait on."""
        return self._event

    def close(self) -> None:
        """The client has left, or has read it all; twice is fine."""
        with self._lock:
            if self._event >= 0:
                os.close(self._event)
                self._event = -1
            if self.stream is not None:
                self.stream.close()

    def __del__(self) -> None:
        # The server does not run what it hands over if the client is gone before.
        self.close()


class Container:
    """directory: its own. token: tells runs apart; events of a run that is over are not heeded."""

    def __init__(self, record: Record, directory: Path) -> None:
        self.lock = threading.RLock()
        self.directory = directory
        self.readers = Readers()
        self.running: Running | None = None
        self.token: object = None
        self.timer: threading.Timer | None = None
        self.restart_delay = 0.0
        self.is_kept = False  # restarted by a client: AutoRemove does not apply to this exit
        self.is_interrupted = False  # stopped by the engine's end
        self.secret: tuple[str, ...] = ()  # variables of a build's step, in no record
        self._health: Mapping[str, Any] | None = None
        self._record = record
        self._is_behind = False  # the file: a change could not be written
        self._is_removed = False
        self._waiters: list[Waiter] = []
        self._attachments: list[Attachment] = []

    @property
    def record(self) -> Record:
        """What it is now."""
        return self._record

    @property
    def id(self) -> str:
        """The whole id."""
        return self._record.id

    @property
    def name(self) -> str:
        """Without a slash."""
        return self._record.name

    @property
    def health(self) -> Mapping[str, Any] | None:
        """State.Health, None where it is not checked."""
        return self._health

    def keep_health(self, health: Mapping[str, Any]) -> None:
        """What its checks make of it, kept beside the record: a result waits for nobody who changes the container."""
        self._health = health
        try:
            write_json(self.directory / HEALTH, health)
        except FileNotFoundError:
            return  # it has just been removed
        except OSError as error:
            _LOG.warning("the next engine will not know the health of %s: %s", self.id[:12], error)

    def update(self, **changes: Any) -> None:
        """Changes fields of the record or of its state, and keeps it. The lock must be held.

        Raises OSError where it cannot be written; it has changed nevertheless, and is written with the next change.
        """
        of_state = {name: changes.pop(name) for name in list(changes) if name in _STATE}
        before = self._record
        self._record = replace(before, state=replace(before.state, **of_state), **changes)
        if self._is_behind:
            self.save()
            return
        self._is_behind = True
        size = journal.append(self.directory / RECORD, self._record.changes_since(before))
        self._is_behind = False
        if size > _LONGEST:
            self.save()

    def save(self, *, is_new: bool = False) -> None:
        """Writes the whole record."""
        journal.write(self.directory / RECORD, self._record.to_json(), is_new=is_new)
        self._is_behind = False

    def attributes(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What events say about it."""
        return {**self._record.labels, "image": self._record.image_name, "name": self.name, **(more or {})}

    # Waiting

    def waiter(self, condition: Condition) -> Waiter:
        """Starts to wait. What is so already has happened; end it with `forget`."""
        waiter = Waiter(condition)
        with self.lock:
            state = self._record.state
            if self._is_removed or (condition == "not-running" and not state.is_running):
                waiter.tell(state.exit_code, state.error)
            else:
                self._waiters.append(waiter)
        return waiter

    def forget(self, waiter: Waiter) -> None:
        """Nobody waits any more; twice is fine."""
        with self.lock:
            self._waiters = [other for other in self._waiters if other is not waiter]

    def tell(self, *conditions: Condition) -> None:
        """Something happened. The lock must be held."""
        self._is_removed |= "removed" in conditions
        told = [waiter for waiter in self._waiters if waiter.condition in conditions]
        self._waiters = [waiter for waiter in self._waiters if waiter not in told]
        for waiter in told:
            waiter.tell(self._record.state.exit_code)

    # Clients that attach before the start

    def attach(self, attachment: Attachment) -> None:
        """Attaches a client now, if the container runs, or else at its start. The client waits for it."""
        with self.lock:
            if self.running is not None:
                attachment.begin(self.running)
            else:
                self._attachments.append(attachment)

    def detach(self, attachment: Attachment) -> None:
        """A client left before the start; twice is fine."""
        with self.lock:
            self._attachments = [other for other in self._attachments if other is not attachment]

    def begin_attachments(self, running: Running) -> None:
        """Before the start. The lock must be held."""
        for attachment in self._take_attachments():
            attachment.begin(running)

    def end_attachments(self) -> None:
        """There will be no start. The lock must be held."""
        for attachment in self._take_attachments():
            attachment.end()

    def _take_attachments(self) -> list[Attachment]:
        taken, self._attachments = self._attachments, []
        return taken

    # States that a call needs

    @contextmanager
    def talking(self) -> Iterator[Running]:
        """Its monitor, to tell it something. Raises Conflict where it does not run, or ends at this moment."""
        running = self.needs_running()
        try:
            yield running
        except (ConnectionError, FileNotFoundError) as error:
            raise Conflict(f"container {self.id} is not running") from error

    def needs_running(self) -> Running:
        """Its monitor. Raises Conflict where it does not run."""
        running = self.running
        if running is None or not self._record.state.is_alive:
            if self._record.state.status == "restarting":
                raise Conflict(f"Container {self.id} is restarting, wait until the container is running")
            raise Conflict(f"container {self.id} is not running")
        return running


def load(directory: Path, value: Mapping[str, Any]) -> Container:
    """A container from what its record holds, and its health.json. Raises KeyError, TypeError."""
    found = Container(records.from_json(value), directory)
    with suppress(FileNotFoundError):
        found._health = read_json(directory / HEALTH)
    return found
