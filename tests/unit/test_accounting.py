"""Which line of a history made which layer: what is certain is true, and what cannot be known is not said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockerlab.image import layers
from dockerlab.image.accounting import EMPTY, Line, Made, account, lines

hypothesis = pytest.importorskip("hypothesis", reason="the generated cases want hypothesis: pip install hypothesis")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

CASES = sorted((Path(__file__).parents[1] / "cases" / "image").glob("*/image.json"))
A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")


def entry(created_by: str, size: int = 0, comment: str = "", identity: str = "<missing>") -> dict[str, Any]:
    return {"CreatedBy": created_by, "Size": size, "Created": 7, "Id": identity, "Comment": comment}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_what_is_certain_of_an_engine_s_history_is_what_the_image_s_config_says(path: Path) -> None:
    case = json.loads(path.read_text())
    exact = layers(case["config_history"], case["diff_ids"])
    found = account(lines(case["history"]), case["diff_ids"])
    assert found is not None
    for made, line in zip(found.made, exact, strict=True):
        assert made.is_layer in (None, not line.empty)
        assert made.place is None or case["diff_ids"][made.place] == line.diff_id
    # Of a classic builder's empty layers an engine says nothing; of all others it is certain.
    assert "classic" in path.parent.name or all(made.is_layer is not None for made in found.made)


def test_a_line_with_bytes_made_a_layer_and_configuration_made_none() -> None:
    found = account([Line("ADD x /", 9), Line("ENV A=1"), Line("RUN make", 5), Line("CMD x")], [A, B])
    assert found is not None
    assert found.made == (Made(True, 0), Made(False), Made(True, 1), Made(False))
    assert found.totals == (0, 1, 1, 2, 2)


def test_of_lines_without_bytes_only_what_is_the_same_in_all_ways_is_said() -> None:
    told = [Line("ADD x /", 9), Line("RUN one"), Line("RUN two"), Line("RUN three", 3), Line("WORKDIR /")]
    found = account(told, [A, B, C])
    assert found is not None
    assert found.made == (Made(True, 0), Made(None), Made(None), Made(True, 2), Made(False))
    assert found.totals == (0, 1, None, 2, 3, 3)
    known = account(told, [A, B, C], {2: 2})
    assert known is not None
    assert known.made[1:3] == (Made(True, 1), Made(False))


def test_a_line_whose_layer_may_be_one_of_several_has_a_layer() -> None:
    found = account([Line("RUN one"), Line("RUN two", 2), Line("RUN three")], [A, B])
    assert found is not None
    assert found.made == (Made(None), Made(True), Made(None))


def test_an_empty_layer_belongs_to_no_line_with_bytes() -> None:
    found = account([Line("RUN one"), Line("RUN two", 2000), Line("RUN three")], [A, EMPTY])
    assert found is not None
    assert found.made == (Made(False), Made(True, 0), Made(True, 1))


def test_containerds_store_counts_the_folder_of_an_empty_layer() -> None:
    sizes = {"WORKDIR /app": (A, 8192), "WORKDIR /app ": (EMPTY, 4096), "RUN true": (EMPTY, 4096), "RUN echo 1 > /one": (B, 12288)}
    told = [Line(text.strip(), size, is_buildkit=True) for text, (_, size) in sizes.items()]
    found = account([*told, Line("WORKDIR /", 0, is_buildkit=True)], [diff_id for diff_id, _ in sizes.values()])
    assert found is not None
    assert found.made == (Made(True, 0), Made(True, 1), Made(True, 2), Made(True, 3), Made(False))


def test_buildkit_makes_a_layer_of_every_instruction_that_could() -> None:
    history = [entry(f"{text} # buildkit", 0, "buildkit.dockerfile.v0") for text in ("COPY a /", "RUN true", "WORKDIR /a")]
    told = lines([*history, entry("WORKDIR /", 0, "buildkit.dockerfile.v0")][::-1])
    found = account(told, [A, B, C])
    assert found is not None
    assert found.made == (Made(True, 0), Made(True, 1), Made(True, 2), Made(False))


def test_a_squashed_image_has_lines_without_layers_and_one_with_them_all() -> None:
    history = [entry("ADD x / # buildkit", 9), entry("RUN /bin/sh -c make # buildkit", 0, "buildkit.dockerfile.v0")]
    found = account(lines([entry("", 70, "merge sha256:a to sha256:b"), *history[::-1]]), [A, B])
    assert found is not None
    assert found.made == (Made(True, 0), Made(False), Made(True, 1))


def test_a_history_that_does_not_fit_is_not_laid_on_the_layers() -> None:
    assert account([Line("ADD x /", 9)], [A, B]) is None
    assert account([Line("ADD x /", 9), Line("RUN make", 9)], [A]) is None
    assert account([Line("RUN make")], [A], {0: 1}) is None
    assert account([], []) is not None
    assert account([Line("RUN x", 1)] * 2000, [A] * 2000) is None


_KINDS = st.sampled_from(["RUN make", "RUN true", "COPY a /", "WORKDIR /app", "WORKDIR /", "ENV A=1", "CMD x", ""])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Line], list[str], list[int | None]]:
    """Lines as a builder may leave them, the diff_ids, and of each line the layer that it really made."""
    told: list[Line] = []
    ids: list[str] = []
    truth: list[int | None] = []
    for number, text in enumerate(draw(st.lists(_KINDS, max_size=12))):
        can = text not in ("ENV A=1", "CMD x", "WORKDIR /")
        is_layer = can and draw(st.booleans())
        size = draw(st.sampled_from([0, 0, 7, 5000])) if is_layer else 0
        truth.append(len(ids) if is_layer else None)
        if is_layer:
            ids.append(EMPTY if not size and draw(st.booleans()) else f"sha256:{number:064}")
        told.append(Line(text, size))
    return told, ids, truth


@given(histories(), st.data())
def test_what_is_certain_is_true(made: tuple[list[Line], list[str], list[int | None]], data: st.DataObject) -> None:
    told, ids, truth = made
    totals = [sum(place is not None for place in truth[:index]) for index in range(len(told) + 1)]
    known = {index: totals[index] for index in data.draw(st.sets(st.sampled_from(range(len(told) + 1)), max_size=4))}
    found = account(told, ids, known)
    assert found is not None
    for one, place in zip(found.made, truth, strict=True):
        assert one.is_layer in (None, place is not None)
        assert one.place is None or one.place == place
    for total, true in zip(found.totals, totals, strict=True):
        assert total in (None, true)
    if all(line.size for line, place in zip(told, truth, strict=True) if place is not None):
        assert [one.place for one in found.made] == truth
