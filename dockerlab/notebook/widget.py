"""The one widget of all live views: markup and the ends of logs, synced; the JavaScript that patches them into the page.

Imported with the first live view: anywidget and what it brings take a tenth of a second.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import anywidget
import traitlets


class Widget(anywidget.AnyWidget):
    """html: the live markup. tails: the last lines of each log, by its name: `{"at": number of the first, "lines": […]}`.

    over: whether the view has ended while its widget is still there.
    """

    _esm = (files("dockerlab.notebook") / "static" / "view.js").read_text(encoding="utf-8")
    html = traitlets.Unicode().tag(sync=True)
    tails: Any = traitlets.Dict().tag(sync=True)
    over = traitlets.Bool(False).tag(sync=True)
