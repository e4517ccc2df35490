"""The explorer in a live view: layers to choose from, and under them the tree of one, searched, filtered and unfolded by the kernel.

Only what is open is in the page. Its parts tell the kernel what was chosen (`data-action`) and what was typed (`data-typed`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dockerlab.faces import explorer, markup
from dockerlab.faces.human import plain, shorten, size
from dockerlab.faces.shown import Shown

if TYPE_CHECKING:
    from dockerlab.image.files import Change
    from dockerlab.image.tree import Node
    from dockerlab.images.explored import Exploration, LayerTree

ALL: Final = "all"  # in place of a layer's index
MORE: Final = "\n"  # ends a directory's path where more of it is asked for than is open at first
_ROWS: Final = 600
IN_ONE: Final = 60  # of a directory, at first
_INSTRUCTION: Final = 90
_KINDS: Final[tuple[Change, ...]] = ("added", "modified", "removed")
_CSS = """
@ .layers button{border:0;background:none;padding:0;min-height:0;text-align:left;font-size:12px}
@ .layers tr.chosen{background:var(--soft)}
@ .tools{display:flex;flex-wrap:wrap;gap:6px;margin:8px 0;align-items:center}
@ .tools input{flex:1 1 220px;max-width:340px}
@ .tree{max-height:420px;overflow:auto;border:1px solid var(--edge);border-radius:4px;padding:4px 8px}
@ .tree>div{white-space:nowrap}
@ .tree button{border:0;background:none;padding:0;min-height:0;min-width:24px;font-size:12px}
@ .tree .leaf{display:inline-block;width:24px}
"""
STYLE: Final = f"<style>{_CSS.strip().replace('@', '.dockerlab.dockerlab.dockerlab')}</style>"


def token(path: str) -> str:
    """A path in a form that a page gives back as it was: a name may hold any bytes."""
    return base64.urlsafe_b64encode(path.encode("utf-8", "surrogateescape")).decode()


def path_of(token: str) -> str:
    """The path that `token` stands for."""
    return base64.urlsafe_b64decode(token).decode("utf-8", "surrogateescape")


@dataclass(frozen=True, repr=False)
class LiveFace(Shown):
    """What is chosen at one moment. layer: an index, None for all files. tree: of it, filtered. opened: paths of its open directories.

    Its static face is the exploration's.
    """

    exploration: Exploration
    tree: LayerTree
    layer: int | None = None
    kinds: frozenset[Change] = frozenset()
    find: str = ""
    opened: frozenset[str] = frozenset()

    def _text(self) -> str:
        return repr(self.exploration)

    def _table(self) -> str:
        return str(self.exploration)

    def _html(self) -> str:
        return self.exploration._repr_html_()

    def _live_html(self) -> str:
        return markup.page(
            markup.head(
                f"layers of {markup.text(plain(self.exploration.name))}", markup.text(f"{len(self.exploration.contents)} layers")
            ),
            STYLE,
            self._layers(),
            self._tools(),
            self._nodes(),
        )

    def _layers(self) -> str:
        exploration = self.exploration
        largest = max((layer.size for layer in exploration.layers), default=0)
        rows = [_row(str(self.layer is None), ALL, "", "all files", "", "")]
        for layer, lost in zip(exploration.layers, exploration.waste.layers, strict=True):
            said = shorten(plain(layer.instruction), _INSTRUCTION) or "(no instruction is recorded)"
            scale = explorer.scale(layer.size, lost, largest)
            chosen = str(self.layer == layer.index)
            rows.append(_row(chosen, str(layer.index), str(layer.index + 1), said, markup.text(size(layer.size)), scale))
        head = "".join(f'<th scope="col">{name}</th>' for name in ("", "layer", "size", ""))
        return f'<table class="layers"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'

    def _tools(self) -> str:
        kinds = ""
        if self.layer is not None:
            kinds = "".join(
                f'<button type="button" data-key="kind-{kind}" data-action="kind" data-value="{kind}" '
                f'aria-pressed="{str(kind in self.kinds).lower()}"><span class="{explorer.MARKS[kind][0]}">'
                f"{explorer.MARKS[kind][1]} {kind}</span></button>"
                for kind in _KINDS
            )
        field = (
            f'<input type="search" data-key="find" data-typed="find" value="{markup.text(self.find)}" '
            'aria-label="Search files" placeholder="Search files: a part of a path, or *.pyc">'
        )
        keep = '<button type="button" data-freeze title="The view becomes a static one, which the notebook keeps">Keep</button>'
        return f'<div class="tools">{field}{kinds}{keep}</div>'

    def _nodes(self) -> str:
        root = self.tree.root
        facts = f"{size(root.size)} in {root.files:,} files"
        rows = "".join(self._rows(root)) or f'<div class="muted">No file is so. {"Search for less." if self.find else ""}</div>'
        head = f'<div class="muted">{markup.text(shorten(plain(self.tree.title), 100))} · {facts}</div>'
        return f'{head}<div class="tree" tabindex="0" role="region" aria-label="files">{rows}</div>'

    def _rows(self, root: Node) -> Iterator[str]:
        """Directories that are open with what is in them, so many rows in all."""
        left = _ROWS
        waiting: list[tuple[Node, int] | str] = [*self._children(root, 0)]
        while waiting and left:
            item = waiting.pop()
            left -= 1
            if isinstance(item, str):
                yield item
                continue
            node, deep = item
            yield _node(node, deep, is_open=node.path in self.opened)
            if node.is_directory and node.path in self.opened:
                waiting += self._children(node, deep + 1)
        if waiting:
            yield f'<div class="muted">… more than {_ROWS} lines: close directories, or search</div>'

    def _children(self, node: Node, deep: int) -> list[tuple[Node, int] | str]:
        """What is in a directory, the last first."""
        children = list(node.children)
        most = _ROWS if node.path + MORE in self.opened else IN_ONE
        if len(children) <= most:
            return [(child, deep) for child in reversed(children)]
        chosen = sorted(sorted(children, key=explorer.importance)[:most], key=lambda child: child.name)
        rest = f"… {len(children) - most:,} more"
        value = token(node.path + MORE)
        more = f'<button type="button" data-action="open" data-value="{value}">{rest}</button>' if most < _ROWS else rest
        return [
            f'<div class="muted" style="padding-left:{18 * deep + 24}px">{more}</div>',
            *((child, deep) for child in reversed(chosen)),
        ]


def _row(chosen: str, value: str, number: str, said: str, bytes_: str, scale: str) -> str:
    button = f'<button type="button" data-action="layer" data-value="{value}" aria-pressed="{chosen.lower()}">{markup.code(said)}</button>'
    kind = ' class="chosen"' if chosen == "True" else ""
    cells = f'<td class="num">{number}</td><td class="wrap">{button}</td><td class="num">{bytes_}</td><td>{scale}</td>'
    return f'<tr data-key="layer-{value}"{kind}>{cells}</tr>'


def _node(node: Node, deep: int, *, is_open: bool) -> str:
    kind, mark = explorer.MARKS[node.change]
    label = markup.code(explorer.label(node))
    facts = f'<span class="muted">{markup.text(size(node.size))}{explorer.counts(node) if node.is_directory else ""}</span>'
    handle = '<span class="leaf"></span>'
    if node.is_directory and node.children:
        what = f"{'close' if is_open else 'open'} {explorer.label(node)}"
        handle = (
            f'<button type="button" data-action="open" data-value="{token(node.path)}" aria-expanded="{str(is_open).lower()}" '
            f'aria-label="{markup.text(what)}">{"▾" if is_open else "▸"}</button>'
        )
    word = "" if node.change == "unchanged" else f' title="{node.change}"'
    line = f'<span class="{kind}"{word}>{mark} {label}</span> {facts}'
    return f'<div data-key="{token(node.path)}" style="padding-left:{18 * deep}px">{handle}{line}</div>'
