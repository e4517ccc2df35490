"""The faces of an image's layers and their files: what each holds and changed, what is wasted; and of two images compared.

Names in layers come from strangers: they are shown on one line, escaped. A tree is bounded: of a large directory the nodes that changed
come first, then the largest, and the rest is one line. It folds without JavaScript. Text holds names and instructions; sizes hang on the
base image, and stand between volatile marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dockerlab.faces import markup
from dockerlab.faces.human import plain, shorten, size

if TYPE_CHECKING:
    from dockerlab.image.changes import Changed
    from dockerlab.image.files import Change, File
    from dockerlab.image.tree import Node
    from dockerlab.image.waste import Offender
    from dockerlab.images.explored import Exploration, ExploredLayer, ImagesDiff, LayerTree

# change → (class, mark); never by colour alone
MARKS: dict[Change, tuple[str, str]] = {
    "added": ("done", "+"),
    "modified": ("running", "~"),
    "removed": ("failed", "-"),
    "unchanged": ("muted", " "),
}
_SIGNS = {"symlink": "→", "link": "="}
_BAR = 120  # pixels of the longest bar
_WIDTH = 72
_NAME = 60
_MOST_NODES = 400
_MOST_IN_ONE = 60
_MOST_OF_A_LAYER = 150
_MOST_LAYERS = 30
_DEEPEST = 24
_OPEN = 2  # directories that are open at first, as deep as this
_OFFENDERS = 10
_LISTED = 100


# an image


def exploration_text(exploration: Exploration) -> str:
    rows = [f"  {_instruction(layer.instruction, _WIDTH)}" for layer in exploration.layers]
    return "\n".join([f"layers of {plain(exploration.name)}", *rows])


def exploration_table(exploration: Exploration) -> str:
    waste = exploration.waste
    rows = [
        (str(layer.index + 1), _instruction(layer.instruction, _WIDTH), str(_count(layer.files)), size(layer.size), _lost(lost))
        for layer, lost in zip(exploration.layers, waste.layers, strict=True)
    ]
    parts = [
        f"layers of {plain(exploration.name)}   {_facts(exploration)}",
        markup.columns([("", "instruction", "files", "size", "unseen"), *rows]),
    ]
    if waste.offenders:
        worst = [(size(o.wasted), _path(o.path), _makers(o, exploration, 30)) for o in waste.offenders[:_OFFENDERS] if o.wasted]
        parts.append(markup.columns([("wasted", "path", "by"), *worst]))
    return "\n\n".join(parts)


def exploration_html(exploration: Exploration) -> str:
    waste = exploration.waste
    largest = max((layer.size for layer in exploration.layers), default=0)
    rows = [
        (
            str(layer.index + 1),
            markup.code(_instruction(layer.instruction)),
            markup.volatile(f"{_count(layer.files):,}"),
            markup.volatile(_bytes(layer.size)),
            markup.volatile(scale(layer.size, lost, largest)),
            markup.volatile(_bytes(lost) if lost else ""),
        )
        for layer, lost in zip(exploration.layers, waste.layers, strict=True)
    ]
    columns = ("", "instruction", "files", "size", "", "unseen")
    return markup.page(
        markup.head(f"layers of {markup.text(plain(exploration.name))}", markup.volatile(markup.text(_facts(exploration)))),
        markup.table(columns, rows, numeric=(0, 2, 3, 5), wrap=(1,)),
        markup.volatile(_offenders(exploration)),
        markup.volatile(_layer_trees(exploration)),
        markup.volatile(f"<details><summary>all files</summary>{_nodes(exploration.files.root, None)}</details>"),
    )


def _layer_trees(exploration: Exploration) -> str:
    """What each layer changed, folded; the base's is as long as all others together."""
    folds = []
    for layer, tree in zip(exploration.layers, exploration.changed_trees(), strict=True):
        if any(tree.root.counts):
            title = markup.code(shorten(_instruction(layer.instruction), _WIDTH))
            summary = f'<summary>{layer.index + 1} {title} <span class="muted">{markup.text(_changes(tree.root))}</span></summary>'
            folds.append(f'<details style="margin-left:18px">{summary}{_nodes(tree.root, None, _MOST_OF_A_LAYER)}</details>')
        if len(folds) == _MOST_LAYERS:
            break
    return f"<details open><summary>what each layer changed</summary>{''.join(folds)}</details>" if folds else ""


def _facts(exploration: Exploration) -> str:
    waste, root = exploration.waste, exploration.files.root
    facts = [f"{len(exploration.contents)} layers", f"{size(root.size)} in {root.files:,} files"]
    facts += [f"{size(waste.wasted)} unseen" if waste.wasted else "nothing unseen", f"efficiency {100 * waste.efficiency:.1f} %"]
    return " · ".join(facts)


def _offenders(exploration: Exploration) -> str:
    worst = [offender for offender in exploration.waste.offenders[:_OFFENDERS] if offender.wasted]
    if not worst:
        return ""
    rows = [(_bytes(o.wasted), markup.code(_path(o.path)), markup.text(_makers(o, exploration, 60))) for o in worst]
    summary = "<summary>stored, and seen by nobody: what costs most</summary>"
    table = markup.table(("wasted", "path", "stored by, and hidden or removed by"), rows, numeric=(0,), wrap=(2,))
    return f"<details open>{summary}{table}</details>"


def _makers(offender: Offender, exploration: Exploration, width: int) -> str:
    layers = exploration.layers
    places = list(offender.layers)
    shown = places if len(places) < 4 else [*places[:2], places[-1]]
    said = [f"{_number(layers[place])} {_instruction(layers[place].instruction, width)}" for place in shown]
    if len(shown) < len(places):
        said.insert(2, f"{len(places) - len(shown)} more")
    return " → ".join(said)


def _number(layer: ExploredLayer) -> str:
    return f"{layer.index + 1}" + (f" (line {layer.dockerfile_line})" if layer.dockerfile_line else "")


# a tree


def tree_text(tree: LayerTree) -> str:
    if tree.layer is None and not tree.filtered:
        return _title(tree)
    nodes = [node for node in tree.walk() if not node.is_directory and (tree.layer is None or node.change != "unchanged")]
    lines = [f"  {MARKS[node.change][1]} {_path(node.path)}" for node in nodes[:_LISTED]]
    return "\n".join([_title(tree), *lines, *([f"  … {len(nodes) - _LISTED:,} more"] if len(nodes) > _LISTED else [])])


def tree_table(tree: LayerTree) -> str:
    lines = [f"{_title(tree)}   {_summary(tree.root)}"]
    budget = _Budget(tree.root, tree.depth)
    waiting: list[tuple[Node, int] | str] = [(node, 0) for node in reversed(budget.shown(tree.root))]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            lines.append(item)
            continue
        node, deep = item
        mark = MARKS[node.change][1]
        lines.append(f"{mark} {size(node.size):>8}  {'  ' * deep}{label(node)}")
        if rest := budget.rest(node):
            waiting.append(f"{'':12}{'  ' * (deep + 1)}{rest}")
        waiting += [(child, deep + 1) for child in reversed(budget.shown(node))]
    if rest := budget.rest(tree.root):
        lines.append(f"{'':12}{rest}")
    return "\n".join(lines)


def tree_html(tree: LayerTree) -> str:
    head = markup.head(markup.text(_title(tree)), markup.volatile(markup.text(_summary(tree.root))))
    return markup.page(head, markup.volatile(_nodes(tree.root, tree.depth)))


def _title(tree: LayerTree) -> str:
    return f"{plain(tree.name)}, {shorten(plain(tree.title), _WIDTH)}"


def _summary(root: Node) -> str:
    return " · ".join([f"{size(root.size)} in {root.files:,} files", *([_changes(root)] if any(root.counts) else [])])


def _changes(root: Node) -> str:
    counted = zip(MARKS.items(), root.counts, strict=False)
    return " · ".join(f"{mark} {count:,} {change}" for (change, (_, mark)), count in counted if count)


class _Budget:
    """Which nodes of a tree are shown: level by level, so many in all. depth: how many levels, None for all."""

    def __init__(self, root: Node, depth: int | None, most: int = _MOST_NODES) -> None:
        self._shown: dict[int, list[Node]] = {}
        left = most
        level = [root]
        for _ in range(_DEEPEST if depth is None else min(depth, _DEEPEST)):
            following: list[Node] = []
            for node in level:
                if not left or not node.count:
                    continue
                room = min(_MOST_IN_ONE, left)
                chosen = sorted(node.children, key=importance)[:room] if len(node.children) > room else list(node.children)
                chosen.sort(key=lambda child: child.name)
                self._shown[id(node)] = chosen
                following += chosen
                left -= len(chosen)
            level = following

    def shown(self, node: Node) -> list[Node]:
        return self._shown.get(id(node), [])

    def rest(self, node: Node) -> str:
        """What of a directory is not shown; of one that is shown closed its own line says how much."""
        shown = self.shown(node)
        if len(shown) == node.count:
            return ""
        if not shown:
            return f"… {node.count:,} more"
        there = {id(child) for child in shown}
        hidden = [child for child in node.children if id(child) not in there]
        return f"… {len(hidden):,} more, {size(sum(child.size for child in hidden))}"


def importance(node: Node) -> tuple[bool, int, str]:
    return not any(node.counts), -node.size, node.name


def _nodes(root: Node, depth: int | None, most: int = _MOST_NODES) -> str:
    """The tree as nested folds. Its height is bounded, and with it how deep this recurses."""
    budget = _Budget(root, depth, most)

    def one(node: Node, deep: int) -> str:
        kind, mark = MARKS[node.change]
        word = "" if node.change == "unchanged" else f" title='{node.change}'"
        name = markup.code(label(node))
        owner = f"{node.file.mode:04o} {node.file.uid}:{node.file.gid}"
        changed = "" if not node.is_directory else counts(node)
        facts = f'<span class="muted" title="{owner}">{markup.text(size(node.size))}{changed}</span>'
        line = f'<span class="{kind}"{word}>{mark} {name}</span> {facts}'
        inner = "".join(one(child, deep + 1) for child in budget.shown(node))
        if rest := budget.rest(node):
            inner += f'<div class="muted" style="margin-left:18px">{markup.text(rest)}</div>'
        if not inner:
            return f'<div style="margin-left:18px">{line}</div>'
        is_open = " open" if deep < _OPEN and (any(node.counts) or depth is not None) else ""
        return f'<details style="margin-left:18px"{is_open}><summary>{line}</summary>{inner}</details>'

    inner = "".join(one(child, 0) for child in budget.shown(root))
    rest = budget.rest(root)
    return (inner + (f'<div class="muted">{markup.text(rest)}</div>' if rest else "")) or '<div class="muted">no file</div>'


def counts(node: Node) -> str:
    signs = [f"{MARKS[change][1]}{count}" for change, count in zip(MARKS, node.counts, strict=False) if count]
    return f" {' '.join(signs)}" if signs else ""


def label(node: Node) -> str:
    name = shorten(plain(node.name), _NAME) or "?"
    sign = _SIGNS.get(node.file.kind)
    return f"{name} {sign} {shorten(plain(node.file.target), _NAME)}" if sign else f"{name}/" if node.is_directory else name


# two images


def diff_text(diff: ImagesDiff) -> str:
    files = [change for change in diff.files if not _is_directory(change)]
    lines = [f"from {plain(diff.names[0])} to {plain(diff.names[1])}"]
    lines += [f"  {_setting(name, before, after)}" for name, before, after in diff.comparison.settings[:_LISTED]]
    lines += [f"  {MARKS[change.change][1]} {_path(change.path)}" for change in files[:_LISTED]]
    lines += [f"  … {len(files) - _LISTED:,} more files"] if len(files) > _LISTED else []
    return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing differs"])


def diff_table(diff: ImagesDiff) -> str:
    rows = [(MARKS[change.change][1], _path(change.path), _sizes(change)) for change in diff.files[:_LISTED]]
    settings = [f"  {_setting(name, before, after)}" for name, before, after in diff.comparison.settings]
    more = [f"… {len(diff.files) - _LISTED:,} more"] if len(diff.files) > _LISTED else []
    return "\n".join([f"{diff_text(diff).splitlines()[0]}   {_diff_facts(diff)}", *settings, markup.columns(rows), *more]).rstrip()


def diff_html(diff: ImagesDiff) -> str:
    one, other = (markup.text(plain(name)) for name in diff.names)
    settings = [
        (markup.code(plain(name)), _said(before), _said(after)) for name, before, after in diff.comparison.settings[:_LISTED]
    ]
    largest = sorted(diff.files, key=lambda change: (_is_directory(change), -change.size, change.path))[:_LISTED]
    rows = [
        (
            f'<span class="{MARKS[change.change][0]}">{MARKS[change.change][1]} {change.change}</span>',
            markup.code(_path(change.path)),
            markup.text(_sizes(change)),
        )
        for change in largest
    ]
    more = f'<div class="muted">… {len(diff.files) - _LISTED:,} more</div>' if len(diff.files) > _LISTED else ""
    return markup.page(
        markup.head(f"from {one} to {other}", markup.volatile(markup.text(_diff_facts(diff)))),
        # Which of the two there are, hangs on the engine: some write of a build what others do not.
        markup.volatile(
            (markup.table(("configuration", "before", "after"), settings, wrap=(0, 1, 2)) if settings else "")
            + (markup.table(("", "file, the largest first", "size"), rows, wrap=(1,)) + more if rows else "")
        )
        if settings or rows
        else '<div class="muted">nothing differs</div>',
    )


def _diff_facts(diff: ImagesDiff) -> str:
    counted = {change: sum(found.change == change for found in diff.files) for change in ("added", "modified", "removed")}
    facts = [f"{size(diff.comparison.before)} → {size(diff.comparison.after)}"]
    facts += [f"{count:,} {change}" for change, count in counted.items() if count]
    return " · ".join([*facts, f"{diff.shared} of {diff.layers[0]} and {diff.layers[1]} layers shared"])


def _sizes(change: Changed) -> str:
    if change.file is None or change.before is None:
        return size(change.size)
    if change.before.size != change.file.size:
        return f"{size(change.before.size)} → {size(change.file.size)}"
    return f"{size(change.size)}, {_difference(change.before, change.file)}"


def _difference(before: File, after: File) -> str:
    """What is not the same, though the size is."""
    fields = (("kind", "kind"), ("mode", "mode"), ("uid", "owner"), ("gid", "group"), ("target", "target"))
    said = [word for name, word in fields if getattr(before, name) != getattr(after, name)]
    return f"other {' and '.join(said or ['content'])}"


def _setting(name: str, before: str | None, after: str | None) -> str:
    left, right = (shorten(plain(text), _NAME) if text is not None else "(none)" for text in (before, after))
    return f"{shorten(plain(name), _NAME)}: {left} → {right}"


def _said(text: str | None) -> str:
    return '<span class="muted">none</span>' if text is None else markup.code(shorten(plain(text), 400))


# pieces


def _instruction(instruction: str, width: int = 400) -> str:
    return shorten(plain(instruction), width) or "(no instruction is recorded)"


def _path(path: str) -> str:
    """On one line, its end kept."""
    shown = "/" + " ".join(plain(path).split("\n"))
    return shown if len(shown) <= _WIDTH else f"{shown[:20]}…{shown[-_WIDTH + 21 :]}"


def _is_directory(change: Changed) -> bool:
    found = change.file or change.before
    return found is not None and found.kind == "directory"


def _count(files: Sequence[File] | Iterable[File]) -> int:
    return sum(file.kind != "directory" for file in files)


def _lost(lost: int) -> str:
    return size(lost) if lost else ""


def _bytes(count: int) -> str:
    return markup.titled(size(count), f"{count:,} bytes")


def scale(count: int, lost: int, largest: int) -> str:
    """A bar: what of a layer is seen, and hatched what is not."""
    seen, unseen = (round(_BAR * part / largest) if largest else 0 for part in (count - lost, lost))
    bars = f'<span class="done"><span class="bar" style="width:{seen}px"></span></span>' if seen else ""
    return bars + (f'<span class="base"><span class="bar" style="width:{unseen}px"></span></span>' if unseen else "")
