"""The text of flags such as `--secret` and `--output`: one line of CSV, its fields `key=value`. Pure.

    pairs("--secret", 'id=token,"src=a,b.txt"') → [("id", "token"), ("src", "a,b.txt")]

Errors name keys and never show values: who mistypes a flag may have put a secret into it.
"""

from __future__ import annotations

import csv
import re
from typing import Final

from dockerlab.errors import UsageError

_KEY: Final = re.compile(r"[A-Za-z][\w.-]{0,30}")


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


def unknown(flag: str, key: str, known: tuple[str, ...], example: str) -> UsageError:
    """The error for a key that a flag has not."""
    shown = f"has no key '{key}'" if _KEY.fullmatch(key) else "has no such key"
    return UsageError(f"{flag} {shown}; it has {', '.join(known)}", hint=f"For example: {flag} {example}")
