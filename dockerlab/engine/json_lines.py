"""Answers that are messages, one JSON object a line: pull, push, build, load, import."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dockerlab.errors import DockerlabError


def lines(messages: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    """Messages as JSON lines. What goes wrong once the answer has begun is a message, too."""
    try:
        for message in messages:
            yield line(message)
    except DockerlabError as error:
        yield line({"errorDetail": {"message": error.message}, "error": error.message})


def line(message: Mapping[str, Any]) -> bytes:
    """One message."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\r\n"
