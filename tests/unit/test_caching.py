"""Which records of the build cache a prune is to take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockerlab.engine import timestamps
from dockerlab.engine.api.caching import Wanted
from dockerlab.engine.http.types import Query
from dockerlab.errors import UsageError

HOUR = 3600 * 10**9
NOW = 1_790_000_000 * 10**9


def record(name: str, kind: str, size: int, hours: int, **more: Any) -> dict[str, Any]:
    used = timestamps.text(NOW - hours * HOUR)
    return {
        "ID": name,
        "Type": kind,
        "Description": f"of {name}",
        "InUse": False,
        "Shared": False,
        "Size": size,
        "LastUsedAt": used,
        **more,
    }


RECORDS = [
    record("aaa1", "exec.cachemount", 100, 3),
    record("aab2", "source.local", 200, 1, InUse=True),
    record("bbb3", "regular", 400, 2, Parent="base"),
    record("bbb4", "regular", 800, 4, Shared=True),
]


def chosen(labels: dict[str, dict[str, str]] | None = None, keep: int = 0, name: str = "keep-storage", **filters: Any) -> list[str]:
    terms = {term.replace("_", "-"): value if isinstance(value, list) else [value] for term, value in filters.items()}
    query = Query({"filters": [json.dumps(terms)], **({name: [str(keep)]} if keep else {})})
    return Wanted.of(query, NOW).chosen(RECORDS, labels or {})


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["aaa1", "aab2", "bbb3", "bbb4"]),
        ({"id": "aaa1"}, ["aaa1"]),
        ({"id": "^aa"}, ["aaa1", "aab2"]),
        ({"id": "("}, []),
        ({"type": "regular"}, ["bbb3", "bbb4"]),
        ({"description": "of aaa1"}, ["aaa1"]),
        ({"parent": "base"}, ["bbb3"]),
        ({"inuse": "true"}, ["aab2"]),
        ({"shared": "true"}, ["bbb4"]),
        ({"private": "1", "inuse": "0"}, ["aaa1", "bbb3"]),
        ({"until": "150m"}, ["aaa1", "bbb4"]),
        ({"unused_for": "150m"}, ["aaa1", "bbb4"]),
        ({"label": "a=b"}, ["bbb3"]),
        ({"label!": "a"}, ["aaa1", "aab2", "bbb4"]),
    ],
)
def test_filters(filters: dict[str, str], found: list[str]) -> None:
    assert chosen({"bbb3": {"a": "b"}}, 0, "keep-storage", **filters) == found


@pytest.mark.parametrize("name", ["keep-storage", "reserved-space", "max-used-space"])
def test_what_was_used_least_recently_goes_until_the_rest_may_stay(name: str) -> None:
    assert chosen(keep=700, name=name) == []
    assert chosen(keep=650, name=name) == ["bbb4", "aaa1"], "what is shared frees nothing"
    assert chosen(keep=1, name=name) == ["bbb4", "aaa1", "bbb3", "aab2"]
    assert chosen(keep=1, name=name, type="regular") == ["bbb4", "bbb3"]


@pytest.mark.parametrize(
    "filters",
    [{"id": ["a", "b"]}, {"until": "1h", "unused_for": "1h"}, {"colour": "red"}, {"inuse": "maybe"}, {"until": ["1h", "2h"]}],
)
def test_what_is_refused(filters: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        chosen(**filters)
