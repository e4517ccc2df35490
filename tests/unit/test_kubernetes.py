"""What Kubernetes is handed: objects that its API's published schema takes, for every configuration that an image may have."""

from __future__ import annotations

from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from dockerlab.errors import UsageError
from dockerlab.image import kubernetes

# The oldest that is still looked after, and the newest that the schemas are there for.
VERSIONS = ("1.33", kubernetes_validate.latest_version())
_PORTS = some.lists(
    some.builds(kubernetes.Port, some.integers(1, 65535), some.sampled_from(["TCP", "UDP", "SCTP"])), min_size=1, unique=True
)


def fits(*objects: dict[str, Any]) -> None:
    for version in VERSIONS:
        for one in objects:
            assert kubernetes_validate.validate(one, version, strict=True).startswith(".".join(version.split(".")[:2]))


@given(
    ports=_PORTS,
    replicas=some.integers(0, 1000),
    kind=some.sampled_from(kubernetes.SERVICE_TYPES),
    architecture=some.sampled_from(["", "amd64", "arm64"]),
)
def test_the_published_schema_takes_them(ports: list[kubernetes.Port], replicas: int, kind: str, architecture: str) -> None:
    made = kubernetes.manifests(
        "app", "registry.example/app:1", ports, replicas=replicas, service_type=kind, architecture=architecture
    )
    fits(*made)
    assert list(yaml.safe_load_all(kubernetes.as_yaml(*made))) == list(made)
    assert "&id" not in kubernetes.as_yaml(*made)


def test_the_service_finds_the_replicas() -> None:
    deployment, service = kubernetes.manifests("app", "app:1", [kubernetes.Port(53, "UDP"), kubernetes.Port(5000)], replicas=3)
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    container = template["spec"]["containers"][0]
    assert (
        [one["targetPort"] for one in service["spec"]["ports"]]
        == [one["containerPort"] for one in container["ports"]]
        == [53, 5000]
    )
    assert container["readinessProbe"] == {"tcpSocket": {"port": 5000}}  # UDP cannot be asked so


def test_what_the_schema_does_not_take_is_found() -> None:
    deployment, _ = kubernetes.manifests("app", "app:1", [kubernetes.Port(5000)])
    deployment["spec"]["replicas"] = "three"
    with pytest.raises(kubernetes_validate.ValidationError):
        fits(deployment)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("localhost:5000/team/My_App", "my-app"),
        ("app", "app"),
        ("2048", None),
        ("42-cats.x", "cats-x"),
        ("a" * 80, "a" * 63),
        ("x/-", None),
    ],
)
def test_names(text: str, name: str | None) -> None:
    if name is None:
        with pytest.raises(UsageError, match="gives no name"):
            kubernetes.name(text)
    else:
        assert kubernetes.checked_name(kubernetes.name(text)) == name


@given(some.text())
def test_a_name_that_is_made_is_one_that_is_taken(text: str) -> None:
    try:
        made = kubernetes.name(text)
    except UsageError:
        return
    assert kubernetes.checked_name(made) == made


@pytest.mark.parametrize("text", ["", "App", "a_b", "1a", "-a", "a-", "a" * 64, "a\n"])
def test_names_that_are_not_taken(text: str) -> None:
    with pytest.raises(UsageError, match="takes no name"):
        kubernetes.checked_name(text)


@pytest.mark.parametrize("given", ["0", "65536", "http", "80/icmp", "", "-1", "80/tcp/udp", "²"])
def test_no_ports(given: str) -> None:
    with pytest.raises(UsageError, match="is no port"):
        kubernetes.port(given)


def test_ports_that_are_exposed() -> None:
    assert kubernetes.exposed({"ExposedPorts": {"5000/tcp": {}, "53/udp": {}}}) == (
        kubernetes.Port(53, "UDP"),
        kubernetes.Port(5000),
    )
    assert kubernetes.exposed({"ExposedPorts": None}) == ()
