"""DOT text → a picture, drawn by Graphviz: `dot`, or `graphviz-pure` (the extra `graphviz`), whichever is there.

    graph.picture     SVG for a page of dockerlab's, whose colours and fonts it takes: a `class` of the DOT text becomes one of the SVG
    graph.svg         the same as a file of its own, in the DOT text's colours
    graph.png         for a page that shows no SVG, or none that it can trust

What Graphviz writes as SVG is rebuilt from elements and attributes that draw, and nothing else; text stays text.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from dockerlab.faces.dot import MOST
from dockerlab.faces.shown import Shown

_SECONDS = 10
_PIXELS: Final = 3_000_000  # of a PNG
_SIDE: Final = 16_000  # pixels; more do browsers not decode
_COARSEST: Final = 0.5  # pixels to one of the page, below which no word of a PNG can be read
_LARGEST: Final = 400_000  # bytes of a PNG in a notebook's file, which takes a third more
_POINT: Final = 4 / 3  # pixels of a page
_LONGEST = 4_000_000  # characters of a picture that a page can hold
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_HATCH: Final = (
    '<defs><pattern id="{}" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="ground" width="7" height="7" fill="#ffffff"/>'
    '<line class="hatch" x2="0" y2="7" stroke="#d0d4da" stroke-width="3" stroke-opacity="0.6"/></pattern></defs>'
)
_DRAWN = {
    "g": ("class", "transform"),
    "polygon": ("points", "fill", "stroke", "stroke-width", "stroke-dasharray"),
    "polyline": ("points", "fill", "stroke", "stroke-width", "stroke-dasharray"),
    "path": ("d", "fill", "stroke", "stroke-width", "stroke-dasharray"),
    "ellipse": ("cx", "cy", "rx", "ry", "fill", "stroke", "stroke-width"),
    "text": ("x", "y", "text-anchor", "font-size", "font-weight", "fill"),
}


class Drawn(Shown):
    """A graph that Graphviz draws. A subclass gives `dot` and `_label`.

    A picture is None where Graphviz is missing, or the graph is too large to be looked at, or there is nothing to be seen.
    """

    @property
    def dot(self) -> str:
        """The picture as DOT text: `dot -Tpdf`."""
        raise NotImplementedError(type(self).__name__)

    @cached_property
    def picture(self) -> str | None:
        """The picture as SVG for a page of dockerlab's."""
        return cleaned(self._drawn, self._label()) if self._drawn else None

    @property
    def svg(self) -> str | None:
        """The picture as SVG, for a file: `Path("graph.svg").write_text(graph.svg, "utf-8")`."""
        return cleaned(self._drawn, self._label(), alone=True) if self._drawn else None

    @cached_property
    def png(self) -> bytes | None:
        """The picture as PNG, on white; None also where it would be larger than a notebook should hold."""
        size = _size(self._drawn) if self._drawn else None
        return png(self.dot, *size) if size else None

    @cached_property
    def _drawn(self) -> bytes | None:
        """As Graphviz writes it: SVG that is some."""
        dot = self.dot
        drawn = _run(dot, "svg") if dot.count("\n") <= MOST and self._has_picture() else None
        return drawn if drawn and _size(drawn) else None

    def _label(self) -> str:
        """What it is, for those who cannot see it."""
        raise NotImplementedError(type(self).__name__)

    def _has_picture(self) -> bool:
        return True

    def _png(self) -> bytes | None:
        return self.png


def program() -> str | None:
    """The path of the Graphviz that draws, or None."""
    beside = Path(sysconfig.get_path("scripts"))
    return shutil.which("dot") or shutil.which("graphviz-pure", path=str(beside)) or shutil.which("graphviz-pure")


def png(dot: str, width: float, height: float) -> bytes | None:
    """The PNG of a graph. width, height: of its SVG, in points. None where Graphviz cannot draw it, or it would be too large."""
    scale = min(1.0, (_PIXELS / (width * height * _POINT**2)) ** 0.5, _SIDE / (max(width, height) * _POINT))
    if scale < _COARSEST:
        return None
    drawn = _run(dot, "png", f"-Gdpi={96 * scale:.0f}", "-Gbgcolor=#ffffff")
    return drawn if drawn and drawn.startswith(b"\x89PNG") and len(drawn) <= _LARGEST else None


def cleaned(drawn: bytes, label: str = "graph", *, alone: bool = False) -> str | None:
    """Graphviz's SVG, rebuilt; its size is that of its view box. A page may show it smaller, as long as it can be read.

    label: what it is, for those who cannot see it. alone: not in a page, whose colours and fonts it would take.
    """
    root = ElementTree.fromstring(drawn)
    box = _box(root)
    # Each picture of a page has its own: it would not be drawn by one that is folded away.
    hatch = f"hatch-{hashlib.sha256(drawn).hexdigest()[:12]}"
    made = "\n".join(_rebuilt(root, hatch))
    if hatch in made:
        made = _HATCH.format(hatch) + made
    if box is None or len(made) > _LONGEST:
        return None
    left, top, width, height = box
    pixels = f'width="{width * _POINT:.0f}" height="{height * _POINT:.0f}"'
    pixels += ' font-family="Arial, Helvetica, sans-serif"' if alone else f' style="min-width:{width * 0.8:.0f}px"'
    size = f'viewBox="{left:g} {top:g} {width:g} {height:g}" {pixels}'
    space = f'xmlns="{_SVG[1:-1]}" ' if alone else ""
    return f'<svg {space}{size} role="img" aria-label="{escape(label)}">{made}</svg>'


def _run(dot: str, form: str, *options: str) -> bytes | None:
    """What Graphviz makes of it; None where it is missing, or cannot draw it: the caller has a text in its place."""
    command = program()
    if command is None:
        return None
    try:
        made = [command, f"-T{form}", *options]
        return subprocess.run(made, input=dot.encode(), capture_output=True, timeout=_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _size(drawn: bytes) -> tuple[float, float] | None:
    """Width and height in points, or None for what is no picture."""
    try:
        box = _box(ElementTree.fromstring(drawn))
    except ElementTree.ParseError:
        return None
    return (box[2], box[3]) if box and box[2] > 0 and box[3] > 0 else None


def _box(root: ElementTree.Element) -> list[float] | None:
    box = [float(number) for number in root.get("viewBox", "").split()]
    return box if len(box) == 4 else None


def _rebuilt(element: ElementTree.Element, hatch: str, is_hatched: bool = False) -> Iterator[str]:
    """hatch: the id of what boxes of the class `base` are filled with."""
    for child in element:
        name = child.tag.removeprefix(_SVG)
        if name == "a":
            title = child.get(f"{_LINK}title")
            if title:
                yield f"<title>{escape(title)}</title>"
            yield from _rebuilt(child, hatch, is_hatched)
        elif name in _DRAWN:
            given = ((attribute, child.get(attribute)) for attribute in _DRAWN[name])
            attributes = "".join(f' {attribute}="{escape(value)}"' for attribute, value in given if value is not None)
            is_base = is_hatched or (name == "g" and "base" in child.get("class", "").split())
            inside = escape(child.text or "") if name == "text" else "\n".join(_rebuilt(child, hatch, is_base))
            if is_hatched and name in ("path", "polygon"):
                attributes += f' style="fill:url(#{hatch})"'
            # The page's background is the picture's.
            if not (name == "polygon" and child.get("fill") == "white" and child.get("stroke") in ("none", "transparent")):
                yield f"<{name}{attributes}>{inside}</{name}>"
