"""Archives from one layout to the other, as they pass: names, platforms, and those that lie."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest

from dockerlab.errors import ArchiveError, EngineError
from dockerlab.image.layouts import loadable, oci

HERE = ("linux", "amd64")
LAYER = bytes(1024)


def tar(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return out.getvalue()


def members(chunks: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(chunks)) as read:
        files = ((info.name, read.extractfile(info)) for info in read if info.isfile())
        return {name: file.read() for name, file in files if file}


def blob(value: object) -> tuple[str, bytes]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f"sha256:{hashlib.sha256(data).hexdigest()}", data


def layout(*platforms: tuple[str, str], name: str = "app:1", nested: bool = False, leave: str = "") -> dict[str, bytes]:
    """An OCI layout with an image for each platform. leave: what is missing."""
    found: dict[str, bytes] = {}

    def add(value: object) -> dict[str, Any]:
        digest, data = blob(value)
        found[f"blobs/sha256/{digest[7:]}"] = data
        return {"digest": digest, "size": len(data)}

    layer = add(LAYER)
    manifests = []
    for system, architecture in platforms:
        config = add({"os": system, "architecture": architecture, "rootfs": {"diff_ids": [layer["digest"]]}})
        manifests.append(add({"config": config, "layers": [layer]}))
        if leave == architecture:
            del found[f"blobs/sha256/{config['digest'][7:]}"]
    if nested:
        manifests = [add({"manifests": manifests})]
    for manifest in manifests:
        manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
    return {**found, "index.json": json.dumps({"manifests": manifests}).encode(), "oci-layout": b"{}"}


def loaded(archive: bytes) -> dict[str, bytes]:
    return members(b"".join(loadable([archive], HERE)))


def test_a_layout_gets_a_manifest_and_whole_names() -> None:
    made = layout(HERE)
    found = loaded(tar(made))
    (image,) = json.loads(found["manifest.json"])
    assert image["RepoTags"] == ["app:1"]
    assert json.loads(found[image["Config"]])["os"] == "linux"
    assert [found[path] for path in image["Layers"]] == [LAYER]
    (descriptor,) = json.loads(found["index.json"])["manifests"]
    assert descriptor["annotations"]["io.containerd.image.name"] == "docker.io/library/app:1"
    assert {name: found[name] for name in made if name.startswith("blobs/")} == {n: c for n, c in made.items() if n[0] == "b"}


def test_of_several_platforms_the_engines_own_is_named() -> None:
    found = loaded(tar(layout(("linux", "arm64"), HERE, nested=True)))
    (image,) = json.loads(found["manifest.json"])
    assert json.loads(found[image["Config"]])["architecture"] == "amd64"
    with pytest.raises(ArchiveError, match="holds no image for linux/amd64") as caught:
        loaded(tar(layout(("linux", "arm64"), ("linux", "s390x"), nested=True)))
    assert caught.value.evidence == ("it holds images for: linux/arm64, linux/s390x",)


def test_a_tag_alone_is_no_name() -> None:
    (image,) = json.loads(loaded(tar(layout(HERE, name="latest")))["manifest.json"])
    assert image["RepoTags"] is None


def test_a_docker_archive_stays_but_for_its_names() -> None:
    manifest = [{"Config": "c.json", "RepoTags": ["app:1", "far.example/app:2"], "Layers": ["l.tar"]}]
    made = {"c.json": b'{"os":"linux"}', "l.tar": LAYER, "manifest.json": json.dumps(manifest).encode()}
    found = loaded(tar(made))
    assert json.loads(found.pop("manifest.json"))[0]["RepoTags"] == ["docker.io/library/app:1", "far.example/app:2"]
    assert found == {"c.json": made["c.json"], "l.tar": LAYER}


@pytest.mark.parametrize(
    "index", [b"[", b"[1]", b"{}", b'{"manifests": 3}', b'{"manifests": [{"digest": "sha256:../../etc"}]}', b"[" * 9999]
)
def test_an_index_that_says_nothing(index: bytes) -> None:
    with pytest.raises(ArchiveError, match="holds no image"):
        loaded(tar({"index.json": index}))


def test_a_manifest_whose_config_is_missing() -> None:
    with pytest.raises(ArchiveError, match="holds no image"):
        loaded(tar(layout(HERE, leave="amd64")))


def test_what_the_source_raises_is_passed_on() -> None:
    def broken() -> Any:
        yield tar(layout(HERE))[:700]
        raise EngineError("it broke off")

    with pytest.raises(EngineError, match="it broke off"):
        b"".join(loadable(broken(), HERE))


def test_a_docker_archive_becomes_a_layout_and_loads_again() -> None:
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [blob(LAYER)[0]]}}).encode()
    manifest = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l.tar"]}]
    archive = tar({"l.tar": LAYER, "c.json": config, "manifest.json": json.dumps(manifest).encode()})
    made = b"".join(oci([archive], io.BytesIO))
    found = members(made)
    assert set(found) == {"oci-layout", "index.json", *(name for name in found if name.startswith("blobs/sha256/"))}
    assert all(hashlib.sha256(content).hexdigest() == name[13:] for name, content in found.items() if name.startswith("blobs/"))
    (image,) = json.loads(loaded(made)["manifest.json"])
    assert (image["RepoTags"], found[image["Config"]]) == (["app:1"], config)
    assert set(members(b"".join(oci([made], io.BytesIO)))) == set(found)


def test_a_docker_archive_without_its_layer() -> None:
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l.tar"]}]).encode()
    with pytest.raises(ArchiveError, match=r"its layer 'l\.tar' is missing"):
        b"".join(oci([tar({"c.json": b"{}", "manifest.json": manifest})], io.BytesIO))
