"""Engines of containers for the tests here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.engine.runtime.probe import probe
from tests.embedded.containing import Client, Engine, temporary_engine
from tests.embedded.overlaying import Place
from tests.embedded.supervised import SOMEBODY, box


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Path]]:
    """One engine for all tests."""
    if probe(tmp_path_factory.mktemp("probe")).isolation != "namespaces":
        pytest.skip("namespaces or overlay mounts are not allowed here")
    with temporary_engine() as served:
        yield served


@pytest.fixture
def inside(served: tuple[Engine, Path]) -> Engine:
    """The engine itself, for what the API does not show."""
    return served[0]


@pytest.fixture
def api(served: tuple[Engine, Path]) -> Iterator[Client]:
    """A client to an engine without containers; they are removed after the test."""
    engine, path = served
    yield Client(path)
    engine.clear()


@pytest.fixture(params=[0, SOMEBODY], ids=["root", "somebody"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A home for overlays, of root's and of somebody's."""
    uid = int(request.param)
    if os.geteuid() != 0:
        if uid == 0:
            pytest.skip("needs root")
        uid = os.geteuid()
    with box(uid) as made:
        yield Place(made.home, uid)
