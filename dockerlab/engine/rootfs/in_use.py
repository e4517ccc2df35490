"""Which unpacked layers containers stand on, by what is on disk: an image may be removed while a container of it is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dockerlab.engine import journal
from dockerlab.engine.home import Home

_RUN = ("running", "paused", "restarting")


@dataclass(frozen=True)
class Standing:
    """A container. lowers: the names of the directories that it stands on; layers: the chain ids of its image's layers."""

    id: str
    name: str
    kind: str
    lowers: tuple[str, ...]
    layers: tuple[str, ...]
    runs: bool


def containers(home: Home) -> Iterator[Standing]:
    """All whose record can be read; one that is damaged nobody can start."""
    for record in sorted(home.containers.glob("*/record.jsonl")):
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):  # removed meanwhile, or damaged
            found = journal.read(record)
            yield Standing(
                record.parent.name,
                str(found.get("name", "")),
                str(found["root"]["kind"]),
                tuple(Path(lower).name for lower in found["root"]["lowers"]),
                tuple(found.get("layers", ())),
                found.get("state", {}).get("status") in _RUN,
            )


def names(home: Home) -> set[str]:
    """The names of the directories that containers have as lowers."""
    return {lower for container in containers(home) for lower in container.lowers}
