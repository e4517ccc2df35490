"""HTTP's values to ours and back: pure."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

import h11

from dockerlab.engine.http.types import JSON, Answer, Body, Query, Request, Watched
from dockerlab.errors import DockerlabError, UsageError

_FIELD_LIMIT = 10_000
_TEXT = "text/plain; charset=utf-8"
_WITHOUT_BODY = (204, 304)
_VERSIONS = (b"1.0", b"1.1")
_NO_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_AUTHORITY = re.compile(r"https?://[^/?]*", re.IGNORECASE)


@dataclass(frozen=True)
class Encoded:
    """An `Answer` in bytes. The headers of what it is are among its headers."""

    status: int
    headers: Mapping[str, str]
    data: bytes = b""


def request_of(head: h11.Request, pull: Callable[[], bytes], watched: Watched) -> Request:
    """The request that HTTP's head stands for; its path still has its version. Raises UsageError."""
    # A proxy's form of the target, `http://host/path`, is as good as the path.
    target = head.target.decode("latin-1")
    if authority := _AUTHORITY.match(target):
        target = target[authority.end() :]
    path, _, query = target.partition("?")
    if not path.startswith("/"):
        raise UsageError(f"malformed HTTP: {target!r} is not a path")
    if _NO_ESCAPE.search(path):
        raise UsageError(f"malformed HTTP: invalid URL escape in {path!r}")
    if head.http_version not in _VERSIONS:
        raise UsageError("malformed HTTP: unsupported protocol version", status=505)
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    try:
        values = parse_qs(query, keep_blank_values=True, max_num_fields=_FIELD_LIMIT)
    except ValueError as error:
        raise UsageError(f"malformed query: {error}") from error
    body = Body(pull, headers.get("content-type", ""))
    return Request(head.method.decode("latin-1"), unquote(path), query=Query(values), headers=headers, body=body, watched=watched)


def encoded(answer: Answer) -> Encoded:
    """Raises TypeError for a value that is no JSON."""
    match answer.value:
        case None:
            kind, data = "", b""
        case bytes():
            kind, data = "application/octet-stream", answer.value
        case str():
            kind, data = _TEXT, answer.value.encode("utf-8", "surrogateescape")
        case _:
            kind, data = JSON, json.dumps(answer.value, separators=(",", ":")).encode() + b"\n"
    headers = {"Content-Type": kind, **answer.headers} if kind else dict(answer.headers)
    if answer.status in _WITHOUT_BODY:
        return Encoded(answer.status, answer.headers)
    headers["Content-Length"] = str(len(data))
    return Encoded(answer.status, headers, data)


def refusal(error: Exception) -> Answer:
    """The answer that an error stands for. One that nobody foresaw is a 500 that says what it was."""
    if isinstance(error, DockerlabError):
        status = error.status or 500
        return Answer(status=status) if status in _WITHOUT_BODY else Answer({"message": error.message}, status)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Answer({"message": f"write {error.filename or 'a file'}: no space left on device"}, 500)
    return Answer({"message": f"{type(error).__name__}: {error}"}, 500)
