"""`DOCKER_BUILDKIT=0 docker build`: what it prints, what it makes, how it fails; on Docker's classic builder and ours alike."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.engine.docker_command import Docker, Result

pytestmark = pytest.mark.contract

CLASSIC = {"DOCKER_BUILDKIT": "0"}
PODMAN = "buildah prints and keeps other things than Docker's classic builder"


@pytest.fixture
def folder(docker: Docker, tmp_path: Path) -> Path:
    """A build context."""
    docker.differs(podman=PODMAN)
    place = tmp_path / "context"
    place.mkdir()
    (place / "file").write_text("of the context\n")
    return place


def build(docker: Docker, folder: Path, dockerfile: str, options: str = "") -> Result:
    (folder / "Dockerfile").write_text(dockerfile)
    return docker(f"build {options} {folder}", env=CLASSIC)


def printed(docker: Docker, image: str, *argv: str) -> str:
    return docker.ok(f"run --rm {image}", *argv)


def test_a_build_and_its_cache(docker: Docker, folder: Path) -> None:
    tag = f"{docker.name('built')}:1"
    text = "FROM busybox\nCOPY file /to/\nRUN cat /to/file; echo err >&2; echo $RANDOM > /random\nCMD cat /to/file\n"
    first = build(docker, folder, text, f"-t {tag} --no-cache")
    assert first.code == 0, first.err
    assert "Step 3/4 : RUN cat /to/file" in first.out
    assert "of the context\n" in first.out
    assert "err\n" in first.out
    assert f"Successfully tagged {tag}\n" in first.out
    assert printed(docker, tag) == "of the context"
    again = build(docker, folder, text, f"-t {tag}")
    assert again.out.count("Using cache") == 3
    # What nobody has built before, whoever else builds on this engine.
    (folder / "file").write_text(docker.prefix)
    assert build(docker, folder, text, f"-t {tag}").out.count("Using cache") == 0
    assert printed(docker, tag) == docker.prefix


def test_stages_arguments_labels_and_a_target(docker: Docker, folder: Path) -> None:
    tag = f"{docker.name('built')}:1"
    text = (
        "ARG BASE=nothing\nFROM $BASE AS first\nARG WHAT=default\nRUN echo $WHAT > /what\n"
        "FROM busybox AS second\nCOPY --from=first /what /copied\nFROM busybox\nRUN exit 1\n"
    )
    options = f"-t {tag} --build-arg BASE=busybox --build-arg WHAT=given --label a=b --target second"
    done = build(docker, folder, text, options)
    assert done.code == 0, done.err
    assert printed(docker, tag, "cat", "/copied") == "given"
    assert docker.inspect(tag, "{{.Config.Labels.a}}") == "b"


def test_what_is_ignored_does_not_come_along(docker: Docker, folder: Path) -> None:
    (folder / ".dockerignore").write_text("*.log\n!kept.log\nDockerfile\n")
    for name in ("a.log", "kept.log"):
        (folder / name).write_text("")
    tag = f"{docker.name('built')}:1"
    assert build(docker, folder, "FROM busybox\nCOPY . /all\n", f"-t {tag}").code == 0
    assert printed(docker, tag, "ls", "-A", "/all").split() == [".dockerignore", "file", "kept.log"]


@pytest.mark.parametrize(
    ("dockerfile", "text"),
    [
        ("FROM busybox\nRUN exit 7\n", "The command '/bin/sh -c exit 7' returned a non-zero code: 7"),
        ("FROM busybox\nRUM x\n", "unknown instruction: RUM"),
        ("FROM busybox\nCOPY nofile /\n", "COPY failed: file not found in build context or excluded by .dockerignore: stat nofile"),
        ("", "the Dockerfile (Dockerfile) cannot be empty"),
        ("FROM scratch\n", "No image was generated. Is your Dockerfile empty?"),
    ],
)
def test_what_fails_says_why(docker: Docker, folder: Path, dockerfile: str, text: str) -> None:
    done = build(docker, folder, dockerfile, "--force-rm")
    assert done.code == (7 if "exit 7" in dockerfile else 1)
    assert text in done.err


def test_quiet_and_the_id_in_a_file(docker: Docker, folder: Path) -> None:
    text = "FROM busybox\nLABEL quiet=yes\n"
    quiet = build(docker, folder, text, "-q")
    assert quiet.out.startswith("sha256:")
    assert len(quiet.out) == 72
    assert build(docker, folder, text, f"--iidfile {folder}/id").code == 0
    assert (folder / "id").read_text() == quiet.out.strip()


def test_a_dockerfile_and_a_context_from_standard_input(docker: Docker, folder: Path) -> None:
    tag = f"{docker.name('built')}:1"
    done = docker(f"build -t {tag} -", input="FROM busybox\nRUN echo alone > /alone\n", env=CLASSIC)
    assert done.code == 0, done.err
    assert printed(docker, tag, "cat", "/alone") == "alone"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in (("sub/Dockerfile", b"FROM busybox\nCOPY x /x\n"), ("x", b"packed\n")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    done = docker(f"build -t {tag} -f sub/Dockerfile -", input=packed.getvalue(), env=CLASSIC)
    assert done.code == 0, done.err
    assert printed(docker, tag, "cat", "/x") == "packed"
