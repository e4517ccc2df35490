"""Which unpacked layers containers stand on, by what is on disk: an image may be removed while a container of it is there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dockerlab.engine.home import Home, read_json


def names(home: Home) -> set[str]:
    """The names of the directories that containers have as lowers."""
    found: set[str] = set()
    for config in home.containers.glob("*/config.json"):
        with suppress(
            FileNotFoundError, ValueError, KeyError, TypeError
        ):  # removed meanwhile, or damaged: then nobody can start it
            found |= {Path(lower).name for lower in read_json(config)["root"]["lowers"]}
    return found
