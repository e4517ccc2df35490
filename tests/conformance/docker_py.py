"""docker-py's own tests: `.venv/bin/python -m tests.conformance.docker_py [NAME=URL …]`, see `suite`.

Of 7.0.0, whose source distribution is the last that has them.
"""

from __future__ import annotations

import sys

from tests.conformance.suite import Suite, compare

# Those left out are of Swarm, services, secrets, configs, plugins, and of what is no engine: contexts, credential helpers.
_FILES = (
    "api_build", "api_client", "api_container", "api_exec", "api_healthcheck", "api_image", "api_network", "api_volume", "client",
    "errors", "models_containers", "models_images", "models_networks", "models_resources", "models_volumes", "regression",
)  # fmt: skip

SUITE = Suite(
    "docker",
    "7.0.0",
    # requests 2.32 is none that it can speak through
    ("pytest >= 8", "pytest-timeout", "requests < 2.32", "websocket-client", "setuptools", "paramiko"),
    tuple(f"tests/integration/{name}_test.py" for name in _FILES),
    # The tests are of an older pytest.
    ("-W", "ignore", "-p", "no:unraisableexception", "-k", "not prune_images and not TestSwarm"),
    tags=dict.fromkeys(("alpine:3.10", "alpine:latest", "hello-world"), "busybox"),
)

if __name__ == "__main__":
    sys.exit(compare(SUITE, sys.argv[1:]))
