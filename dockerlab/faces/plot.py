"""A plot of values over time, as SVG: lines, a limit, and the same in words for those who do not see it. Pure.

    Plot("CPU", (Line("", points),), human.percent, limit=50.0, limit_said="limit 50 %").html(begins, ends)

A value of None interrupts its line. The axis begins at 0 and ends where the largest value or the limit is; a limit that is far away stays
in the picture, because how far it is away is what one wants to see. Colours are never the only difference: the second line is dashed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dockerlab.faces import human, markup

Points = Sequence[tuple[float, float | None]]

_WIDTH, _HEIGHT = 480, 96
_TOP, _BOTTOM = 10, 80  # of the field; the words of the axis are below
_ROOM: Final = 1.08  # of the axis above the largest value
_SHORTEST: Final = 60.0  # seconds that an axis shows

# `@` stands for the view, as in `markup`.
CSS: Final = """
@ .plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:10px 22px;margin:6px 0 10px}
@ figure.plot{margin:0;min-width:0}
@ figure.plot figcaption{display:flex;flex-wrap:wrap;gap:0 10px;align-items:baseline;white-space:nowrap;font-style:normal;text-align:left}
@ figure.plot figcaption .at-the-end{margin-left:auto}
@ figure.plot svg{display:block;width:100%;height:auto;overflow:visible;background:none}
@ figure.plot text{font-size:10px;fill:var(--jp-content-font-color2,#5b6069);font-family:inherit;
paint-order:stroke;stroke:var(--jp-layout-color0,#fff);stroke-width:3px;stroke-linejoin:round}
@ figure.plot .grid{stroke:var(--edge);stroke-width:1;shape-rendering:crispEdges}
@ figure.plot .line{fill:none;stroke-width:1.6;stroke-linejoin:round;vector-effect:non-scaling-stroke}
@ figure.plot .area{stroke:none;opacity:.13}
@ figure.plot .first{stroke:var(--s-cached)}@ figure.plot .area.first{fill:var(--s-cached)}
@ figure.plot .second{stroke:var(--s-running);stroke-dasharray:4 2}
@ figure.plot .limit{stroke:var(--s-failed);stroke-width:1.2;stroke-dasharray:7 4;fill:none}
@ .key{display:inline-block;width:16px;height:0;border-top:2px solid;vertical-align:middle;margin-right:4px}
@ .key.limit{border-color:var(--s-failed);border-top-style:dashed}
@ .key.first{border-color:var(--s-cached)}@ .key.second{border-color:var(--s-running);border-top-style:dashed}
@ figure.plot .nothing{height:70px;display:flex;align-items:center;justify-content:center;text-align:center;background:var(--soft);
border-radius:4px;padding:0 14px;white-space:normal}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. name: '' where it is the only one. points: (seconds since the epoch, value), in order. now: its last value in words."""

    name: str
    points: Points
    now: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot. word: a value in words, for the axis. least: the end of the axis where all values are smaller. limit_said: the limit in
    words, also where it is not drawn. missing: what to say where there is nothing to draw."""

    title: str
    lines: tuple[Line, ...]
    word: Callable[[float], str]
    least: float
    limit: float | None = None
    limit_said: str = ""
    missing: str = "Nothing was measured yet."

    @property
    def has_values(self) -> bool:
        """Whether there is something to draw."""
        return any(value is not None for line in self.lines for _, value in line.points)

    def said(self) -> str:
        """In words: `CPU: 48.2 %, at most 50.3 % in 4 m 00 s, limit 50 %`."""
        if not self.has_values:
            return f"{self.title}: {self.missing}"
        parts = []
        for line in self.lines:
            values = [(at, value) for at, value in line.points if value is not None]
            if not values:
                continue
            now = f"{line.name} {line.now or self.word(values[-1][1])}".strip()
            most = max(value for _, value in values)
            span = values[-1][0] - values[0][0]
            parts.append(f"{now}, at most {self.word(most)} in {human.seconds(span)}" if len(values) > 1 else now)
        return f"{self.title}: {'; '.join(parts)}" + (f", {self.limit_said}" if self.limit_said else "")

    def html(self, begins: float, ends: float) -> str:
        """A figure. begins, ends: the time that the plots of a row have in common, in seconds since the epoch."""
        return f'<figure class="plot">{self._caption()}{self._svg(begins, ends) if self._is_drawn else self._nothing()}</figure>'

    @property
    def _is_drawn(self) -> bool:
        return any(sum(value is not None for _, value in line.points) > 1 for line in self.lines)

    def _caption(self) -> str:
        keys = ("first", "second")
        values = []
        for key, line in zip(keys, self.lines, strict=False):
            if line.now:
                mark = f'<span class="key {key}"></span>' if line.name else ""
                values.append(f"<span>{mark}{markup.text(f'{line.name} {line.now}'.strip())}</span>")
        mark = '<span class="key limit"></span>' if self.limit and self._is_drawn else ""
        limit = f'<span class="muted at-the-end">{mark}{markup.text(self.limit_said)}</span>' if self.limit_said else ""
        return f"<figcaption><b>{markup.text(self.title)}</b>{''.join(values)}{limit}</figcaption>"

    def _nothing(self) -> str:
        said = "Drawn from the second sample on." if self.has_values else self.missing
        return f'<div class="nothing muted">{markup.text(said)}</div>'

    def _svg(self, begins: float, ends: float) -> str:
        largest = max((value for line in self.lines for _, value in line.points if value is not None), default=0.0)
        top = max(largest * _ROOM, (self.limit or 0.0) * _ROOM, self.least * _ROOM)
        begins = min(begins, ends - _SHORTEST)

        def x(at: float) -> float:
            return _WIDTH * (at - begins) / (ends - begins)

        def y(value: float) -> float:
            return _BOTTOM - (_BOTTOM - _TOP) * value / top

        ticks = _ticks(top)
        parts = [f'<path class="grid" d="M0 {y(value):.1f}H{_WIDTH}"/>' for value in ticks]
        for key, line in zip(("first", "second"), self.lines, strict=False):
            for run in _runs(line.points, begins):
                path = "L".join(f"{x(at):.1f} {y(value):.1f}" for at, value in run)
                if key == "first":
                    parts.append(f'<path class="area first" d="M{x(run[0][0]):.1f} {_BOTTOM}L{path}V{_BOTTOM}Z"/>')
                parts.append(f'<path class="line {key}" d="M{path}"/>')
        parts += [f'<text x="2" y="{y(value) - 2.5:.1f}">{markup.text(self.word(value))}</text>' for value in ticks if value]
        if self.limit:
            at = y(self.limit)
            parts.append(f'<path class="limit" d="M0 {at:.1f}H{_WIDTH}"/>')
        parts.append(
            f'<text x="0" y="{_HEIGHT - 4}">{markup.text(human.seconds(round(ends - begins)).replace(".0 s", " s"))} ago</text>'
        )
        parts.append(f'<text x="{_WIDTH}" y="{_HEIGHT - 4}" text-anchor="end">now</text>')
        label = markup.text(self.said())
        return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}"><title>{label}</title>{"".join(parts)}</svg>'


def _runs(points: Points, begins: float) -> Iterator[list[tuple[float, float]]]:
    """Points that follow one another without a gap, two or more."""
    run: list[tuple[float, float]] = []
    for at, value in [*points, (math.inf, None)]:
        if value is not None and at >= begins:
            run.append((at, value))
            continue
        if len(run) > 1:
            yield run
        run = []


def _ticks(top: float) -> list[float]:
    """0 and one to three round values below the top: 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(top))
    step = next(power * factor for factor in (0.2, 0.5, 1, 2, 5, 10) if top / (power * factor) < 3.2)
    return [step * i for i in range(int(top / step) + 1)]
