"""Changes of the records: a name more, and what removal leaves. Pure: records in, records out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dockerlab.engine import timestamps
from dockerlab.engine.store.catalogue import Contents
from dockerlab.engine.store.records import Records
from dockerlab.engine.store.removal import Step
from dockerlab.engine.store.values import Image


def tagged(before: Records, image: Image, name: str) -> Records:
    """With a name for an image, and when it got it."""
    return replace(shown(before.with_name(name, image.manifest), image), tagged={**before.tagged, image.id: timestamps.now()})


def shown(before: Records, image: Image) -> Records:
    """With an image that is not only cache, whatever it was."""
    return replace(before, cache=before.cache - {image.id})


def after(images: Mapping[str, Image], steps: Sequence[Step]) -> dict[str, Image]:
    """The images that are left."""
    left = dict(images)
    for step in steps:
        if step.name is None:
            del left[step.image.id]
        else:
            names = left[step.image.id].references
            left[step.image.id] = replace(left[step.image.id], references=tuple(name for name in names if name != step.name))
    return left


def without(before: Records, steps: Sequence[Step], contents: Contents) -> Records:
    """The records after the steps: what is known of images and layers that are gone is forgotten, too."""
    left_over = before
    for step in steps:
        left_over = left_over.without_image(step.image.manifest) if step.name is None else left_over.without_name(step.name)
    gone = {step.image.id for step in steps if step.name is None}
    left = [image for identifier, image in contents.images.items() if identifier not in gone]
    diff_ids = {layer.diff_id for image in left for layer in image.layers}
    return replace(
        left_over,
        parents={identifier: parent for identifier, parent in left_over.parents.items() if identifier not in gone},
        tagged={identifier: time for identifier, time in left_over.tagged.items() if identifier not in gone},
        keys={identifier: key for identifier, key in left_over.keys.items() if identifier not in gone},
        cache=left_over.cache - gone,
        sizes={diff_id: size for diff_id, size in left_over.sizes.items() if diff_id in diff_ids},
        gzips={diff_id: text for diff_id, text in left_over.gzips.items() if diff_id in diff_ids},
    )
