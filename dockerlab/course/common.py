"""Checks that several exercises have in common."""

from __future__ import annotations

import secrets
from collections.abc import Callable

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


def shows(image: str, port: int, path: Callable[[Look], str], wants: str, after: Check) -> Check:
    """A container of the image, started for this alone, answers with what is in a file of it: words that the image cannot have known."""

    def lacks(look: Look) -> str | None:
        found = look.image(image)
        if found is None:
            return f"there is no image {image}"
        words, file = f"a line of {secrets.token_hex(8)}", path(look)
        with look.trial(found, port) as container:
            if container is None:
                return f"started, it does not answer at port {port}: `%container run --rm {image}` shows what it says"
            look.write(container, file, f"{words}\n")
            page = look.page(container, port)
        if page is None or page.status != 200:
            return f"started, it answers with {page.status if page else 'nothing'}"
        return None if words in page.text else f"its page does not show what is in {file}"

    return Check(wants, lacks, after)


def why_none(look: Look, name: str, image: str) -> str:
    """Why no container of that name runs that is made from what now bears the image's name."""
    found = look.container(name)
    if found is None:
        return f"there is no container {name} yet"
    if found.facts.state != "running":
        return f"{name} is there, but it does not run: `%container logs {name}`"
    return f"{name} was not made from the image {image} as it is now"
