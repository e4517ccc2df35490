"""Archives of images: both forms, whatever the order of their members, compressed or not; and those of strangers."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerlab import images
from dockerlab.errors import ArchiveError, DockerlabError, NotFound, UsageError
from dockerlab.image.archive import Archive
from dockerlab.image.files import Contents
from dockerlab.image.layer_reading import Budget
from dockerlab.testing.shell import Shell
from dockerlab.wire.tar import fingerprint

Member = tuple[str, bytes]
LAYERS = (
    [("a/x", b"one"), ("a/y", b"same"), ("big", b"0" * 700)],
    [("a/x", b"two"), ("a/y", b"same"), ("a/.wh.none", b""), (".wh.big", b"")],
)


def tar(members: Sequence[Member], links: Sequence[tuple[str, str]] = ()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return out.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def config(layers: Sequence[bytes]) -> bytes:
    history: list[dict[str, Any]] = [{"created_by": f"RUN step {number}"} for number in range(len(layers))]
    history.insert(1, {"created_by": "CMD x", "empty_layer": True})
    return encoded({"history": history, "rootfs": {"diff_ids": [digest(layer) for layer in layers]}, "config": {"Cmd": ["x"]}})


def docker_archive(layers: Sequence[bytes], tag: str = "app:1") -> list[Member]:
    described = config(layers)
    name = f"{digest(described)[7:]}.json"
    members = [(f"{digest(layer)[7:]}/layer.tar", layer) for layer in layers]
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": [name for name, _ in members]}]
    return [*members, (name, described), ("manifest.json", encoded(manifest))]


def oci_archive(layers: Sequence[bytes], compress: Callable[[bytes], bytes] = bytes) -> list[Member]:
    blobs = [compress(layer) for layer in layers]
    described = config(layers)
    manifest = encoded({"config": {"digest": digest(described)}, "layers": [{"digest": digest(blob)} for blob in blobs]})
    attestation = {"digest": digest(b"{}"), "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    platforms = encoded({"manifests": [{"digest": digest(manifest)}, attestation, {"digest": digest(b"for another platform")}]})
    top = {"digest": digest(platforms), "annotations": {"org.opencontainers.image.ref.name": "app:1"}}
    index = ("index.json", encoded({"manifests": [top]}))
    return [index, *(("blobs/sha256/" + digest(blob)[7:], blob) for blob in (*blobs, described, manifest, platforms))]


STACK = [tar(members) for members in LAYERS]
FORMS = {
    "docker": docker_archive(STACK),
    "oci": oci_archive(STACK),
    "oci gzip": oci_archive(STACK, gzip.compress),
    "oci zstd": oci_archive(STACK, zstandard.ZstdCompressor().compress),
}


def read(archive: bytes, lying: bool) -> tuple[Contents, ...]:
    found = Archive.lying(io.BytesIO(archive)) if lying else Archive.passing(io.BytesIO(archive))
    image = found.images()[0]
    found.layers(image)
    return found.mark(image, {"a/x", "a/y", "big"})


@pytest.mark.parametrize("lying", [True, False], ids=["in a file", "passing by"])
@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_every_order_says_the_same(form: str, backwards: bool, lying: bool) -> None:
    members = FORMS[form][::-1] if backwards else FORMS[form]
    archive = tar(members)
    assert [image.tags for image in Archive.passing(io.BytesIO(archive)).images()] == [("app:1",)]
    layers = read(archive, lying)
    assert [[(file.path, file.size) for file in contents.files] for contents in layers] == [
        [("a/x", 3), ("a/y", 4), ("big", 700)],
        [("a/x", 3), ("a/y", 4)],
    ]
    assert layers[1].removed == ("a/none", "big")
    assert layers[0].files[1].content == layers[1].files[1].content == fingerprint(b"same")
    assert layers[0].files[0].content != layers[1].files[0].content


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_archive_on_disk_is_explored_without_an_engine(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "saved.tar"
    path.write_bytes(compress(tar(FORMS["docker"])))
    explored = images.explore(str(path))
    assert repr(explored) == "layers of app:1 in saved.tar\n  RUN step 0\n  RUN step 1"
    assert [(change.path, change.change) for change in explored.layers[1].changes] == [
        ("a/x", "modified"),
        ("a/y", "unchanged"),
        ("big", "removed"),
    ]
    assert [line.instruction for line in explored.lines] == ["RUN step 0", "CMD x", "RUN step 1"]
    assert (explored.waste.stored, explored.waste.wasted) == (714, 707)
    assert explored.view(2, ["modified"]).root.files == 1
    assert explored.files["a/x"].layer == 1


def test_two_archives_are_compared_by_their_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.tar", tmp_path / "other.tar"
    one.write_bytes(tar(docker_archive([tar([("same", b"abc"), ("other", b"abc"), ("gone", b"")])])))
    other.write_bytes(tar(oci_archive([tar([("same", b"abc"), ("other", b"abd")]), tar([("new", b"n")])], gzip.compress)))
    found = images.diff(one, other)
    assert [(change.path, change.change) for change in found.files] == [
        ("gone", "removed"),
        ("new", "added"),
        ("other", "modified"),
    ]
    assert found.shared == 0
    assert repr(images.diff(one, one)) == "from app:1 in one.tar to app:1 in one.tar\n  nothing differs"


def test_one_of_several_images_is_chosen(tmp_path: Path) -> None:
    members = [*docker_archive([STACK[0]], "a:1")[:-1], *docker_archive([STACK[1]], "b:1")[:-1]]
    manifests = [json.loads(docker_archive([layer], tag)[-1][1])[0] for layer, tag in zip(STACK, ("a:1", "b:1"), strict=True)]
    path = tmp_path / "two.tar"
    path.write_bytes(tar([*members, ("manifest.json", encoded(manifests))]))
    assert len(images.explore(path, image="b:1").contents[0].removed) == 2
    with pytest.raises(UsageError, match="holds 2 images: a:1, b:1"):
        images.explore(path)
    with pytest.raises(NotFound, match="no image 'c'"):
        images.explore(path, image="c")


def test_a_layer_that_is_a_link_to_another(tmp_path: Path) -> None:
    name = f"{digest(STACK[0])[7:]}/layer.tar"
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": ["x/layer.tar", "x/layer.tar"]}]
    described = encoded({"rootfs": {"diff_ids": [digest(STACK[0])] * 2}})
    path = tmp_path / "links.tar"
    members = [(name, STACK[0]), ("c.json", described), ("manifest.json", encoded(manifest))]
    path.write_bytes(tar(members, [("x/layer.tar", f"../{name}")]))
    assert [layer.instruction for layer in images.explore(path).layers] == ["", ""]


def test_what_is_no_archive_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        images.explore(tmp_path / "none.tar")
    (tmp_path / "text.tar").write_bytes(b"hello\n" * 200)
    with pytest.raises(ArchiveError, match=r"^the archive 'text.tar' cannot be read: archive/tar: invalid tar header"):
        images.explore(tmp_path / "text.tar")


def hostile(name: str) -> tuple[bytes, str]:
    """An archive, and what is said of it."""
    docker = docker_archive(STACK)
    layers = [layer for layer, _ in docker[:2]]

    def manifest(**fields: Any) -> list[Member]:
        return [*docker[:-1], ("manifest.json", encoded([{"Config": docker[2][0], "Layers": layers} | fields]))]

    match name:
        case "empty":
            return tar([]), "neither manifest.json nor index.json"
        case "no layer":
            return tar(docker[1:]), "is missing"
        case "cut off":
            return tar(docker)[:1500], "unexpected EOF"
        case "layer cut off":
            return tar([(docker[0][0], docker[0][1][:2700]), *docker[1:]]), "unexpected EOF"
        case "layer is no tar":
            return tar([(docker[0][0], b"x" * 2000), *docker[1:]]), "invalid tar header"
        case "layer climbs":
            climbing = tar([("../../etc/passwd", b"")])
            return tar([(docker[0][0], climbing), *docker[1:]]), "lies outside its root"
        case "whiteout climbs":
            return tar([(docker[0][0], tar([("a/.wh...", b"")])), *docker[1:]]), "not safe"
        case "manifest climbs":
            return tar(manifest(Layers=["../../etc/passwd", layers[1]])), "lies outside its root"
        case "link climbs":
            return tar(docker[1:], [(docker[0][0], "../../../etc/passwd")]), "leads nowhere"
        case "links in a ring":
            return tar(docker[1:], [(docker[0][0], "../ring"), ("ring", docker[0][0])]), "leads nowhere"
        case "other layers":
            return tar(manifest(Layers=layers[:1])), "its manifest has 1 layers, its config 2"
        case "not JSON":
            return tar([*docker[:-1], ("manifest.json", b"[{")]), "is not JSON"
        case "deep JSON":
            return tar([*docker[:-1], ("manifest.json", b"[" * 100_000)]), "is not JSON"
        case "other JSON":
            return tar([*docker[:-1], ("manifest.json", b'{"a": 1}')]), "names no image"
        case "long JSON":
            return tar([("manifest.json", b"[" + b" " * (9 << 20))]), "too long for a manifest"
        case "many members":
            return tar([(f"{place}", b"") for place in range(20_001)]), "more than 20000 files"
        case "index in a ring":
            index = encoded({"manifests": [{"digest": "sha256:ring"}]})
            return tar([("index.json", index), ("blobs/sha256/ring", index)]), "names no image"
        case _:
            raise AssertionError(name)


HOSTILE = [
    *("empty", "no layer", "cut off", "layer cut off", "layer is no tar", "layer climbs", "whiteout climbs", "manifest climbs"),
    *("link climbs", "links in a ring", "other layers", "not JSON", "deep JSON", "other JSON", "long JSON", "many members"),
    "index in a ring",
]


@pytest.mark.parametrize("lying", [True, False], ids=["in a file", "passing by"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_in_words(name: str, lying: bool) -> None:
    archive, said = hostile(name)
    with pytest.raises(ArchiveError, match=said) as caught:
        read(archive, lying)
    assert str(caught.value).startswith("the archive cannot be read: ")


@settings(max_examples=200, deadline=None)
@given(st.data(), st.booleans())
def test_no_byte_makes_it_fail_in_another_way(data: st.DataObject, lying: bool) -> None:
    archive = bytearray(tar(FORMS[data.draw(st.sampled_from(sorted(FORMS)))]))
    for _ in range(data.draw(st.integers(1, 4))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    found = bytes(archive[: data.draw(st.integers(0, len(archive)))])
    try:
        opened = Archive.lying(io.BytesIO(found)) if lying else Archive.passing(io.BytesIO(found))
        for image in opened.images():
            opened.layers(image)
            opened.mark(image, {"a/x", "big"})
    except DockerlabError:
        return


@pytest.mark.parametrize("lying", [True, False], ids=["in a file", "passing by"])
def test_more_files_than_any_image_has_are_refused_across_layers(lying: bool) -> None:
    archive = io.BytesIO(tar(FORMS["docker"]))
    found = Archive.lying(archive, budget=Budget(4)) if lying else Archive.passing(archive, budget=Budget(4))
    with pytest.raises(ArchiveError, match="more files than any image"):
        found.layers(found.images()[0])


def test_the_magics_need_no_engine_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    path = tmp_path / "saved.tar"
    path.write_bytes(tar(FORMS["oci gzip"]))
    with Shell() as shell:
        tree = shell.run(f"%image explore {path} --layer 2 --changed removed").value
        assert repr(tree) == "app:1 in saved.tar, layer 2: RUN step 1\n  - /big"
        assert "nothing differs" in repr(shell.run(f"%image diff {path} {path}").value)
        with pytest.raises(UsageError, match="has no layer 9"):
            shell.run(f"%image explore {path} --layer 9")
