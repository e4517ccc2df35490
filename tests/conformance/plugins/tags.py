"""A pytest plugin for other people's tests: before each, the names of images that they use are given to stand-ins.

Before each, because there are tests that remove the image that the next one runs.
"""

from __future__ import annotations

import contextlib
import json
import os

import docker
import docker.errors


def pytest_runtest_setup() -> None:
    """Tags what CONFORMANCE_TAGS names: JSON, wanted name → existing one."""
    client = docker.from_env()
    try:
        for wanted, existing in json.loads(os.environ["CONFORMANCE_TAGS"]).items():
            client.images.get(existing).tag(wanted)
    finally:
        client.close()


def pytest_sessionfinish() -> None:
    """Takes the names away again: an image that has several is removed by one of them without a question."""
    client = docker.from_env()
    try:
        for wanted in json.loads(os.environ["CONFORMANCE_TAGS"]):
            with contextlib.suppress(docker.errors.APIError):
                client.images.remove(wanted)
    finally:
        client.close()
