"""What every graph of dockerlab's has in common: the house's DOT, text in it, and the style of the picture in a page.

    lines = [*head("build", "TB"), f'n0 [label="{quoted(label("RUN make"))}"];', "}"]

Text from outside is escaped by `quoted`; nodes and clusters have names of our own. A node's first line is in the page's colour, the
others in that of its class, so that a picture is light or dark as the page is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from dockerlab.faces import markup
from dockerlab.faces.human import plain, shorten

LABEL: Final = 40  # characters
MOST: Final = 2000  # lines of DOT text that are drawn: a page cannot hold more
_TOOLTIP: Final = 1000
_GAP: Final = "\N{NO-BREAK SPACE}"
_TREE: Final = 120  # lines of the text beside a picture
# How wide a character is in a wide sans-serif font, of its size; others are as wide as high.
_WIDTHS: Final = {
    **dict.fromkeys(" !'()*,-./:;I[\\]`fijlrt{|}", 0.42),
    **dict.fromkeys('"$0123456789?J^_abcdeghknopqsuvxyz', 0.64),
    **dict.fromkeys("#&+<=>ABCDEFGHKLNOPQRSTUVXYZw~", 0.84),
}
# What a box is, where it has no state; its colour for those who take the DOT text elsewhere.
KINDS: Final = {"base": "#5b6069", "own": "#00735c", "image": "#2f6db3", "more": "#6b7078"}
_BOLD: Final = 1.1  # how much wider
_CSS = """
@ .picture{overflow:auto;max-height:640px}
@ .picture svg{max-width:100%;height:auto;display:block}
@ .picture svg+pre{display:none}
@ svg text{font-family:Helvetica,Arial,"Liberation Sans",sans-serif;fill:currentColor;stroke:none}
@ svg .node,@ svg .cluster{color:var(--jp-content-font-color1,#1f2328)}
@ svg .node path,@ svg .node polygon{fill:var(--jp-layout-color1,#fff);stroke:currentColor;stroke-width:1.2}
@ svg .node text{fill:var(--jp-content-font-color1,#1f2328)}
@ svg .node text~text{fill:currentColor}
@ svg .node.waiting{color:var(--s-waiting)}@ svg .node.running{color:var(--s-running)}@ svg .node.done{color:var(--s-done)}
@ svg .node.cached{color:var(--s-cached)}@ svg .node.failed{color:var(--s-failed)}@ svg .node.stopped{color:var(--s-stopped)}
@ svg .node.base{color:var(--s-stopped)}@ svg .node.own{color:var(--s-done)}@ svg .node.image{color:var(--s-cached)}
@ svg .node.more{color:var(--s-waiting)}@ svg .node.image text:first-of-type{font-weight:600}
@ svg .node.critical path,@ svg .node.critical polygon{stroke-width:3}
@ svg .cluster path,@ svg .cluster polygon{fill:var(--soft);stroke:var(--edge)}
@ svg .ground{fill:var(--jp-layout-color1,#fff)}@ svg .hatch{stroke:var(--edge)}
@ svg .edge{color:#8a8f98}
@ svg .edge path{stroke:currentColor}@ svg .edge polygon{fill:currentColor;stroke:currentColor}
@ svg .edge text{fill:var(--jp-content-font-color2,#5b6069)}
@ svg .edge.critical{color:var(--jp-content-font-color1,#1f2328)}@ svg .edge.critical path{stroke-width:3}
"""


def style(css: str) -> str:
    """A style of the views' own. `@` stands for the view."""
    return f"<style>{css.strip().replace('@', '.dockerlab.dockerlab.dockerlab')}</style>"


STYLE: Final = style(_CSS)


def head(name: str, direction: str) -> list[str]:
    """The first lines of a graph. direction: of Graphviz's rankdir."""
    return [
        f"digraph {name} {{",
        f'  graph [rankdir={direction}, nodesep=0.25, ranksep=0.3, bgcolor="transparent", fontname="Arial", fontsize=11];',
        '  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Arial", fontsize=11, margin="0.16,0.07"];',
        '  edge [color="#8a8f98", fontname="Arial", fontsize=10, arrowsize=0.6];',
    ]


def node(name: str, lines: Sequence[str], kind: str, colour: str, tip: str = "", more: str = "", font: int = 11) -> str:
    """A box. lines: short ones, already plain. kind: its classes. tip: the whole of what is in it. more: other attributes."""
    label = "".join(f"{quoted(line)}\\l" for line in lines)
    # A picture that a page takes apart leaves its texts behind: none of them twice.
    tooltip = f', tooltip="{quoted(shorten(tip, _TOOLTIP), times=2)}"' if tip and tip != lines[0] else ""
    # Graphviz measures one font; a page may have a wider one in its place.
    size = f"width={max(width(lines[0]) * (_BOLD if kind == 'image' else 1.0), *map(width, lines)) * font / 72 + 0.35:.2f}"
    return f'{name} [label="{label}"{tooltip}, class="{kind}", color="{colour}"{more}, {size}];'


def beside(lines: Iterable[str]) -> str:
    """The label of an edge. lines: short ones, already plain. With room to the edge, and for a page's font, which may be wider."""
    return "".join(f"{_GAP}{quoted(line)}{_GAP * (1 + len(line) // 6)}\\l" for line in lines)


def line(text: str) -> str:
    """On one line, and nothing in it that steers a terminal, or that XML does not know."""
    return plain(" ".join(text.split()))


def label(text: str, most: int = LABEL) -> str:
    """As `line`, and no longer than a box may be."""
    return shorten(line(text), most)


def width(text: str) -> float:
    """How wide a text may be in a page, in sizes of its font."""
    return sum(_WIDTHS.get(character, 1.0) for character in text)


def quoted(text: str, times: int = 1) -> str:
    """For a quoted string of DOT in which `\\l` and entities mean something. times: how often Graphviz reads them; a tooltip's twice."""
    return text.replace("\\", "\\" * 2**times).replace('"', '\\"').replace("&", "&amp;")


def picture(drawn: str | None, lines: Iterable[str], rest: str) -> str:
    """The picture, or a text where there is none, and where a page throws pictures away. rest: how to get all lines. Needs `STYLE`."""
    kept = [*lines]
    if len(kept) > _TREE:
        kept[_TREE:] = [f"… {len(kept) - _TREE:,} more lines: {rest}"]
    # Who has no mouse scrolls it by the keyboard.
    return f'<div class="picture" tabindex="0">{drawn or ""}<pre>{markup.text(chr(10).join(kept))}</pre></div>'
