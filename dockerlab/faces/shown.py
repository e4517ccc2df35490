"""`Shown`: the base of every value that displays itself."""

from __future__ import annotations


class Shown:
    """A value with faces. A subclass gives `_text`, `_table` and `_html`; each returns str.

    repr() is the stable text, so that `text/plain` in a saved notebook is the same on every run and engine; str() is the full table.
    Terminal IPython has no HTML: there `%load_ext dockerlab` makes it show str().
    """

    def _text(self) -> str:
        raise NotImplementedError(type(self).__name__)

    def _table(self) -> str:
        return self._text()

    def _html(self) -> str:
        raise NotImplementedError(type(self).__name__)

    def __repr__(self) -> str:
        return self._text()

    def __str__(self) -> str:
        return self._table()

    def _repr_html_(self) -> str:
        return self._html()
