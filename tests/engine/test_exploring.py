"""The files of an image's layers, on every engine: what each changed, what is wasted, and two images compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

import dockerlab
from dockerlab import images
from dockerlab.client import Client
from dockerlab.errors import NotFound
from dockerlab.images import Image
from dockerlab.testing.shell import Shell

NAME = "dockerlab-test-explored:1"


@pytest.fixture
def built(client: Client) -> Iterator[Image]:
    dockerfile = f"""FROM busybox
RUN mkdir -p /data/sub && echo {uuid4()} > /data/kept && echo 12345 > /data/sub/gone && echo same > /data/mode
RUN echo 123 > /data/kept && chmod 600 /data/mode
LABEL made.by=test
RUN rm -r /data/sub
"""
    yield dockerlab.build(dockerfile, tag=NAME, client=client)
    images.rm(NAME, force=True, client=client)


@pytest.mark.contract
def test_what_each_layer_changed(built: Image, client: Client) -> None:
    explored = dockerlab.explore(NAME, client=client)
    assert explored.name == NAME
    made, changed, removed = (
        {change.path: change.change for change in layer.changes if change.path.startswith("data/")}
        for layer in explored.layers[-3:]
    )
    assert made == dict.fromkeys(["data/kept", "data/mode", "data/sub", "data/sub/gone"], "added")
    assert {path: change for path, change in changed.items() if change != "unchanged"} == {
        "data/kept": "modified",
        "data/mode": "modified",
    }
    assert {path for path, change in removed.items() if change == "removed"} == {"data/sub", "data/sub/gone"}
    assert explored.files["data/kept"].size == 4
    wasted = {offender.path: offender.wasted for offender in explored.waste.offenders}
    assert (wasted["data/kept"], wasted["data/mode"], wasted["data/sub"]) == (37, 5, 6)
    assert 0 < explored.waste.efficiency < 1


@pytest.mark.contract
def test_a_line_of_an_image_has_its_tree(built: Image, client: Client) -> None:
    lines = built.layers
    trees = {line.instruction.split()[0]: line.tree for line in lines[-2:]}
    assert trees["RUN"]["data/sub"].change == "removed"
    assert trees["LABEL"]["data/sub/gone"].size == 6
    assert not any(trees["LABEL"].root.counts)
    assert built.files["data/mode"].file.mode == 0o600
    explored = dockerlab.explore(built, client=client)
    assert [layer.dockerfile_line for layer in explored.layers[-3:]] == [2, 3, 5]
    assert "(line 5) RUN rm -r /data/sub" in str(explored)


@pytest.mark.contract
def test_an_image_is_read_once(built: Image, client: Client) -> None:
    first = dockerlab.explore(built, client=client)
    images.tag(built, "dockerlab-test-explored:2", client=client)
    try:
        again = dockerlab.explore("dockerlab-test-explored:2", client=client)
    finally:
        images.rm("dockerlab-test-explored:2", client=client)
    assert again.contents is first.contents
    assert again.name == "dockerlab-test-explored:2"


@pytest.mark.contract
def test_two_images_and_a_file_are_compared(built: Image, client: Client, tmp_path: Path) -> None:
    diff = images.diff("busybox", NAME, client=client)
    assert {change.path: change.change for change in diff.files if change.path.startswith("data/")} == {
        "data/kept": "added",
        "data/mode": "added",
    }
    assert ("Labels made.by", None, "test") in diff.comparison.settings
    assert diff.layers[1] == diff.layers[0] + 3
    assert diff.shared == diff.layers[0]
    saved = tmp_path / "saved.tar"
    with saved.open("wb") as file:
        file.writelines(client.api.get_image(NAME))
    assert repr(images.diff(saved, NAME, client=client)).endswith("\n  nothing differs")
    assert images.explore(saved).waste == dockerlab.explore(NAME, client=client).waste


@pytest.mark.contract
def test_the_magics(built: Image, client: Client) -> None:
    with Shell() as shell:
        explored = shell.run(f"%image explore {NAME}").value
        assert repr(explored).splitlines()[-1] == "  RUN rm -r /data/sub"
        count = len(explored.layers)
        tree = shell.run(f"%image explore {NAME} --layer {count} --changed removed --find sub/").value
        assert repr(tree) == f"{NAME}, layer {count}: RUN rm -r /data/sub\n  - /data/sub/gone"
        assert "nothing differs" in repr(shell.run(f"%image diff {NAME} {NAME}").value)
        with pytest.raises(NotFound):
            shell.run("%image explore dockerlab-test-none")
