"""The faces of what is on registries: an image that was looked into and not pulled, tags that were pushed, who is logged in.

    image localhost:5000/app:1 on its registry   18.4 MB   linux/amd64   sha256:1f0c…
    command      ["python", "app.py"]

    instruction              adds     size      blob
    ADD rootfs.tar /         layer    15.2 MB   4f1c09de7a31

Text holds what is the same on every run and engine: names, instructions, the configuration. Sizes here are those that travel, compressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dockerlab.faces import markup
from dockerlab.faces.human import plain, short_id, shorten, size
from dockerlab.faces.image import configuration, stable_configuration

if TYPE_CHECKING:
    from dockerlab.image.manifest import RemoteLayer
    from dockerlab.images.registry_values import LoggedIn, LoggedOut, PushedTags, RemoteImage

_WIDTH: Final = 72
_BAR: Final = 120  # pixels of the longest bar
_NO_IMAGE: Final = "It is no image of a container: nothing is known of its configuration."


# an image on its registry


def remote_text(image: RemoteImage) -> str:
    facts = [f"{name}: {plain(value)}" for name, value in stable_configuration((image.config or {}).get("config") or {})]
    rows = [(_instruction(layer, _WIDTH), _adds(layer)) for layer in image.layers]
    return "\n".join([_title(image), *facts, markup.columns(rows)]).rstrip()


def remote_table(image: RemoteImage) -> str:
    head = "   ".join([_title(image), *filter(None, (size(image.size), plain(image.platform), image.digest))])
    rows = [
        (_instruction(layer, _WIDTH), _adds(layer), size(layer.size) if layer.blob else "", _blob(layer)) for layer in image.layers
    ]
    parts = [
        head,
        _NO_IMAGE if image.config is None else "",
        markup.columns([(name, plain(value)) for name, value in _facts(image)]),
        markup.columns([("instruction", "adds", "size", "blob"), *rows]),
        markup.columns(
            [("platform", "digest", "")] + [(*row, "looked into" if is_shown else "") for *row, is_shown in _platforms(image)]
        )
        if image.found.is_index
        else "",
    ]
    return "\n\n".join(part for part in parts if part)


def remote_html(image: RemoteImage) -> str:
    bytes_ = markup.titled(size(image.size), f"{image.size:,} bytes, compressed") + " compressed"
    facts = [bytes_, markup.text(plain(image.platform)), _digest(image.digest)]
    name = f'image {markup.text(image.reference)} <span class="muted">on its registry, not pulled</span>'
    stable = stable_configuration((image.config or {}).get("config") or {})
    others = [fact for fact in _facts(image) if fact not in stable]
    largest = max((layer.size for layer in image.layers), default=0)
    rows = [
        (
            str(place),
            markup.code(_instruction(layer)),
            f'<span class="muted">{_adds(layer)}</span>',
            markup.volatile(markup.titled(size(layer.size), f"{layer.size:,} bytes, compressed") if layer.blob else ""),
            markup.volatile(_scale(layer.size, largest)),
            markup.volatile(_digest(layer.blob.digest) if layer.blob else ""),
        )
        for place, layer in enumerate(image.layers, start=1)
    ]
    count = sum(layer.blob is not None for layer in image.layers)
    return markup.page(
        markup.head(name, markup.volatile("· " + " · ".join(filter(None, facts)))),
        f'<div class="muted">{_NO_IMAGE}</div>' if image.config is None else "",
        _pairs(stable),
        markup.volatile(_folded(_count(len(others), "more fact"), _pairs(others)) if others else ""),
        f'<div class="head">{_count(count, "layer")} <span class="muted">the base first; to scale, as they travel</span></div>',
        markup.table(("", "instruction", "adds", "size", "", "blob"), rows, numeric=(0, 3), wrap=(1,)),
        markup.volatile(_platforms_html(image)),
    )


def _title(image: RemoteImage) -> str:
    return f"image {image.reference} on its registry"


def _facts(image: RemoteImage) -> list[tuple[str, str]]:
    facts = configuration((image.config or {}).get("config") or {})
    facts += [("created", image.config["created"])] if image.config and image.config.get("created") else []
    facts.append(("type", image.found.itself.kind))
    facts += [("manifest", image.manifest.itself.digest)] if image.found.is_index else []
    return facts + ([("configuration", image.manifest.config.digest)] if image.manifest.config else [])


def _platforms(image: RemoteImage) -> list[tuple[str, str, bool]]:
    """Each that an index has: its name, its digest, whether that one was looked into."""
    return [
        (plain(one.platform) or "(none)", one.manifest.digest, one == image.entry) for one in image.found.entries if one.is_image
    ]


def _platforms_html(image: RemoteImage) -> str:
    if not image.found.is_index:
        return ""
    rows = [
        (
            markup.text(name),
            _digest(digest),
            markup.state("done", "looked into") if is_shown else f'<span class="muted">{markup.code(f"--platform {name}")}</span>',
        )
        for name, digest, is_shown in _platforms(image)
    ]
    head = f'<div class="head">{_count(len(rows), "platform")}</div>'
    return head + markup.table(("platform", "digest", ""), rows)


def _instruction(layer: RemoteLayer, width: int | None = None) -> str:
    kind = layer.blob.kind if layer.blob else ""
    text = plain(layer.instruction) or (f"({plain(kind)})" if kind and layer.diff_id is None else "(no instruction is recorded)")
    return shorten(text, width) if width else text


def _adds(layer: RemoteLayer) -> str:
    return "layer" if layer.blob else "configuration"


def _blob(layer: RemoteLayer) -> str:
    return short_id(layer.blob.digest) if layer.blob else ""


# tags that were pushed


def tags_text(pushed: PushedTags) -> str:
    return "\n".join([f"pushed all tags of {pushed.repository}:", *(f"  {one.reference}" for one in pushed)])


def tags_table(pushed: PushedTags) -> str:
    rows = [(f"  {one.reference}", one.digest) for one in pushed]
    return "\n".join([f"pushed all tags of {pushed.repository}:", markup.columns(rows)])


def tags_html(pushed: PushedTags) -> str:
    rows = [(markup.state("done", "pushed"), markup.text(one.reference), markup.volatile(_digest(one.digest))) for one in pushed]
    head = markup.head(f"pushed {_count(len(pushed), 'tag')} of {markup.text(pushed.repository)}")
    return markup.page(head, markup.table(("", "image", "digest"), rows))


# who is logged in


def logged_in_text(login: LoggedIn) -> str:
    return f"logged in to {login.server}" + (f" as {login.username}" if login.username else "")


def logged_in_table(login: LoggedIn) -> str:
    return "\n".join([logged_in_text(login), *(f"  {note}" for note in _where(login))])


def logged_in_html(login: LoggedIn) -> str:
    who = f" as <strong>{markup.text(login.username)}</strong>" if login.username else ""
    head = markup.head(f"{markup.state('done', 'logged in')} to {markup.text(login.server)}{who}")
    return markup.page(head, markup.volatile(_notes(_where(login))))


def _where(login: LoggedIn) -> list[str]:
    if not login.place:
        kept = "With what was kept already."
    elif login.is_encrypted:
        kept = f"The password is kept by {login.place}."
    else:
        kept = f"The password is kept in {login.place}, readable by you alone, not encrypted; a credential helper would keep it better."
    return [kept, *login.notes]


def logged_out_text(logout: LoggedOut) -> str:
    return f"logged out of {logout.server}" if logout.was_there else f"nobody was logged in to {logout.server}"


def logged_out_table(logout: LoggedOut) -> str:
    return "\n".join([logged_out_text(logout), *(f"  {note}" for note in logout.notes)])


def logged_out_html(logout: LoggedOut) -> str:
    said = markup.state("stopped", "logged out") + f" of {markup.text(logout.server)}"
    head = markup.head(said if logout.was_there else markup.text(logged_out_text(logout)))
    return markup.page(head, markup.volatile(_notes(logout.notes)))


# pieces


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<div class="muted">{markup.text(note)}</div>' for note in notes)


def _pairs(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><td><span class="muted">{markup.text(name)}</span></td><td class="wrap">{markup.code(plain(value))}</td></tr>'
        for name, value in facts
    )
    return f"<table><tbody>{rows}</tbody></table>" if rows else ""


def _digest(digest: str) -> str:
    return f'<code title="{markup.text(digest)}">{markup.text(short_id(digest))}</code>'


def _scale(count: int, largest: int) -> str:
    width = round(_BAR * count / largest) if largest else 0
    return f'<span class="done"><span class="bar" style="width:{width}px"></span></span>' if width else ""


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{markup.text(summary)}</summary>{content}</details>"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
