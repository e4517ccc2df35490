"""ONBUILD of a base that is pulled by the very build which needs it: what its triggers copy from is built, too, in one build."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.embedded.archives import Made, layer
from tests.embedded.builds import Files, build, nothing_left
from tests.embedded.registries import docker_registry, put
from tests.embedded.rungs import OwnEngine, engine

EXAMPLE = """
FROM busybox AS early
ARG early
RUN echo "from $early" > /f
FROM busybox AS needed
COPY --from=early /f /g
FROM busybox AS other
RUN sleep 0.2; echo other > /f
FROM {base} AS first
FROM {base}
COPY --from=first /out/g /again
COPY --from=other /f /other
"""


@pytest.fixture(scope="module")
def own() -> Iterator[OwnEngine]:
    with engine("user" if os.getuid() else "root") as own:
        yield own
        nothing_left(own)
        assert "Traceback" not in own.said()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def base(own: OwnEngine, address: str, *triggers: str) -> str:
    """The name of an image that is in the registry and not here."""
    made = Made([layer(("base", b"base\n", {}))], config={"config": {"OnBuild": [*triggers]}})
    put(address, "base", "1", made)
    name = f"{address}/base:1"
    own.client.ask("DELETE", f"/images/{name}", force=1)
    return name


@pytest.mark.parametrize("source", ["needed", "1"])
def test_one_build_is_enough(own: OwnEngine, address: str, source: str) -> None:
    name = base(own, address, f"COPY --from={source} /g /out/g", "COPY --from=other /f /out/other")
    text = EXAMPLE.format(base=name)
    built = build(own.client, text, nocache=True, buildargs={"early": "afar"})
    files = Files(own.client, built.image)
    assert (files.text("again"), files.text("out/g"), files.text("out/other")) == ("from afar\n", "from afar\n", "other\n")
    # Each is built and told once, and nothing of it is said not to be used.
    instructions = text.strip().split("\n")
    assert sorted(built.steps) == sorted(instructions)
    assert "not consumed" not in built.log
    again = build(own.client, text, buildargs={"early": "afar"})
    assert again.image == built.image
    assert again.steps == instructions, "now that the image is here, they are told in their order"


def test_what_the_stage_says_at_length_is_told(own: OwnEngine, address: str) -> None:
    """Others wait for that stage who are told before the one that builds it."""
    name = base(own, address, "COPY --from=0 /f /f")
    text = "FROM busybox\nRUN yes 'a line of forty bytes, more or less, yes' | head -c 40000000; touch /f\n"
    text += (
        f"FROM busybox AS slow\nRUN sleep 0.5\nFROM {name} AS a\nCOPY --from=slow /etc/passwd /\nFROM {name} AS b\nFROM scratch\n"
    )
    built = build(own.client, f"{text}COPY --from=a / /\nCOPY --from=b /f /b\n", nocache=True)
    assert built.image
    assert len(built.log) > 40_000_000


def test_a_stage_that_fails(own: OwnEngine, address: str) -> None:
    name = base(own, address, "COPY --from=0 /f /f")
    built = build(own.client, f"FROM busybox\nRUN echo shown; exit 3\nFROM {name}\nRUN true\n")
    assert built.error == "The command '/bin/sh -c echo shown; exit 3' returned a non-zero code: 3"
    assert "shown\n" in built.log


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("late", 'cannot copy from stage "late", it needs to be defined before current stage "stage-1"'),
        ("7", "invalid stage index 7"),
    ],
)
def test_a_stage_that_cannot_be(own: OwnEngine, address: str, source: str, message: str) -> None:
    name = base(own, address, f"COPY --from={source} /f /f")
    built = build(own.client, f"FROM busybox\nFROM {name}\nFROM busybox AS late\nFROM busybox\nCOPY --from=1 / /\n")
    assert built.error.splitlines()[:2] == [message, f"2 | FROM {name}"]
