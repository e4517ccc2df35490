"""`docker images`, inspect, history, tag, rmi, save, load, export, import, commit."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.engine.docker_command import Docker

pytestmark = pytest.mark.contract

COMMIT = "4.3 does not take a commit without a body, which is what the command sends"


def binary(docker: Docker, command: str) -> bytes:
    return subprocess.run(docker.argv(command), capture_output=True, env=docker.environment, check=True).stdout


@pytest.fixture
def image(docker: Docker) -> str:
    """An image of the test's own: busybox, and a layer that holds /kept."""
    docker.differs(podman=COMMIT)
    reference = f"{docker.name('image')}:1"
    docker.ok(f"run --name {docker.name('source')} busybox sh -c", "echo kept > /kept")
    docker.ok(f"commit -m why -a 'A Writer' {docker.name('source')} {reference}")
    return reference


def test_images(docker: Docker) -> None:
    shown = docker.ok("images busybox --format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    identifier = docker.inspect("busybox", "{{.Id}}")
    assert f"busybox:latest {identifier.removeprefix('sha256:')[:12]}" in shown
    assert identifier in docker.ok("images -q --no-trunc busybox").splitlines()
    assert docker.ok("images --format {{.Repository}} --filter reference=busybox:lat*").splitlines() == ["busybox"]
    head, *_ = docker.ok("images").splitlines()
    assert head.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert docker.ok(f"images {docker.name('none')} -q") == ""


def test_inspect(docker: Docker) -> None:
    (found,) = json.loads(docker.ok("image inspect busybox"))
    assert "busybox:latest" in [tag.removeprefix("docker.io/library/") for tag in found["RepoTags"]]
    assert found["Id"].startswith("sha256:")
    assert found["RootFS"]["Type"] == "layers"
    assert all(layer.startswith("sha256:") for layer in found["RootFS"]["Layers"])
    assert (found["Os"], found["Config"]["Cmd"]) == ("linux", ["sh"])
    assert found["Architecture"] in ("amd64", "arm64")
    assert found["Size"] > 100_000
    # By its id, whole or shortened, with and without the algorithm.
    for name in (found["Id"], found["Id"].removeprefix("sha256:"), found["Id"].removeprefix("sha256:")[:12]):
        assert docker.inspect(name, "{{.Id}}") == found["Id"]


def test_history(docker: Docker, image: str) -> None:
    rows = docker.ok(f"history --format '{{{{.CreatedBy}}}}|{{{{.Size}}}}|{{{{.Comment}}}}' {image}").splitlines()
    assert rows[0].startswith("sh -c echo kept > /kept|")
    assert rows[0].endswith("|why")
    below = docker.ok("history -q busybox").splitlines()
    assert len(rows) == len(below) + 1


def test_tag_and_rmi(docker: Docker, image: str) -> None:
    other, identifier = f"{docker.name('other')}:2", docker.inspect(image, "{{.Id}}")
    assert docker.ok(f"tag {image} {other}") == ""
    assert docker.inspect(other, "{{.Id}}") == identifier
    assert docker.ok(f"rmi {other}").splitlines()[0].removeprefix("Untagged: ").rpartition("/")[2] == other
    assert docker.inspect(image, "{{.Id}}") == identifier
    docker.ok(f"rm -f {docker.name('source')}")
    shown = docker.ok(f"rmi {image}").splitlines()
    assert f"Deleted: {identifier}" in shown
    docker.fails(f"inspect --type image {identifier}", text=f"No such image: {identifier}")


def test_an_image_in_use_is_not_removed(docker: Docker, image: str) -> None:
    user = docker.ok(f"create --name {docker.name('user')} {image} cat /kept")
    # By containerd's image store: "conflict: unable to delete … - container … is using its referenced image".
    docker.fails(f"rmi {image}", text=["conflict: unable to ", f"container {user[:12]} is using its referenced image"])
    assert docker.ok(f"rmi -f {image}").startswith("Untagged: ")
    assert docker.ok(f"start -a {docker.name('user')}") == "kept"


def test_images_that_are_not_there(docker: Docker) -> None:
    missing = docker.name("missing")
    docker.fails(f"rmi {missing}", text=f"No such image: {missing}:latest")
    docker.fails(f"tag {missing} {missing}-2", text=f"No such image: {missing}:latest")
    docker.fails(f"history {missing}", text=f"No such image: {missing}:latest")
    docker.fails(f"image inspect {missing}", text=f"No such image: {missing}:latest")
    docker.fails(f"save {missing}", text=missing)


def test_save_and_load_keep_the_id(docker: Docker, image: str, tmp_path: Path) -> None:
    archive, identifier = tmp_path / "image.tar", docker.inspect(image, "{{.Id}}")
    docker.ok(f"save -o {archive} {image}")
    with tarfile.open(archive) as members:
        manifest = json.load(members.extractfile("manifest.json") or io.BytesIO(b"null"))
    assert [tag.rpartition("/")[2] for tag in manifest[0]["RepoTags"]] == [image]
    docker.ok(f"rm -f {docker.name('source')}")
    docker.ok(f"rmi {image}")
    loaded = docker.ok(f"load -i {archive}").splitlines()[-1]
    assert loaded.removeprefix("Loaded image: ").rpartition("/")[2] == image
    assert docker.inspect(image, "{{.Id}}") == identifier
    assert docker.ok(f"run {image} cat /kept") == "kept"


def test_save_piped_to_load(docker: Docker, image: str) -> None:
    identifier = docker.inspect(image, "{{.Id}}")
    archive = binary(docker, f"save {image}")
    docker.ok(f"rmi -f {image}")
    docker.ok("load -q", input=archive)
    assert docker.inspect(image, "{{.Id}}") == identifier


def test_load_of_what_is_no_archive(docker: Docker) -> None:
    assert docker("load", input=b"this is no archive").code == 1


def test_commit(docker: Docker) -> None:
    docker.differs(podman=COMMIT)
    name, reference = docker.name(), f"{docker.name('image')}:new"
    docker.ok(f"run --name {name} -e A=1 -w /tmp busybox sh -c", "echo x > /x")
    printed = docker.ok(f"commit -m why -a me -c 'CMD [\"cat\", \"/x\"]' -c 'ENV B=2' {name} {reference}")
    assert printed.removeprefix("sha256:") == docker.inspect(reference, "{{.Id}}").removeprefix("sha256:")
    asked = "{{json .Config.Cmd}} {{.Config.WorkingDir}} {{.Author}} {{.Comment}}"
    assert docker.inspect(reference, asked) == '["cat","/x"] /tmp me why'
    environment = json.loads(docker.inspect(reference, "{{json .Config.Env}}"))
    assert {"A=1", "B=2"} <= set(environment)
    assert docker.ok(f"run {reference}") == "x"
    assert docker.ok(f"ps -a --filter ancestor={reference} --format", "{{.Image}}") == reference


def test_export_and_import(docker: Docker) -> None:
    name, reference = docker.name(), f"{docker.name('flat')}:1"
    docker.ok(f"run --name {name} busybox sh -c", "echo exported > /exported; rm /etc/group")
    archive = binary(docker, f"export {name}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        names = {member.name.removeprefix("./").rstrip("/") for member in members}
    assert {"exported", "etc/passwd"} <= names
    assert "etc/group" not in names
    identifier = docker.ok(f'import -c \'CMD ["cat", "/exported"]\' -m imported - {reference}', input=archive)
    assert docker.inspect(reference, "{{.Id}}").removeprefix("sha256:") in identifier
    assert docker.ok(f"run {reference}") == "exported"
    assert docker.inspect(reference, "{{len .RootFS.Layers}} {{.Comment}}") == "1 imported"


def test_prune_takes_what_has_no_name(docker: Docker, image: str) -> None:
    identifier = docker.inspect(image, "{{.Id}}")
    docker.ok(f"commit {docker.name('source')} {image}")  # it takes the name
    assert docker.inspect(identifier, "{{.Id}}") == identifier
    assert docker.ok(f"images -q --no-trunc --filter dangling=true --filter before={image}")
    docker.ok(f"rmi {identifier}")
    docker.fails(f"inspect --type image {identifier}")
