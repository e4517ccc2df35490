"""Which containers there are: by id, name, and the beginning of an id. Thread-safe."""

from __future__ import annotations

import threading

from dockerlab.engine import timestamps
from dockerlab.engine.containers.container import Container
from dockerlab.errors import Conflict, NotFound, UsageError


class Index:
    """Names are reserved before a container is there, so that two that are created at once cannot have the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._containers: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self._coming: dict[str, set[str]] = {}

    def all(self) -> list[Container]:
        """The newest first."""
        with self._lock:
            found = list(self._containers.values())
        return sorted(found, key=lambda one: timestamps.nanoseconds(one.record.created), reverse=True)

    def get(self, name: str) -> Container:
        """By id, name, or the beginning of an id that no other has. Raises NotFound, UsageError."""
        if found := self.find(name):
            return found
        raise NotFound(f"No such container: {name}")

    def find(self, name: str) -> Container | None:
        """As `get`, None where there is none. Raises UsageError for the beginning of several ids."""
        with self._lock:
            if found := self._containers.get(name):
                return found
            identifier = self._names.get(name.removeprefix("/"))
            if identifier in self._containers:
                return self._containers[identifier]
            matches = [one for identifier, one in self._containers.items() if name and identifier.startswith(name)]
        if len(matches) > 1:
            raise UsageError(f"multiple IDs found with provided prefix: {name}")
        return matches[0] if matches else None

    def reserve(self, name: str, identifier: str) -> None:
        """Takes a name. Raises Conflict with Docker's words."""
        with self._lock:
            owner = self._names.setdefault(name, identifier)
        if owner != identifier:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )

    def release(self, name: str, identifier: str) -> None:
        """Frees a name; one that belongs to another is left alone."""
        with self._lock:
            if self._names.get(name) == identifier:
                del self._names[name]

    def expect(self, identifier: str, *needed: str) -> None:
        """A container that is being made will need a volume, an image, its layers: nobody is to remove them meanwhile."""
        with self._lock:
            self._coming.setdefault(identifier, set()).update(needed)

    def expect_no_more(self, identifier: str) -> None:
        """The container is there, or will never be."""
        with self._lock:
            self._coming.pop(identifier, None)

    def coming(self) -> dict[str, set[str]]:
        """What containers that are being made will need, by their ids."""
        with self._lock:
            return {identifier: set(needed) for identifier, needed in self._coming.items()}

    def add(self, container: Container) -> None:
        """A container whose name is reserved."""
        with self._lock:
            self._containers[container.id] = container

    def discard(self, container: Container) -> None:
        """Forgets a container and its name."""
        self.release(container.name, container.id)
        with self._lock:
            self._containers.pop(container.id, None)
