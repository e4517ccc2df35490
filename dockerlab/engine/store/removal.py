"""What removing an image does: Docker's rules, computed first (daemon/images/image_delete.go describes them), carried out elsewhere. Pure.

By a name only that name goes; with an image's last name goes the image. By its id the image goes, with its names if they are all of one
repository. With an image go those that it was committed on, as long as nobody names, uses or sees them, and what builds keep as cache on
top of it. What is in the way is a conflict, *hard* (a running container, an image committed on it) or *soft* (a container that does not
run, more names), which force overrides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dockerlab import reference
from dockerlab.engine.store.kinship import between, cache_on
from dockerlab.engine.store.values import Image, short
from dockerlab.errors import Conflict


@dataclass(frozen=True)
class Use:
    """A container that was made of an image. container, image: ids."""

    container: str
    image: str
    running: bool


@dataclass(frozen=True)
class Step:
    """name: a canonical name that goes; None: the image itself goes, with these layers (chain ids), the topmost first.

    is_event: digests that go with the last tag of their repository are none, as in Docker.
    """

    image: Image
    name: str | None = None
    layers: tuple[str, ...] = ()
    is_event: bool = True

    def records(self) -> list[dict[str, str]]:
        """As the Engine API answers."""
        if self.name is not None:
            return [{"Untagged": reference.parse(self.name).familiar}]
        return [{"Deleted": self.image.id}, *({"Deleted": chain_id} for chain_id in self.layers)]


@dataclass
class _Work:
    """What is left after the steps so far. cache: what goes together with the image, before it. hidden: ids of those nobody saw."""

    images: dict[str, Image]
    uses: Sequence[Use]
    cache: Sequence[Image]
    hidden: Collection[str]
    steps: list[Step] = field(default_factory=list)

    def untag(self, image: Image, name: str, *, is_event: bool = True) -> Image:
        left = replace(image, references=tuple(other for other in image.references if other != name))
        self.images[image.id] = left
        self.steps.append(Step(image, name, is_event=is_event))
        return left

    def delete(self, image: Image) -> None:
        del self.images[image.id]
        # A container keeps the layers that it stands on.
        in_use = {use.image for use in self.uses}
        users = [*self.images.values(), *([image] if image.id in in_use else [])]
        kept = {layer.chain_id for user in users for layer in user.layers}
        gone = [layer.chain_id for layer in reversed(image.layers) if layer.chain_id not in kept]
        self.steps.append(Step(image, None, tuple(gone)))

    def has_children(self, image: Image) -> bool:
        going = {one.id for one in self.cache}
        return any(other.parent == image.id for other in self.images.values() if other.id not in going)

    def first_use(self, image: Image, *, running: bool | None = None) -> Use | None:
        return next((u for u in self.uses if u.image == image.id and running in (None, u.running)), None)


def plan(
    asked: str, image: Image, images: Iterable[Image], uses: Sequence[Use] = (), *, force: bool = False, prune: bool = True
) -> list[Step]:
    """The steps that remove `image`, which the client called `asked`. prune: with those that it was committed on. Raises Conflict."""
    there = {one.id: one for one in images}
    cache = cache_on(image, there, {use.image for use in uses})
    work = _Work(there, uses, cache, {one.id for one in there.values() if one.is_cache} | between(there))
    if is_id(asked, image):
        if _is_single(image.references):
            if conflict := _conflict(work, image, soft_too=not force, names_too=False):
                raise conflict.error
            for name in image.references:
                image = work.untag(image, name)
        quiet = False
    else:
        if not force and _is_single(image.references) and (use := work.first_use(image)):
            raise Conflict(
                f'conflict: unable to remove repository reference "{asked}" (must force) - '
                f"container {short(use.container)} is using its referenced image {short(image.id)}"
            )
        image = _untag(work, image, _named(asked, image))
        if image.references:
            return work.steps
        quiet = True
    _delete(work, image, force=force, prune=prune, quiet=quiet)
    return work.steps


def is_id(asked: str, image: Image) -> bool:
    """Whether the client called the image by its id, or the beginning of it."""
    return image.id.startswith(asked) or image.id.removeprefix("sha256:").startswith(asked)


def _named(asked: str, image: Image) -> str:
    found = reference.parse(asked)
    name = f"{found.domain}/{found.path}@{found.digest}" if found.digest else found.canonical
    return name if name in image.references else image.references[0]


def _untag(work: _Work, image: Image, name: str) -> Image:
    image = work.untag(image, name)
    if "@" in name:
        return image
    repository = _repository(name)
    others = [other for other in image.references if _repository(other) == repository]
    if all("@" in other for other in others):
        for other in others:
            image = work.untag(image, other, is_event=False)
    return image


def _repository(name: str) -> str:
    found = reference.parse(name)
    return f"{found.domain}/{found.path}"


def _is_single(names: Sequence[str]) -> bool:
    """Whether they are one tag, at most, and digests of one repository, the tag's own."""
    if len(names) <= 1:
        return True
    tags = [name for name in names if "@" not in name]
    digests = {_repository(name) for name in names if "@" in name}
    return len(tags) <= 1 and len(digests) == 1 and (not tags or _repository(tags[0]) in digests)


@dataclass(frozen=True)
class _Conflict:
    error: Conflict
    used: bool


def _conflict(work: _Work, image: Image, *, soft_too: bool, names_too: bool) -> _Conflict | None:
    def conflict(reason: str, *, hard: bool, used: bool = False) -> _Conflict:
        how = "cannot be forced" if hard else "must be forced"
        return _Conflict(Conflict(f"conflict: unable to delete {short(image.id)} ({how}) - {reason}"), used)

    if work.has_children(image):
        return conflict("image has dependent child images", hard=True)
    if use := work.first_use(image, running=True):
        return conflict(f"image is being used by running container {short(use.container)}", hard=True, used=True)
    if not soft_too:
        return None
    if names_too and image.references:
        return conflict("image is referenced in multiple repositories", hard=False)
    if use := work.first_use(image, running=False):
        return conflict(f"image is being used by stopped container {short(use.container)}", hard=False, used=True)
    return None


def _delete(work: _Work, image: Image, *, force: bool, prune: bool, quiet: bool) -> None:
    while True:
        if found := _conflict(work, image, soft_too=not force, names_too=True):
            dangling = not image.references and not work.has_children(image)
            if quiet and (not dangling or found.used):
                return
            raise found.error
        for name in image.references:
            image = work.untag(image, name)
        for one in (*work.cache, image):
            work.delete(one)
        work.cache = ()
        parent = work.images.get(image.parent)
        if not prune or parent is None or parent.id not in work.hidden:
            return
        image, force, quiet = parent, False, True
        if not image.is_cache:
            # Nobody is to see it now who did not before.
            work.cache = cache_on(image, work.images, {use.image for use in work.uses})


def candidates(images: Mapping[str, Image], *, dangling: bool) -> list[tuple[Image, tuple[str, ...]]]:
    """The images that pruning tries to remove, each with what to call it: its names, or its id."""
    inner = between(images)
    found: list[tuple[Image, tuple[str, ...]]] = []
    for image in images.values():
        if image.id in inner and (dangling or not image.references):
            continue
        if not image.references:
            found.append((image, (image.id.removeprefix("sha256:"),)))
        elif not dangling or all("@" in name for name in image.references):
            found.append((image, image.references))
    return found
