"""A Dockerfile that grows cell by cell: what runs again, what is edited, what is deleted, and where a line stands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dockerlab.project.growth import Growth, Part

THREE = Growth().grown("a", "FROM busybox\n").grown("b", "RUN b\nRUN c").grown("c", "RUN d\n")


def test_it_grows_at_the_end() -> None:
    assert THREE.text == "FROM busybox\nRUN b\nRUN c\nRUN d\n"


def test_a_cell_that_runs_again_is_there_once_and_ends_what_is_built() -> None:
    again = THREE.grown("b", "RUN edited\n")
    assert again.text == "FROM busybox\nRUN edited\n"
    assert again.grown("c", "RUN d\n").text == "FROM busybox\nRUN edited\nRUN d\n"
    assert again.grown("new", "RUN e\n").text == "FROM busybox\nRUN edited\nRUN d\nRUN e\n"


def test_a_deleted_cell_is_gone() -> None:
    assert THREE.without({"b"}).text == "FROM busybox\nRUN d\n"
    assert THREE.without({"x"}) is THREE
    assert Growth().grown("", "FROM x").without({""}).parts == (Part("", "FROM x\n"),)


def test_where_no_cell_is_named_it_is_known_by_its_text() -> None:
    growth = Growth().grown("", "FROM busybox\n").grown("", "RUN b\n")
    assert growth.grown("", "RUN b\n").text == "FROM busybox\nRUN b\n"
    assert growth.grown("", "RUN c\n").text == "FROM busybox\nRUN b\nRUN c\n"


def test_what_failed_is_kept_where_the_cell_is_known_and_else_taken_back() -> None:
    known = THREE.grown("d", "RUN fails\n")
    assert known.undone(THREE) is known
    unknown = THREE.grown("", "RUN fails\n")
    assert unknown.undone(THREE) is THREE


def test_where_a_line_stands() -> None:
    assert [THREE.place(line) for line in range(1, 6)] == [
        "line 1 of the 1st of its 3 cells",
        "line 1 of the 2nd of its 3 cells",
        "line 2 of the 2nd of its 3 cells",
        "line 1 of this cell",
        "line 2 of this cell",
    ]
    assert Growth().place(1) == Growth().grown("a", "FROM x").place(1) == ""


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.text(st.sampled_from("xy\n"), max_size=5)), min_size=1, max_size=12))
def test_each_line_of_the_text_stands_where_it_is_said_to(runs: list[tuple[str, str]]) -> None:
    growth = Growth()
    for cell, text in runs:
        growth = growth.grown(cell, text)
    assert len({part.cell for part in growth.parts}) == len(growth.parts)
    lines = [(i, n) for i, part in enumerate(growth.parts[: growth.last + 1]) for n in range(1, part.count + 1)]
    for number, (index, line) in enumerate(lines, start=1):
        place = growth.place(number)
        if growth.last:
            assert place.startswith(f"line {line} of ")
            assert ("this cell" in place) == (index == growth.last)
