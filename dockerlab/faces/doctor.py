"""The faces of a diagnosis: what works, what a lack costs, what mends it. All of it differs from machine to machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockerlab.faces import markup

TEXT = "this machine was examined"
_INDENT = "    "


@dataclass(frozen=True)
class Finding:
    """name: what was tried. said: what was found. Where it does not work, cost: what that means; mend: a command, or ""."""

    name: str
    works: bool
    said: str
    cost: str = ""
    mend: str = ""


def table(findings: Sequence[Finding]) -> str:
    """A line for each finding; below a lack, what it costs and what mends it."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{'✓' if finding.works else '✗'} {finding.name.ljust(width)}  {finding.said}")
        if not finding.works and finding.cost:
            lines.append(f"{_INDENT}costs: {finding.cost}")
        if not finding.works and finding.mend:
            lines.append(f"{_INDENT}→ {finding.mend}")
    return "\n".join(lines)


def html(findings: Sequence[Finding]) -> str:
    """Arguments as `table`."""
    lacks = sum(not finding.works for finding in findings)
    rows = [
        (
            markup.text(finding.name),
            markup.state("done", "works") if finding.works else markup.state("failed", "missing"),
            markup.text(finding.said) + ("" if finding.works else _lack(finding)),
        )
        for finding in findings
    ]
    word = "all works" if not lacks else f"{lacks} of {len(findings)} missing"
    return markup.page(
        markup.head(markup.state("done", TEXT), markup.volatile(markup.text(word))),
        markup.volatile(markup.table(("", "", "found"), rows, wrap=(2,))),
    )


def _lack(finding: Finding) -> str:
    """What a lack costs and what mends it, below what was found."""
    cost = f'<div class="muted">costs: {markup.text(finding.cost)}</div>' if finding.cost else ""
    return cost + (f"<div>→ {markup.code(finding.mend)}</div>" if finding.mend else "")
