"""Front ends that know no widgets: `jupyter console`, Colab and whatever else shows HTML or text alone. A real kernel, a real engine.

They are of two kinds. One names no cell in what it asks of the kernel: it gets a static display, which is updated as a whole. The other
names one, as JupyterLab and VS Code do, but shows none of the widget: it has the static face beside the widget in the same bundle.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from tests.engine.test_containers import name
from tests.engines import Engine
from tests.unit.test_notebook_view import run

_WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def kernel(engine: Engine) -> Iterator[BlockingKernelClient]:
    """A kernel that a person uses, not one of a test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_VERSION", raising=False)
        manager, client = start_new_kernel(kernel_name="python3", env={**os.environ, "DOCKER_HOST": engine.url or ""})
    try:
        run(client, "%load_ext dockerlab")
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def shown(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a front end without widgets has in the cell's output at the end: bundles, as they were updated last."""
    found: dict[str, dict[str, Any]] = {}
    for one in heard:
        if one["type"] in ("display_data", "update_display_data", "execute_result"):
            found[one.get("transient", {}).get("display_id") or f"{len(found)}"] = one["data"]
    return list(found.values())


@pytest.mark.parametrize("in_page", [False, True], ids=["names no cell", "shows no widget"])
def test_static_faces_are_there(kernel: BlockingKernelClient, in_page: bool) -> None:
    image, box = name("frontend"), name("frontend-box")
    build = run(kernel, f"%%dockerfile -t {image}\nFROM busybox\nRUN echo hello\nCMD sleep 60", in_page=in_page)
    try:
        run(kernel, f"%container run -d --name {box} {image}", in_page=in_page)
        picture = run(kernel, f"%pipeline {image}", in_page=in_page)
        panel = run(kernel, f"%container show {box}", in_page=in_page)
    finally:
        run(kernel, f"%container rm -f {box}", in_page=in_page)
        run(kernel, f"%image rm {image}", in_page=in_page)
    # A build is over with its cell, and static everywhere.
    assert [sorted(bundle) for bundle in shown(build)] == [["text/html", "text/plain"]] * 2
    assert shown(build)[0]["text/plain"].splitlines() == [
        f"build {image}:latest", "1  FROM busybox    base", "2  RUN echo hello  layer", "3  CMD sleep 60    config",
    ]  # fmt: skip
    assert "● done" in shown(build)[0]["text/html"]
    for heard, first in ((picture, f"pipeline of {image}:latest"), (panel, f"container {box} ({image}): running")):
        (bundle,) = shown(heard)
        assert (_WIDGET in bundle) == in_page
        assert bundle["text/plain"].splitlines()[0] == first
        assert 'class="dockerlab"' in bundle["text/html"]
        assert "running" in bundle["text/html"]
        assert "data-action" not in bundle["text/html"]
        assert "<script" not in bundle["text/html"]
    if not in_page:
        assert not [one for heard in (build, picture, panel) for one in heard if one["type"].startswith("comm_")]
