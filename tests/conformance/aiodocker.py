"""aiodocker's own tests: `.venv/bin/python -m tests.conformance.aiodocker [NAME=URL …]`, see `suite`."""

from __future__ import annotations

import sys

from tests.conformance.suite import REGISTRY, Suite, compare

# Those of Swarm run Docker in Docker, which no registry gives here; those of ssh speak to no engine.
_FILES = ("containers", "context", "docker_close", "events", "execs", "images", "integration", "networks", "system", "volumes")

SUITE = Suite(
    "aiodocker",
    "0.27.0",
    ("pytest >= 9", "pytest-asyncio >= 1.3", "pytest-timeout", "testcontainers", "async-timeout", "packaging", "docker"),
    tuple(f"tests/test_{name}.py" for name in _FILES),
    # Connections that aiodocker leaves to the garbage collector are blamed on whichever test runs then. The tests are of an older
    # pytest-asyncio. Of those left out, two pull from Docker Hub first, two count on what other builds have left.
    (
        "-p",
        "no:unraisableexception",
        "-W",
        "ignore:The configuration option:pytest.PytestDeprecationWarning",
        "-k",
        "not test_pull_image_stream and not test_pups_image_auth and not test_prune_images",
    ),
    tags={"python:3.13-alpine": "python:3.10", "python:3.14-alpine": "python:3.10", "registry:2": REGISTRY},
    environment={"TESTCONTAINERS_RYUK_DISABLED": "true"},  # an image that must be pulled
)

if __name__ == "__main__":
    sys.exit(compare(SUITE, sys.argv[1:]))
