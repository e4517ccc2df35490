"""What engines say of repositories that they cannot fetch, told anew."""

from __future__ import annotations

import pytest

from dockerlab.builds.repositories import trouble

ADDRESS = "https://example.org/a.git"
FETCH = f"error fetching default branch for repository {ADDRESS}: git stderr:"
CASES = {
    "unknown scheme git: not found": (
        "the engine has no git, and cannot fetch a repository",
        "the engine says: unknown scheme git: not found",
    ),
    'repository does not contain ref nope, output: ""': (
        "the repository has no 'nope'",
        "the engine says: repository does not contain ref nope",
    ),
    f"{FETCH}\nfatal: no such repository\n: exit status 128": (
        "the engine cannot fetch the repository",
        "fatal: no such repository",
    ),
    FETCH: ("the engine cannot fetch the repository", f"the engine says: {FETCH}"),
}


@pytest.mark.parametrize("said", CASES)
def test_what_an_engine_says(said: str) -> None:
    what, evidence = CASES[said]
    found = trouble(said, ())
    assert found
    assert found.what == what
    assert found.evidence[0].startswith(evidence)
    assert found.hint


def test_git_s_own_words_go_before_the_engine_s() -> None:
    output = ["hint: x", "fatal: unable to connect to example.org:", "fatal: unable to connect to example.org:"]
    found = trouble(FETCH, output)
    assert found
    assert found.evidence == ("fatal: unable to connect to example.org:",)


@pytest.mark.parametrize("said", ["", "the command ended\nfatal: unknown scheme git", "failed to compute cache key"])
def test_words_about_something_else(said: str) -> None:
    assert trouble(said, ()) is None
