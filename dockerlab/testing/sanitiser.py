"""What differs from run to run, cut out of a notebook's outputs, so that two runs compare equal and all else still counts.

The rules are in `nbval.cfg`, in the form that nbval's --nbval-sanitize-with reads: a `regex:` line and a `replace:` line each, applied
in order to every text, HTML and SVG output, both the saved and the new.
"""

from __future__ import annotations

import re
from pathlib import Path

PATH = Path(__file__).with_name("nbval.cfg")


def rules() -> tuple[tuple[str, str], ...]:
    """(regular expression, replacement) of each rule, read as nbval reads them."""
    return tuple(re.findall(r"^regex: (.*)$\n^replace: (.*)$", PATH.read_text(encoding="utf-8"), re.MULTILINE))


def sanitise(output: str) -> str:
    """`output` with what differs from run to run replaced."""
    for pattern, replacement in rules():
        output = re.sub(pattern, replacement, output)
    return output
