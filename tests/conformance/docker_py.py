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
_SWARM = "starts a swarm"
_PINGS = "ping needs a network of its own"
_ONE = "one user and one group are all that a user namespace without help from root has"
_FOREIGN = "mounts a folder that only the test's user may enter, and the engine is another's"
_SOON = "reads the output of a container that it has just started, and does not wait for its end"
_ASKED = "asks a name server for a container's name; here /etc/hosts knows it"

SUITE = Suite(
    "docker",
    "7.0.0",
    # requests 2.32 is none that it can speak through
    ("pytest >= 8", "pytest-timeout", "requests < 2.32", "websocket-client", "setuptools", "paramiko"),
    tuple(f"tests/integration/{name}_test.py" for name in _FILES),
    # The tests are of an older pytest.
    ("-W", "ignore", "-p", "no:unraisableexception", "-k", "not prune_images and not TestSwarm"),
    tags=dict.fromkeys(("alpine:3.10", "alpine:latest", "hello-world"), "busybox"),
    exceptions={
        "tests.integration.api_build_test.BuildTest.test_build_with_cache_from": "the engine's own cache counts beside --cache-from, as "
        "it does for BuildKit",
        "tests.integration.api_network_test.TestNetworks.test_connect_with_links": _ASKED,
        "tests.integration.api_network_test.TestNetworks.test_create_with_links": _ASKED,
        "tests.integration.api_network_test.TestNetworks.test_create_inspect_network_with_scope": _SWARM,
        "tests.integration.api_network_test.TestNetworks.test_create_network_attachable": _SWARM,
        "tests.integration.api_network_test.TestNetworks.test_create_network_ingress": _SWARM,
        **{
            f"{engine} tests.integration.api_build_test.BuildTest.test_build_with_{name}": _PINGS
            for engine in ("embedded-pod", "embedded-user")
            for name in ("extra_hosts", "network_mode")
        },
        "embedded-user tests.integration.api_container_test.CreateContainerTest.test_group_id": _ONE,
        "embedded-user tests.integration.api_container_test.VolumeBindTest.": _FOREIGN,
        "embedded-user tests.integration.models_containers_test.ContainerCollectionTest.test_run_with_volume": _FOREIGN,
    },
    chances={
        "tests.integration.api_build_test.BuildTest.test_build_out_of_context_": _SOON,
        "tests.integration.api_build_test.BuildTest.test_build_in_context_": _SOON,
    },
)

if __name__ == "__main__":
    sys.exit(compare(SUITE, sys.argv[1:]))
