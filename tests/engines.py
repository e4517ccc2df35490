"""Which engines the tests reach. Nothing here starts one: `make engines` does.

1. DOCKERLAB_TEST_ENGINES, "name=unix:///path other=tcp://…": just these; one that does not answer is an error
2. else those that `make engines` started and that answer
3. else the one that `dockerlab.connect()` finds, as "default"
4. else none: the tests that need one are skipped, with one line that says so
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dockerlab.client import Client, connect
from dockerlab.errors import NoEngine

STARTED = Path("/run/dockerlab-engines")
MAIN = "engine28"
MISSING = "no Docker engine answers: start one, or set up the tests' own with `make engines`"


@dataclass(frozen=True)
class Engine:
    """An engine that answered. url: None for the one that `connect()` finds. is_main: the one that every engine test runs on."""

    name: str
    url: str | None
    is_main: bool = False

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Makes it the engine of this process and its children."""
        with pytest.MonkeyPatch.context() as patch:
            if self.url:
                patch.setenv("DOCKER_HOST", self.url)
                for name in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
                    patch.delenv(name, raising=False)
            yield

    @contextmanager
    def configured(self) -> Iterator[Client]:
        """The same, and gives a client to it."""
        with self.chosen(), closing(connect()) as client:
            yield client


def find(environ: Mapping[str, str], started: Path = STARTED) -> tuple[Engine, ...]:
    """The engines to test on, the main one first. Raises NoEngine for one that is named in `environ` and does not answer."""
    if named := environ.get("DOCKERLAB_TEST_ENGINES"):
        found = [Engine(*_split(item)) for item in named.split()]
        for engine in found:
            connect(engine.url).close()
    else:
        there = [Engine(path.stem, f"unix://{path}") for path in sorted(started.glob("*.sock"))] or [Engine("default", None)]
        found = [engine for engine in there if _answers(engine)]
    found.sort(key=lambda engine: engine.name != MAIN)
    return tuple(replace(engine, is_main=place == 0) for place, engine in enumerate(found))


def _split(item: str) -> tuple[str, str]:
    name, equals, url = item.partition("=")
    if not (name and equals and url):
        raise pytest.UsageError(f"DOCKERLAB_TEST_ENGINES: '{item}' is not of the form name=url")
    return name, url


def _answers(engine: Engine) -> bool:
    try:
        connect(engine.url).close()
    except NoEngine:
        return False
    return True
