"""Archives of images, in and out: every form of them, and what is done with those that lie."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import os
import struct
import tarfile
from pathlib import Path

import pytest

from dockerlab import standins
from dockerlab.engine.store import Store, architecture
from dockerlab.errors import EngineError, NotFound
from tests.embedded.archives import Made, blob, digest, gzipped, index, layer, load, packed, store, unpacked, zstandard_

BASE = layer(("etc", None, {}), ("etc/motd", b"hello", {}))
MORE = layer(("more", b"x" * 1000, {}))
MADE = Made([BASE, MORE], ["made:1", "registry.test:5000/made:x"])
LOADED = ["Loaded image: made:1\n", "Loaded image: registry.test:5000/made:x\n"]


@pytest.fixture
def images(tmp_path: Path) -> Store:
    return store(tmp_path)


def saved(images: Store, *names: str) -> bytes:
    return b"".join(images.save(names))


def is_empty(images: Store) -> bool:
    """Nothing was kept, and nothing half-written is left."""
    return not images.images() and not os.listdir(images.blobs.folder) and not os.listdir(images.home.tmp)


class TestLoading:
    """`Store.load`."""

    @pytest.mark.parametrize("pack", [bytes, gzipped, zstandard_, bz2.compress, lzma.compress])
    def test_a_docker_archive_however_it_is_compressed(self, images: Store, pack: type[bytes]) -> None:
        assert load(images, pack(packed(MADE.docker()))) == LOADED
        image = images.get("made:1")
        assert image.id == MADE.id
        assert [layer.diff_id for layer in image.layers] == [digest(BASE), digest(MORE)]
        assert images.blobs.read(image.id) == MADE.config_bytes

    @pytest.mark.parametrize("pack", [bytes, gzipped, zstandard_])
    def test_an_oci_archive_however_its_layers_are_compressed(self, images: Store, pack: type[bytes]) -> None:
        made = Made([BASE, MORE], packed=[pack(BASE), pack(MORE)])
        assert load(images, packed(made.oci())) == ["Loaded image: made:1\n"]
        image = images.get("made:1")
        assert image.id == made.id
        assert image.manifest == digest(made.manifest)
        assert [layer.digest for layer in image.layers] == [digest(data) for data in made.blobs]
        for found, data in zip(image.layers, made.layers, strict=True):
            with images.open_layer(found) as tar:
                assert tar.read() == data

    def test_members_in_any_order(self, images: Store) -> None:
        members = MADE.docker()
        assert load(images, packed(dict(reversed(members.items())))) == LOADED

    def test_a_layer_that_is_a_link_to_another(self, images: Store) -> None:
        made = Made([BASE, BASE])
        members = made.docker()
        del members["1/layer.tar"]
        archive = layer(*((name, data, {}) for name, data in members.items()), ("1/layer.tar", "../0/layer.tar", {}))
        assert load(images, archive) == ["Loaded image: made:1\n"]
        assert len(images.get("made:1").layers) == 2

    def test_two_images_in_one_archive(self, images: Store) -> None:
        one, two = Made([BASE], ["one:1"]), Made([BASE, MORE], ["two:1"])
        archive = saved_pair(one, two)
        assert load(images, archive) == ["Loaded image: one:1\n", "Loaded image: two:1\n"]

    def test_an_image_without_a_name(self, images: Store) -> None:
        assert load(images, packed(Made([BASE], []).docker())) == [f"Loaded image ID: {Made([BASE], []).id}\n"]

    def test_a_name_that_another_image_has(self, images: Store) -> None:
        load(images, packed(Made([BASE], ["made:1"]).docker()))
        old = images.get("made:1").id
        assert load(images, packed(Made([MORE], ["made:1"]).docker())) == [
            f"The image made:1 already exists, renaming the old one with ID {old} to empty string\n",
            "Loaded image: made:1\n",
        ]
        assert images.get(old).tags == []

    def test_a_layer_that_is_there_need_not_come_again(self, images: Store) -> None:
        load(images, packed(MADE.docker()))
        members = MADE.docker()
        del members["0/layer.tar"]
        assert load(images, packed(members)) == LOADED

    def test_an_index_of_platforms(self, images: Store) -> None:
        other = "arm64" if architecture() == "amd64" else "amd64"
        mine, foreign = Made([BASE]), Made([MORE], config={"architecture": other})
        attestation = {"digest": "sha256:" + "0" * 64, "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}}
        inner = index(
            [
                foreign.descriptor(platform={"os": "linux", "architecture": other}),
                mine.descriptor(platform={"os": "linux", "architecture": architecture()}),
                attestation,
            ]
        )
        members = {**foreign.oci(), **mine.oci(), blob(inner): inner}
        outer = {
            "digest": digest(inner),
            "size": len(inner),
            "annotations": {"io.containerd.image.name": "docker.io/library/multi:1"},
        }
        members["index.json"] = index([outer])
        assert load(images, packed(members)) == ["Loaded image: multi:1\n"]
        assert images.get("multi:1").id == mine.id

    @pytest.mark.parametrize(
        ("annotations", "text"),
        [
            ({"org.opencontainers.image.ref.name": "docker.io/library/x:2"}, "Loaded image: x:2\n"),
            ({"org.opencontainers.image.ref.name": "latest"}, f"Loaded image ID: {MADE.id}\n"),
        ],
    )
    def test_names_as_other_tools_write_them(self, images: Store, annotations: dict[str, str], text: str) -> None:
        assert load(images, packed(MADE.oci(**annotations))) == [text]

    def test_layers_are_shared(self, images: Store) -> None:
        load(images, packed(Made([BASE]).docker()))
        before = len(os.listdir(images.blobs.folder))
        load(images, packed(MADE.docker()))
        # A layer, a config and a manifest more.
        assert len(os.listdir(images.blobs.folder)) == before + 3

    def test_progress_is_told_once_a_layer_that_is_new(self, images: Store) -> None:
        messages = list(images.load(io.BytesIO(packed(MADE.docker()))))
        assert [message["id"] for message in messages if "id" in message] == [digest(BASE)[7:19], digest(MORE)[7:19]]

    def test_the_stand_in_busybox_keeps_its_id(self, images: Store) -> None:
        with standins.archive("busybox") as file:
            assert load(images, file.read()) == ["Loaded image: busybox:latest\n"]
        image = images.get("busybox")
        assert image.id == digest(images.blobs.read(image.id))
        assert image.labels["dockerlab.stand-in.for"] == "busybox"


def saved_pair(one: Made, two: Made) -> bytes:
    manifest = [
        {"Config": f"{name}.json", "RepoTags": made.tags, "Layers": [f"{name}/{n}.tar" for n in range(len(made.layers))]}
        for name, made in (("one", one), ("two", two))
    ]
    members = {f"{name}/{n}.tar": data for name, made in (("one", one), ("two", two)) for n, data in enumerate(made.layers)}
    return packed(
        members | {"one.json": one.config_bytes, "two.json": two.config_bytes, "manifest.json": json.dumps(manifest).encode()}
    )


class TestSaving:
    """`Store.save`."""

    def test_what_is_saved_is_loaded_with_the_same_ids(self, images: Store, tmp_path: Path) -> None:
        load(images, packed(Made([BASE, MORE], packed=[gzipped(BASE), zstandard_(MORE)]).oci()))
        other = store(tmp_path / "other")
        assert load(other, saved(images, "made:1")) == ["Loaded image: made:1\n"]
        assert other.get("made:1").manifest == images.get("made:1").manifest
        assert other.get("made:1").layers == images.get("made:1").layers

    def test_the_same_bytes_twice(self, images: Store) -> None:
        load(images, packed(MADE.docker()))
        assert saved(images, "made:1") == saved(images, "made:1")

    def test_both_formats_are_in_it(self, images: Store) -> None:
        load(images, packed(MADE.docker()))
        found = unpacked(saved(images, "made:1"))
        [docker] = json.loads(found["manifest.json"])
        assert docker["RepoTags"] == ["made:1"]
        assert digest(found[docker["Config"]]) == MADE.id
        assert [found[name] for name in docker["Layers"]] == [BASE, MORE]
        [entry] = json.loads(found["index.json"])["manifests"]
        assert entry["annotations"] == {
            "io.containerd.image.name": "docker.io/library/made:1",
            "org.opencontainers.image.ref.name": "1",
        }
        assert json.loads(found[f"blobs/sha256/{entry['digest'][7:]}"])["config"]["digest"] == MADE.id
        assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        assert json.loads(found["repositories"]) == {"made": {"1": digest(MORE)[7:]}}

    @pytest.mark.parametrize("left_out", ["manifest.json", "index.json"])
    def test_each_of_them_alone_is_enough(self, images: Store, tmp_path: Path, left_out: str) -> None:
        load(images, packed(MADE.docker()))
        members = unpacked(saved(images, "made:1"))
        del members[left_out]
        other = store(tmp_path / "other")
        assert load(other, packed(members)) == ["Loaded image: made:1\n"]
        assert other.get("made:1").id == MADE.id

    def test_a_repository_without_a_tag_means_all_its_tags(self, images: Store) -> None:
        load(images, packed(Made([BASE], ["many:a", "many:b"]).docker()))
        [docker] = json.loads(unpacked(saved(images, "many"))["manifest.json"])
        assert docker["RepoTags"] == ["many:a", "many:b"]

    def test_by_id_it_has_no_name(self, images: Store) -> None:
        load(images, packed(MADE.docker()))
        [docker] = json.loads(unpacked(saved(images, MADE.id[7:19]))["manifest.json"])
        assert docker["RepoTags"] is None

    def test_several_images_share_their_layers(self, images: Store) -> None:
        load(images, packed(Made([BASE], ["one:1"]).docker()))
        load(images, packed(Made([BASE, MORE], ["two:1"]).docker()))
        with tarfile.open(fileobj=io.BytesIO(saved(images, "one:1", "two:1"))) as tar:
            names = tar.getnames()
        assert len(names) == len(set(names))
        assert sum(name.startswith("blobs/sha256/") for name in names) == 6

    def test_what_is_not_there_is_said_before_the_first_byte(self, images: Store) -> None:
        with pytest.raises(NotFound, match=r"^No such image: nothing$"):
            images.save(["nothing"])

    def test_a_damaged_layer_is_not_given_away(self, images: Store) -> None:
        load(images, packed(MADE.docker()))
        path = images.blobs.path(digest(MORE))
        path.write_bytes(b"y" + path.read_bytes()[1:])
        with pytest.raises(EngineError, match="is damaged"):
            saved(images, "made:1")


def changed(name: str, data: bytes) -> bytes:
    return packed({**MADE.docker(), name: data})


def without(name: str) -> bytes:
    return packed({key: data for key, data in MADE.docker().items() if key != name})


def configured(**values: object) -> bytes:
    return packed(Made([BASE], config=values).docker())


def manifested(**values: object) -> bytes:
    [manifest] = json.loads(MADE.docker()["manifest.json"])
    return changed("manifest.json", json.dumps([manifest | values]).encode())


def holding(*files: tuple[str, bytes | str | None, dict[str, object]]) -> bytes:
    return packed(Made([layer(*files)]).docker())


def damaged_blob() -> bytes:
    members = MADE.oci()
    members[blob(BASE)] = BASE[:-1] + b"x"
    return packed(members)


LIES = {
    "no archive": (b"garbage" * 100, "invalid tar header"),
    "cut off": (packed(MADE.docker())[:3000], "unexpected EOF"),
    "cut off, compressed": (gzipped(packed(MADE.docker()))[:300], "unexpected EOF"),
    "damaged, compressed": (gzipped(packed(MADE.docker()))[:100] + b"xxxxxxxx" + gzipped(packed(MADE.docker()))[108:], "damaged"),
    "not of images": (packed({"a": b"b"}), "neither manifest.json nor index.json"),
    "not JSON": (changed("manifest.json", b"{"), "manifest.json is not JSON"),
    "nested JSON": (changed("manifest.json", b"[" * 100_000), "manifest.json is not JSON"),
    "not a list": (changed("manifest.json", b"{}"), "manifest.json is not a list"),
    "not of objects": (changed("manifest.json", b"[1]"), "manifest.json is not valid"),
    "no config": (without("config.json"), "config.json is missing"),
    "no layer": (without("1/layer.tar"), "1/layer.tar is missing"),
    "another layer": (changed("1/layer.tar", BASE), "invalid diffID for layer 1"),
    "too few layers": (manifested(Layers=[]), "layers length mismatch"),
    "config outside": (manifested(Config="../../etc/passwd"), "not safe"),
    "config absolute": (manifested(Config="/etc/passwd"), "etc/passwd is missing"),
    "a bad name": (manifested(RepoTags=["A B"]), "invalid reference format"),
    "a damaged blob": (damaged_blob(), "is damaged"),
    "config: env": (configured(config={"Env": {"a": "b"}}), "config is not valid: Env"),
    "config: labels": (configured(config={"Labels": {"a": 1}}), "config is not valid: Labels"),
    "config: health": (configured(config={"Healthcheck": {"Test": "x"}}), "config is not valid: Healthcheck"),
    "config: history": (configured(history=["x"]), "config is not valid: history"),
    "config: diff_ids": (configured(rootfs={"diff_ids": ["sha256:../../x"]}), "config is not valid: rootfs.diff_ids"),
    "too many layers": (configured(rootfs={"diff_ids": [digest(b"")] * 200}), "max depth exceeded"),
    "climbs": (holding(("../../etc/passwd", b"x", {})), "not safe"),
    "a link that climbs": (holding(("a", b"", {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"})), "not safe"),
    "a whiteout that climbs": (holding(("a/.wh...", b"", {})), "not safe"),
    "a member that climbs": (packed({"../../x": b"y"}), "not safe"),
}


class TestLies:
    """Archives that are not what they say: an error, and nothing is left."""

    @pytest.mark.parametrize(("archive", "text"), LIES.values(), ids=LIES.keys())
    def test_it_is_refused(self, images: Store, archive: bytes, text: str) -> None:
        with pytest.raises(EngineError, match=text) if "reference" not in text else pytest.raises(ValueError, match=text):
            load(images, archive)
        images.collect()
        assert is_empty(images)

    def test_links_that_go_in_circles(self, images: Store) -> None:
        with pytest.raises(EngineError, match="neither"):
            load(images, layer(("manifest.json", "index.json", {}), ("index.json", "manifest.json", {})))

    def test_a_link_out_of_the_archive(self, images: Store) -> None:
        with pytest.raises(EngineError, match="not safe"):
            load(images, layer(("manifest.json", "../../etc/passwd", {})))

    def test_an_absolute_link_stays_inside(self, images: Store) -> None:
        with pytest.raises(EngineError, match="neither"):
            load(images, layer(("manifest.json", "/etc/passwd", {})))

    def test_a_full_disk(self, images: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.statvfs

        def full(path: str) -> object:
            found = list(real(path))
            found[4] = 10  # f_bavail
            return os.statvfs_result(found)

        monkeypatch.setattr(os, "statvfs", full)
        with pytest.raises(EngineError, match="no space left on device") as caught:
            load(images, packed(MADE.docker()))
        monkeypatch.undo()
        assert caught.value.hint
        assert is_empty(images)

    @pytest.mark.slow
    def test_a_gigabyte_of_zeros_takes_no_memory(self, images: Store) -> None:
        import resource
        import zlib

        info = tarfile.TarInfo("zeros")
        info.size = 1 << 30
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        head = packer.compress(info.tobuf(tarfile.USTAR_FORMAT)) + packer.flush(zlib.Z_FULL_FLUSH)
        megabyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
        # What follows a full flush knows nothing of what comes before it, so that one megabyte stands for all.
        stream = head + megabyte * (1 << 10) + packer.compress(bytes(1024)) + packer.flush()
        checksum = zlib.crc32(info.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(1 << 10):
            checksum = zlib.crc32(bytes(1 << 20), checksum)
        trailer = struct.pack("<II", zlib.crc32(bytes(1024), checksum), (info.size + 512 + 1024) & 0xFFFFFFFF)
        bomb = b"\x1f\x8b\x08" + bytes(6) + b"\xff" + stream + trailer
        assert zlib.decompressobj(31).decompress(bomb, 512) == info.tobuf(tarfile.USTAR_FORMAT)
        assert len(bomb) < 2 << 20
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(EngineError, match="invalid diffID"):
            load(images, packed(Made([MORE], packed=[bomb]).docker()))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
        assert is_empty(images)
