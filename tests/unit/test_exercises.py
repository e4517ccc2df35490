"""Exercises as values, their checks in order, their faces, and the magic; without an engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dockerlab import course
from dockerlab.course import Check, Exercise, Look
from dockerlab.course.exercises import COURSE
from dockerlab.errors import Conflict, EngineGone, NotFound, Unsolved, UsageError
from dockerlab.notebook import exercise_magic

NO_CLIENT: Any = object()
EVIL = "<script>alert(1)</script> \x1b[31m`<b>`"


def says(said: str | None) -> Callable[[Look], str | None]:
    return lambda look: said


def fails(error: Exception) -> Callable[[Look], str | None]:
    def check(look: Look) -> str | None:
        raise error

    return check


BUILT = Check("there is an image `shop`", says(None))
RUNS = Check("a container of it runs", says("none runs yet"))
ANSWERS = Check("it answers", fails(AssertionError("is not looked at")), after=RUNS)
SHOP = Exercise("open-shop", "Open the shop", "Start a container of `shop`.", [BUILT, RUNS, ANSWERS], ["Think.", "`run shop`"])


def session(**namespace: object) -> Any:
    return SimpleNamespace(namespace=namespace, hints={}, client=NO_CLIENT)


def test_what_is_done_and_what_is_missing() -> None:
    progress = course.exercise(SHOP, client=NO_CLIENT)
    assert not progress.solved
    assert progress.missing == ("none runs yet", "(first: a container of it runs)")
    assert [finding.holds for finding in progress.findings] == [True, False, False]
    assert repr(progress).splitlines() == [
        "exercise open-shop: 1 of 3 done",
        "Start a container of `shop`.",
        "✓ there is an image `shop`",
        "○ a container of it runs",
        "  none runs yet",
        "○ it answers",
        "  (first: a container of it runs)",
        "A hint: %exercise open-shop --hint",
    ]
    with pytest.raises(Unsolved, match=r"^exercise open-shop is not solved: 1 of 3 done") as unsolved:
        progress.require()
    assert unsolved.value.evidence[:2] == ("○ a container of it runs", "  none runs yet")
    assert unsolved.value.hint == "`%exercise open-shop --hint` gives a hint."


def test_a_solved_one_says_so_and_offers_no_hint() -> None:
    progress = course.exercise(Exercise("done", "Done", "Nothing is to be done.", [BUILT], ["None is needed."]), client=NO_CLIENT)
    assert progress.solved
    assert progress.require() is progress
    assert repr(progress).splitlines() == ["exercise done: solved", "Nothing is to be done.", "✓ there is an image `shop`"]
    assert "--hint" not in progress._repr_html_()
    assert "✓ solved" in progress._repr_html_()


@pytest.mark.parametrize("error", [NotFound("no such container web"), Conflict("container web is not running")])
def test_what_goes_while_it_is_looked_at_is_missing(error: Exception) -> None:
    progress = course.exercise(Exercise("gone", "Gone", "It goes.", [Check("it is there", fails(error))]), client=NO_CLIENT)
    assert progress.missing == (f"{error}; look again",)
    assert "--hint" not in repr(progress)


def test_an_engine_that_is_gone_is_an_error() -> None:
    gone = Exercise("gone", "Gone", "It goes.", [Check("it is there", fails(EngineGone("the connection broke off")))])
    with pytest.raises(EngineGone):
        course.exercise(gone, client=NO_CLIENT)


def test_text_from_outside_is_shown_and_never_run() -> None:
    progress = course.exercise(Exercise("evil", EVIL, EVIL, [Check(EVIL, says(EVIL))], [EVIL]), client=NO_CLIENT)
    shown = (progress, progress.exercise, progress.exercise.hint(1), course.course([progress.exercise]))
    for html in (value._repr_html_() for value in shown):
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert "<code>&lt;b&gt;</code>" in html
        assert "\x1b" not in html
    for value in shown:
        assert "\x1b" not in repr(value)


def test_hints_come_one_by_one_and_the_last_says_so() -> None:
    shell = session(own=SHOP)
    given = [exercise_magic.magic(shell, "open-shop --hint") for _ in range(4)]
    assert [repr(hint).splitlines()[1:] for hint in given] == [["Think."], ["`run shop`", "There is no further hint."], [], []]
    assert repr(given[-1]) == "exercise open-shop: There is no further hint: you have seen them all."
    assert "One more:" in given[0]._repr_html_()  # type: ignore[union-attr]
    assert "<code>run shop</code>" in given[1]._repr_html_()  # type: ignore[union-attr]
    assert "seen them all" in given[2]._repr_html_()  # type: ignore[union-attr]
    none = Exercise("without", "Without", "None.", [BUILT]).hint(1)
    assert repr(none) == "exercise without: There is no hint."


def test_an_exercise_of_the_notebook_goes_by_its_name() -> None:
    shell = session(own=SHOP, same=SHOP, _=SHOP, other=3)
    listed = exercise_magic.magic(shell, "")
    assert isinstance(listed, course.Course)
    assert listed.names[-1] == "open-shop"
    assert repr(listed).endswith("your own\n  open-shop   Open the shop")
    progress = exercise_magic.magic(shell, "open-shop")
    assert isinstance(progress, course.Progress)
    assert progress.exercise is SHOP
    with pytest.raises(Unsolved):
        exercise_magic.magic(shell, "open-shop --strict")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("two-greeting", "there is no exercise two-greeting: did you mean two-greetings?"),
        ("nonsense", "there is no exercise nonsense"),
        ("two-greetings --hint --strict", "--hint and --strict exclude each other"),
        ("--hint", "%exercise needs a name for that"),
        ("two-greetings x", "unexpected argument 'x'"),
        ("two-greetings --strickt", "unknown flag --strickt: did you mean --strict?"),
    ],
)
def test_what_is_asked_wrongly_is_refused(line: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        exercise_magic.magic(session(), line)
    assert str(error.value) == message


def test_what_cannot_be_an_exercise_is_refused() -> None:
    with pytest.raises(UsageError, match="'Two Greetings' is no name for an exercise"):
        Exercise("Two Greetings", "", "", [BUILT])
    with pytest.raises(UsageError, match="exercise empty has no check"):
        Exercise("empty", "", "", [])
    with pytest.raises(UsageError, match="comes after is no earlier check"):
        Exercise("backwards", "", "", [ANSWERS, RUNS])
    with pytest.raises(UsageError, match="has no hint 0"):
        SHOP.hint(0)


def test_the_list_has_every_notebook_with_exercises_and_its_html_the_names() -> None:
    listed = course.course()
    assert [line for line in repr(listed).splitlines() if not line.startswith(" ")] == [name for name in COURSE if COURSE[name]]
    assert re.findall(r"%exercise ([\w-]+)", listed._repr_html_()) == listed.names


def test_text_for_a_sentence_is_one_short_line() -> None:
    assert course.quoted("Hi\n\x1b[31mthere") == "'Hi there'"
    assert len(course.quoted("x" * 100)) == 42
