"""What networks and volumes have in common: an engine keeps them by name, and lists, gives and removes them.

A network's and a volume's own part is in `networks` and `volumes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dockerlab.client import Client, engine_errors
from dockerlab.errors import Conflict, EngineError, NotFound, UsageError
from dockerlab.faces import named
from dockerlab.faces.named import Thing
from dockerlab.faces.shown import Shown


@dataclass(frozen=True, repr=False)
class Belonging(Shown):
    """One of them. name: its own. containers: the names of those that have it, by the alphabet. attrs: what the engine says of it."""

    name: str
    containers: tuple[str, ...]
    attrs: dict[str, Any]

    @property
    def thing(self) -> Thing:
        """What is shown of it."""
        raise NotImplementedError

    def _text(self) -> str:
        return named.text(self.thing)

    def _table(self) -> str:
        return named.table([self.thing])

    def _html(self) -> str:
        return named.html([self.thing])


One = TypeVar("One", bound=Belonging)


class Listed(Shown, list[One], Generic[One]):
    """Some of them, by the alphabet. empty: what to say where there are none."""

    def __init__(self, found: Iterable[One], empty: str) -> None:
        super().__init__(sorted(found, key=lambda one: one.name))
        self._empty = empty

    def _text(self) -> str:
        return named.texts([one.thing for one in self], self._empty)

    def _table(self) -> str:
        return named.table([one.thing for one in self], self._empty)

    def _html(self) -> str:
        return named.html([one.thing for one in self], self._empty)


@dataclass(frozen=True, repr=False)
class Removed(Shown):
    """What was removed. kind: "network" or "volume". absent: what `force` asked for and was not there."""

    kind: str
    names: tuple[str, ...]
    absent: tuple[str, ...] = ()

    def _text(self) -> str:
        return "\n".join(named.removed_lines(self.kind, self.names, self.absent))

    def _table(self) -> str:
        return self._text()

    def _html(self) -> str:
        return named.removed_html(self.kind, self.names, self.absent)


def checked(kind: str, name: str) -> str:
    """`name`, if it can be one at all. Raises UsageError."""
    if name in ("", ".", "..") or "/" in name:  # a path with those is another
        raise UsageError(f"'{name}' is no name for a {kind}", hint="Letters, digits, `_`, `.` and `-`.")
    return name


def found(kind: str, name: str, inspect: Callable[[str], Any]) -> dict[str, Any]:
    """What the engine says of the one of just that name. Engines take the beginning of a name or an id for it. Raises NotFound."""
    missing, hint = f"{kind} '{checked(kind, name)}'", f"`%{kind} ls` shows those that there are."
    with engine_errors(f"look up {missing}", missing, hint):
        attrs: dict[str, Any] = inspect(name)
    if attrs.get("Name") != name:
        raise NotFound(f"no such {missing}", evidence=[f"one begins so: {attrs.get('Name')}"], hint=hint)
    return attrs


def removed(
    kind: str,
    names: str | Iterable[str],
    force: bool,
    client: Client,
    uses: Callable[[dict[str, Any]], Iterable[str]],
    inspect: Callable[[str], Any],
    remove: Callable[[str], object],
) -> Removed:
    """Removes them one by one, after all of them were looked up. uses: as of `users`.

    Raises NotFound, unless forced; Conflict for one that a container has.
    """
    wanted: Sequence[str] = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    there: list[str] = []
    absent: list[str] = []
    for name in wanted:
        try:
            found(kind, name, inspect)
        except NotFound:
            if not force:
                raise
            absent.append(name)
        else:
            there.append(name)
    for name in there:
        try:
            with engine_errors(f"remove {kind} '{name}'", f"{kind} '{name}'"):
                remove(name)
        except EngineError as error:
            containers = users(client, uses).get(name)
            if not containers:
                raise
            hint = f"Remove what has it first: `%container rm -f {' '.join(containers)}`."
            raise Conflict(f"{kind} '{name}' is in use by {', '.join(containers)}", hint=hint) from error
    return Removed(kind, tuple(there), tuple(absent))


def users(client: Client, uses: Callable[[dict[str, Any]], Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """name → the containers that have it, running or not. uses: of a container in the engine's list, the names of what it has."""
    having: dict[str, set[str]] = {}
    with engine_errors("list the containers"):
        listed = client.api.containers(all=True)
    for one in listed:
        for name in uses(one):
            having.setdefault(name, set()).add(str((one.get("Names") or ["?"])[0]).lstrip("/"))
    return {name: tuple(sorted(containers)) for name, containers in having.items()}
