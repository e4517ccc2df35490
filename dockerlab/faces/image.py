"""The faces of images: of one, of a list, of what one is made of, and of what rm and prune did. Transfers are in `transfer`.

Text holds what is the same on every run and engine: names and instructions. Sizes, ids and times stand between volatile marks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dockerlab.faces import markup
from dockerlab.faces.human import plain, short_id, shorten, size

if TYPE_CHECKING:
    from dockerlab.image import Layer
    from dockerlab.images.model import Image
    from dockerlab.images.values import History, Images, ImageView, Inspection, Pruned, Removed

_WIDTH = 72
_BAR = 120  # pixels of the longest bar
_NONE = "no name"


# one image


def image_text(image: Image) -> str:
    return f"image {image.name}" if image.tags else f"image with {_NONE}"


def image_table(image: Image) -> str:
    facts = [size(_size(image)), _platform(image), short_id(str(image.id)), _moment(image.attrs.get("Created"))]
    facts += ["stand-in"] if image.stand_in is not None else []
    return "   ".join([f"image {image.name}", *(fact for fact in facts if fact)])


def image_html(image: Image) -> str:
    return markup.page(_image_head(image))


def _image_head(image: Image) -> str:
    facts = [_bytes(_size(image)), markup.text(_platform(image)), _id(str(image.id)), _time(image.attrs.get("Created"))]
    name = markup.text(image.name) if image.tags else markup.volatile(_NONE)
    facts += ["stand-in"] if image.stand_in is not None else []
    return markup.head(f"image {name}", markup.volatile(" · ".join(fact for fact in facts if fact)))


# a list of images


def images_text(images: Images) -> str:
    names = sorted({tag for image in images for tag in image.tags})
    return "\n".join(["images:", *(f"  {name}" for name in names)]) if names else _no_images(images)


def images_table(images: Images) -> str:
    if not images:
        return _no_images(images)
    rows = [
        (name or f"<{_NONE}>", short_id(str(image.id)), _moment(image.attrs.get("Created")), size(_size(image)))
        for image in images
        for name in image.tags or [""]
    ]
    return markup.columns([("image", "id", "created", "size"), *rows])


def images_html(images: Images) -> str:
    if not images:
        return markup.page(f'<div class="muted">{_with_code(_no_images(images))}</div>')
    named, unnamed = [], []
    for image in images:
        cells = [markup.volatile(cell) for cell in (_id(str(image.id)), _time(image.attrs.get("Created")), _bytes(_size(image)))]
        note = markup.volatile('<span class="muted">stand-in</span>' if image.stand_in is not None else "")
        named += [(f"<strong>{markup.text(tag)}</strong>", *cells, note) for tag in image.tags]
        if not image.tags:
            unnamed.append((f'<span class="muted">{_NONE}</span>', *cells, note))
    columns = ("image", "id", "created", "size", "")
    parts = [markup.table(columns, named, numeric=(3,))] if named else []
    if unnamed:
        # Left over by builds; how many there are differs from run to run.
        summary = f"<summary>{len(unnamed)} with {_NONE}</summary>"
        parts.append(markup.volatile(f"<details>{summary}{markup.table(columns, unnamed, numeric=(3,))}</details>"))
    return markup.page(*parts)


def _no_images(images: Images) -> str:
    if images.wanted is not None:
        return f"No image '{images.wanted}'. Fetch it: `%image pull {images.wanted}`"
    return "No images. Fetch one: `%image pull busybox`, or build one: `%%dockerfile`"


# all that the engine says


def inspection_text(inspection: Inspection) -> str:
    return f"what the engine says of image {inspection.name}"


def inspection_table(inspection: Inspection) -> str:
    return json.dumps(inspection, indent=2, ensure_ascii=False)


def inspection_html(inspection: Inspection) -> str:
    pre = f"<pre>{markup.text(inspection_table(inspection))}</pre>"
    return markup.page(markup.head(markup.text(inspection_text(inspection))), markup.volatile(pre))


# what an image is made of


def history_text(history: History) -> str:
    return "\n".join([f"history of {history.name}", *(f"  {_instruction(line, _WIDTH)}" for line in history.lines)])


def history_table(history: History) -> str:
    rows = [(_instruction(line, _WIDTH), _layer_size(line), _moment(line.created)) for line in history.lines]
    return markup.columns([("instruction", "size", "created"), *rows])


def history_html(history: History) -> str:
    rows = [
        (_code(_instruction(line)), markup.volatile(_layer_bytes(line)), markup.volatile(_time(line.created)))
        for line in history.lines
    ]
    head = markup.head(f"history of {markup.text(history.name)}", "the newest line first")
    return markup.page(head, markup.table(("instruction", "size", "created"), rows, numeric=(1,), wrap=(0,)))


def view_text(view: ImageView) -> str:
    rows = [(_instruction(layer, _WIDTH), _adds(layer)) for layer in view.layers]
    facts = [f"{name}: {value}" for name, value in _stable_facts(view.image)]
    return "\n".join([image_text(view.image), *facts, markup.columns(rows)]).rstrip()


def view_table(view: ImageView) -> str:
    facts = [(name, value) for name, value in _facts(view.image)]
    rows = [(_instruction(layer, _WIDTH), _adds(layer), _layer_size(layer)) for layer in view.layers]
    return "\n\n".join(
        part
        for part in (image_table(view.image), markup.columns(facts), markup.columns([("instruction", "adds", "size"), *rows]))
        if part
    )


def view_html(view: ImageView) -> str:
    stable = _stable_facts(view.image)
    facts = [(f'<span class="muted">{name}</span>', _code(value)) for name, value in stable]
    others = [
        (f'<span class="muted">{name}</span>', _code(value)) for name, value in _facts(view.image) if (name, value) not in stable
    ]
    largest = max((layer.size for layer in view.layers), default=0)
    rows = [
        (
            str(place),
            _code(_instruction(layer)),
            f'<span class="muted">{_adds(layer)}</span>',
            markup.volatile(_layer_bytes(layer)),
            markup.volatile(_scale(layer.size, largest)),
        )
        for place, layer in enumerate(view.layers, start=1)
    ]
    count = sum(not layer.empty for layer in view.layers)
    return markup.page(
        _image_head(view.image),
        _plain_table(facts),
        markup.volatile(
            _folded(f"{_count(len(others), 'variable, label or digest', 'variables, labels and digests')}", _plain_table(others))
        )
        if others
        else "",
        f'<div class="head">{_count(count, "layer")} <span class="muted">the base first; to scale</span></div>',
        markup.table(("", "instruction", "adds", "size", ""), rows, numeric=(0, 3), wrap=(1,)),
    )


def _facts(image: Image) -> list[tuple[str, str]]:
    """What a container made from the image starts with, and where the image comes from."""
    facts = configuration(image.attrs.get("Config") or {})
    return facts + [("digest", digest) for digest in image.attrs.get("RepoDigests") or [] if "<none>" not in digest]


def _stable_facts(image: Image) -> list[tuple[str, str]]:
    return stable_configuration(image.attrs.get("Config") or {})


def configuration(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """An image's `Config` as names and values."""
    facts = stable_configuration(config)
    facts += [("variable", variable) for variable in config.get("Env") or []]
    return facts + [("label", f"{name}={value}") for name, value in sorted((config.get("Labels") or {}).items())]


def stable_configuration(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of these, what is the same on every run and engine."""
    lists = [(name, config.get(key)) for name, key in (("entrypoint", "Entrypoint"), ("command", "Cmd"))]
    facts = [(name, json.dumps(value, ensure_ascii=False)) for name, value in lists if value]
    facts += [(name, config[key]) for name, key in (("directory", "WorkingDir"), ("user", "User")) if config.get(key)]
    facts += [("port", port.removesuffix("/tcp")) for port in sorted(config.get("ExposedPorts") or {})]
    return facts + [("volume", volume) for volume in sorted(config.get("Volumes") or {})]


def _instruction(layer: Layer, width: int | None = None) -> str:
    text = plain(layer.instruction) or "(no instruction is recorded)"
    return shorten(text, width) if width else text


def _adds(layer: Layer) -> str:
    return "config" if layer.empty else "layer"


def _layer_size(layer: Layer) -> str:
    return "" if layer.empty else size(layer.size)


def _layer_bytes(layer: Layer) -> str:
    return "" if layer.empty else _bytes(layer.size)


def _scale(count: int, largest: int) -> str:
    width = round(_BAR * count / largest) if largest else 0
    return f'<span class="done"><span class="bar" style="width:{width}px"></span></span>' if width else ""


# rm and prune


def removed_text(removed: Removed) -> str:
    return "\n".join([*(f"removed {name}" for name in removed.names), *(f"there was no image '{name}'" for name in removed.absent)])


def removed_table(removed: Removed) -> str:
    return "\n".join([removed_text(removed), *_gone(removed.untagged, removed.deleted)])


def removed_html(removed: Removed) -> str:
    heads = [markup.head(f"removed {markup.text(name)}") for name in removed.names]
    heads += [f'<div class="muted">there was no image {markup.code(name)}</div>' for name in removed.absent]
    return markup.page(*heads, markup.volatile(_gone_html(removed.untagged, removed.deleted)))


def pruned_text(pruned: Pruned) -> str:
    return "removed the images that no container uses" if pruned.all else "removed the images without a name that no container uses"


def pruned_table(pruned: Pruned) -> str:
    return "\n".join([f"{pruned_text(pruned)}   {size(pruned.freed)} freed", *_gone(pruned.untagged, pruned.deleted)])


def pruned_html(pruned: Pruned) -> str:
    head = markup.head(pruned_text(pruned), markup.volatile(f"{_bytes(pruned.freed)} freed"))
    return markup.page(head, markup.volatile(_gone_html(pruned.untagged, pruned.deleted)))


def _gone(untagged: Sequence[str], deleted: Sequence[str]) -> list[str]:
    return [*(f"  name {name}" for name in untagged), *(f"  deleted {short_id(digest)}" for digest in deleted)]


def _gone_html(untagged: Sequence[str], deleted: Sequence[str]) -> str:
    if not untagged and not deleted:
        return '<span class="muted">nothing had to be deleted</span>'
    lines = "\n".join(line.strip() for line in _gone(untagged, deleted))
    return _folded(f"{_count(len(untagged), 'name')}, {_count(len(deleted), 'image or layer', 'images or layers')}",
                   f"<pre>{markup.text(lines)}</pre>")  # fmt: skip


# pieces


def _size(image: Image) -> int:
    return int(image.attrs.get("Size") or 0)


def _platform(image: Image) -> str:
    parts = [str(image.attrs.get(key) or "") for key in ("Os", "Architecture", "Variant")]
    return "/".join(part for part in parts if part)


def _bytes(count: int) -> str:
    return markup.titled(size(count), f"{count:,} bytes")


def _id(identifier: str) -> str:
    return f'<code title="{markup.text(identifier)}">{markup.text(short_id(identifier))}</code>'


def _seconds(created: object) -> float | None:
    """Seconds since the epoch, from those or from an RFC 3339 time with any number of decimals."""
    if isinstance(created, int | float):
        return float(created) or None
    if not isinstance(created, str) or not created or created.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(created).timestamp()
    except ValueError:
        return None


def _moment(created: object) -> str:
    moment = _seconds(created)
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) if moment is not None else ""


def _time(created: object) -> str:
    moment = _seconds(created)
    if moment is None:
        return ""
    return markup.titled(_moment(created), datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds"))


def _code(value: str) -> str:
    return markup.code(plain(value))


def _plain_table(rows: Iterable[Sequence[str]]) -> str:
    body = "".join(f'<tr><td>{name}</td><td class="wrap">{value}</td></tr>' for name, value in rows)
    return f"<table><tbody>{body}</tbody></table>" if body else ""


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{markup.text(summary)}</summary>{content}</details>"


def _count(count: int, noun: str, plural: str | None = None) -> str:
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def _with_code(sentence: str) -> str:
    """Text in which what stands between backticks is code."""
    pieces = sentence.split("`")
    return "".join(markup.code(piece) if place % 2 else markup.text(piece) for place, piece in enumerate(pieces))
