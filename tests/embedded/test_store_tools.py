"""Archives of other tools, and ours in their hands: the same image has the same id everywhere. Each tool is tried where it is installed."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dockerlab.engine.store import Store
from tests.embedded.archives import File, Made, digest, layer, load, packed, store

LINK: File = ("etc/again", b"", {"type": tarfile.LNKTYPE, "linkname": "etc/motd"})
BASE = layer(("etc", None, {}), ("etc/motd", b"hello", {"uid": 7, "mtime": 1_500_000_000.25}), LINK, ("sh", "/bin/busybox", {}))
IMAGE = Made([BASE, layer(("etc/.wh.motd", b"", {}), ("ü" * 120, b"long", {}))], ["registry.test/made:1"])
NAME = IMAGE.tags[0]


@pytest.fixture
def images(tmp_path: Path) -> Store:
    """A store with the image."""
    made = store(tmp_path / "ours")
    load(made, packed(IMAGE.docker()))
    return made


@pytest.fixture
def ours(images: Store, tmp_path: Path) -> Path:
    """What we save of it."""
    path = tmp_path / "ours.tar"
    path.write_bytes(b"".join(images.save([NAME])))
    return path


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of a short name: Podman wants it so."""
    with tempfile.TemporaryDirectory(prefix="dl-") as name:
        yield Path(name)


def run(tool: str, folder: Path, *arguments: str | Path) -> str:
    """What a tool prints. Podman and Buildah keep their images in `folder`."""
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    if tool != "skopeo" and os.geteuid() != 0:
        pytest.skip(f"{tool} is tried as root")
    places = ("--root", folder / tool, "--runroot", folder / f"{tool}-run", "--storage-driver", "vfs") if tool != "skopeo" else ()
    done = subprocess.run([tool, *places, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def read(path: Path) -> bytes:
    """An archive, or a folder as one."""
    if path.is_file():
        return path.read_bytes()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(path, arcname=".")
    return out.getvalue()


def is_the_same(path: Path, archive: bytes, names: Sequence[str] = (NAME,)) -> None:
    """Loaded into another store, it is the image that it was."""
    other = store(path)
    assert load(other, archive) == [f"Loaded image: {name}\n" for name in names]
    (image,) = other.images()
    assert (image.id, image.tags) == (IMAGE.id, list(names))
    assert [one.diff_id for one in image.layers] == [digest(data) for data in IMAGE.layers]
    assert other.check() == []


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci-dir"])
def test_podman(ours: Path, folder: Path, tmp_path: Path, kind: str) -> None:
    assert run("podman", folder, "load", "--input", ours) == f"Loaded image: {NAME}"
    assert run("podman", folder, "images", "--no-trunc", "--quiet") == IMAGE.id
    run("podman", folder, "save", "--format", kind, "--output", tmp_path / "saved", NAME)
    is_the_same(tmp_path / "theirs", read(tmp_path / "saved"))


def test_podman_saves_several_names(ours: Path, folder: Path, tmp_path: Path) -> None:
    run("podman", folder, "load", "--input", ours)
    run("podman", folder, "tag", NAME, "registry.test/other:2")
    run("podman", folder, "save", "--multi-image-archive", "--output", tmp_path / "saved", NAME, "registry.test/other:2")
    is_the_same(tmp_path / "theirs", read(tmp_path / "saved"), [NAME, "registry.test/other:2"])


@pytest.mark.parametrize("source", ["docker-archive", "oci-archive"])
def test_skopeo(ours: Path, tmp_path: Path, source: str) -> None:
    # Between the two formats the config is written anew, and so is another image.
    target = f"{source}:{tmp_path / 'copied'}:{NAME}"
    run("skopeo", tmp_path, "copy", "--insecure-policy", f"{source}:{ours}", target)
    is_the_same(tmp_path / "theirs", read(tmp_path / "copied"))


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_buildah(ours: Path, folder: Path, tmp_path: Path, kind: str) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}', encoding="ascii")
    assert run("buildah", folder, "pull", "--signature-policy", policy, f"{kind}:{ours}") == IMAGE.id.removeprefix("sha256:")
    run("buildah", folder, "push", "--signature-policy", policy, IMAGE.id, f"{kind}:{tmp_path / 'pushed'}:{NAME}")
    is_the_same(tmp_path / "theirs", read(tmp_path / "pushed"))


def test_the_store_as_a_layout(images: Store, tmp_path: Path) -> None:
    """The store itself is an OCI image layout, for whoever reads one."""
    root = images.home.root
    assert run("skopeo", tmp_path, "inspect", "--raw", f"oci:{root}:1")
    run("skopeo", tmp_path, "copy", "--insecure-policy", f"oci:{root}:1", f"oci-archive:{tmp_path / 'copied'}:{NAME}")
    is_the_same(tmp_path / "theirs", read(tmp_path / "copied"))
