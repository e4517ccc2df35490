"""A file from the web, for ADD and for a context that is a URL: to a temporary file, verified, with constant memory.

    with download(url, tmp, cancellation) as fetched:
        fetched.file, fetched.name, fetched.mtime, fetched.digest

Redirects are followed, from https to https only; HTTP_PROXY and its like are heeded, as everywhere. Whoever cancels ends it at once,
wherever it hangs: while it connects, greets or is sent something; only a name server is waited for. The file has no name, and is gone
at the end.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import select
import socket
import ssl
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import IO, Final

from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.store.disk import Budget, full_disk_is_an_error
from dockerlab.errors import EngineError, UsageError
from dockerlab.wire.streams import CHUNK

_SECONDS: Final = 60.0
_MOST_REDIRECTS: Final = 10
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_CHECKSUM: Final = re.compile(r"sha256:[0-9a-f]{64}")
_DISPOSITION: Final = re.compile(r'filename\s*=\s*(?:"([^"]*)"|([^;\s]*))', re.IGNORECASE)


@dataclass(frozen=True)
class Fetched:
    """file: at its beginning. name: its own, "" where nothing says one. mtime: nanoseconds, 0 where it is not said. digest: "sha256:…"."""

    file: IO[bytes]
    size: int
    name: str
    mtime: int
    digest: str


def checked(checksum: str) -> str:
    """The value of --checksum. Raises UsageError."""
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise UsageError(f"invalid checksum digest: {checksum}", hint="It is sha256: with 64 hexadecimal digits after it.")
    return checksum


@contextmanager
def download(url: str, tmp: Path, cancellation: Cancellation, *, checksum: str = "", what: str = "ADD") -> Iterator[Fetched]:
    """Raises EngineError where it fails, or is not what the checksum says; Cancelled. what: begins the texts of errors."""
    checked(checksum)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(dir=tmp))
            fetched = _fetched(url, file, tmp, cancellation, what)
        except (OSError, http.client.HTTPException, ValueError) as error:
            cancellation.check()
            raise EngineError(f"{what} failed: failed to GET {url}: {_said(error)}", hint=_hint(error), status=500) from error
        if checksum and fetched.digest != checksum:
            text = f"digest mismatch {fetched.digest}: {checksum}"
            raise EngineError(text, hint=f"{url} has changed, or the checksum is another file's.", status=500)
        yield fetched


def _fetched(url: str, file: IO[bytes], tmp: Path, cancellation: Cancellation, what: str) -> Fetched:
    here = url
    for _ in range(_MOST_REDIRECTS):
        cancellation.check()
        with ExitStack() as stack:
            response = _answer(here, cancellation, stack)
            location = response.headers.get("Location")
            if response.status in _REDIRECTS and location:
                further = urllib.parse.urljoin(here, location)
                if here.startswith("https:") and not further.startswith("https:"):
                    raise EngineError(f"{what} failed: {url} leads to {further}, which is not encrypted", status=500)
                here = further
                continue
            if response.status != 200:
                text = f"{what} failed: failed to GET {url} with status {response.status} {response.reason}"
                raise EngineError(text, hint="Is the address right, and open to everybody?", status=500)
            size, digest = _written(response, file, Budget(tmp), cancellation)
            return Fetched(file, size, _name(here, url, response.headers), _time(response.headers.get("Last-Modified")), digest)
    raise EngineError(f"{what} failed: {url} redirects more than {_MOST_REDIRECTS} times", status=500)


def _answer(url: str, cancellation: Cancellation, stack: ExitStack) -> http.client.HTTPResponse:
    """What a server says, up to the content; what was opened for it is closed with the stack."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url} is no address of the web")
    target = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{parts.query}" if parts.query else "")
    context = ssl.create_default_context() if parts.scheme == "https" else None
    host, port = parts.hostname, parts.port or (443 if context else 80)
    proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(parts.scheme)
    to = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None
    address = (to.hostname or "", to.port or 80) if to else (host, port)
    connection: http.client.HTTPConnection
    if context:
        connection = http.client.HTTPSConnection(*address, timeout=_SECONDS, context=context)
        if to:
            connection.set_tunnel(host, port)
    else:
        connection = http.client.HTTPConnection(*address, timeout=_SECONDS)
        target = url.partition("#")[0] if to else target
    stack.callback(connection.close)

    def connected(address: tuple[str, int], seconds: float, _source: object = None) -> socket.socket:
        return _connected(address, seconds, cancellation, stack)

    connection._create_connection = connected  # type: ignore[attr-defined]
    connection.connect()
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "dockerlab", "Connection": "close"}
    netloc = parts.netloc.rpartition("@")[2]
    connection.request("GET", target, headers={"Host": netloc, **headers})
    response = connection.getresponse()
    stack.callback(response.close)
    return response


def _connected(address: tuple[str, int], seconds: float, cancellation: Cancellation, stack: ExitStack) -> socket.socket:
    """A connection that whoever cancels shuts down, until the stack is closed. Raises OSError."""
    refusal: OSError | None = None
    for family, kind, protocol, _, place in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            with ExitStack() as attempt:
                # Of its own, since TLS takes the other one away; and closing alone does not wake somebody who reads.
                plug = attempt.enter_context(sock.dup())
                sock.setblocking(False)
                began = sock.connect_ex(place)
                attempt.enter_context(cancellation.calling(partial(_shut, plug)))
                if began == errno.EINPROGRESS:
                    waiting = select.poll()
                    waiting.register(sock, select.POLLOUT)
                    if not waiting.poll(seconds * 1000):
                        raise TimeoutError(errno.ETIMEDOUT, "timed out")
                    began = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                cancellation.check()
                if began:
                    raise OSError(began, os.strerror(began))
                sock.settimeout(seconds)
                stack.enter_context(attempt.pop_all())
                return sock
        except OSError as error:
            sock.close()
            refusal = error
        except BaseException:
            sock.close()
            raise
    raise refusal or OSError(f"{address[0]} has no address")


def _written(response: http.client.HTTPResponse, file: IO[bytes], budget: Budget, cancellation: Cancellation) -> tuple[int, str]:
    size, hash_ = 0, hashlib.sha256()
    with full_disk_is_an_error():
        while piece := response.read(CHUNK):
            cancellation.check()
            budget.spend(len(piece))
            hash_.update(piece)
            file.write(piece)
            size += len(piece)
        cancellation.check()
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        file.seek(0)
    return size, f"sha256:{hash_.hexdigest()}"


def _shut(plug: socket.socket) -> None:
    with suppress(OSError):
        plug.shutdown(socket.SHUT_RDWR)


def _name(here: str, url: str, headers: http.client.HTTPMessage) -> str:
    """As BuildKit names it: by the header, else by the address."""
    match = _DISPOSITION.search(headers.get("Content-Disposition") or "")
    if match and (name := _base(match[1] or match[2] or "")):
        return name
    return _base(urllib.parse.unquote(urllib.parse.urlsplit(url).path)) or _base(
        urllib.parse.unquote(urllib.parse.urlsplit(here).path)
    )


def _base(path: str) -> str:
    name = path.replace("\\", "/").rpartition("/")[2].replace("\0", "")
    return "" if name in (".", "..") else name


def _time(text: str | None) -> int:
    if not text:
        return 0
    with suppress(ValueError, TypeError, OverflowError):
        return max(0, int(parsedate_to_datetime(text).timestamp())) * 10**9
    return 0


def _said(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "unexpected EOF"
    if isinstance(error, TimeoutError):
        return "timeout: the server does not answer"
    return str(error) or type(error).__name__


def _hint(error: Exception) -> str | None:
    if isinstance(error, socket.gaierror):
        return "The engine finds no such host. Is this machine on the network?"
    if isinstance(error, ssl.SSLError):
        return "The server's certificate is not one that the engine trusts."
    return None
