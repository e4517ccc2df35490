"""HTML building blocks. Everything that comes from outside passes through `text` here: it is escaped, and shown, never run.

`volatile` marks what differs from run to run (times, ids, sizes, cached or not). The sanitiser that we ship for nbval
(`dockerlab/testing/nbval.cfg`) cuts what stands between the marks, so that a notebook compares equal and still shows the facts.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

VOLATILE, END_VOLATILE = "<!--volatile-->", "<!--/volatile-->"
_HALVES = re.compile("[\ud800-\udfff]")

# state → (mark, word); never by colour alone
STATES = {
    "waiting": ("○", "waiting"),
    "running": ("◐", "running"),
    "done": ("●", "done"),
    "cached": ("◇", "cached"),
    "failed": ("✕", "failed"),
    "stopped": ("■", "stopped"),
}

# `@` stands for the view's class three times over, which outweighs JupyterLab's own rules for tables in outputs.
_CSS = """
@{--s-waiting:#6b7078;--s-running:#b85c00;--s-done:#00735c;--s-cached:#2f6db3;--s-failed:#b3261e;--s-stopped:#5b6069;
--edge:var(--jp-border-color2,#d0d4da);--soft:var(--jp-layout-color2,#f3f4f6);color:var(--jp-content-font-color1,#1f2328);
font-family:var(--jp-content-font-family,Helvetica,Arial,"Liberation Sans",sans-serif);font-size:13px;line-height:1.5;max-width:1000px}
body[data-jp-theme-light="false"] @{--s-waiting:#9aa0aa;--s-running:#ffb454;--s-done:#3ecf9f;--s-cached:#7ab7ff;--s-failed:#ff8a80;
--s-stopped:#b0b6c0}
@ .head{font-weight:600;margin:2px 0 6px}
@ .muted{color:var(--jp-content-font-color2,#5b6069);font-weight:400}
@ table{border-collapse:collapse;margin:0 0 4px;font-size:13px;table-layout:auto}
@ tr,@ tr:hover{background:none}
@ th,@ td{text-align:left;vertical-align:top;padding:2px 14px 2px 0;border:0;background:none;white-space:nowrap;max-width:none}
@ th{font-weight:600;color:var(--jp-content-font-color2,#5b6069);border-bottom:1px solid var(--edge)}
@ td.wrap{white-space:normal;overflow-wrap:anywhere}
@ .num{text-align:right;font-variant-numeric:tabular-nums}
@ code,@ pre{font-family:var(--jp-code-font-family,Menlo,Consolas,"DejaVu Sans Mono",monospace);font-size:12px;color:inherit}
@ code{background:none;padding:0}
@ pre{margin:4px 0;padding:6px 10px;background:var(--soft);border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere;max-height:22em;
overflow:auto}
@ .waiting{color:var(--s-waiting)}@ .running{color:var(--s-running)}@ .done{color:var(--s-done)}@ .cached{color:var(--s-cached)}
@ .failed{color:var(--s-failed)}@ .stopped{color:var(--s-stopped)}
@ .bar{display:inline-block;height:8px;border-radius:2px;background:currentColor;vertical-align:middle}
@ .base .bar{background:repeating-linear-gradient(135deg,var(--s-stopped) 0 2px,transparent 2px 5px);outline:1px solid var(--s-stopped);
outline-offset:-1px}
@ .track{display:inline-block;width:120px;height:8px;border-radius:2px;background:var(--soft);vertical-align:middle;overflow:hidden;
line-height:0}
@ details>summary{cursor:pointer}
@ iframe{border:1px solid var(--edge);border-radius:4px;background:#fff;width:100%}
"""
STYLE = f"<style>{_CSS.strip().replace('@', '.dockerlab.dockerlab.dockerlab')}</style>"


def text(value: object) -> str:
    """`value` as HTML text: escaped, also for attributes; of half a surrogate pair, which no message can carry, a mark."""
    return _HALVES.sub("\N{REPLACEMENT CHARACTER}", html.escape(str(value), quote=True))


def volatile(markup: str) -> str:
    """Markup that may differ between two runs. What is marked in it already is a part of it: marks are never within marks."""
    return f"{VOLATILE}{markup.replace(VOLATILE, '').replace(END_VOLATILE, '')}{END_VOLATILE}"


def titled(shown: str, exact: str) -> str:
    """Text with its exact value in the tooltip."""
    return f'<span title="{text(exact)}">{text(shown)}</span>'


def state(name: str, word: str | None = None) -> str:
    """Colour, mark and word of a state."""
    mark, usual = STATES[name]
    return f'<span class="{name}">{mark} {text(word or usual)}</span>'


def code(value: object) -> str:
    return f"<code>{text(value)}</code>"


def bar(share: float) -> str:
    """A progress bar; share: 0 to 1."""
    percent = round(100 * min(max(share, 0.0), 1.0))
    return f'<span class="track" role="img" aria-label="{percent} %"><span class="bar" style="width:{percent}%"></span></span>'


def head(what: str, facts: str = "") -> str:
    """The one line that says what a user wants to know. Both arguments are markup."""
    return f'<div class="head">{what}' + (f' <span class="muted">{facts}</span>' if facts else "") + "</div>"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    numeric: Sequence[int] = (),
    wrap: Sequence[int] = (),
    loose: Mapping[int, Sequence[Sequence[str]]] | None = None,
) -> str:
    """A table. columns: plain text. rows: cells of markup. numeric, wrap: indexes of columns set to the right, or wrapped.

    loose: rows that may be there or not, by the index of the row that they come after, -1 for the first place.
    """

    def cell(tag: str, index: int, markup: str) -> str:
        kind = "num" if index in numeric else "wrap" if index in wrap and tag == "td" else ""
        return f"<{tag}{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{markup}</{tag}>"

    header = "".join(cell("th", i, text(name)) for i, name in enumerate(columns))

    def line(row: Sequence[str]) -> str:
        return "<tr>" + "".join(cell("td", i, markup) for i, markup in enumerate(row)) + "</tr>"

    def between(index: int) -> str:
        return "" if loose is None else volatile("".join(map(line, loose.get(index, ()))))

    body = between(-1) + "".join(line(row) + between(index) for index, row in enumerate(rows))
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def below(markup: str, columns: int) -> str:
    """At the end of a row's last cell: closes the row, and opens another beneath, with room for `markup` from the second column on.

    For what may stand there or not without a trace outside volatile marks.
    """
    return f'</td></tr><tr><td></td><td class="wrap" colspan="{columns - 1}">{markup}'


def link(url: str, shown: str) -> str:
    """A link to a page of the web; of any other address the text alone."""
    if not url.startswith(("https://", "http://")):
        return text(shown)
    return f'<a href="{text(url)}" target="_blank" rel="noopener noreferrer">{text(shown)}</a>'


def page(*parts: str) -> str:
    """The parts of one view, with the style that they need."""
    return f'{STYLE}<div class="dockerlab">{"".join(parts)}</div>'


def columns(rows: Sequence[Sequence[str]], gap: int = 3) -> str:
    """Rows of plain text set in columns, for the text faces."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join((" " * gap).join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
