"""What steps hang on: files that changed, secrets that are not kept; time and memory grow with a Dockerfile, and not with its square."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from dockerlab.builds.changes import Changes, File, difference
from dockerlab.builds.inputs import MANY, Stage, salted, stages, without_secrets
from dockerlab.dockerfile import parse
from tests.unit.reasoning import FILE, Made, explained

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ENV API_TOKEN=abc OTHER=x", "ENV API_TOKEN=… OTHER=x"),
        ("ENV PASSWORD abc def", "ENV PASSWORD …"),
        ("ARG SECRET_KEY='a b'", "ARG SECRET_KEY=…"),
        ('ENV TOKEN="$TOKEN"', 'ENV TOKEN="$TOKEN"'),
        ("RUN tool --password abc --name x", "RUN tool --password … --name x"),
        ("RUN curl https://me:abc@example.com/", "RUN curl https://…@example.com/"),
        ("RUN curl 'https://me:a@bc@example.com/'", "RUN curl 'https://…@example.com/'"),
        ("LABEL authors=me", "LABEL authors=me"),
    ],
)
def test_what_looks_like_a_secret_is_not_kept(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_a_secret_that_changed_is_not_shown() -> None:
    (reason,) = explained(Made("FROM b\nRUN x --token abc\n"), Made("FROM b\nRUN x --token def\n", "2"))
    assert (reason.kind, reason.sentence, reason.diff) == (
        "instruction",
        "the instruction changed, in a value that is not shown",
        (),
    )


def test_difference_goes_by_content_and_mode_and_by_what_is_seen_where_content_is_not_known() -> None:
    old = {
        "same": File(1, 1, 1, FILE, "a"),
        "mode": File(1, 1, 1, FILE, "a"),
        "unknown": File(1, 1, 1, FILE),
        "d/": File(0, 0, 0, 1),
    }
    new = {
        "same": File(1, 2, 3, FILE, "a"),
        "mode": File(1, 1, 1, 0o100755, "a"),
        "unknown": File(1, 2, 1, FILE),
        "e/": File(0, 0, 0, 1),
    }
    assert difference(old, new) == Changes(("e/",), ("mode", "unknown"), ("d/",))
