"""Removes from an engine what a test run has made there, and nothing else: what `dockerlab.ledger` has of it.

    before = Before.of(client)
    …                                        the run, with DOCKERLAB_LEDGER set
    made = [Made(entry, before) for entry in ledger.entries(path, client.endpoint.url)]
    cleaned = clean(client, made)

What was there before stays: containers, networks and volumes of the user, images, base images that were there. A tag that the run
gave to another image, or gave away and removed, goes back to the one that had it, if that is still there. What cannot be removed, an
image that somebody's container uses, is told.
A build's cache stays; it is the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dockerlab import images
from dockerlab.client import Client, engine_errors
from dockerlab.errors import EngineError, NotFound
from dockerlab.ledger import Entry


@dataclass(frozen=True)
class Before:
    """What an engine had: tags (familiar form → image id), ids of images, names of volumes."""

    tags: Mapping[str, str]
    images: frozenset[str]
    volumes: frozenset[str]

    @classmethod
    def of(cls, client: Client) -> Before:
        """What it has now. Raises EngineError, EngineGone."""
        found = images.ls(all=True, client=client)
        with engine_errors("list the volumes"):
            volumes = client.api.volumes()["Volumes"] or ()
        return cls(
            {tag: _id(str(image.id)) for image in found for tag in image.tags},
            frozenset(_id(str(image.id)) for image in found),
            frozenset(str(volume["Name"]) for volume in volumes),
        )

    def to_json(self) -> dict[str, Any]:
        """For `from_json`, of another process."""
        return {"tags": dict(self.tags), "images": sorted(self.images), "volumes": sorted(self.volumes)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Before:
        """What `to_json` gave."""
        return cls(said["tags"], frozenset(said["images"]), frozenset(said["volumes"]))


@dataclass(frozen=True)
class Made:
    """What a run made. before: what the engine had then. until: seconds since 1970, after which it may have become the user's; None for
    a run that ends just now.
    """

    entry: Entry
    before: Before
    until: float | None = None


@dataclass(frozen=True)
class Cleaned:
    """removed: what was made and is gone now, one line an item. kept: what could not be removed, each with the engine's reason."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]


def clean(client: Client, made: Iterable[Made]) -> Cleaned:
    """Removes what was made. Raises EngineGone."""
    all_of_it = list(made)
    removed: list[str] = []
    kept: list[str] = []

    def attempt(what: str, remove: Callable[[], str | None]) -> None:
        try:
            with engine_errors(f"remove {what}", what):
                done = remove()
        except NotFound:
            return  # the notebook has tidied up
        except EngineError as error:
            kept.append("; ".join((error.message, *error.evidence)))
        else:
            removed.extend([done] if done else [])

    for kind, remove in (("container", _container), ("network", _network), ("volume", _volume), ("tag", _tag), ("image", _image)):
        for one in all_of_it:
            if one.entry.kind == kind:
                attempt(f"{kind} {one.entry.name}", lambda act=remove, made=one: act(client, made))  # type: ignore[misc]
    return Cleaned(tuple(removed), tuple(kept))


# Each gives what it has removed, for people; None where there was nothing to do.


def _container(client: Client, made: Made) -> str:
    identity = made.entry.name
    name = str(client.api.inspect_container(identity)["Name"]).lstrip("/")
    client.api.remove_container(identity, force=True, v=True)
    return f"container {name}"


def _network(client: Client, made: Made) -> str:
    identity = made.entry.name
    name = client.api.inspect_network(identity)["Name"]
    client.api.remove_network(identity)
    return f"network {name}"


def _volume(client: Client, made: Made) -> str | None:
    name = made.entry.name
    if name in made.before.volumes:
        return None
    client.api.inspect_volume(name)
    if made.until is not None:
        raise EngineError(f"volume {name} of a run that was killed: by now there may be something of yours in it")
    client.api.remove_volume(name)
    return f"volume {name}"


def _tag(client: Client, made: Made) -> str | None:
    tag = made.entry.name
    was = made.before.tags.get(tag)
    if made.until is not None and not _is_older(client, tag, made.until):
        raise EngineError(f"image {tag}, a tag of a run that was killed: by now it may be yours")
    if was is None:
        images.get(tag, client=client)
        client.api.remove_image(tag)
        return f"image {tag}"
    try:
        if was == _id(str(images.get(tag, client=client).id)):
            return None
        done = f"image {tag}, in whose place is the one again that was there"
    except NotFound:
        done = f"nothing of image {tag}, which is again the one that was there"
    try:
        images.tag(was, tag, client=client)
    except NotFound as error:
        raise EngineError(f"cannot give {tag} back to the image that had it: the run has removed that one") from error
    return done


def _is_older(client: Client, tag: str, moment: float) -> bool:
    """Whether the engine says that a tag was given before that moment; Podman does not say when. Raises NotFound."""
    with engine_errors("look at the image", tag):
        api: Any = client.api
        said = str((api.inspect_image(tag).get("Metadata") or {}).get("LastTagTime") or "")
    try:
        given = datetime.fromisoformat(said)
    except ValueError:
        return False
    return given.year > 1 and given.timestamp() <= moment


def _image(client: Client, made: Made) -> str | None:
    """One that has no tag: what has one by now is somebody else's."""
    identity = made.entry.name
    if _id(identity) in made.before.images or images.get(identity, client=client).tags:
        return None
    client.api.remove_image(_id(identity))
    return f"image {_id(identity)[:12]}"


def _id(identity: str) -> str:
    """Podman has no algorithm before it."""
    return identity.removeprefix("sha256:")
