"""The `filters` parameter of the Engine API: which of the listed things are wanted. Pure.

    {"label": ["a=b", "c"], "dangling": ["true"]}        or the older {"label": {"a=b": true}}

Each kind of list has terms of its own and says which; an unknown term is refused. How a term is compared differs by term, as it does
in Docker: the methods here are its ways of comparing. A term that is not given matches everything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dockerlab.errors import UsageError

_FLAGS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class Filters:
    """terms: the values of each term."""

    terms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def values(self, term: str) -> tuple[str, ...]:
        """What was asked for; empty where the term is not given."""
        return self.terms.get(term, ())

    def is_exact(self, term: str, text: str) -> bool:
        """Whether `text` is one of the values."""
        return term not in self.terms or text in self.terms[term]

    def is_prefix(self, term: str, text: str) -> bool:
        """Whether `text` starts with one of the values."""
        return term not in self.terms or text.startswith(self.terms[term])

    def is_pattern(self, term: str, text: str) -> bool:
        """Whether one of the values is found in `text`, as plain text or as a regular expression."""
        return term not in self.terms or any(value in text or _found(value, text) for value in self.terms[term])

    def has_labels(self, labels: Mapping[str, str] | None, term: str = "label") -> bool:
        """Whether all the values, "key" or "key=value", are among the labels."""
        return all(_has_label(value, labels or {}) for value in self.values(term))

    def lacks_labels(self, labels: Mapping[str, str] | None) -> bool:
        """Whether none of the values of "label!" is among the labels."""
        return not any(_has_label(value, labels or {}) for value in self.values("label!"))

    def flag(self, term: str) -> bool | None:
        """A term that is true or false; None where it is not given. Raises UsageError."""
        if term not in self.terms:
            return None
        answers = {_FLAGS.get(value) for value in self.terms[term]}
        if len(answers) != 1 or None in answers:
            raise UsageError(f"invalid filter '{term}=[{' '.join(self.terms[term])}]'")
        return answers.pop()


def parse(text: str, accepted: Collection[str] | None = None) -> Filters:
    """The terms in a query's `filters`, "" for none. accepted: the terms that there are; None for any. Raises UsageError."""
    if not text:
        return Filters()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("invalid filter") from None
    if value is None:
        return Filters()
    if not isinstance(value, dict):
        raise UsageError("invalid filter")
    terms = {term: _values(given) for term, given in value.items()}
    for term in terms:
        if accepted is not None and term not in accepted:
            raise UsageError(f"invalid filter '{term}'")
    return Filters({term: values for term, values in terms.items() if values})


def _values(given: object) -> tuple[str, ...]:
    if isinstance(given, dict):
        given = [value for value, wanted in given.items() if wanted]
    if not isinstance(given, list) or not all(isinstance(value, str) for value in given):
        raise UsageError("invalid filter")
    return tuple(given)


def _has_label(value: str, labels: Mapping[str, str]) -> bool:
    key, given, wanted = value.partition("=")
    return key in labels and (not given or labels[key] == wanted)


def _found(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False
