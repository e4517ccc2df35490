"""Two images, compared: files, sizes, configuration. Pure.

    Comparison.of(files, others, config, other_config)

A file that is in both differs if its kind, size, mode, owner, target or bytes do. Of a configuration each variable, label, port and
volume counts by itself; a key that is empty is as good as none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dockerlab.image.changes import Changed
from dockerlab.image.files import File

_OUTSIDE = ("architecture", "os", "variant")
_MEMBERS = ("Labels", "ExposedPorts", "Volumes")
_BUILDERS = ("Hostname", "Image")  # what a builder notes of its own last container: another one in each build


class Setting(NamedTuple):
    """What a configuration says in either image, as text; None where it says nothing."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """From one image to another. files: what differs, in the order of paths, seen from the first: "added" is in the second alone.

    before, after: bytes of each one's files.
    """

    files: tuple[Changed, ...]
    settings: tuple[Setting, ...]
    before: int
    after: int

    @classmethod
    def of(
        cls,
        files: Mapping[str, File],
        others: Mapping[str, File],
        config: Mapping[str, Any],
        other_config: Mapping[str, Any],
    ) -> Comparison:
        """files, config: of the first image; config as the image has it, with its `config` in it."""
        changed = [Changed(path, "removed", None, file) for path, file in files.items() if path not in others]
        for path, file in others.items():
            old = files.get(path)
            if old is None or not file.same(old):
                changed.append(Changed(path, "added" if old is None else "modified", file, old))
        changed.sort(key=lambda change: change.path.split("/"))
        one, other = settings(config), settings(other_config)
        names = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
        return cls(
            tuple(changed),
            tuple(Setting(name, one.get(name), other.get(name)) for name in names),
            sum([file.size for file in files.values()]),
            sum([file.size for file in others.values()]),
        )


def settings(config: Mapping[str, Any]) -> dict[str, str]:
    """What an image's config says, key by key."""
    found: dict[str, Any] = {key: config.get(key) for key in _OUTSIDE}
    inner = config.get("config")
    for key, value in (inner if isinstance(inner, dict) else {}).items():
        if key == "Env" and isinstance(value, list):
            for variable in value:
                name, _, text = str(variable).partition("=")
                found[f"Env {name}"] = text
        elif key in _BUILDERS:
            continue
        elif key in _MEMBERS and isinstance(value, dict):
            found |= {f"{key} {name}": text or "set" for name, text in value.items()}
        else:
            found[key] = value
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
        for name, value in found.items()
        if value or (value == "" and name.startswith("Env "))
    }
