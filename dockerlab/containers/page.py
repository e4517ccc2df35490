"""`Page`: what a program in a container answers at one of its published ports, kept so that it can be shown without the container.

The HTML is shown in a sandboxed frame: its scripts never run, and it loads nothing, so that a saved notebook is safe to open.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from dockerlab.errors import NotReady, UsageError, printable
from dockerlab.faces import human, markup
from dockerlab.faces.shown import Shown

_PATIENCE = 5.0  # seconds until the first answer
_TIMEOUT = 5.0  # seconds until a program says something
_LONGEST = 10.0  # seconds for one answer: of one that never ends there is what came until then
_LIMIT = 2_000_000  # bytes of a page that are kept
_REDIRECTS = 5
_TEXTUAL = ("text/", "application/json", "application/xml", "application/xhtml", "application/javascript")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"


@dataclass(frozen=True, repr=False)
class Page(Shown):
    """An HTTP answer. status: 200; reason: `OK`. content_type: as sent. body: at most 2 MB of it, and of one that does not end what came
    in 10 s. url: where a browser finds it."""

    url: str
    path: str
    status: int
    reason: str
    content_type: str
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        _, _, charset = self.content_type.partition("charset=")
        try:
            return self.body.decode(charset.split(";")[0].strip(" \"'") or "utf-8", "replace")
        except (LookupError, ValueError):  # none that Python has, or one that does not know how to replace
            return self.body.decode("utf-8", "replace")

    @property
    def _is_text(self) -> bool:
        return not self.content_type or self.content_type.lower().startswith(_TEXTUAL)

    def _text(self) -> str:
        body = printable(self.text).rstrip("\n") if self._is_text else f"({self.content_type})"
        return f"{self.status} {printable(self.reason)}\n\n{body}".rstrip()

    def _html(self) -> str:
        place = f'<a href="{markup.text(self.url)}" target="_blank" rel="noopener noreferrer">{markup.text(self.url)}</a>'
        state = markup.state("done" if self.status < 400 else "failed", f"{self.status} {self.reason}")
        facts = f'sandbox="" style="height:240px" title="{markup.text(self.path)}"'
        frame = f'<iframe {facts} srcdoc="{markup.text(self._document())}"></iframe>'
        return markup.page(markup.head(f"{state} {markup.code(self.path)}", markup.volatile(place)), frame)

    def _document(self) -> str:
        policy = f'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        if not self._is_text:
            return f"{policy}<p>{markup.text(self.content_type)}, {human.size(len(self.body))}</p>"
        if "html" in self.content_type:
            return policy + self.text
        return f'{policy}<pre style="white-space:pre-wrap">{markup.text(self.text)}</pre>'


def fetch(address: tuple[str, int], path: str, url: str, what: str) -> Page:
    """The page at `path` of `address`, asked for again until something answers, for a few seconds. url: for a browser. what: for
    messages.

    Redirects are followed within the same server alone. Raises NotReady.
    """
    if not path.startswith("/"):
        raise UsageError(f"the path '{path}' does not start with '/'", hint=f"`.page(path='/{path}')`")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _get(address, path, url)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() >= deadline:
                hint = "Is the program ready, and does it listen on 0.0.0.0 in the container? See `%container logs`."
                raise NotReady(f"no page from {what}", hint=hint) from error
            time.sleep(0.1)


def _get(address: tuple[str, int], path: str, url: str) -> Page:
    for _ in range(_REDIRECTS):
        connection = http.client.HTTPConnection(*address, timeout=_TIMEOUT)
        try:
            connection.connect()
            with _ending(connection.sock) as ended:
                connection.request(
                    "GET", quote(path, safe="/?&=%:@!$'()*+,;~-._#"), headers={"User-Agent": "dockerlab", "Accept": "text/html,*/*"}
                )
                response = connection.getresponse()
                if ended.is_set():
                    raise TimeoutError("its headers do not end")
                body = _read(response, ended)
        finally:
            connection.close()
        target = _redirect(response, address, path)
        if target is None:
            break
        path = target
    content_type = response.getheader("Content-Type") or ""
    return Page(urljoin(url, path.lstrip("/")), path, response.status, response.reason, content_type, body)


@contextmanager
def _ending(connection: socket.socket) -> Iterator[threading.Event]:
    """Ends the connection when its time is over: each byte that trickles in would be in time. Gives whether it has ended so."""
    ended = threading.Event()

    def end() -> None:
        ended.set()
        with suppress(OSError):  # it may have ended by itself
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_LONGEST, end)
    timer.daemon = True
    timer.start()
    try:
        yield ended
    finally:
        timer.cancel()


def _read(response: http.client.HTTPResponse, ended: threading.Event) -> bytes:
    body = bytearray()
    try:
        while len(body) < _LIMIT and (piece := response.read1(_LIMIT - len(body))):
            body += piece
    except (OSError, http.client.HTTPException):
        if not ended.is_set():
            raise
    return bytes(body)


def _redirect(response: http.client.HTTPResponse, address: tuple[str, int], path: str) -> str | None:
    location = response.getheader("Location")
    if response.status not in (301, 302, 303, 307, 308) or not location:
        return None
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    try:
        target = urlsplit(urljoin(f"http://{host}:{address[1]}{path}", location))
        is_here = target.scheme == "http" and (target.hostname, target.port) == (address[0].lower(), address[1])
    except ValueError:  # no address at all
        return None
    return f"{target.path or '/'}{f'?{target.query}' if target.query else ''}" if is_here else None
