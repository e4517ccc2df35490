"""Why the steps of a build ran: a row for each, with the lines that changed and the files beneath.

line  step                why it ran
4     COPY . /app         1 file changed: app.py (modified)
5     RUN make            because line 4 ran: COPY . /app
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockerlab.faces import markup
from dockerlab.faces.hiding import hide_in_instruction
from dockerlab.faces.human import plain, shorten
from dockerlab.faces.shown import Shown

if TYPE_CHECKING:
    from dockerlab.builds.reasons import Reason
    from dockerlab.builds.record import Build

_WIDTH = 48
_DIFF_LINES = 20
_SIGNS = {"added": "+", "modified": "~", "removed": "-"}


@dataclass(frozen=True, repr=False)
class Explanation(Shown):
    """Why the steps of a build ran, in a table of its own. Which ones ran differs from run to run: the stable text does not say it."""

    build: Build

    def _text(self) -> str:
        return f"why the steps of {_name(self.build)} ran"

    def _table(self) -> str:
        return text(self.build)

    def _html(self) -> str:
        head = markup.head(markup.text(self._text()))
        return markup.page(head, markup.volatile(html(self.build)))


def text(build: Build) -> str:
    """The table; the lines of a change under its step."""
    if not build.reasons:
        return _nothing(build)
    rows = [("line", "step", "why it ran")]
    rows += [
        (str(reason.line), shorten(hide_in_instruction(reason.text), _WIDTH), plain(reason.sentence)) for reason in build.reasons
    ]
    head, *lines = markup.columns(rows, gap=2).split("\n")
    out = [head]
    for reason, line in zip(build.reasons, lines, strict=True):
        out += [line, *(f"        {plain(said)}" for said in _below(reason))]
    return "\n".join(out)


def html(build: Build) -> str:
    """The table as markup, to be put into a page."""
    if not build.reasons:
        return f'<div class="muted">{markup.text(_nothing(build))}</div>'
    rows = []
    for reason in build.reasons:
        below = "\n".join(_below(reason))
        shown = f"<pre>{markup.text(plain(below))}</pre>" if below else ""
        rows.append(
            (
                markup.text(reason.line),
                markup.code(shorten(hide_in_instruction(reason.text), _WIDTH)),
                markup.text(plain(reason.sentence)) + shown,
            )
        )
    return markup.table(("", "step", "why it ran"), rows, numeric=(0,), wrap=(1, 2))


def _nothing(build: Build) -> str:
    steps = [step for step in build.steps if step.line is not None and step.keyword != "FROM"]
    ran = any(step.state in ("done", "failed", "running") for step in steps)
    return "Why the steps ran is not known." if ran else "No step ran: all of them were in the cache."


def _below(reason: Reason) -> Sequence[str]:
    """The lines that changed, or the files where the sentence does not name them all."""
    if reason.diff:
        hidden = len(reason.diff) - _DIFF_LINES
        return [*reason.diff[:_DIFF_LINES], *([f"… {hidden} more lines"] if hidden > 0 else [])]
    files = [f"{sign} {path}" for kind, sign in _SIGNS.items() for path in getattr(reason, kind)]
    if len(files) <= 3:
        return []
    hidden = reason.files - min(len(files), _DIFF_LINES)
    return [*files[:_DIFF_LINES], *([f"… {hidden:,} more files"] if hidden > 0 else [])]


def _name(build: Build) -> str:
    return ", ".join(build.tags) or "the image without a tag"
