"""The instructions of the Dockerfile reference, each with what it does in one line; and the nearest match to a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

INSTRUCTIONS: tuple[tuple[str, str], ...] = (
    ("ADD", "copy files, archives or URLs into the image"),
    ("ARG", "a variable of the build"),
    ("CMD", "what a container runs, unless told otherwise"),
    ("COPY", "copy files of the build context or of another stage"),
    ("ENTRYPOINT", "the program that a container runs, CMD being its arguments"),
    ("ENV", "an environment variable"),
    ("EXPOSE", "a port that the program listens on"),
    ("FROM", "the image to start from; begins a stage"),
    ("HEALTHCHECK", "how to find out whether a container is well"),
    ("LABEL", "a note about the image"),
    ("MAINTAINER", "an old form of a label"),
    ("ONBUILD", "an instruction for images that build upon this one"),
    ("RUN", "run a command and keep the files that it makes"),
    ("SHELL", "the shell that RUN, CMD and ENTRYPOINT use"),
    ("STOPSIGNAL", "the signal that stops a container"),
    ("USER", "the user that what follows runs as"),
    ("VOLUME", "a folder that is kept apart from the container"),
    ("WORKDIR", "the folder in which what follows happens"),
)


def suggestion(keyword: str) -> str | None:
    """The instruction that an unknown keyword most likely stands for, FROM for FORM; None for a known one, or if none is near."""
    known = [name for name, _ in INSTRUCTIONS]
    return None if keyword.upper() in known else nearest(keyword, known)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that `word` most likely stands for, whatever its case; None if none is near."""
    known = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return known[close[0]] if close else None
