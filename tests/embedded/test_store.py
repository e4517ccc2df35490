"""Images and their names: what is found, tagged, removed and pruned, with Docker's rules and texts."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import pytest

from dockerlab.engine.store import Image, Layer, Store, Use
from dockerlab.engine.store.kinship import own_layers, shared_sizes
from dockerlab.engine.store.removal import plan
from dockerlab.errors import Conflict, EngineError, InvalidReference, NotFound, UsageError
from tests.embedded.archives import Made, digest, layer, load, packed, store

BASE = layer(("etc", None, {}), ("etc/motd", b"hello", {}), ("link", "etc/motd", {}))
MORE = layer(("more", b"x" * 1000, {}))
MADE = Made([BASE], ["made:1"])


@pytest.fixture
def notes() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def images(tmp_path: Path, notes: list[tuple[str, str]]) -> Store:
    """A store with one image, made:1."""
    made = store(tmp_path, notes)
    load(made, packed(MADE.docker()))
    notes.clear()
    return made


def blobs(images: Store) -> list[str]:
    return sorted(os.listdir(images.blobs.folder))


class TestFinding:
    """`Store.get`."""

    def test_by_name_and_by_id(self, images: Store) -> None:
        image = images.get("made:1")
        digits = image.id.removeprefix("sha256:")
        for name in ("docker.io/library/made:1", image.id, digits, digits[:12], digits[:3], f"sha256:{digits[:9]}"):
            assert images.get(name) == image

    def test_an_image_is_what_its_config_says(self, images: Store) -> None:
        image = images.get("made:1")
        assert image.id == MADE.id
        assert image.config == json.loads(MADE.config_bytes)
        assert image.tags == ["made:1"]
        assert image.labels == {"kind": "made"}
        assert image.size == len(b"hello") + len("etc/motd")
        assert image.layers == (
            Layer(digest(BASE), digest(BASE), digest(BASE), "application/vnd.oci.image.layer.v1.tar", len(BASE), image.size),
        )

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("nothing", "No such image: nothing:latest"),
            ("made", "No such image: made:latest"),
            ("docker.io/library/made:2", "No such image: made:2"),
            ("0" * 64, "No such image: sha256:" + "0" * 64),
            ("registry.test:5000/made", "No such image: registry.test:5000/made:latest"),
        ],
    )
    def test_what_is_not_there(self, images: Store, name: str, text: str) -> None:
        with pytest.raises(NotFound, match=f"^{text}$"):
            images.get(name)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("MADE", r"invalid reference format: repository name \(library/MADE\) must be lowercase"),
            ("a b", "invalid reference format"),
            ("", "invalid reference format"),
        ],
    )
    def test_what_is_not_a_name(self, images: Store, name: str, text: str) -> None:
        with pytest.raises(InvalidReference, match=f"^{text}$") as caught:
            images.get(name)
        assert caught.value.status == 400

    def test_the_newest_comes_first(self, images: Store) -> None:
        for day in ("01", "03", "02"):
            load(images, packed(Made([BASE], [f"day:{day}"], {"created": f"2021-01-{day}T00:00:00Z"}).docker()))
        assert [image.tags for image in images.images()] == [["day:03"], ["day:02"], ["day:01"], ["made:1"]]

    def test_a_layer_is_read_as_it_came(self, images: Store) -> None:
        with images.open_layer(images.get("made:1").layers[0]) as tar:
            assert tar.read() == BASE


class TestNames:
    """`Store.tag`."""

    def test_a_name_more(self, images: Store, notes: list[tuple[str, str]]) -> None:
        image = images.tag("made:1", "registry.test/a/b:c")
        assert image.tags == ["made:1", "registry.test/a/b:c"]
        assert image.tagged
        assert notes == [("tag", "registry.test/a/b:c")]

    def test_a_name_moves(self, images: Store) -> None:
        load(images, packed(Made([MORE], ["other:1"]).docker()))
        images.tag("other:1", "made:1")
        assert images.get("made:1").tags == ["made:1", "other:1"]
        assert images.get(MADE.id).tags == []

    def test_a_name_with_a_digest_is_refused(self, images: Store) -> None:
        with pytest.raises(UsageError, match="refusing to create a tag with a digest reference"):
            images.tag("made:1", "a@sha256:" + "0" * 64)

    def test_names_outlive_the_process(self, images: Store, tmp_path: Path) -> None:
        images.tag("made:1", "again")
        assert store(tmp_path).get("again").tags == ["again:latest", "made:1"]

    def test_another_process_sees_it_at_once(self, images: Store, tmp_path: Path) -> None:
        other = store(tmp_path)
        assert other.get("made:1").id == MADE.id
        images.tag("made:1", "again")
        assert other.get("again").id == MADE.id
        other.remove("made:1")
        with pytest.raises(NotFound):
            images.get("made:1")

    def test_many_at_once_lose_nothing(self, images: Store, tmp_path: Path) -> None:
        stores = [store(tmp_path) for _ in range(4)]
        threads = [
            threading.Thread(target=lambda one=one, n=n: [one.tag("made:1", f"t{n}:{i}") for i in range(10)])
            for n, one in enumerate(stores)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(images.get("made:1").references) == 41

    def test_the_index_is_an_oci_index(self, images: Store) -> None:
        index = json.loads((images.home.root / "index.json").read_text())
        [entry] = index["manifests"]
        assert entry["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert entry["annotations"]["org.opencontainers.image.ref.name"] == "1"
        assert entry["digest"].removeprefix("sha256:") in blobs(images)
        assert json.loads((images.home.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


class TestRemoving:
    """`Store.remove`."""

    def test_the_last_name_takes_the_image_with_it(self, images: Store, notes: list[tuple[str, str]]) -> None:
        assert images.remove("made:1") == [{"Untagged": "made:1"}, {"Deleted": MADE.id}, {"Deleted": digest(BASE)}]
        assert blobs(images) == []
        assert notes == [("untag", MADE.id), ("delete", MADE.id)]

    def test_another_name_stays(self, images: Store) -> None:
        images.tag("made:1", "other")
        assert images.remove("other") == [{"Untagged": "other:latest"}]
        assert images.get("made:1").tags == ["made:1"]

    def test_a_shared_layer_stays(self, images: Store) -> None:
        load(images, packed(Made([BASE, MORE], ["top:1"]).docker()))
        gone = images.remove("top:1")
        assert gone[0] == {"Untagged": "top:1"}
        assert len(gone) == 3
        with images.open_layer(images.get("made:1").layers[0]) as tar:
            assert tar.read() == BASE

    def test_by_id_with_names_of_several_repositories(self, images: Store) -> None:
        images.tag("made:1", "other:1")
        short = MADE.id.removeprefix("sha256:")[:12]
        text = f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        with pytest.raises(Conflict) as caught:
            images.remove(short)
        assert caught.value.message == text
        assert images.remove(short, force=True)[:2] == [{"Untagged": "made:1"}, {"Untagged": "other:1"}]
        assert images.images() == []

    def test_while_a_container_uses_its_only_name(self, images: Store) -> None:
        use = Use("c" * 64, MADE.id, running=False)
        short = MADE.id.removeprefix("sha256:")[:12]
        with pytest.raises(Conflict) as caught:
            images.remove("made:1", uses=lambda: [use])
        assert caught.value.message == (
            f'conflict: unable to remove repository reference "made:1" (must force) - '
            f"container cccccccccccc is using its referenced image {short}"
        )
        with pytest.raises(Conflict, match=r"\(must be forced\) - image is being used by stopped container cccccccccccc"):
            images.remove(MADE.id, uses=lambda: [use])
        # The container keeps the layer.
        assert images.remove("made:1", uses=lambda: [use], force=True) == [{"Untagged": "made:1"}, {"Deleted": MADE.id}]

    def test_while_a_container_of_it_runs(self, images: Store) -> None:
        use = Use("c" * 64, MADE.id, running=True)
        with pytest.raises(Conflict, match=r"\(cannot be forced\) - image is being used by running container cccccccccccc"):
            images.remove(MADE.id, uses=lambda: [use], force=True)
        assert images.remove("made:1", uses=lambda: [use], force=True) == [{"Untagged": "made:1"}]
        assert images.get(MADE.id).tags == []

    def test_with_it_go_those_that_it_was_committed_on(self, images: Store) -> None:
        parent = images.get("made:1")
        child = images.commit(parent, io.BytesIO(MORE), {}, "child:1")
        with pytest.raises(Conflict, match="image has dependent child images"):
            images.remove(MADE.id, force=True)
        assert images.remove("made:1") == [{"Untagged": "made:1"}]
        gone = [record["Deleted"] for record in images.remove("child:1") if "Deleted" in record]
        assert gone == [child.id, child.layers[1].chain_id, MADE.id, digest(BASE)]

    def test_those_that_it_was_committed_on_stay_if_wanted(self, images: Store) -> None:
        images.commit(images.get("made:1"), io.BytesIO(MORE), {}, "child:1")
        images.remove("made:1")
        images.remove("child:1", no_prune=True)
        assert [image.id for image in images.images()] == [MADE.id]

    def test_digests_go_with_the_last_tag_of_their_repository(self) -> None:
        names = ("docker.io/library/a:1", "docker.io/library/a@sha256:" + "1" * 64)
        image = Image("sha256:" + "a" * 64, {}, "m", (), names)
        assert [step.name for step in plan("a:1", image, [image])] == [*names, None]
        assert [step.name for step in plan("aaaa", image, [image])] == [*names, None]
        # An event tells of them only where nobody named the tag.
        assert [step.is_event for step in plan("a:1", image, [image])] == [True, False, True]
        assert [step.is_event for step in plan("aaaa", image, [image])] == [True, True, True]


class TestPruning:
    """`Store.prune`."""

    def test_only_what_has_no_name(self, images: Store) -> None:
        load(images, packed(Made([BASE, MORE], ["made:1"]).docker()))
        records, freed = images.prune()
        assert records == [{"Deleted": MADE.id}]
        assert freed == 0
        assert [image.tags for image in images.images()] == [["made:1"]]

    def test_all_that_no_container_uses(self, images: Store) -> None:
        load(images, packed(Made([MORE], ["used:1"]).docker()))
        used = images.get("used:1")
        records, freed = images.prune(dangling=False, uses=lambda: [Use("c", used.id, running=False)])
        assert records == [{"Untagged": "made:1"}, {"Deleted": MADE.id}, {"Deleted": digest(BASE)}]
        assert freed == len(b"hello") + len("etc/motd")
        assert images.images() == [used]

    def test_only_what_is_wanted(self, images: Store) -> None:
        assert images.prune(dangling=False, wanted=lambda image: False) == ([], 0)
        assert images.get("made:1").id == MADE.id


class TestMaking:
    """`Store.commit` and `Store.import_`."""

    def test_a_commit(self, images: Store, notes: list[tuple[str, str]]) -> None:
        parent = images.get("made:1")
        image = images.commit(parent, io.BytesIO(MORE), {"Cmd": ["x"]}, "a/b", author="me", comment="why", created_by="sh -c x")
        assert image.parent == parent.id
        assert image.run == {"Cmd": ["x"]}
        assert image.config["author"] == "me"
        assert [line.get("created_by") for line in image.config["history"]] == ["layer 0", "sh -c x"]
        assert image.config["history"][1]["comment"] == "why"
        assert [layer.diff_id for layer in image.layers] == [digest(BASE), digest(MORE)]
        assert image.size == parent.size + 1000
        assert notes == [("create", image.id), ("tag", "a/b:latest")]

    def test_a_commit_without_a_change_has_no_layer(self, images: Store) -> None:
        image = images.commit(images.get("made:1"), io.BytesIO(layer()), {})
        assert [layer.diff_id for layer in image.layers] == [digest(BASE)]
        assert image.config["history"][-1]["empty_layer"] is True

    def test_an_import(self, images: Store, notes: list[tuple[str, str]]) -> None:
        image = images.import_(io.BytesIO(MORE), "in:1", changes=["CMD sh", "ENV A=b"], message="hi", platform="linux/arm64/v8")
        assert image.run == {"Cmd": ["/bin/sh", "-c", "sh"], "Env": ["A=b"]}
        assert (image.config["architecture"], image.config["variant"]) == ("arm64", "v8")
        assert image.config["history"][0]["comment"] == "hi"
        assert notes == [("import", image.id), ("tag", "in:1")]

    @pytest.mark.parametrize("changes", [["FOO bar"], ["USER"]])
    def test_an_import_with_a_change_that_is_none(self, images: Store, changes: list[str]) -> None:
        with pytest.raises(UsageError):
            images.import_(io.BytesIO(MORE), changes=changes)

    def test_an_import_of_garbage_leaves_nothing(self, images: Store) -> None:
        before = blobs(images)
        for garbage, text in ((b"garbage", "unexpected EOF"), (b"g" * 2000, "archive/tar: invalid tar header")):
            with pytest.raises(EngineError, match=text):
                images.import_(io.BytesIO(garbage))
        assert blobs(images) == before
        assert os.listdir(images.home.tmp) == []

    def test_the_same_layer_twice_is_kept_once(self, images: Store) -> None:
        first = images.import_(io.BytesIO(MORE), "one")
        second = images.import_(io.BytesIO(MORE), "two")
        assert first.layers == second.layers
        assert sum(own_layers(images.images()).values()) == 1000 + images.get("made:1").size
        assert shared_sizes(images.images()) == {first.id: 1000, second.id: 1000, MADE.id: 0}
