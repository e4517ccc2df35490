"""A container watched until it ends: panels that keep coming, and the lines of its log.

    watch = Watch(container, show=view.show, log=view_lines, ended=view.freeze)
    with watch.acting(): containers.restart(…)      done on purpose, it is no end
    watch.close()

One thread, the watch's own, does the thinking; three others read what the engine sends for long: its events, the container's counters and
its log. Each has a connection, and `close` ends them all. An engine that goes away is asked again, more and more rarely; until it answers
the panel says so.

It ends by itself when the container has ended (one that is started anew within a second has not), was removed, or when nobody has done
anything with it for an hour.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any, Final

from dockerlab.client import Client, engine_errors
from dockerlab.containers import panel as panels
from dockerlab.containers import processes
from dockerlab.containers.container import Container, get
from dockerlab.containers.facts import epoch
from dockerlab.containers.following import Following, messages
from dockerlab.containers.panel import Panel
from dockerlab.containers.sampling import Sample, sampled
from dockerlab.containers.tailing import Tail
from dockerlab.errors import Conflict, DockerlabError, EngineGone, NotFound

IDLE_SECONDS: Final = 3600.0
_HISTORY: Final = 300.0  # seconds of samples
_GRACE: Final = 1.0  # seconds in which a container that has ended may be started anew
_PAUSE: Final = 0.5  # between two panels
_LINES_PAUSE: Final = 0.1  # between two handfuls of lines
_PROCESSES_EVERY, _CHANGES_EVERY = 4.0, 12.0  # seconds, and more where the engine takes long for it
_SHARE: Final = 0.05  # of the time that the engine may spend on one of these
_LAST_LINES: Final = 3.0  # seconds for the end of the log
_ASK_AGAIN: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
_JOIN_SECONDS, _ANSWER_SECONDS = 5, 30  # seconds; what is asked while it is watched is asked again anyway
_ACTIONS: Final = {
    *("start", "die", "died", "stop", "kill", "pause", "unpause", "restart", "rename", "destroy", "remove", "oom", "update", "cleanup")
}  # fmt: skip


class Watch:
    """See the module. show: gets each new panel, at most two a second but for changes of the state; log: gets new lines; ended: gets the
    last panel, once, unless it was closed before. All are called on the watch's thread.

    The watch has a client of its own. Raises NotFound, NoEngine.
    """

    def __init__(
        self,
        container: Container,
        *,
        show: Callable[[Panel], object],
        log: Callable[[Sequence[str]], object],
        ended: Callable[[Panel], object],
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._show, self._log, self._ended, self._idle = show, log, ended, idle
        with engine_errors("connect to the engine"):
            self.client = Client(container.client.endpoint)
        self.client.api.timeout = _ANSWER_SECONDS
        try:
            self._container = get(container.id, client=self.client)
            with engine_errors("ask the engine what it can do"):
                self._info: Mapping[str, Any] = self.client.info()
            self._is_podman = processes.is_podman(self.client)
            self._panel = panels.with_changes(panels.of(self._container, self._info), self._container)
        except BaseException:
            self.client.close()
            raise
        self._was_running = self._panel.is_running
        config = self._container.attrs.get("Config") or {}
        self._tail = Tail(terminal=bool(config.get("Tty")), arrived=lambda: self._put("lines"))
        self._log_of: float | None = None  # which run's, by the time of its start
        self._samples: deque[Sample] = deque()
        self._before: Mapping[str, Any] | None = None
        self._items: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._streams: dict[str, Following] = {}
        self._due: dict[str, float] = {}  # what is to be done when, by the clock
        self._shown_at = self._lines_at = 0.0
        self._busy = 0  # actions under way
        self._touched = time.monotonic()
        self._lock = threading.Lock()
        self._is_closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"dockerlab: watch container {self._container.facts.called}", daemon=True
        )

    @property
    def panel(self) -> Panel:
        """The container as it was last seen, with its log."""
        return replace(self._panel, log=self._tail.lines)

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    @contextmanager
    def acting(self) -> Iterator[None]:
        """While something is done to it on purpose: that it does not run meanwhile is no end; afterwards it is, at once."""
        with self._lock:
            self._busy += 1
            self._touched = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
            self._put("acted")

    def close(self) -> None:
        """Ends it: afterwards there is no thread and no connection of it. From any thread, and twice."""
        self._is_closing.set()
        self._put("close")
        if threading.current_thread() is not self._thread and self._thread.ident is not None:
            self._thread.join(_JOIN_SECONDS)

    # The watch's thread.

    def _put(self, kind: str, what: Any = None) -> None:
        self._items.put((kind, what))

    def _run(self) -> None:
        failures = 0
        try:
            while not self._is_closing.is_set():
                try:
                    self._open()
                    failures = 0
                    self._attend()
                except (EngineGone, ConnectionError) as error:
                    self._close_streams()
                    pause = _ASK_AGAIN[min(failures, len(_ASK_AGAIN) - 1)]
                    failures += 1
                    self._set(note=f"The engine does not answer ({error}). It is asked again every few seconds.")
                    self._publish()
                    self._rest(time.monotonic())
                    self._is_closing.wait(pause)
                except DockerlabError as error:
                    self._set(note=f"{error}. What is shown is no longer followed.")
                    self._finish()
        finally:
            self._close_streams()
            self.client.close()
            if not self._is_closing.is_set():  # an error of ours, which Python tells of
                self._is_closing.set()
                self._set(note="It is no longer followed: what the engine answered was not understood.")
                self._ended(self.panel)

    def _open(self) -> None:
        """Looks, and follows what the engine has to say. Raises EngineGone."""
        self._follow_events()
        self._look()
        self._set(note="")
        if not self._is_closing.is_set():
            self._follow_log(tail=str(panels.TAIL))
            self._due["idle"] = self._touched + self._idle

    def _attend(self) -> None:
        """Until it is closed or has ended. Raises EngineGone."""
        while not self._is_closing.is_set():
            try:
                kind, what = self._items.get(timeout=max(0.0, min(self._due.values()) - time.monotonic()))
            except Empty:
                self._do_what_is_due()
            else:
                self._take(kind, what)
                if self._due and min(self._due.values()) <= time.monotonic():
                    self._do_what_is_due()

    def _take(self, kind: str, what: Any) -> None:
        match kind:
            case "sample":
                self._sample(what)
            case "event":
                action = str(what.get("Action") or what.get("status") or "")
                if action in _ACTIONS or action.startswith("health_status"):
                    self._due["look"] = 0.0
            case "acted":
                self._due["idle"] = self._touched + self._idle
                self._due.pop("end", None)
                self._look(at_once=True)
            case "lines":
                self._due.setdefault("lines", self._lines_at + _LINES_PAUSE)
            case "over":
                name, following, error = what
                if self._streams.get(name) is following:
                    self._over(name, error)

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        for name in [name for name, due in self._due.items() if due <= now]:
            if self._due.pop(name, None) is None:
                continue  # done along with another
            match name:
                case "look":
                    self._look()
                case "end":
                    self._finish()
                case "show":
                    self._publish()
                case "lines":
                    self._send_lines()
                case "stats":
                    self._follow_stats()
                case "log" if self._log_of != self._panel.started and self._panel.is_running:
                    # Its first lines may be older than the start that the engine notes.
                    self._follow_log(since=epoch((self._container.attrs.get("State") or {}).get("FinishedAt")))
                case "events":
                    self._follow_events()
                case "processes":
                    self._refresh(name, _PROCESSES_EVERY)
                case "changes":
                    self._refresh(name, _CHANGES_EVERY)
                case "idle":
                    self._rest(now)
            if self._is_closing.is_set():
                return

    def _rest(self, now: float) -> None:
        """Ends it if nobody has done anything for long."""
        with self._lock:
            due = self._touched + self._idle
        if now < due:
            self._due["idle"] = due
            return
        name = self._panel.facts.name or self._panel.facts.engine_name
        self._set(
            note=f"Nobody clicked here for {round(self._idle / 60)} minutes: it is no longer followed. `%container show {name}` does."
        )
        self._finish()

    # What is seen.

    def _look(self, *, at_once: bool = False) -> None:
        """Inspects it. at_once: whether it has ended if it does not run, without a moment's grace."""
        was, there = self._panel, self._container.refresh()
        seen = panels.of(self._container, self._info, gone=not there)
        self._panel = replace(
            seen, samples=was.samples, processes=was.processes, processes_said=was.processes_said, changes=was.changes, note=was.note,
            changes_said=was.changes_said,
        )  # fmt: skip
        if not seen.is_running:
            self._set(processes=())
        if seen.is_running:
            self._was_running = True
            self._due.pop("end", None)
            again = {"processes": 0.0, "changes": 0.0, "stats": 0.0}
            self._due = self._due | again if was.started != seen.started else again | self._due
            if "stats" in self._streams:
                del self._due["stats"]
            if self._log_of != seen.started:
                # The log of the run before ends by itself, with its last lines; Docker 20.10 now and then does not end it.
                self._due["log"] = 0.0 if "log" not in self._streams else self._due.get("log", time.monotonic() + _LAST_LINES)
        elif not there or self._was_running:
            with self._lock:
                is_busy = self._busy > 0
            if not is_busy:
                self._due.setdefault("end", time.monotonic() + (0.0 if at_once or not there else _GRACE))
        if was.facts != seen.facts or was.started != seen.started:
            self._publish()

    def _refresh(self, what: str, every: float) -> None:
        """The processes, or the changed files, anew, if it runs."""
        if not self._panel.is_running:
            return
        began = time.monotonic()
        if what == "processes":
            self._panel = panels.with_processes(self._panel, self._container, is_podman=self._is_podman)
        else:
            self._panel = panels.with_changes(self._panel, self._container)
        now = time.monotonic()
        self._due[what] = now + max(every, (now - began) / _SHARE)
        self._due.setdefault("show", self._shown_at + _PAUSE)

    def _sample(self, answer: Mapping[str, Any]) -> None:
        sample, self._before = sampled(answer, self._before), answer
        if sample is None:
            return
        self._samples.append(sample)
        while self._samples[0].at < sample.at - _HISTORY:
            self._samples.popleft()
        self._set(samples=tuple(self._samples), at=time.time())
        self._due.setdefault("show", self._shown_at + _PAUSE)

    def _set(self, **changes: Any) -> None:
        self._panel = replace(self._panel, **changes)

    def _publish(self) -> None:
        self._due.pop("show", None)
        self._shown_at = time.monotonic()
        self._set(at=time.time())
        self._show(self._panel)

    def _send_lines(self) -> None:
        self._lines_at = time.monotonic()
        if lines := self._tail.take():
            self._log(lines)
        if self._tail.is_behind and "log" in self._streams:
            self._follow_log(tail=str(panels.TAIL))

    def _finish(self) -> None:
        """The last panel: with the end of the log, and the files as it left them."""
        with suppress(EngineGone):
            self._await_log()
            if not self._panel.is_running and self._panel.facts.state != "removed":
                # What is followed may be over before the last lines: Podman 4.3 does so now and then.
                self._follow_log(tail=str(panels.TAIL))
                self._await_log()
        self._close_streams()
        with suppress(EngineGone):
            self._panel = panels.with_changes(self._panel, self._container)
        self._send_lines()
        self._set(at=time.time())
        if not self._is_closing.is_set():
            self._is_closing.set()
            self._ended(self.panel)

    def _await_log(self) -> None:
        """Until the log of a container that has ended is over. Raises EngineGone."""
        deadline = time.monotonic() + _LAST_LINES
        while "log" in self._streams and not self._panel.is_running and time.monotonic() < deadline:
            with suppress(Empty):
                kind, what = self._items.get(timeout=0.1)
                if kind == "over" and self._streams.get(what[0]) is what[1]:
                    self._over(what[0], what[2])

    # What the engine sends for long.

    def _follow(self, name: str, path: str, params: Mapping[str, Any], take: Callable[[bytes], None]) -> Following:
        if there := self._streams.pop(name, None):
            there.close()
        made: list[Following] = []
        is_made = threading.Event()

        def ended(error: DockerlabError | None) -> None:
            is_made.wait(_JOIN_SECONDS)
            self._put("over", (name, made[0], error))

        called = self._container.facts.called
        following = Following(self.client, path, params, take=take, ended=ended, doing=f"follow the {name} of container {called}")
        made.append(following)
        is_made.set()
        self._streams[name] = following
        return following

    def _follow_events(self) -> None:
        filters = json.dumps({"container": [self._container.id]})
        self._follow("events", "/events", {"filters": filters}, messages(lambda event: self._put("event", event)))

    def _follow_stats(self) -> None:
        self._before = None
        if self._panel.is_running:
            self._follow(
                "stats",
                f"/containers/{self._container.id}/stats",
                {"stream": "true"},
                messages(lambda answer: self._put("sample", answer)),
            )

    def _follow_log(self, *, tail: str = "all", since: float | None = None) -> None:
        follow = int(self._panel.is_running)
        params: dict[str, Any] = {"stdout": 1, "stderr": 1, "follow": follow, "timestamps": 1, "tail": tail}
        if since is not None:
            params["since"] = f"{since:.9f}"
        if there := self._streams.pop("log", None):
            there.close()
        self._tail.begin()
        self._log_of = self._panel.started
        self._tail.pause = self._follow("log", f"/containers/{self._container.id}/logs", params, self._tail.feed).pause

    def _over(self, name: str, error: DockerlabError | None) -> None:
        """One of the answers is over: because the container ended, or because the engine is gone, which the next question shows."""
        del self._streams[name]
        if isinstance(error, EngineGone):
            raise error
        if name == "log":
            self._tail.end()
            if error is not None and not isinstance(error, (NotFound, Conflict)):
                self._tail.say(str(error))
        else:
            # Podman ends them at every restart; one that cannot count is not asked without end.
            self._due[name] = time.monotonic() + (1.0 if error is None else 30.0)
        self._due.setdefault("look", 0.0)

    def _close_streams(self) -> None:
        for following in self._streams.values():
            following.close()
        self._streams.clear()
