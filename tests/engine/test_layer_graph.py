"""`%image graph`: the layers of real images, on every engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress

import pytest

import dockerlab
from dockerlab import images
from dockerlab.client import Client
from dockerlab.errors import NotFound

pytestmark = pytest.mark.contract

APP, WEB = "dockerlab-test-graph-app:1", "dockerlab-test-graph-web:1"


@pytest.fixture
def salt() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def built(client: Client, salt: str) -> Iterator[None]:
    """Two images that share busybox, and a layer on it."""
    shared = f"FROM busybox\nRUN echo {salt} > /shared\n"
    dockerlab.build(f"{shared}RUN echo app > /app\n", tag=APP, client=client)
    dockerlab.build(f"{shared}RUN echo web > /web\nCMD web\n", tag=WEB, client=client)
    yield
    for name in (APP, WEB):
        with suppress(NotFound):
            images.rm(name, force=True, client=client)


@pytest.mark.usefixtures("built")
def test_images_that_share_a_base_have_its_layers_once(client: Client, salt: str) -> None:
    graph = images.graph([APP, WEB], client=client)
    by_instruction = {layer.instruction: layer for layer in graph.layers}
    app, web = (next(image for image in graph.images if name in image.names) for name in (APP, WEB))
    assert {*by_instruction[f"RUN echo {salt} > /shared"].images} >= {app.id, web.id}
    assert by_instruction["RUN echo app > /app"].images == (app.id,)
    assert by_instruction["RUN echo web > /web"].images == (web.id,)
    base = images.get("busybox", client=client)
    assert {app.id, web.id} <= {*graph.bases[str(base.id)]}
    assert [layer.chain_id for layer in app.layers] == [layer.chain_id for layer in base.layers if not layer.empty] + [
        by_instruction[f"RUN echo {salt} > /shared"].chain_id,
        by_instruction["RUN echo app > /app"].chain_id,
    ]
    shown = repr(graph).splitlines()
    at = shown.index(f"RUN echo {salt} > /shared")
    assert shown[0] == f"layers of {APP}, {WEB}"
    assert shown[at + 1 :] == ["├─ RUN echo app > /app", f"│  ▣ {APP}", "└─ RUN echo web > /web", f"   ▣ {WEB}"]
    assert "busybox:latest, base of" in str(graph)
    assert graph.dot.count("> /shared") == 1


def test_a_base_of_the_same_layers_is_told_by_its_history(client: Client, salt: str) -> None:
    dockerlab.build(f"FROM busybox\nENV SALT={salt}\n", tag=APP, client=client)
    try:
        graph = images.graph(APP, client=client)
        base, app = (str(images.get(name, client=client).id) for name in ("busybox", APP))
        assert app in graph.bases[base]
        assert base not in graph.bases.get(app, ())
        assert repr(graph).splitlines()[-1] == f"▣ {APP}"
    finally:
        images.rm(APP, force=True, client=client)


@pytest.mark.usefixtures("built")
def test_all_images_are_in_the_graph_of_all(client: Client) -> None:
    graph = images.graph(client=client)
    named = {name for image in graph.images for name in image.names}
    assert {APP, WEB, "busybox:latest"} <= named
    assert f"▣ {APP}" in repr(graph)


def test_a_name_that_is_not_there(client: Client) -> None:
    with pytest.raises(NotFound, match=r"^no such image 'busybx'"):
        images.graph("busybx", client=client)
