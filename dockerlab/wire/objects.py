"""JSON objects one after the other, out of pieces that end anywhere: what engines stream.

    objects = Objects()
    for found in objects.feed(data): …      a dict for each that comes to its end. Raises MalformedError, TooLongError
    objects.is_whole                        whether nothing of another one has come

Docker ends each with a newline, but nothing promises it. Each byte is looked at once, however the pieces are cut, and then read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from dockerlab.wire.protobuf import MalformedError

LONGEST: Final = 1 << 25  # bytes of one: a message of BuildKit has at most 16 MiB, and a third more in base64

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_OUTSIDE: Final = re.compile(rb'["{}\[\]]')  # of a string
_INSIDE: Final = re.compile(rb'["\\]')


class TooLongError(MalformedError):
    """An object is longer than any may be, and has not come to its end."""


class Objects:
    """longest: bytes of one."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._begun = bytearray()  # one that has not come to its end
        self._depth = 0
        self._is_string = self._is_escaped = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing of another one has come."""
        return not self._begun

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Those that end in `data`."""
        at = 0
        while at < len(data):
            if not self._begun:
                at = _SPACE.match(data, at).end()  # type: ignore[union-attr]  # it always matches
                if at == len(data):
                    return
                if data[at] != ord("{"):
                    raise MalformedError("what came is not a JSON object")
            end = self._ended(data, at)
            self._begun += data[at:end]
            if len(self._begun) > self._longest:
                raise TooLongError(f"an object has more than {self._longest:,} bytes")
            if end is None:
                return
            at = end
            yield self._read()

    def _ended(self, data: bytes, at: int) -> int | None:
        """Where the one that is being read ends; None for not yet."""
        while at < len(data):
            if self._is_escaped:
                self._is_escaped, at = False, at + 1
                continue
            match = (_INSIDE if self._is_string else _OUTSIDE).search(data, at)
            if match is None:
                return None
            at = match.end()
            if match[0] == b"\\":
                self._is_escaped = True
            elif match[0] == b'"':
                self._is_string = not self._is_string
            else:
                self._depth += 1 if match[0] in b"{[" else -1
                if self._depth == 0:
                    return at
        return None

    def _read(self) -> dict[str, Any]:
        text = self._begun.decode("utf-8", "replace")
        self._begun.clear()
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:  # nested too deeply, or a number of too many digits
            raise MalformedError("what came cannot be read as JSON", evidence=[f"{type(error).__name__}: {error}"]) from error
        assert isinstance(found, dict)  # it begins with a brace
        return found
