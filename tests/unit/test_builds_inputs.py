"""What steps hang on, of Dockerfiles that grow: time and memory grow with them, and not with their square."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from dockerlab.builds.inputs import MANY, Stage, salted, stages, without_secrets
from dockerlab.dockerfile import parse

LINES = 1000
VALUE = "x" * 1000


def inputs(text: str, **args: str) -> tuple[Stage, ...]:
    return stages(parse(text), args, digest=salted("salt"))


@pytest.mark.parametrize(
    "text",
    [
        "FROM b\n" + "".join(f"ENV V{i}={VALUE}\nRUN x\n" for i in range(LINES)),
        "FROM b AS s0\n"
        + "".join(f"ENV V{i}={VALUE}\n" for i in range(LINES))
        + "".join(f"FROM s{i} AS s{i + 1}\nRUN x\n" for i in range(500)),
        "FROM b AS s0\n" + "".join(f"ARG A{i}={VALUE}\nENV V{i}={VALUE}\nFROM s{i} AS s{i + 1}\nRUN x\n" for i in range(500)),
        f"FROM b\nRUN {'x' * 200_000}\nENV{' ' * 100_000}A b\n",
    ],
    ids=["runs", "stages", "stages-of-stages", "a-long-word"],
)
def test_many_variables_and_stages(text: str) -> None:
    dockerfile = parse(text)
    began = time.perf_counter()
    stages(dockerfile, {}, digest=salted("salt"))
    assert time.perf_counter() - began < 30
    tracemalloc.start()
    try:
        stages(dockerfile, {}, digest=salted("salt"))
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


def test_very_many_variables_are_told_as_one_that_changes_with_each() -> None:
    text = "FROM b\nARG WHO\n" + "".join(f"ENV V{i}={i}\n" for i in range(300)) + "RUN x\n"

    def seen(text: str, **args: str) -> dict[str, str]:
        return dict(inputs(text, **args)[0].instructions[-1].values)

    assert [*seen(text)] == [MANY]
    assert seen(text) == seen(text.replace("ENV V7=7\n", "ENV V7=8\nENV V7=7\n"))
    others = [text.replace("V7=7", "V7=8"), text.replace("V7=7", "W7=7"), text.replace("ENV V7=7\n", "")]
    assert len({seen(one)[MANY] for one in (text, *others)} | {seen(text, WHO="me")[MANY]}) == 5


def test_a_word_is_looked_at_once() -> None:
    began = time.perf_counter()
    for text in ("x" * 300_000, "-" * 300_000, "key" * 100_000, " " * 300_000, "ENV " * 80_000, "token=" * 50_000):
        without_secrets(text)
    assert time.perf_counter() - began < 30
