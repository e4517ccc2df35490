"""The text of flags such as `--secret` and `--output`: one line of CSV, its fields `key=value`. Pure.

    pairs("--secret", 'id=token,"src=a,b.txt"') → [("id", "token"), ("src", "a,b.txt")]

Errors show none of the text: who mistypes a flag may have put a secret into it.
"""

from __future__ import annotations

import csv

from dockerlab.errors import UsageError


def cut(flag: str, text: str, example: str) -> list[str]:
    """The fields of a flag's text. example: of the flag, for the error. Raises UsageError."""
    try:
        lines = [*csv.reader([text], strict=True)]
    except csv.Error as error:
        raise UsageError(f"{flag}: its text cannot be read: {error}", hint=f"For example: {flag} {example}") from None
    return lines[0] if lines else []


def pairs(flag: str, text: str, example: str) -> list[tuple[str, str]]:
    """The keys, in lower case, and their values. Raises UsageError."""
    found = []
    for field in cut(flag, text, example):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals or not key:
            raise UsageError(f"{flag}: each of its fields must be a key=value pair", hint=f"For example: {flag} {example}")
        found.append((key, value))
    return found
