"""Push to a real registry, Debian's docker-registry: what goes, compressed once and the same each time. Lines as Docker Engine 28
has them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from itertools import groupby
from pathlib import Path

import pytest

from dockerlab.engine.store.documents import OCI_LAYER
from dockerlab.engine.store.values import short
from dockerlab.errors import DockerlabError
from tests.embedded.archives import Made, digest, layer, load, packed
from tests.embedded.registries import LAYERS, MADE, Engine, client, get, manifest, pushed, put, said


class TestPush:
    """What goes."""

    def test_an_image(self, mine: Engine, address: str) -> None:
        made = Made([layer(("pushed", os.urandom(1000), {}))], [f"{address}/new/app:1"])
        load(mine.images, packed(made.docker()))
        image = mine.images.get(f"{address}/new/app:1")
        identifier = short(digest(made.layers[0]))
        head = [f"The push refers to repository [{address}/new/app]", f"{identifier}: Preparing"]
        messages = mine.push(f"{address}/new/app:1")
        data = get(address, "new/app/manifests/1")
        end = [f"1: digest: {digest(data)} size: {len(data)}", ""]
        assert said(messages) == [*head, f"{identifier}: Pushed", *end]
        assert messages[-1] == {"progressDetail": {}, "aux": {"Tag": "1", "Digest": digest(data), "Size": len(data)}}
        found, (packed_layer,) = pushed(address, "new/app", "1")
        # The same but for the layer, which is compressed.
        size = len(packed_layer)
        assert found["layers"] == [{"mediaType": f"{OCI_LAYER}+gzip", "digest": digest(packed_layer), "size": size}]
        assert {**found, "layers": []} == {**json.loads(mine.images.blobs.read(image.manifest)), "layers": []}
        assert gzip.decompress(packed_layer) == made.layers[0]
        assert mine.images.get(f"{address}/new/app:1").manifest == image.manifest
        assert mine.images.get(f"{address}/new/app:1").digests == [f"{address}/new/app@{digest(data)}"]
        assert mine.notes == [("push", f"{address}/new/app:1", {"kind": "made", "name": f"{address}/new/app"})]
        assert said(mine.push(f"{address}/new/app:1")) == [*head, f"{identifier}: Layer already exists", *end]
        # Another repository of the same registry is given the layer without sending it.
        mine.images.tag(image, f"{address}/other:2")
        assert said(mine.push(f"{address}/other:2"))[2] == f"{identifier}: Mounted from new/app"
        assert mine.is_clean()

    def test_the_digest_that_it_has_in_the_registry_means_the_image(self, mine: Engine, address: str, tmp_path: Path) -> None:
        made = Made([LAYERS[0], layer(("more", b"text" * 400_000, {})), LAYERS[0]], [f"{address}/back:1"])
        load(mine.images, packed(made.docker()))
        image = mine.images.get(f"{address}/back:1")
        top = mine.push(f"{address}/back:1")[-1]["aux"]["Digest"]
        name = f"{address}/back@{top}"
        assert (mine.images.get(name).id, top != image.manifest) == (image.id, True)
        assert said(mine.pull(name))[-1] == f"Status: Image is up to date for {name}"
        assert said(mine.pull(f"{address}/back:1"))[-1] == f"Status: Image is up to date for {address}/back:1"
        # What another engine pulls is the same, and a push from there is, too.
        for other in (client(tmp_path / "other"), mine):
            for known in mine.images.images() if other is mine else ():
                mine.images.remove(known.id, force=True)
            other.pull(f"{address}/back:1")
            again = other.images.get(f"{address}/back:1")
            assert (again.id, again.manifest, again.digests) == (image.id, top, [name])
            assert [one.diff_id for one in again.layers] == [digest(data) for data in made.layers]
            assert other.push(f"{address}/back:1")[-1]["aux"]["Digest"] == top
            assert other.is_clean()

    def test_skopeo_takes_it(self, mine: Engine, address: str, tmp_path: Path) -> None:
        program = shutil.which("skopeo")
        if not program:
            pytest.skip("there is no skopeo: apt-get install skopeo")
        made = Made([layer((f"{number}", os.urandom(1000) * 3000, {})) for number in range(2)], [f"{address}/skopeo:1"])
        load(mine.images, packed(made.docker()))
        mine.push(f"{address}/skopeo:1")
        # It decompresses the layers, and makes sure of the diff_ids.
        command = [program, "copy", "--insecure-policy", "--src-tls-verify=false", "--dest-decompress"]
        command += [f"docker://{address}/skopeo:1", f"dir:{tmp_path / 'copy'}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for data in (*made.layers, made.config_bytes):
            assert (tmp_path / "copy" / digest(data).removeprefix("sha256:")).read_bytes() == data

    def test_a_layer_is_compressed_once(self, mine: Engine, address: str) -> None:
        big = layer(("big", b"text" * 700_000, {}))
        made = Made([big], [f"{address}/once:1"])
        load(mine.images, packed(made.docker()))
        first = mine.push(f"{address}/once:1")[-1]["aux"]["Digest"]
        path = mine.images.blobs.path(digest(big))
        path.unlink()  # nobody reads it
        assert said(mine.push(f"{address}/once:1"))[2] == f"{short(digest(big))}: Layer already exists"
        mine.images.tag(f"{address}/once:1", f"{address}/twice:1")
        assert said(mine.push(f"{address}/twice:1"))[2] == f"{short(digest(big))}: Mounted from once"
        path.write_bytes(big)
        # The same bytes without knowing it.
        (mine.images.home.root / "images.json").unlink()
        assert mine.images.gzip(digest(big)) is None
        mine.images.tag(f"{address}/once:1", f"{address}/thrice:1")
        assert mine.push(f"{address}/thrice:1")[-1]["aux"]["Digest"] == first
        assert mine.images.gzip(digest(big)) is not None
        mine.images.remove(mine.images.images()[0].id, force=True)
        assert mine.images.gzip(digest(big)) is None

    def test_only_what_is_not_compressed(self, mine: Engine, address: str) -> None:
        """Of an archive with a manifest of its own; what else that says stays."""
        load(mine.images, packed(MADE.oci()))
        mine.images.tag("made:1", f"{address}/mixed:1")
        mine.push(f"{address}/mixed:1")
        found, layers = pushed(address, "mixed", "1")
        assert [layers[number] == MADE.blobs[number] for number in range(4)] == [True, True, False, True]
        assert gzip.decompress(layers[2]) == LAYERS[2]
        assert [one["mediaType"].rpartition("+")[2] for one in found["layers"]] == ["gzip", "zstd", "gzip", "gzip"]
        assert all(one["annotations"] == {"kept": "byte for byte"} for one in found["layers"])

    def test_how_far_it_is(self, mine: Engine, address: str) -> None:
        big = layer(("big", os.urandom(3_000_000), {}))
        load(mine.images, packed(Made([big], [f"{address}/far:1"]).docker()))
        found = [message for message in mine.pushing(f"{address}/far:1").messages() if message.get("progressDetail")]
        assert [status for status, _ in groupby(message["status"] for message in found)] == ["Preparing", "Pushing"]
        sizes = {message["status"]: message["progressDetail"]["total"] for message in found}
        assert sizes == {"Preparing": len(big), "Pushing": pushed(address, "far", "1")[0]["layers"][0]["size"]}
        assert {message["id"] for message in found} == {short(digest(big))}

    def test_what_was_pulled_has_the_same_digest_after_a_push(self, mine: Engine, address: str, tmp_path: Path) -> None:
        top = put(address, "origin", "1", MADE)
        mine.pull(f"{address}/origin:1")
        mine.images.tag(f"{address}/origin:1", f"{address}/copy:1")
        assert said(mine.push(f"{address}/copy:1"))[-2] == f"1: digest: {top} size: {len(manifest(MADE))}"
        again = client(tmp_path / "again")
        again.pull(f"{address}/copy@{top}")
        assert again.images.get(MADE.id).manifest == top

    def test_all_tags(self, mine: Engine, address: str) -> None:
        load(mine.images, packed(MADE.docker()))
        for tag in ("2", "1"):
            mine.images.tag("made:1", f"{address}/many:{tag}")
        found = mine.push(f"{address}/many", all_tags=True)
        assert [message["aux"]["Tag"] for message in found if "aux" in message] == ["1", "2"]
        assert sorted(json.loads(get(address, "many/tags/list"))["tags"]) == ["1", "2"]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("app:nothing", "tag does not exist: {}/app:nothing"),
            ("nothing:1", "An image does not exist locally with the tag: {}/nothing"),
            (f"app@sha256:{'0' * 64}", "cannot push a digest reference"),
        ],
    )
    def test_what_cannot_be_pushed(self, mine: Engine, address: str, name: str, text: str) -> None:
        load(mine.images, packed(MADE.docker()))
        mine.images.tag("made:1", f"{address}/app:1")
        with pytest.raises(DockerlabError) as caught:
            mine.push(f"{address}/{name}")
        assert str(caught.value) == text.format(address)
