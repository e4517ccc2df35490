"""The endpoints of the Docker Engine API: each module's `ROUTES`, in one table. `unsupported` is last: it holds what is left."""

from __future__ import annotations

from importlib import import_module

from dockerlab.engine.http.types import Route

MODULES = (
    "system",
    "events",
    "registry",
    "images",
    "build",
    "session",
    "containers",
    "streams",
    "observation",
    "exec",
    "archive",
    "volumes",
    "networks",
    "unsupported",
)


def routes() -> tuple[Route, ...]:
    """All endpoints that the engine answers."""
    found: list[Route] = []
    for name in MODULES:
        found += import_module(f"dockerlab.engine.api.{name}").ROUTES
    return tuple(found)
