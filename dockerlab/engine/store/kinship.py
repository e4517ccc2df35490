"""Which image stands on which, and what of that is only a build's cache. Pure.

The steps of a build of BuildKit's kind are images as well, which nobody has asked for: they are in nobody's way, and nobody sees them.
One that somebody names, loads, or gets as the result of a build is an image like all others from then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from dockerlab.engine.store.values import Image


def between(images: Mapping[str, Image]) -> set[str]:
    """The ids of those that an image which is no cache was made on, by whatever steps. images: by id."""
    found: set[str] = set()
    for image in images.values():
        below = image.parent if not image.is_cache else ""
        while below and below not in found:
            found.add(below)
            below = images[below].parent if below in images else ""
    return found


def shown(images: Collection[Image]) -> list[Image]:
    """Those that `docker images` shows: all that have names, and of the others what is neither a step on the way to another one nor
    cache."""
    hidden = between({image.id: image for image in images})
    return [image for image in images if image.references or not (image.is_cache or image.id in hidden)]


def cache_on(image: Image, images: Mapping[str, Image], used: Collection[str]) -> list[Image]:
    """All that was made on an image, the farthest first, if it is nothing but cache that nobody uses; else nothing. used: ids."""
    found: list[Image] = []
    waiting = _made_on([image.id], images)
    while waiting:
        if any(not one.is_cache or one.id in used for one in waiting):
            return []
        found += waiting
        waiting = _made_on([one.id for one in waiting], images)
    return found[::-1]


def _made_on(ids: Collection[str], images: Mapping[str, Image]) -> list[Image]:
    return [one for one in images.values() if one.parent in ids]


def own_layers(images: Iterable[Image]) -> dict[str, int]:
    """The layers that images have, each once: bytes of files by chain id."""
    return {layer.chain_id: layer.files_size for image in images for layer in image.layers}


def shared_sizes(images: Collection[Image]) -> dict[str, int]:
    """What each shares with others that are no cache: bytes of files by id."""
    users = Counter(layer.chain_id for image in images if not image.is_cache for layer in image.layers)
    return {image.id: sum(one.files_size for one in image.layers if users[one.chain_id] > 1) for image in images}
