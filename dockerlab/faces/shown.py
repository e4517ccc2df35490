"""`Shown`: the base of every value that displays itself."""

from __future__ import annotations

import base64


class Shown:
    """A value with faces. A subclass gives `_text`, `_table` and `_html`; each returns str. One with a picture gives `_png`, too.

    repr() is the stable text, so that `text/plain` in a saved notebook is the same on every run and engine; str() is the full table.
    Terminal IPython has no HTML: there `%load_ext dockerlab` makes it show str().
    """

    def _text(self) -> str:
        raise NotImplementedError(type(self).__name__)

    def _table(self) -> str:
        return self._text()

    def _html(self) -> str:
        raise NotImplementedError(type(self).__name__)

    def _png(self) -> bytes | None:
        """For a page that shows neither SVG nor styles, and for a document that is printed."""
        return None

    def bundle(self) -> dict[str, str]:
        """All faces that a notebook keeps, by their MIME types, as its file has them."""
        png = self._png()
        return {
            "text/plain": self._text(),
            "text/html": self._html(),
            **({"image/png": base64.b64encode(png).decode()} if png else {}),
        }

    def __repr__(self) -> str:
        return self._text()

    def __str__(self) -> str:
        return self._table()

    def _repr_html_(self) -> str:
        return self._html()

    def _repr_png_(self) -> bytes | None:
        return self._png()
