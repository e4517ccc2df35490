"""Checks that several exercises have in common."""

from __future__ import annotations

from dockerlab.course.look import Look
from dockerlab.course.model import Check


def runs(name: str, image: str) -> Check:
    """A container of that name runs, made from what now bears the image's name."""

    def lacks(look: Look) -> str | None:
        found = look.container(name)
        if found is None:
            return f"there is no container {name}"
        if found.facts.state != "running":
            return f"{name} is there, but it does not run"
        made = {one.id for one in look.containers(image)}
        return None if found.id in made else f"{name} is not made of the image {image} as it is now"

    return Check(f"a container `{name}` of the image `{image}` runs", lacks)


def is_there(image: str) -> Check:
    """An image of that name is there."""

    def lacks(look: Look) -> str | None:
        return None if look.image(image) else f"there is no image {image}"

    return Check(f"there is an image `{image}`", lacks)


def why_none(look: Look, name: str, image: str) -> str:
    """Why no container of that name runs that is made from what now bears the image's name."""
    found = look.container(name)
    if found is None:
        return f"there is no container {name} yet"
    if found.facts.state != "running":
        return f"{name} is there, but it does not run: `%container logs {name}`"
    return f"{name} was not made from the image {image} as it is now"
