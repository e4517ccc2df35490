"""The faces of what checks find: a row each, with line, rule, reason and where it is explained.

    Dockerfile: 2 warnings, 1 note
    line 1  ⚠ BaseNotPinned     FROM debian names no tag, which means latest: …
                                https://…

What another linter says hangs on this machine: it is not in the stable text, and marked as volatile in HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dockerlab.dockerfile.checks import Finding
from dockerlab.faces import markup
from dockerlab.faces.human import plain, shorten
from dockerlab.faces.shown import Shown

# kind → (class, mark)
_MARKS = {"error": ("failed", "✕"), "warning": ("running", "⚠"), "info": ("muted", "·"), "style": ("muted", "·")}
_WORDS = {"error": ("error", "errors"), "warning": ("warning", "warnings"), "note": ("note", "notes")}
_WIDTH = 40
_COLUMNS = ("", "instruction", "", "rule", "reason", "")


class Findings(Shown, tuple[Finding, ...]):
    """What checks have found, in the order of lines."""

    source: tuple[str, ...]

    def __new__(cls, findings: Iterable[Finding], source: Sequence[str] = ()) -> Findings:
        """source: the Dockerfile's lines."""
        made = super().__new__(cls, findings)
        made.source = tuple(source)
        return made

    def _text(self) -> str:
        return text([finding for finding in self if finding.source != "hadolint"])

    def _table(self) -> str:
        return text(self)

    def _html(self) -> str:
        return html(self, self.source)


def text(findings: Sequence[Finding]) -> str:
    """See above."""
    rows = []
    for finding in findings:
        head = (f"line {finding.line}" if finding.line else "", f"{_MARKS[finding.kind][1]} {plain(finding.rule)}")
        rows.append((*head, _one(finding.reason)))
        if finding.url:
            rows.append(("", "", finding.url))
    return "\n".join([f"Dockerfile: {_count(findings)}", *markup.columns(rows, gap=2).splitlines()])


def html(findings: Sequence[Finding], source: Sequence[str]) -> str:
    """The same as a table. source: the Dockerfile's lines."""
    ours, theirs = list[tuple[str, ...]](), dict[int, list[tuple[str, ...]]]()
    for finding in findings:
        if finding.source == "hadolint":
            theirs.setdefault(len(ours) - 1, []).append(_row(finding, source))
        else:
            ours.append(_row(finding, source))
    others = f" · {len(findings) - len(ours)} of hadolint" if theirs else ""
    counted = _count([finding for finding in findings if finding.source != "hadolint"])
    head = markup.head(f"Dockerfile: {markup.text(counted)}", markup.volatile(others))
    table = markup.table(_COLUMNS, ours, numeric=(0,), wrap=(1, 4), loose=theirs)
    return markup.page(head, table if ours else markup.volatile(table if theirs else ""))


def _row(finding: Finding, source: Sequence[str]) -> tuple[str, ...]:
    kind, mark = _MARKS[finding.kind]
    written = source[finding.line - 1] if finding.line and finding.line <= len(source) else ""
    reason = f'<span title="{markup.text(_one(finding.detail))}">{markup.text(_one(finding.reason))}</span>'
    return (
        markup.text(finding.line or ""),
        markup.code(shorten(plain(written), _WIDTH)) if written else "",
        f'<span class="{kind}">{mark} {finding.kind}</span>',
        markup.text(_one(finding.rule)),
        reason,
        markup.link(finding.url, "why") if finding.url else "",
    )


def _count(findings: Sequence[Finding]) -> str:
    counted = dict.fromkeys(_WORDS, 0)
    for finding in findings:
        counted[finding.kind if finding.kind in counted else "note"] += 1
    said = [f"{count} {_WORDS[word][count > 1]}" for word, count in counted.items() if count]
    return ", ".join(said) or "nothing to say against it"


def _one(said: str) -> str:
    """As one line."""
    return " ".join(plain(said).split())
