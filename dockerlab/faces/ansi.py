"""What a program prints for a terminal: cut into lines, and its colours as markup. Pure.

    lines_of(b"\\x1b[31mred\\x1b[0m\\n")      ["\\x1b[31mred\\x1b[0m"]: colours are all that is left of escape sequences
    html("\\x1b[31mred\\x1b[0m")             '<span style="color:var(--sgr-1)">red</span>'

The sixteen colours are variables (`--sgr-1`) and styles are classes (`sgr-bold`), the same as in a live view: what they are is the theme's
matter. A line is at most so long; what is cut off is marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dockerlab.faces import markup
from dockerlab.faces.human import plain

LONGEST: Final = 2000  # characters of a line
_SGR: Final = re.compile(r"\x1b\[([0-9;:]*)m")
_STYLES: Final = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse"}
_LEVELS: Final = (0, 95, 135, 175, 215, 255)
# Colours that can be read on a light and on a dark page, and the page; the live view's are the same (labextension/src/view/view.css).
_LIGHT: Final = ("#24292f", "#b3261e", "#116329", "#7a4d00", "#0550ae", "#7a3ec8", "#1b6a74", "#57606a",
                 "#57606a", "#c4302b", "#187a34", "#8a5a00", "#2563b0", "#9145d6", "#19757c", "#24292f", "#fff")  # fmt: skip
_DARK: Final = ("#a9b0b9", "#ffa198", "#7ee787", "#f2cc60", "#8cc2ff", "#d2a8ff", "#76e3ea", "#e6edf3",
                "#b1bac4", "#ffb1a8", "#9be9a8", "#f8e3a1", "#b6dcff", "#e2c5ff", "#b3f0ff", "#fff", "#1f2328")  # fmt: skip

_STYLE_RULES: Final = """@ .sgr-bold{font-weight:700}@ .sgr-dim{opacity:.75}@ .sgr-italic{font-style:italic}
@ .sgr-underline{text-decoration:underline}@ .sgr-inverse{background:var(--sgr-15);color:var(--sgr-paper)}"""


def lines_of(data: bytes) -> list[str]:
    """Lines of text, whose only escape sequences are colours: for a page, or for `html`."""
    lines = data.decode("utf-8", "replace").split("\n")
    return [clean(line) for line in (lines[:-1] if lines[-1] == "" else lines)]


def clean(line: str) -> str:
    """One line: what `\\r` overwrote is gone, as are all escape sequences but colours; other controls are shown."""
    line = line.rstrip("\r")
    if len(line) > 4 * LONGEST:
        line = line[: 4 * LONGEST]
    if "\r" in line:
        line = next((part for part in reversed(line.split("\r")) if part), "")
    if line.isprintable():
        return _cut(line)
    pieces, last = [], 0
    for match in _SGR.finditer(line):
        pieces += [plain(line[last : match.start()]), match[0]]
        last = match.end()
    return _cut("".join([*pieces, plain(line[last:])]))


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"


def html(line: str) -> str:
    """A line as markup."""
    if "\x1b" not in line:
        return markup.text(line)
    parts, last, style = [], 0, _Style()
    for match in _SGR.finditer(line):
        parts.append(style.around(line[last : match.start()]))
        style.apply(match[1])
        last = match.end()
    return "".join([*parts, style.around(line[last:])])


def text(lines: Iterable[str]) -> str:
    """Lines without colours."""
    return "\n".join(_SGR.sub("", line) for line in lines)


def css() -> str:
    """What the colours and styles are; `@` stands for the view."""
    names = [*(f"--sgr-{number}" for number in range(16)), "--sgr-paper"]
    scopes = (("@", _LIGHT), ('body[data-jp-theme-light="false"] @', _DARK))
    grounds = (f"{scope}{{{';'.join(f'{n}:{c}' for n, c in zip(names, colours, strict=True))}}}" for scope, colours in scopes)
    return "\n".join([*grounds, _STYLE_RULES])


class _Style:
    """How text looks from here on."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._ground: dict[str, int | str] = {}

    def around(self, said: str) -> str:
        if not said or not (self._words or self._ground):
            return markup.text(said)
        front, back = (_css(self._ground.get(ground)) for ground in ("fg", "bg"))
        front = front or ("var(--sgr-paper)" if back else "")
        colours = [f"{name}:{colour}" for name, colour in (("color", front), ("background-color", back)) if colour]
        classes = " ".join(f"sgr-{word}" for word in sorted(self._words))
        attributes = [f'class="{classes}"'] if classes else []
        attributes += [f'style="{";".join(colours)}"'] if colours else []
        return f"<span {' '.join(attributes)}>{markup.text(said)}</span>"

    def apply(self, parameters: str) -> None:
        codes = [int(code[:4] or 0) for code in re.split("[;:]", parameters)]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self._words, self._ground = set(), {}
            elif code in _STYLES:
                self._words.add(_STYLES[code])
            elif code == 22:
                self._words -= {"bold", "dim"}
            elif code - 20 in _STYLES:
                self._words.discard(_STYLES[code - 20])
            elif code in (38, 48):
                self._many("fg" if code == 38 else "bg", codes)
            elif code in (39, 49):
                self._ground.pop("fg" if code == 39 else "bg", None)
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self._ground["fg"] = code - 30 if code < 40 else code - 82
            elif 40 <= code <= 47 or 100 <= code <= 107:
                self._ground["bg"] = code - 40 if code < 50 else code - 92

    def _many(self, ground: str, codes: list[int]) -> None:
        """Takes `5;N` or `2;R;G;B` off the codes."""
        kind = codes.pop(0) if codes else 0
        if kind == 5 and codes:
            number = min(codes.pop(0), 255)
            self._ground[ground] = number if number < 16 else _hexadecimal(_of_256(number))
        elif kind == 2 and len(codes) >= 3:
            self._ground[ground] = _hexadecimal((codes.pop(0), codes.pop(0), codes.pop(0)))


def _css(colour: int | str | None) -> str:
    return f"var(--sgr-{colour})" if isinstance(colour, int) else colour or ""


def _of_256(number: int) -> tuple[int, int, int]:
    if number >= 232:
        return (8 + 10 * (number - 232),) * 3
    number -= 16
    return _LEVELS[number // 36], _LEVELS[number // 6 % 6], _LEVELS[number % 6]


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{min(part, 255):02x}" for part in colour)
