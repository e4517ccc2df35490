"""Removes from an engine what a test run has made there, and nothing else: what `dockerlab.ledger` has of it.

    before = Before.of(client)
    …                                        the run, with DOCKERLAB_LEDGER set
    cleaned = clean(client, before, ledger.entries(path, client.endpoint.url))

What was there before stays: containers, networks and volumes of the user, images, base images that were there. A tag that the run
gave to another image, or gave away and removed, goes back to the one that had it, if that is still there. What cannot be removed, an
image that somebody's container uses, is told.
A build's cache stays; it is the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Cleaned:
    """removed: what was made and is gone now, one line an item. kept: what could not be removed, each with the engine's reason."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]


def clean(client: Client, before: Before, made: Iterable[Entry]) -> Cleaned:
    """Removes what was made since `before`. Raises EngineGone."""
    entries = list(made)
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
        for entry in entries:
            if entry.kind == kind:
                attempt(f"{kind} {entry.name}", lambda act=remove, name=entry.name: act(client, before, name))  # type: ignore[misc]
    return Cleaned(tuple(removed), tuple(kept))


# Each gives what it has removed, for people; None where there was nothing to do.


def _container(client: Client, before: Before, identity: str) -> str:
    name = str(client.api.inspect_container(identity)["Name"]).lstrip("/")
    client.api.remove_container(identity, force=True, v=True)
    return f"container {name}"


def _network(client: Client, before: Before, identity: str) -> str:
    name = client.api.inspect_network(identity)["Name"]
    client.api.remove_network(identity)
    return f"network {name}"


def _volume(client: Client, before: Before, name: str) -> str | None:
    if name in before.volumes:
        return None
    client.api.inspect_volume(name)
    client.api.remove_volume(name)
    return f"volume {name}"


def _tag(client: Client, before: Before, tag: str) -> str | None:
    was = before.tags.get(tag)
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


def _image(client: Client, before: Before, identity: str) -> str | None:
    """One that has no tag: what has one by now is somebody else's."""
    if _id(identity) in before.images or images.get(identity, client=client).tags:
        return None
    client.api.remove_image(_id(identity))
    return f"image {_id(identity)[:12]}"


def _id(identity: str) -> str:
    """Podman has no algorithm before it."""
    return identity.removeprefix("sha256:")
