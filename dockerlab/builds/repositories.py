"""What an engine says of a git repository that it cannot fetch (`ADD https://….git`, `--build-context lib=https://….git`). Pure.

trouble("unknown scheme git: not found", ())         Trouble(what, evidence, hint), or None where the words are about something else
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

SOURCE: Final = "load git source "  # how the step of one begins that a named context is

_NO_GIT: Final = re.compile(r"\bunknown scheme git\b")
_NO_REF: Final = re.compile(r"\brepository does not contain ref (.+?), output:")
_NO_FETCH: Final = re.compile(r"\berror fetching default branch for repository\b|\bfailed to fetch remote\b|\bgit stderr:")
_REASON: Final = re.compile(r"^(?:fatal|error|remote): .+", re.MULTILINE)
_LISTED: Final = 3


class Trouble(NamedTuple):
    """what: in a sentence, without the address. evidence: what the engine, and git, say. hint: what to do."""

    what: str
    evidence: tuple[str, ...]
    hint: str


def trouble(said: str, output: Sequence[str]) -> Trouble | None:
    """said: why the build failed. output: what the step printed, which is git's own."""
    first = said.splitlines()[0] if said else ""
    told = (f"the engine says: {first}",)
    if _NO_GIT.search(first):
        hint = "Install git where the engine runs, and start the engine again; or clone the repository into the build context."
        return Trouble("the engine has no git, and cannot fetch a repository", told, hint)
    if match := _NO_REF.search(first):
        hint = "Behind the # stands a branch, a tag or a commit, and after a colon a folder: ….git#v1.2:docs"
        return Trouble(f"the repository has no '{match[1]}'", told, hint)
    if _NO_FETCH.search(first):
        reasons = _REASON.findall("\n".join((*output, *said.splitlines()[1:])))
        hint = "The engine fetches it, not this machine: is the address right, and reachable from there?"
        return Trouble("the engine cannot fetch the repository", tuple(dict.fromkeys(reasons))[:_LISTED] or told, hint)
    return None
