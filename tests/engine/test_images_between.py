"""An engine's images in our store and back: `docker save` and `docker load`, whatever the layout of the archive, with the same ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerlab.client import Client
from dockerlab.engine.store.values import Image
from tests.embedded.archives import Made, layer, load, packed, store

pytestmark = pytest.mark.contract


def is_same(client: Client, name: str, image: Image) -> bool:
    """Whether an engine has just this image by that name. In containerd's image store the id is a manifest's, not the configuration's."""
    found = client.images.get(name)
    if "Descriptor" in found.attrs:
        return bool(found.attrs["RootFS"]["Layers"] == [layer.diff_id for layer in image.layers])
    return bool(found.id == image.id)


def test_an_image_that_every_engine_has(client: Client, prefix: str, tmp_path: Path) -> None:
    ours = store(tmp_path)
    load(ours, b"".join(client.api.get_image("busybox:latest")))
    image = ours.get("busybox")
    assert is_same(client, "busybox", image)
    assert image.tags == ["busybox:latest"]
    ours.tag(image, f"{prefix}back:1")
    client.images.load(b"".join(ours.save([f"{prefix}back:1"])))
    assert is_same(client, f"{prefix}back:1", image)


def test_several_images_that_share_a_layer(client: Client, prefix: str, tmp_path: Path) -> None:
    base = layer(("etc", None, {}), ("etc/motd", b"hello", {"mtime": 1_500_000_000}))
    made = {
        f"{prefix}one:1": Made([base], [f"{prefix}one:1"]),
        f"{prefix}two:2": Made([base, layer(("etc/.wh.motd", b"", {}), ("new", b"x" * 1000, {}))], [f"{prefix}two:2"]),
    }
    ours, back = store(tmp_path / "ours"), store(tmp_path / "back")
    for image in made.values():
        load(ours, packed(image.docker()))
    # Podman says all names in one line, which docker-py's `images.load` cannot read.
    list(client.api.load_image(b"".join(ours.save(list(made)))))  # type: ignore[no-untyped-call]
    for name, image in made.items():
        assert is_same(client, name, ours.get(image.id))
        load(back, b"".join(client.api.get_image(name)))
        assert back.get(image.id).layers == ours.get(image.id).layers
    assert back.check() == []
