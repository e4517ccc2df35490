"""Checks that several exercises have in common."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from dockerlab.course.look import Look
from dockerlab.course.model import Check
from dockerlab.images import Image

_FLASK = "import flask; assert flask.Flask('trial').test_client().get('/').status_code == 404"


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


def shows(find: Callable[[Look], Image | None], port: int, path: Callable[[Look], str], wants: str, after: Check) -> Check:
    """A container of the image, started for this alone, has a Flask that works, and answers with what is in a file of it: words that the
    image cannot have known. find: the image. path: of the file."""

    def lacks(look: Look) -> str | None:
        image = find(look)
        if image is None:
            return "the image is gone"
        words, file = f"a line of {secrets.token_hex(8)}", path(look)
        with look.trial(image, port) as container:
            if container is None:
                return f"started, it does not answer at port {port}: does it run the app, and for all addresses?"
            if all(look.run(container, program, "-c", _FLASK).exit_code for program in ("python", "python3")):
                return "what is called Flask in it does not work"
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
