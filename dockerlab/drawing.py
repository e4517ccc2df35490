"""DOT text → SVG for a page, drawn by Graphviz: `dot`, or `graphviz-pure` (the extra `graphviz`), whichever is there.

What Graphviz writes is rebuilt from elements and attributes that draw, and nothing else; text stays text. Colours and fonts are the
page's: a `class` of the DOT text becomes a class of the SVG.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from html import escape
from pathlib import Path
from xml.etree import ElementTree

_SECONDS = 10
_LONGEST = 4_000_000  # characters of a picture that a page can hold
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_DRAWN = {
    "g": ("class", "transform"),
    "polygon": ("points", "fill", "stroke", "stroke-width", "stroke-dasharray"),
    "polyline": ("points", "fill", "stroke", "stroke-width", "stroke-dasharray"),
    "path": ("d", "fill", "stroke", "stroke-width", "stroke-dasharray"),
    "ellipse": ("cx", "cy", "rx", "ry", "fill", "stroke", "stroke-width"),
    "text": ("x", "y", "text-anchor", "font-size", "font-weight", "fill"),
}


def program() -> str | None:
    """The path of the Graphviz that draws, or None."""
    beside = Path(sysconfig.get_path("scripts"))
    return shutil.which("dot") or shutil.which("graphviz-pure", path=str(beside)) or shutil.which("graphviz-pure")


def svg(dot: str, label: str = "graph") -> str | None:
    """The picture of a graph. label: what it is, for those who cannot see it.

    None where Graphviz is missing, or cannot draw it: the caller has a text in its place.
    """
    command = program()
    if command is None:
        return None
    try:
        drawn = subprocess.run([command, "-Tsvg"], input=dot.encode(), capture_output=True, timeout=_SECONDS, check=True).stdout
        return cleaned(drawn, label)
    except (OSError, subprocess.SubprocessError, ElementTree.ParseError):
        return None


def cleaned(drawn: bytes, label: str = "graph") -> str | None:
    """Graphviz's SVG, rebuilt; its size is that of its view box. A page may show it smaller, as long as it can be read."""
    root = ElementTree.fromstring(drawn)
    box = [float(number) for number in root.get("viewBox", "0 0 0 0").split()]
    made = "\n".join(_rebuilt(root))
    if len(box) != 4 or len(made) > _LONGEST:
        return None
    left, top, width, height = box
    pixels = f'width="{width * 4 / 3:.0f}" height="{height * 4 / 3:.0f}" style="min-width:{width * 0.8:.0f}px"'
    size = f'viewBox="{left:g} {top:g} {width:g} {height:g}" {pixels}'
    return f'<svg {size} role="img" aria-label="{escape(label)}">{made}</svg>'


def _rebuilt(element: ElementTree.Element) -> Iterator[str]:
    for child in element:
        name = child.tag.removeprefix(_SVG)
        if name == "a":
            title = child.get(f"{_LINK}title")
            if title:
                yield f"<title>{escape(title)}</title>"
            yield from _rebuilt(child)
        elif name in _DRAWN:
            given = ((attribute, child.get(attribute)) for attribute in _DRAWN[name])
            attributes = "".join(f' {attribute}="{escape(value)}"' for attribute, value in given if value is not None)
            inside = escape(child.text or "") if name == "text" else "\n".join(_rebuilt(child))
            # The page's background is the picture's.
            if not (name == "polygon" and child.get("fill") == "white" and child.get("stroke") in ("none", "transparent")):
                yield f"<{name}{attributes}>{inside}</{name}>"
