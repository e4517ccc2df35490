"""The verbs on the images that an engine has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import docker.models.images

from dockerlab import reference as references
from dockerlab.client import Client, connect, engine_errors
from dockerlab.dockerfile import nearest
from dockerlab.errors import Conflict, EngineError, InvalidReference, NotFound, UsageError
from dockerlab.images.model import Image, familiar_tags
from dockerlab.images.values import History, Images, ImageView, Inspection, Pruned, Removed

Name = str | docker.models.images.Image  # a reference, an id (also a short one), or an image

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}|sha256:[0-9a-f]{4,}")
_IN_USE = re.compile(r"(?:is being used by|is using its referenced image|image is in use by|image used by|in use by container)")
_SEVERAL_TAGS = re.compile(r"is referenced in multiple repositories|image has \S+ tags|unable to delete .*more than one")


def get(name: Name, *, client: Client | None = None) -> Image:
    """The image of that name. Raises NotFound, which suggests a name that is alike; InvalidReference."""
    client = client or connect()
    asked = identity(name)
    api: Any = client.api
    try:
        with engine_errors(f"look at image '{asked}'", f"image '{asked}'"):
            attrs: dict[str, Any] = api.inspect_image(asked)
    except NotFound as error:
        raise NotFound(error.message, evidence=error.evidence, hint=_advice(asked, client)) from error
    called = None if is_id(asked) else references.parse(asked).familiar
    return Image(attrs, client, called if isinstance(name, str) else getattr(name, "called", None))


def ls(name: str | None = None, all: bool = False, *, client: Client | None = None) -> Images:
    """The images, the newest first.

    name: only those of this repository, or of this reference; `*` and `?` stand for any characters. all: also the steps in between
    that a classic build keeps.
    """
    client = client or connect()
    with engine_errors("list the images"):
        listed = client.api.images(all=all)
    images = [Image(_as_inspected(summary), client) for summary in listed]
    if name is not None:
        images = [image for image in images if any(_matches(tag, name) for tag in image.tags)]
    images.sort(key=lambda image: (-image.attrs["Created"], image.tags))
    return Images(images, name)


def inspect(name: Name, *, client: Client | None = None) -> Inspection:
    """All that the engine says of an image, as a dict. Raises NotFound."""
    image = get(name, client=client)
    return Inspection(image.name, image.attrs)


def history(name: Name, *, client: Client | None = None) -> History:
    """The lines of an image's history, the newest first. Raises NotFound."""
    image = get(name, client=client)
    return History(image.name, image.layers[::-1])


def show(name: Name, *, client: Client | None = None) -> ImageView:
    """What an image is, and its layers with the instruction that made each. Raises NotFound."""
    image = get(name, client=client)
    return ImageView(image, image.layers)


def tag(name: Name, reference: str, *, client: Client | None = None) -> Image:
    """Gives an image one more reference; whatever bore it before loses it. Raises NotFound, InvalidReference."""
    client = client or connect()
    target = references.parse(reference)
    if target.digest or not target.tag:
        raise InvalidReference(
            f"invalid reference '{reference}'", hint="A tag is given by name:tag; a digest follows from the content."
        )
    image = get(name, client=client)
    with engine_errors(f"tag image '{image.name}'", f"image '{image.name}'"):
        client.api.tag(image.id, f"{target.domain}/{target.path}", target.tag)
    return get(target.familiar, client=client)


def rm(names: Name | Iterable[Name], force: bool = False, *, client: Client | None = None) -> Removed:
    """Takes references away; an image without any left is deleted.

    force: also where a container was made from it, and one that is not there is no error; without it nothing is removed unless all
    of `names` are there. Raises NotFound; Conflict where a container uses it.
    """
    client = client or connect()
    wanted = [names] if isinstance(names, str | docker.models.images.Image) else list(names)
    if not wanted:
        raise UsageError("name the images to remove")
    images: list[tuple[str, Image]] = []
    absent: list[str] = []
    for name in wanted:
        try:
            images.append((identity(name), get(name, client=client)))
        except NotFound:
            if not force:
                raise
            absent.append(identity(name))
    untagged: list[str] = []
    deleted: list[str] = []
    for asked, image in images:
        for entry in _remove(asked, image, force, client):
            untagged += [entry["Untagged"]] if entry.get("Untagged") else []
            deleted += [entry["Deleted"]] if entry.get("Deleted") else []
    shown = tuple(image.name if is_id(asked) else references.parse(asked).familiar for asked, image in images)
    return Removed(shown, tuple(untagged), tuple(deleted), tuple(absent))


def prune(all: bool = False, *, client: Client | None = None) -> Pruned:
    """Deletes the images that no container uses: those without a tag; with `all`, those with one too."""
    api: Any = (client or connect()).api
    try:
        with engine_errors("prune images"):
            answer: dict[str, Any] = api.prune_images({"dangling": not all})
    except EngineError as error:
        if "dangling" not in error.message:
            raise
        # Podman 4's Docker API adds a dangling=true of its own.
        hint = "Remove images by name: `%image rm NAME`. `%image prune` removes those without a name."
        raise EngineError("this engine prunes only images without a name", evidence=[error.message], hint=hint) from error
    entries = answer.get("ImagesDeleted") or []
    untagged = tuple(entry["Untagged"] for entry in entries if entry.get("Untagged"))
    deleted = tuple(entry["Deleted"] for entry in entries if entry.get("Deleted"))
    return Pruned(all, untagged, deleted, answer.get("SpaceReclaimed") or 0)


def identity(name: Name) -> str:
    """What an engine knows an image by. Raises InvalidReference for a text that can be neither reference nor id."""
    if isinstance(name, docker.models.images.Image):
        return str(name.id)
    if not is_id(name):
        references.parse(name)
    # Podman takes a shortened id only without its algorithm.
    return name if len(name) > 64 else name.removeprefix("sha256:")


def is_id(name: str) -> bool:
    """Whether a name can only be an id, never a reference."""
    return bool(_ID.fullmatch(name))


def _as_inspected(summary: dict[str, Any]) -> dict[str, Any]:
    """What a list says of an image, where an inspect has it."""
    return summary | {"Config": {"Labels": summary.get("Labels")}}


def _matches(tag: str, wanted: str) -> bool:
    try:
        canonical = references.parse(tag)
    except InvalidReference:
        return fnmatchcase(tag, wanted)
    forms = (canonical.familiar, canonical.familiar_name, canonical.canonical, f"{canonical.domain}/{canonical.path}")
    return any(fnmatchcase(form, wanted) for form in forms)


def _advice(asked: str, client: Client) -> str:
    with engine_errors("list the images"):
        known = [tag for summary in client.api.images() for tag in familiar_tags(summary)]
    near = nearest(asked, [*known, *(tag.removesuffix(":latest") for tag in known)])
    if near:
        return f"Did you mean '{near}'? `%image ls` lists what is there."
    return f"`%image pull {asked}` fetches it; `%image ls` lists what is there."


def _remove(asked: str, image: Image, force: bool, client: Client) -> Sequence[dict[str, str]]:
    try:
        with engine_errors(f"remove image '{image.name}'", f"image '{image.name}'"):
            answer: Sequence[dict[str, str]] = client.api.remove_image(asked, force=force)
            return answer
    except EngineError as error:
        said = " ".join([error.message, *error.evidence])
        if _IN_USE.search(said):
            raise Conflict(
                f"image '{image.name}' is in use by a container",
                evidence=[*error.evidence] or [error.message],
                hint="`%container ps -a` shows which; remove that first, or force it: `%image rm -f …`.",
            ) from error
        if _SEVERAL_TAGS.search(said) or (error.status == 409 and len(image.tags) > 1 and asked not in image.tags):
            raise Conflict(
                f"image '{image.name}' has several names: {', '.join(image.tags)}",
                evidence=[*error.evidence],
                hint="Remove it by one of its names, or all of them by force: `%image rm -f …`.",
            ) from error
        raise
