"""Blobs from a registry and to it. A transfer that breaks off goes on where it was, as long as each attempt gets further.

Constant memory: a piece is handed on before the next is read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx

from dockerlab.engine.registry.manifests import Part
from dockerlab.errors import EngineError
from dockerlab.registry import refusals
from dockerlab.registry.client import Broken, Client
from dockerlab.registry.refusals import Refused

_FURTHER: Final = 1 << 20  # bytes; less than that is no progress, or a registry could keep us for ever
_CHUNK: Final = 1 << 18
_SLOW: Final = 0.1  # seconds
_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(?:\d{1,18}|\*)")
_UPLOADED: Final = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_BINARY: Final = "application/octet-stream"


class _Attempts:
    """Counts those in a row that got no further."""

    def __init__(self, client: Client) -> None:
        self._client, self._failures, self._at = client, 0, 0

    def failed(self, error: Broken | Refused, place: int) -> None:
        """Waits before the next attempt. Raises the error where there is none."""
        client = self._client
        client.abort.check()
        is_later = isinstance(error, Refused) and (error.answered == 429 or error.answered >= 500)
        if (isinstance(error, Broken) and error.is_final) or (isinstance(error, Refused) and not is_later):
            raise error
        self._failures = 1 if place - self._at >= _FURTHER else self._failures + 1
        self._at = place
        if self._failures >= client.pace.attempts:
            raise error
        client.abort.wait(max(client.pace.wait(self._failures), error.wait if isinstance(error, Refused) else 0.0))


def download(
    client: Client, repository: str, part: Part, scopes: frozenset[str], sink: Callable[[bytes], object], url: str = ""
) -> None:
    """Hands the bytes of a blob on, as many as its descriptor says; whether they are the right ones is for the sink to find out.

    url: where it is in place of the registry. Raises Refused; Broken where the registry does not come up with all of it.
    """
    path = url or f"v2/{repository}/blobs/{part.digest}"
    attempts, got = _Attempts(client), 0
    while got < part.size:
        headers = {"Range": f"bytes={got}-{part.size - 1}"} if got else {}
        try:
            with client.open(
                *("GET", path), scopes=scopes, headers=headers, accepts=(200, 206), is_retried=False, is_anonymous=bool(url)
            ) as response:
                for data in _from(response, got, part):
                    sink(data)
                    got += len(data)
        except (Broken, Refused) as error:
            attempts.failed(error, got)
            continue
        if got < part.size:
            short = EngineError(f"blob {part.digest}: unexpected EOF: the registry sent {got} of {part.size} bytes", status=500)
            attempts.failed(Broken(short), got)


def _from(response: httpx.Response, start: int, part: Part) -> Iterator[bytes]:
    """The pieces of an answer, without those before `start`. Raises EngineError for more bytes than there should be."""
    skipped = start
    if response.status_code == 206:
        said = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if not said or int(said[1]) != start:
            raise EngineError(f"blob {part.digest}: the registry sent another range than it was asked for", status=500)
        skipped = 0
    elif (length := response.headers.get("content-length", "")) and length != str(part.size):
        raise _wrong_size(part, length)
    left = part.size - start
    for piece in _gathered(response):
        data = piece
        if skipped:
            data, skipped = piece[skipped:], max(0, skipped - len(piece))
        if len(data) > left:
            raise _wrong_size(part, "more")
        left -= len(data)
        if data:
            yield data


def _gathered(response: httpx.Response) -> Iterator[bytes]:
    """A body in pieces that are worth the work on them, but for one that comes slowly; what came before it broke off, too."""
    pieces: list[bytes] = []
    size, last = 0, 0.0  # the first at once: it shows that there is something
    try:
        for piece in response.iter_raw():
            pieces.append(piece)
            size += len(piece)
            now = time.monotonic()
            if size >= _CHUNK or now - last >= _SLOW:
                yield b"".join(pieces)
                pieces, size, last = [], 0, now
    except httpx.HTTPError:
        if pieces:
            yield b"".join(pieces)
        raise
    if pieces:
        yield b"".join(pieces)


def _wrong_size(part: Part, length: str) -> EngineError:
    return EngineError(
        f"filesystem layer verification failed for digest {part.digest}: the registry sends {length[:20]} bytes, "
        f"the manifest says {part.size}",
        status=500,
    )


def exists(client: Client, repository: str, part: Part, scopes: frozenset[str]) -> bool:
    """Whether a repository has a blob."""
    try:
        with client.open("HEAD", f"v2/{repository}/blobs/{part.digest}", scopes=scopes):
            return True
    except Refused as error:
        if error.answered in (401, 403) or error.code in ("NO_CREDENTIALS", "DENIED"):
            raise
        return False


def mount(client: Client, repository: str, part: Part, source: str, scopes: frozenset[str]) -> str | None:
    """Has a blob of another repository of the registry; None where that was done, else where to upload it to."""
    query = urlencode({"mount": part.digest, "from": source}) if source else ""
    path = f"v2/{repository}/blobs/uploads/" + (f"?{query}" if query else "")
    with client.open("POST", path, scopes=scopes, headers={"Content-Length": "0"}, accepts=(201, 202)) as response:
        return None if response.status_code == 201 else _location(response)


def upload(
    client: Client, repository: str, part: Part, file: Path, location: str, scopes: frozenset[str], told: Callable[[int], object]
) -> None:
    """Sends a blob, which lies in a file, to where an upload was begun. told: hears how far it is. Raises Refused, Broken."""
    attempts, place = _Attempts(client), 0
    while True:
        try:
            if place < part.size or not part.size:
                location = _send(client, part, file, location, place, scopes, told)
                place = part.size
            closing = _with_digest(location, part.digest)
            with client.open("PUT", closing, scopes=scopes, headers=_length(0), accepts=(201, 204), is_retried=False):
                return
        except (Broken, Refused) as error:
            if isinstance(error, Refused) and error.answered == 404 and not place:
                raise
            attempts.failed(error, place)
            if exists(client, repository, part, scopes):
                return  # the answer was lost, not the blob
            location, place = _resumed(client, repository, part, location, scopes)


def _send(
    client: Client, part: Part, file: Path, location: str, start: int, scopes: frozenset[str], told: Callable[[int], object]
) -> str:
    headers = _length(part.size - start)
    if start:
        headers["Content-Range"] = f"{start}-{part.size - 1}"

    def pieces() -> Iterator[bytes]:
        with file.open("rb") as source:
            source.seek(start)
            place = start
            while place < part.size and (data := source.read(min(_CHUNK, part.size - place))):
                client.abort.check()
                yield data
                place += len(data)
                told(place)

    with client.open(
        "PATCH", location, scopes=scopes, headers=headers, body=pieces, accepts=(202, 201, 204), is_retried=False
    ) as response:
        return _location(response)


def _resumed(client: Client, repository: str, part: Part, location: str, scopes: frozenset[str]) -> tuple[str, int]:
    """Where to go on with an upload, and from which byte: as the registry says, else anew."""
    try:
        with client.open("GET", location, scopes=scopes, accepts=(204, 200)) as response:
            said = _UPLOADED.fullmatch(response.headers.get("range", ""))
            place = int(said[1]) + 1 if said and said[1] != "0" else 0
            if place <= part.size and "location" in response.headers:
                return _location(response), place
    except Refused as error:
        if error.answered in (401, 403):
            raise
    again = mount(client, repository, part, "", scopes)
    return again or location, 0


def _location(response: httpx.Response) -> str:
    """Raises EngineError where an answer does not say where to go on."""
    try:
        found = str(response.url.join(response.headers["location"]))
        parts = urlsplit(found)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except (KeyError, ValueError, httpx.InvalidURL):
        is_good = False
    where = refusals.asked(response.request.method, str(response.request.url))
    if not is_good:
        raise EngineError(f"{where}: the registry does not say where to upload to", status=500)
    if parts.scheme == "http" and response.url.scheme == "https":
        raise EngineError(f"{where}: the registry wants the upload sent to {parts.netloc} without TLS: refused", status=500)
    return found


def _with_digest(location: str, digest: str) -> str:
    """What a location has of a query is kept as it is: it may be signed."""
    parts = urlsplit(location)
    query = "&".join(text for text in (parts.query, urlencode({"digest": digest})) if text)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def _length(size: int) -> dict[str, str]:
    return {"Content-Length": str(size), "Content-Type": _BINARY}


def put_manifest(client: Client, repository: str, tag: str, data: bytes, kind: str, scopes: frozenset[str]) -> Mapping[str, Any]:
    """Gives a manifest a tag; the headers of the answer."""
    headers = {"Content-Type": kind, "Content-Length": str(len(data))}
    path = f"v2/{repository}/manifests/{tag}"
    with client.open("PUT", path, scopes=scopes, headers=headers, body=lambda: iter([data]), accepts=(201, 202, 200)) as response:
        return dict(response.headers)
