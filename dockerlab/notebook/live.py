"""A display that changes while work goes on, and is static afterwards.

In a page it is a `LiveView`; at the end the output holds the static face and nothing live stays behind. Where a program executes the
notebook, its static output is updated as a whole. In a terminal it is one line that is overwritten, then the table. Where displays are not
live (a test run), it is shown once, at the end.

The caller says how often: `dockerlab.build` and the other verbs report at most ten times a second.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from IPython.display import DisplayHandle, display

from dockerlab.errors import printable
from dockerlab.faces.shown import Shown

if TYPE_CHECKING:
    from dockerlab.notebook.session import Session
    from dockerlab.notebook.view import LiveView

NOTHING = {"text/plain": ""}  # of an output that is emptied


class LiveDisplay:
    """A context manager: `show` what there is now; leaving the block leaves the last of it, in its final form.

    with LiveDisplay(session) as live:
        dockerlab.build(text, progress=live.show)
    """

    def __init__(self, session: Session, *, keep: bool = True) -> None:
        """keep: whether the last face stays when the block ends; else the output is emptied."""
        self._session, self._keep = session, keep
        self._view: LiveView | None = None
        self._handle: DisplayHandle | None = None
        self._latest: Shown | None = None

    @property
    def shows_html(self) -> bool:
        """Whether what is shown while work goes on is a page's."""
        return self._session.is_in_page

    def show(self, value: Shown) -> None:
        self._latest = value
        if not self._session.is_live:
            return
        if self._session.is_terminal:
            self._show_line(str(value).partition("\n")[0])
        elif self._view is not None:
            self._view.show(value)
        elif self._handle is not None:
            self._handle.update(value.bundle(), raw=True)
        elif self._session.is_in_page:
            from dockerlab.notebook.view import LiveView

            self._view = LiveView(self._session, value)
        elif self._keep:  # else an output without anything in it would stay
            self._handle = display(value.bundle(), raw=True, display_id=True)

    def log(self, name: str, lines: Sequence[str]) -> None:
        """Lines for `data-log=name` in what is shown, where a page shows it."""
        if self._view is not None:
            self._view.log(name, lines)

    def __enter__(self) -> LiveDisplay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._latest is None:
            return
        if self._session.is_terminal:
            if self._session.is_live:
                self._show_line("")
            if self._keep:
                print(self._latest)
        elif self._view is not None:
            if self._keep:
                self._view.freeze()
            else:
                self._view.discard()
        elif self._handle is not None:
            self._handle.update(self._latest.bundle(), raw=True)
        elif self._keep:
            display(self._latest.bundle(), raw=True)

    def _show_line(self, line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write(f"\r{printable(line)[:width]:<{width}}\r")
        sys.stdout.flush()
