"""A live view in the page: one widget, its markup patched in place; at the end, in its place, the static face.

Python renders, and the page's JavaScript is the same for every view: it reacts to attributes in the markup. `labextension/src/view/` says
which. What is sent to the page is sent by one thread a view, at most ten times a second, and never more than half a megabyte a second of
markup: the server drops what comes faster, the end of it included.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from IPython.display import DisplayHandle, display

from dockerlab.errors import DockerlabError
from dockerlab.faces.shown import Shown
from dockerlab.notebook.live import NOTHING

if TYPE_CHECKING:
    from dockerlab.notebook.session import Session
    from dockerlab.notebook.widget import Widget

_PAUSE: Final = 0.1  # seconds between two updates
_TAIL_PAUSE: Final = 0.5  # between two of a log's tail
_RATE: Final = 500_000  # characters of markup a second
_BATCH: Final = 300  # lines of a log in one message
_FLOOD: Final = 100  # where more are waiting: nobody reads them, and each costs the page
_TAIL: Final = 200
_TAILS: Final = 600  # lines of all logs together
_KEPT: Final = 1_000  # lines of a log, for a page that opens later
_LONGEST: Final = 2_000  # characters of a line
_RETURN: Final = 20.0  # seconds that a page may take to load again
_LOADING: Final = 10.0  # seconds that a page may take to show a view for the first time

_VIEW: Final = "application/vnd.jupyter.widget-view+json"


class LiveView:
    """A live view in one widget: its markup, patched in place; log lines in batches; at the end, in its place, the static face.

    Where displays are not live, or there is no page (a test run, a terminal), the face is displayed once, and nothing else happens:
    `is_open` is False from the start.
    """

    def __init__(
        self,
        session: Session,
        face: Shown,
        *,
        actions: Mapping[str, Callable[[str], object]] | None = None,
        drawer: Callable[[str], str | None] | None = None,
        closed: Callable[[], object] | None = None,
    ) -> None:
        """Displays the view in the cell that runs.

        face: what is shown first. Its `_repr_html_()` is shown, or, while the view is live, its `_live_html()` if it has one. Faces are
        rendered on the view's thread: they must be values that do not change. actions: by name, what a click on `data-action` does: it is
        called with `data-value`, on a thread of its own; its error is shown in the view. drawer: the markup of a drawer by its id, when the
        page asks for it; None: there is none. closed: called once, on the view's thread, when no page shows the view any more; not after
        `freeze`.
        """
        self._actions, self._drawer, self._closed = dict(actions or {}), drawer, closed
        self._face = face
        self._widget: Widget | None = None
        if not session.is_in_page:
            display(face.bundle(), raw=True)
            return
        from dockerlab.notebook.widget import Widget

        self._changed = threading.Condition()
        self._sending = threading.RLock()  # held while messages go out, and by who ends it
        self._is_new = False
        self._logs: dict[str, _Log] = {}
        self._answers: deque[dict[str, Any]] = deque()
        self._pages: set[str] = set()
        self._left_until: float | None = None
        self._is_over = False
        self._failure = ""  # of the last face
        # What a thread displays stays with the cell that it was started from.
        self._context = contextvars.copy_context()
        self._widget = Widget(html=_live_html(face))
        self._widget.on_msg(self._hear)
        bundled = {**face.bundle(), _VIEW: {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}}
        self._handle: DisplayHandle = display(bundled, raw=True, display_id=True)
        self._thread = threading.Thread(target=self._context.copy().run, args=(self._run,), name="dockerlab view", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether the view is live: neither frozen nor closed."""
        return self._widget is not None and not self._is_over

    def show(self, face: Shown) -> None:
        """The face as it is now. From any thread; at most ten a second reach the page, and always the last."""
        if not self.is_open:
            return
        with self._changed:
            self._face, self._is_new = face, True
            self._changed.notify()

    def log(self, name: str, lines: Sequence[str]) -> None:
        """Lines for `data-log=name`, with ANSI colours if they have any. From any thread.

        What comes too fast is left out of the page, which says how many lines that are; the last always arrive.
        """
        if not self.is_open or not lines:
            return
        with self._changed:
            self._logs.setdefault(name, _Log()).add(lines)
            self._changed.notify()

    def freeze(self, face: Shown | None = None) -> None:
        """Ends the view: the output becomes the static face, the last one shown unless given. From any thread; twice does no harm."""
        static = (face or self._face).bundle() if self.is_open else {}
        if self._end():
            self._replace(static)

    def discard(self) -> None:
        """Ends the view, and leaves nothing of it in the output. From any thread; twice does no harm."""
        if self._end():
            self._replace(NOTHING)

    def _end(self) -> bool:
        """Whether it was this call that ended the view. Nothing is sent afterwards."""
        if self._widget is None:
            return False
        with self._sending, self._changed:
            was_open, self._is_over = not self._is_over, True
            self._changed.notify()
        return was_open

    def _replace(self, static: dict[str, Any]) -> None:
        self._context.copy().run(self._handle.update, static, raw=True)
        if self._pages:
            self._context.copy().run(self._close_widget)
            return
        # A page that is still about to show the view would find nothing; it is `here` soon, or never.
        later = threading.Timer(_LOADING, self._context.copy().run, args=(self._close_widget,))
        later.daemon = True
        later.start()

    def _close_widget(self) -> None:
        widget = self._widget
        if widget is not None:
            layout: Any = widget.layout
            widget.close()
            layout.close()

    # What goes to the page.

    def _run(self) -> None:
        """The view's thread."""
        try:
            self._send_what_comes()
        finally:
            self._close(keep_widget=True)  # after an error of ours, which Python tells of, nothing is live any more

    def _send_what_comes(self) -> None:
        """Waits for something to send, and sends it, until the view is over or its page is gone."""
        due = 0.0
        while True:
            with self._changed:
                while not self._is_over and not self._answers and (wait := self._wait(due)) > 0:
                    self._changed.wait(None if wait == float("inf") else wait)
                if self._is_over:
                    return
                left = self._left_until is not None and time.monotonic() >= self._left_until
            if left:
                return
            with self._sending:
                if self._is_over:
                    return
                self._send_answers()
                if time.monotonic() >= due:
                    due = self._send_changes()

    def _wait(self, due: float) -> float:
        """Seconds until there is something to do; 0: there is; inf: until something changes."""
        now = time.monotonic()
        times = [due] if self._is_new or any(log.is_new for log in self._logs.values()) else []
        times += [max(due, log.tail_due) for log in self._logs.values() if log.has_new_tail]
        times += [self._left_until] if self._left_until is not None else []
        return max(0.0, min(times) - now) if times else float("inf")

    def _send_answers(self) -> None:
        while self._answers:
            self._send(self._answers.popleft())

    def _send_changes(self) -> float:
        """Sends the face and the lines that are new. When the next may follow."""
        widget = self._widget
        assert widget is not None
        began = time.monotonic()
        with self._changed:
            face, self._is_new = (self._face if self._is_new else None), False
            batches = [(name, *log.batch()) for name, log in self._logs.items() if log.is_new]
            tails = None
            if any(log.has_new_tail and began >= log.tail_due for log in self._logs.values()):
                tails = self._tails(began)
        cost = 0.0
        if face is not None:
            try:
                html = _live_html(face)
            except Exception as error:  # noqa: BLE001  shown in the view: a face that fails must not look like one that stands still
                if (said := _said(error)) != self._failure:  # once, however many faces fail so
                    self._send({"kind": "alert", "error": said})
                self._failure = said
            else:
                widget.html = html
                self._failure = ""
                cost = max(len(html) / _RATE, 3 * (time.monotonic() - began))
        for name, at, lines in batches:
            self._send({"kind": "log", "name": name, "at": at, "lines": lines})
        if tails is not None:
            widget.tails = tails
        return time.monotonic() + max(_PAUSE, cost)

    def _tails(self, now: float) -> dict[str, Any]:
        """The ends of the logs, of those first that grew last; for a page that begins to listen while the kernel is busy."""
        found: dict[str, Any] = {}
        left = _TAILS
        for name, log in sorted(self._logs.items(), key=lambda item: -item[1].grown):
            found[name] = log.tail(now, min(_TAIL, left))
            left -= len(found[name]["lines"])
        return found

    def _send(self, message: dict[str, Any]) -> None:
        assert self._widget is not None
        self._widget.send(message)

    # What comes from the page.

    def _hear(self, _: object, message: dict[str, Any], __: object) -> None:
        """A message of the page, on the kernel's thread."""
        match message:
            case {"kind": "here"} if self._is_over:
                self._context.copy().run(self._close_widget)
            case {"kind": "here", "page": str(page)}:
                with self._changed:
                    self._pages.add(page)
                    self._left_until = None
                    for name, log in self._logs.items():
                        self._answers.append({"kind": "log", "name": name, **log.kept()})
                    self._changed.notify()
            case {"kind": "gone", "page": str(page)}:
                self._pages.discard(page)
                if not self._pages:
                    self._close(keep_widget=False)
            case {"kind": "leaving", "page": str(page)}:
                with self._changed:
                    self._pages.discard(page)
                    if not self._pages:
                        self._left_until = time.monotonic() + _RETURN
                        self._changed.notify()
            case {"kind": "freeze"}:
                self._work(self._freeze)
            case {"kind": "action", "name": str(name), "value": str(value), "ask": ask}:
                self._work(lambda: self._act(name, value, ask))
            case {"kind": "drawer", "id": str(id), "ask": ask}:
                self._work(lambda: self._open_drawer(id, ask))

    def _close(self, *, keep_widget: bool) -> None:
        """No page shows the view any more. keep_widget: for a page that is loaded again later, which would miss it."""
        if not self._end():
            return
        if keep_widget:
            assert self._widget is not None
            self._widget.over = True
        else:
            self._context.copy().run(self._close_widget)
        if self._closed is not None:
            self._work(self._closed)

    def _work(self, do: Callable[[], object]) -> None:
        """Does it on a thread of its own, whose prints and displays stay with the view's cell."""
        threading.Thread(target=self._context.copy().run, args=(do,), name="dockerlab view's work", daemon=True).start()

    def _freeze(self) -> None:
        try:
            self.freeze()
        except Exception as error:  # noqa: BLE001  shown in the view, which stays live
            self._answer({"kind": "alert", "error": _said(error)})

    def _act(self, name: str, value: str, ask: object) -> None:
        error = None
        try:
            if name not in self._actions:
                raise LookupError(f"this view has no action {name!r}")
            self._actions[name](value)
        except Exception as failure:  # noqa: BLE001  shown in the view
            error = _said(failure)
        self._answer({"kind": "answer", "ask": ask, "error": error})

    def _open_drawer(self, id: str, ask: object) -> None:
        html = error = None
        try:
            html = self._drawer(id) if self._drawer else None
        except Exception as failure:  # noqa: BLE001  shown in the view
            error = _said(failure)
        else:
            error = "There is nothing to show here any more." if html is None else None
        self._answer({"kind": "answer", "ask": ask, "html": html, "error": error})

    def _answer(self, message: dict[str, Any]) -> None:
        with self._changed:
            self._answers.append(message)
            self._changed.notify()


class _Log:
    """The lines of one log that are still to be sent, and the last of those that were."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._end = self._sent = self._tail_end = 0
        self.grown = self.tail_due = 0.0

    def add(self, lines: Sequence[str]) -> None:
        self._lines.extend(line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …" for line in lines[-_KEPT:])
        self._end += len(lines)
        self.grown = time.monotonic()

    @property
    def is_new(self) -> bool:
        return self._sent < self._end

    @property
    def has_new_tail(self) -> bool:
        return self._tail_end < self._end

    def batch(self) -> tuple[int, list[str]]:
        """The lines that were not sent yet, at most the last of them, and the number of the first."""
        waiting = self._end - self._sent
        lines = self._last(waiting if waiting <= _BATCH else _FLOOD)
        self._sent = self._end
        return self._end - len(lines), lines

    def tail(self, now: float, most: int) -> dict[str, Any]:
        lines = self._last(most)
        self._tail_end, self.tail_due = self._end, now + _TAIL_PAUSE
        return {"at": self._end - len(lines), "lines": lines}

    def kept(self) -> dict[str, Any]:
        return {"at": self._end - len(self._lines), "lines": list(self._lines)}

    def _last(self, count: int) -> list[str]:
        return list(islice(self._lines, max(0, len(self._lines) - count), None))


def _live_html(face: Shown) -> str:
    live: Callable[[], str] = getattr(face, "_live_html", face._repr_html_)
    return live()


def _said(error: Exception) -> str:
    if not isinstance(error, DockerlabError):
        return f"{type(error).__name__}: {error}"
    return "\n".join(error.lines())
