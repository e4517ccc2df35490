"""The faces of images on their way: pull and push with their layers, save, load and copy with their bytes.

Text holds what is the same on every run and engine: names. Sizes, ids and digests stand between volatile marks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab.faces import markup
from dockerlab.faces.human import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockerlab.images.values import ArchiveProgress, Copied, Loaded, PullProgress, Pushed, Saved
    from dockerlab.wire.trace import Status

THERE = ("Already exists", "Layer already exists")
_WAITING = ("Waiting", "Pulling fs layer", "Preparing")


# pull and push


def transfer_text(progress: PullProgress, doing: str, done: str) -> str:
    return f"{progress.reference}: {done if progress.done else doing}"


def transfer_table(progress: PullProgress, doing: str, done: str) -> str:
    head = f"{transfer_text(progress, doing, done)}   {_amount(progress)}".rstrip()
    return "\n".join([head, markup.columns(_columns(progress.layers))]).rstrip()


def transfer_html(progress: PullProgress, doing: str, done: str) -> str:
    state = markup.state("done", done) if progress.done else markup.state("running", doing)
    head = markup.head(f"{markup.text(progress.reference)} {state}", markup.volatile(markup.text(_amount(progress))))
    table = _layers(progress.layers)
    if progress.done and table:
        table = f"<details><summary>{_count(len(progress.layers))}</summary>{table}</details>"
    return markup.page(head, markup.volatile(table))


def pushed_text(pushed: Pushed) -> str:
    return f"pushed {pushed.reference}"


def pushed_table(pushed: Pushed) -> str:
    return f"{pushed_text(pushed)}   digest {pushed.digest}"


def pushed_html(pushed: Pushed) -> str:
    digest = f'<span class="muted">digest</span> {markup.code(pushed.digest)}'
    return markup.page(markup.head(f"pushed {markup.text(pushed.reference)}", markup.volatile(digest)))


def _columns(layers: Sequence[Status]) -> list[tuple[str, str, str]]:
    return [(layer.id[:12], layer.name.lower(), _share(layer)) for layer in layers]


def _layers(layers: Sequence[Status]) -> str:
    """A row each, with a bar."""
    rows = [
        (
            markup.code(layer.id[:12]),
            markup.state(_layer_state(layer), layer.name.lower()),
            f'<span class="{_layer_state(layer)}">{markup.bar(_part(layer))}</span>',
            markup.text(_share(layer)),
        )
        for layer in layers
    ]
    return markup.table(("layer", "", "", ""), rows, numeric=(3,)) if rows else ""


def _layer_state(layer: Status) -> str:
    if layer.name in THERE or layer.name.startswith("Mounted from"):
        return "cached"
    if layer.completed:
        return "done"
    return "waiting" if layer.name in _WAITING and not layer.current else "running"


def _part(layer: Status) -> float:
    """How much of it has travelled, 0 to 1."""
    return 1.0 if layer.completed else layer.current / layer.total if layer.total else 0.0


def _share(layer: Status) -> str:
    if not layer.total:
        return ""
    return size(layer.total) if layer.completed else f"{size(min(layer.current, layer.total))} of {size(layer.total)}"


def _amount(progress: PullProgress) -> str:
    """`3 of 5 layers   12 MB of 40 MB`."""
    layers = progress.layers
    if not layers:
        return "" if progress.done else "asking the registry"
    done = sum(layer.completed is not None for layer in layers)
    total = sum(layer.total for layer in layers)
    count = _count(len(layers)) if progress.done else f"{done} of {_count(len(layers))}"
    current = sum(min(layer.current, layer.total) for layer in layers)
    amount = "" if not total else size(total) if progress.done else f"{size(current)} of {size(total)}"
    return "   ".join(part for part in (count, amount) if part)


# save and load


def archiving_text(progress: ArchiveProgress) -> str:
    return f"{progress.file}: {progress.doing}"


def archiving_table(progress: ArchiveProgress) -> str:
    head = f"{archiving_text(progress)}   {_bytes(progress)}".rstrip()
    return "\n".join([head, markup.columns(_columns(progress.layers))]).rstrip()


def archiving_html(progress: ArchiveProgress) -> str:
    head = markup.head(f"{markup.text(progress.file)} {markup.state('running', progress.doing)}", markup.text(_bytes(progress)))
    bar = markup.bar(progress.current / progress.total if progress.total else 0.0)
    return markup.page(markup.volatile(f"{head}{bar}{_layers(progress.layers)}"))


def _bytes(progress: ArchiveProgress) -> str:
    if not progress.current:
        return ""
    about = "about " if progress.doing != "loading" else ""
    # Nobody knows how long an archive will be before it is there.
    return size(progress.current) + (f" of {about}{size(progress.total)}" if progress.current < progress.total else "")


def saved_text(saved: Saved) -> str:
    return f"saved {', '.join(saved.names)} to {saved.file.name}"


def saved_table(saved: Saved) -> str:
    return f"{saved_text(saved)}   {size(saved.size)}   {saved.file}"


def saved_html(saved: Saved) -> str:
    names = ", ".join(f"<strong>{markup.text(name)}</strong>" for name in saved.names)
    facts = f"{markup.titled(size(saved.size), f'{saved.size:,} bytes')} · {markup.code(saved.file)}"
    return markup.page(markup.head(f"saved {names} to {markup.text(saved.file.name)}", markup.volatile(facts)))


def loaded_text(loaded: Loaded) -> str:
    return "\n".join([f"from {loaded.file.name}:", *(f"  loaded {image._text()}" for image in loaded.images)])


def loaded_table(loaded: Loaded) -> str:
    return "\n".join([f"from {loaded.file}:", *(f"  loaded {image._table()}" for image in loaded.images)])


def copied_text(copied: Copied) -> str:
    lines = [f"copied {image.name if image.tags else 'an image without a name'}" for image in copied.images]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in copied.warnings)])


def copied_table(copied: Copied) -> str:
    lines = [f"to {copied.engine}: {_sent(copied)}, {_compared(copied)}", *(f"  {image._table()}" for image in copied.images)]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in copied.warnings)])


def copied_html(copied: Copied) -> str:
    names = ", ".join(f"<strong>{markup.text(image.name)}</strong>" for image in copied.images)
    facts = f"{markup.code(copied.engine)} · {markup.text(_sent(copied))} · {markup.text(_compared(copied))}"
    head = markup.head(f"{markup.state('done', 'copied')} {names}", markup.volatile(f"to {facts}"))
    rows = [(markup.code(image.name), markup.code(image.id)) for image in copied.images]
    warnings = "".join(f'<div class="running">▲ {markup.text(warning)}</div>' for warning in copied.warnings)
    return markup.page(head, markup.volatile(warnings + markup.table(("image", "id there"), rows, wrap=(1,))))


def _sent(copied: Copied) -> str:
    return f"{size(copied.size)} sent" if copied.size else "nothing to send, it was there"


def _compared(copied: Copied) -> str:
    return "the same ids" if copied.same_ids else "the same layers; ids differ, since that engine keeps images otherwise"


def loaded_html(loaded: Loaded) -> str:
    rows = [
        (
            markup.state("done", "loaded"),
            f"<strong>{markup.text(image.name)}</strong>" if image.tags else markup.volatile(markup.code(image.name)),
            markup.volatile(markup.titled(size(int(image.attrs.get("Size") or 0)), f"{image.attrs.get('Size') or 0:,} bytes")),
        )
        for image in loaded.images
    ]
    head = markup.head(f"from {markup.text(loaded.file.name)}", markup.volatile(markup.code(loaded.file)))
    return markup.page(head, markup.table(("", "image", "size"), rows, numeric=(2,)))


def _count(layers: int) -> str:
    return f"{layers} layer{'' if layers == 1 else 's'}"
