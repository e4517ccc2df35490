"""Image references by the grammar of github.com/distribution/reference."""

from __future__ import annotations

import pytest

from dockerlab.errors import InvalidReference
from dockerlab.reference import parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "familiar", "canonical"),
    [
        ("python", "python:latest", "docker.io/library/python:latest"),
        ("python:3.10", "python:3.10", "docker.io/library/python:3.10"),
        ("docker.io/library/python:3.10", "python:3.10", "docker.io/library/python:3.10"),
        ("docker.io/python", "python:latest", "docker.io/library/python:latest"),
        ("index.docker.io/library/python", "python:latest", "docker.io/library/python:latest"),
        ("user/app", "user/app:latest", "docker.io/user/app:latest"),
        ("library/user/app", "library/user/app:latest", "docker.io/library/user/app:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1"),
        ("ghcr.io/a/b", "ghcr.io/a/b:latest", "ghcr.io/a/b:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        (f"app@{DIGEST}", f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}"),
        (f"app:1@{DIGEST}", f"app:1@{DIGEST}", f"docker.io/library/app:1@{DIGEST}"),
        ("a__b-c.d/e--f:T_1.-", "a__b-c.d/e--f:T_1.-", "a__b-c.d/e--f:T_1.-"),
        ("FOO/app", "FOO/app:latest", "FOO/app:latest"),
    ],
)
def test_familiar_and_canonical(text: str, familiar: str, canonical: str) -> None:
    reference = parse(text)
    assert (reference.familiar, reference.canonical) == (familiar, canonical)
    assert parse(reference.canonical) == reference == parse(reference.familiar)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("my app", "white space"),
        ("App", "lower case: 'app'"),
        ("App:1", "lower case: 'app:1'"),
        ("app:", "Its tag ''"),
        ("app:-1", "Its tag '-1'"),
        ("app:" + "x" * 129, "128 at most"),
        ("-t", "like a flag"),
        ("a//b", "name:tag"),
        ("a" * 64, "image id"),
        ("app@sha256:12", "name:tag"),
        ("a/" * 128 + "b", "Choose a shorter one"),
    ],
)
def test_what_is_no_reference_says_which_part_is_at_fault(text: str, hint: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse(text)
    assert hint in (caught.value.hint or "")
