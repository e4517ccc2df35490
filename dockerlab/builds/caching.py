"""Caches besides the engine's own: where a build's cache goes to (`--cache-to`), and which stages do without (`--no-cache-filter`). Pure.

    CacheTo.of("type=inline")                                    with the image, for a later --cache-from of it
    CacheTo.of("type=registry,ref=registry:5000/app:cache")      alone, where the engine can
    check_stages(["build"], dockerfile)

Follows docker/buildx (util/buildflags/cache.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dockerlab.builds.fields import cut, pairs
from dockerlab.dockerfile import Dockerfile, stages
from dockerlab.errors import UsageError

FLAG: Final = "--cache-to"
FILTER: Final = "--no-cache-filter"
INLINE: Final = "inline"
ARGUMENT: Final = "BUILDKIT_INLINE_CACHE"  # of a build: the same as type=inline

_REGISTRY: Final = "registry"
_EXAMPLE: Final = "type=inline"
_TRUE: Final = ("1", "t", "true")


@dataclass(frozen=True)
class CacheTo:
    """type: "inline" or "registry". attributes: for the engine."""

    type: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> CacheTo:
        """Of a text of `--cache-to`. Raises UsageError."""
        if text and cut(FLAG, text, _EXAMPLE) == [text] and "=" not in text:
            return cls(_REGISTRY, {"ref": text})
        attributes = dict(pairs(FLAG, text, _EXAMPLE))
        kind = attributes.pop("type", "")
        if kind not in (INLINE, _REGISTRY):
            what = f"there is no type '{kind}' here" if kind else "it has no type"
            hint = f"{FLAG} type=inline puts the cache into the image; type=registry,ref=NAME pushes it, where the engine can."
            raise UsageError(f"{FLAG}: {what}; there are {INLINE} and {_REGISTRY}", hint=hint)
        if kind == _REGISTRY and not attributes.get("ref"):
            raise UsageError(
                f"{FLAG} type=registry needs ref=…", hint=f"For example: {FLAG} type=registry,ref=registry:5000/app:cache"
            )
        return cls(kind, attributes)


def is_inline(arguments: Mapping[str, str | None]) -> bool:
    """Whether a build's arguments ask for it."""
    return str(arguments.get(ARGUMENT) or "").lower() in _TRUE


def refusal(said: str) -> UsageError | None:
    """The error for an engine that says it has no such cache; None where it says something else."""
    if 'unknown cache exporter: "' not in said:
        return None
    hint = "Its containerd image store has (`docker info`). Here: --cache-to type=inline, push the image, and --cache-from it."
    return UsageError("this engine cannot write --cache-to type=registry", evidence=[f"the engine says: {said}"], hint=hint)


def check_stages(names: Iterable[str], dockerfile: Dockerfile) -> None:
    """Raises UsageError for a name that is no stage's: an engine passes over it."""
    found = [stage.name for stage in stages(dockerfile) if stage.name]
    for name in names:
        if name.lower() not in (one.lower() for one in found):
            hint = f"Those with a name are {', '.join(found)}." if found else "No stage of it has a name: FROM image AS name."
            raise UsageError(f"{FILTER} '{name}': the Dockerfile has no such stage", hint=hint)
