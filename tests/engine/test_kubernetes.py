"""`%image kubernetes`: from an image of an engine to what a cluster is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from dockerlab import images
from dockerlab.builds import build
from dockerlab.client import Client
from dockerlab.errors import ArchiveError, NotFound, UsageError
from dockerlab.testing.shell import Shell
from tests.embedded.registries import docker_registry


@pytest.fixture
def shell(client: Client) -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


@pytest.fixture
def app(client: Client, prefix: str) -> str:
    """Its port is said by EXPOSE."""
    build("FROM busybox\nEXPOSE 5000", tag=f"{prefix}app:1", client=client)
    return f"{prefix}app:1"


def test_the_magic_shows_and_writes_it(shell: Shell, client: Client, app: str, tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    ran = shell.run(f"%image kubernetes {app} --replicas 3 --name app -o {file}")
    assert ran.displays[-1]["text/plain"] == "Deployment app of 3 replicas, and Service app on port 5000"
    assert "kubectl apply -f app.yaml" in ran.displays[-1]["text/html"]
    deployment, service = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    for one in (deployment, service):
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    assert (deployment, service) == (ran.value.deployment, ran.value.service)
    inspected = images.get(app, client=client).attrs
    pod = deployment["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": inspected["Os"], "kubernetes.io/arch": inspected["Architecture"]}
    assert pod["containers"][0]["image"] == app
    assert service["spec"]["ports"][0]["port"] == 5000
    assert any("give it the name of a registry" in note for note in ran.value.notes)


def test_ports_that_are_asked_for_take_the_place_of_those_exposed(client: Client, app: str) -> None:
    made = images.kubernetes(app, ports=[8080, "53/udp"], client=client)
    assert [(one["port"], one["protocol"]) for one in made.service["spec"]["ports"]] == [(8080, "TCP"), (53, "UDP")]


def test_what_cannot_be_handed_over(client: Client, app: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="on which port"):
        images.kubernetes("busybox", client=client)
    with pytest.raises(NotFound):
        images.kubernetes("dockerlab-test-no-such-image", client=client)
    with pytest.raises(UsageError, match="there are no -1 replicas"):
        images.kubernetes(app, replicas=-1, client=client)
    with pytest.raises(ArchiveError, match="cannot write"):
        images.kubernetes(app, file=tmp_path / "none" / "app.yaml", client=client)
    assert not list(tmp_path.iterdir())


def test_a_pushed_image_is_named_by_its_digest(client: Client, app: str, tmp_path: Path) -> None:
    with docker_registry(tmp_path) as registry:
        name = f"{registry}/{app}"
        images.tag(app, name, client=client)
        pushed = images.push(name, client=client)
        made = images.kubernetes(name, client=client)
    assert made.image == f"{name}@{pushed.digest}"
    assert not made.notes
