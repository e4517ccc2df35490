"""The notebook's build context: one file of it, or all of them, with their faces."""

from __future__ import annotations

from dataclasses import dataclass

from dockerlab.faces import markup
from dockerlab.faces.human import plain, size
from dockerlab.faces.shown import Shown


@dataclass(frozen=True, repr=False)
class ContextFile(Shown):
    """path: in the context. content: what the cell or the file on disk held."""

    path: str
    content: bytes

    @property
    def text(self) -> str | None:
        """The content as text, None if it is binary."""
        try:
            return self.content.decode("utf-8") if b"\0" not in self.content else None
        except UnicodeDecodeError:
            return None

    @property
    def extent(self) -> str:
        """`8 lines`, or the size of a binary file."""
        if self.text is None:
            return f"binary, {size(len(self.content))}"
        count = len(self.text.splitlines())
        return f"{count} line{'s' if count != 1 else ''}"

    def _text(self) -> str:
        return f"{self.path} in the build context: {self.extent}"

    def _html(self) -> str:
        what = f"{markup.code(self.path)} in the build context"
        return markup.page(markup.head(what, markup.titled(self.extent, f"{len(self.content):,} bytes")))


@dataclass(frozen=True, repr=False)
class ContextFileContent(ContextFile):
    """A file of the context, shown with what it holds."""

    def _text(self) -> str:
        return f"{super()._text()}\n{self._content()}"

    def _html(self) -> str:
        return super()._html() + markup.page(f"<pre>{markup.text(self._content())}</pre>")

    def _content(self) -> str:
        return plain(self.text) if self.text is not None else f"(binary, {size(len(self.content))})"


@dataclass(frozen=True, repr=False)
class ContextFiles(Shown):
    """All files of the notebook's build context, by path."""

    files: tuple[ContextFile, ...]

    def _text(self) -> str:
        if not self.files:
            return "The notebook's build context is empty. Put a cell into it: %%context app.py"
        return "\n".join(["build context", markup.columns([(file.path, file.extent) for file in self.files])])

    def _html(self) -> str:
        if not self.files:
            return markup.page(
                markup.head("The notebook's build context is empty.", f"Put a cell into it: {markup.code('%%context app.py')}")
            )
        rows = [
            (markup.code(f.path), markup.text(f.extent), markup.titled(size(len(f.content)), f"{len(f.content):,} bytes"))
            for f in self.files
        ]
        return markup.page(markup.head("build context"), markup.table(("file", "", "size"), rows, numeric=(2,)))
