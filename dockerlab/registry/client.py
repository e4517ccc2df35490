"""One registry, reached over HTTP: requests with authorization, redirects and retries. Safe for several threads.

- A redirect leads to http or https only, never from TLS to none, ten times at most; the Authorization header stays with the registry.
- What may pass by itself (a broken connection, a stall, 429, 5xx) is tried again, later each time; Retry-After is heeded.
- A document is read up to a limit, whatever length it claims.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

from dockerlab import __version__
from dockerlab.errors import EngineError
from dockerlab.registry import refusals
from dockerlab.registry.abort import Abort
from dockerlab.registry.auth import Authorizer, Credentials
from dockerlab.registry.hosts import Endpoint, Hosts
from dockerlab.registry.refusals import Refused, asked

_Result = TypeVar("_Result")
_HOPS: Final = 10
_ERROR_LIMIT: Final = 1 << 16  # bytes of an answer that is an error
_TOKEN_LIMIT: Final = 1 << 20
_READ: Final = 1 << 19
_CONNECTED: Final = ("connect_tcp.complete", "start_tls.complete")
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_LATER: Final = (429, 500, 502, 503, 504)
_HEADERS: Final = {"User-Agent": f"dockerlab/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Pace:
    """Seconds, and how often. attempts: without getting further, the first included. first, longest: waits between them.

    patience: the longest Retry-After that is waited for. connect, stall: until a connection or the next byte is there.
    """

    attempts: int = 5
    first: float = 0.3
    longest: float = 10.0
    patience: float = 20.0
    connect: float = 15.0
    stall: float = 30.0

    def wait(self, failures: int) -> float:
        """How long, after so many failures."""
        return min(self.longest, self.first * 2.0 ** (failures - 1))


class Broken(EngineError):
    """A request that did not come through. is_final: asking again would not help."""

    def __init__(self, error: EngineError, *, is_final: bool = False) -> None:
        super().__init__(error.message, status=error.status)
        self.is_final = is_final


class Client:
    """endpoint: where it is. credentials: of who asks, or None. To be connected before it is asked, and closed."""

    def __init__(self, endpoint: Endpoint, hosts: Hosts, credentials: Credentials | None, abort: Abort, pace: Pace) -> None:
        self.endpoint, self.abort, self.pace = endpoint, abort, pace
        self.base = f"{endpoint.schemes[-1]}://{endpoint.host}"
        self._hosts = hosts
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()
        self.authorizer = Authorizer(credentials, self._exchange)
        self._has_answered = False

    def close(self) -> None:
        """Closes its connections."""
        for client in self._clients.values():
            client.close()

    # Requests

    def connect(self) -> None:
        """Finds out how it is spoken to, and how it wants to know who asks. Raises EngineError."""
        for scheme in self.endpoint.schemes:
            self.base = f"{scheme}://{self.endpoint.host}"
            is_last = scheme == self.endpoint.schemes[-1]
            try:
                response = self.retrying(lambda: self._hops("GET", f"{self.base}/v2/", {}, None, None, False), one=not is_last)
            except Broken:
                if is_last:
                    raise
                continue
            try:
                if response.status_code == 401:
                    self.authorizer.learn(response.headers.get_list("www-authenticate"))
            finally:
                _drop(response)
            return

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        scopes: frozenset[str] = frozenset(),
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Iterator[bytes]] | None = None,
        accepts: tuple[int, ...] = (200,),
        is_retried: bool = True,
        is_anonymous: bool = False,
    ) -> Iterator[httpx.Response]:
        """An answer, whose body is read within the block. path: or a URL. body: makes it, anew for each attempt; its length is a header.

        Raises Refused for another status than these, Broken, Cancelled.
        """
        url = urljoin(self.base + "/", path)

        def ask() -> httpx.Response:
            response = self._hops(method, url, headers or {}, body, None if is_anonymous else scopes, bool(scopes))
            if response.status_code in accepts:
                return response
            raise self._refused(response)

        response = self.retrying(ask, one=not is_retried)
        try:
            yield response
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._broken(error, method, url) from error
        finally:
            response.close()

    def document(
        self, path: str, limit: int, *, scopes: frozenset[str], headers: Mapping[str, str] | None = None, what: str
    ) -> tuple[httpx.Response, bytes]:
        """A small body, whole. Raises as `open` does; EngineError for one that is longer than `limit`."""

        def read() -> tuple[httpx.Response, bytes]:
            with self.open("GET", path, scopes=scopes, headers=headers, is_retried=False) as response:
                data = _upto(response, limit)
            if len(data) > limit:
                raise EngineError(f"{what} is longer than {limit} bytes: refused", status=500)
            return response, data

        return self.retrying(read)

    def retrying(self, work: Callable[[], _Result], *, one: bool = False) -> _Result:
        """Does work again, after a while, as long as that may help. one: there is one attempt."""
        failures = 0
        while True:
            self.abort.check()
            try:
                return work()
            except (Broken, Refused) as error:
                self.abort.check()
                failures += 1
                if one or failures >= self.pace.attempts or not _may_pass(error):
                    raise
                self.abort.wait(max(self.pace.wait(failures), error.wait if isinstance(error, Refused) else 0.0))

    # One attempt

    def _hops(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Callable[[], Iterator[bytes]] | None,
        scopes: frozenset[str] | None,
        has_scope: bool,
    ) -> httpx.Response:
        """An answer that is no redirect. scopes: None for a request without authorization."""
        is_renewed = False
        for _ in range(_HOPS):
            sent = dict(headers)
            is_own = urlsplit(url)[:2] == urlsplit(self.base)[:2]
            where = asked(method, url)
            authorization = self.authorizer.header(scopes, where) if is_own and scopes is not None else None
            if authorization:
                sent["Authorization"] = authorization
            response = self._send(method, url, sent, body)
            if response.status_code == 401 and is_own and scopes is not None:
                asks = response.headers.get_list("www-authenticate")
                if not is_renewed and self.authorizer.renew(asks, scopes, authorization):
                    is_renewed = True
                    _drop(response)
                    continue
                if authorization and authorization.startswith("Bearer") and has_scope:
                    response.close()
                    raise Refused(f"denied: {refusals.DENIED}", code="DENIED", answered=401, status=401)
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                return response
            _drop(response)
            url = self._redirected(url, response.headers["location"], where)
            if response.status_code == 303:
                method, body = "GET", None
        raise EngineError(f"{where}: stopped after {_HOPS} redirects", status=500)

    def _redirected(self, url: str, location: str, where: str) -> str:
        try:
            found = urljoin(url, location)
            parts = urlsplit(found)
            is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        except ValueError:
            is_good = False
        if not is_good:
            raise EngineError(f"{where}: redirected to what is not an address of HTTP: refused", status=500)
        if parts.scheme == "http" and url.startswith("https:"):
            raise EngineError(f"{where}: redirected to {parts.netloc} without TLS: refused", status=500)
        return found

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Callable[[], Iterator[bytes]] | None
    ) -> httpx.Response:
        self.abort.check()
        try:
            client = self._http(url)
            request = client.build_request(
                method, url, headers=headers, content=body() if body else None, extensions={"trace": self._connected}
            )
            response = client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._broken(error, method, url) from error
        self._has_answered = True
        return response

    def _connected(self, event: str, info: Mapping[str, Any]) -> None:
        """httpx's `trace`: hears of each connection."""
        if event.endswith(_CONNECTED):
            stream = info["return_value"]
            self.abort.watch(stream.get_extra_info("socket"))
            read = stream.read
            # httpcore reads in small pieces, and each of them is work: a third of all that a download is.
            stream.read = lambda max_bytes, timeout=None: read(max(max_bytes, _READ), timeout)

    def _http(self, url: str) -> httpx.Client:
        """The connections to a host: each has its own idea of whom to trust."""
        host = urlsplit(url).netloc
        key = f"{urlsplit(url).scheme}://{host}"
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._new(url, host)
            return self._clients[key]

    def _new(self, url: str, host: str) -> httpx.Client:
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they would log whole URLs, and headers
        endpoint = self.endpoint if host == self.endpoint.host else self._hosts.endpoint(host)
        verify: Any = self._hosts.context(endpoint) if url.startswith("https:") else False
        timeout = httpx.Timeout(connect=self.pace.connect, read=self.pace.stall, write=self.pace.stall, pool=None)
        return httpx.Client(
            verify=verify, timeout=timeout, trust_env=not endpoint.is_local, headers=_HEADERS, follow_redirects=False
        )

    def _refused(self, response: httpx.Response) -> Refused:
        """The error that an answer is; its body is read."""
        try:
            data = _upto(response, _ERROR_LIMIT)
        except (httpx.HTTPError, httpx.StreamError):
            data = b""
        finally:
            response.close()
        error = refusals.answer(response.status_code, data)
        error.wait = _seconds(response.headers.get("retry-after", ""))
        if error.wait > self.pace.patience:
            error.answered = 0  # not to be waited for
        return error

    def _broken(self, error: Exception, method: str, url: str) -> Broken:
        self.abort.check()
        is_final = isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol)
        # A host that is not there, or does not listen, or is not to be trusted, will not be in a second; one that was there may be.
        is_final |= isinstance(error, httpx.ConnectError) and not self._has_answered
        return Broken(refusals.broken(error, method, url), is_final=is_final)

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None) -> tuple[int, bytes]:
        """Asks a token server. It is not followed elsewhere: it is given a password."""

        def ask() -> tuple[int, bytes]:
            data = str(httpx.QueryParams(dict(form))).encode() if form is not None else None
            more = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(data))} if data else {}
            response = self._send(method, url, {**headers, **more}, (lambda: iter([data])) if data else None)
            try:
                if response.status_code in _LATER:
                    raise self._refused(response)
                return response.status_code, _upto(response, _TOKEN_LIMIT)[:_TOKEN_LIMIT]
            except (httpx.HTTPError, httpx.StreamError) as error:
                raise self._broken(error, method, url) from error
            finally:
                response.close()

        return self.retrying(ask)


def _may_pass(error: Broken | Refused) -> bool:
    return not error.is_final if isinstance(error, Broken) else error.answered in _LATER


def _drop(response: httpx.Response) -> None:
    """An answer that is not of interest. A short body is read, so that the connection can be used again."""
    try:
        _upto(response, _ERROR_LIMIT)
    except (httpx.HTTPError, httpx.StreamError):
        return  # the next request will tell
    finally:
        response.close()


def _upto(response: httpx.Response, limit: int) -> bytes:
    """A body, or a little more of it than the limit."""
    data = bytearray()
    for piece in response.iter_raw():
        data += piece
        if len(data) > limit:
            break
    return bytes(data)


def _seconds(text: str) -> float:
    """Retry-After; a date is taken for a moment."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0.0
