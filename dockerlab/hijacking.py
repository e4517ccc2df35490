"""Connections to the engine that one request has for itself: those that stop being HTTP (attach, exec, a build's session), and streams.

    connection = opened(client)                                   docker-py's, and no other request's
    response = ask(connection, client, "POST", "/session", headers=[("Connection", "Upgrade"), …])
    read(65536)                                                   where `read = reader(response, upgraded=True)`
    connection, read = upgraded(client, "/grpc", doing="build")   all that at once, for what becomes HTTP/2
    connection.sock.sendall(…)
    end(connection)                                               from any thread: whoever reads or writes is woken

The transport is docker-py's (a socket, a Windows pipe, TLS or ssh), opened anew and not put into its pool. Bytes that come along with the
head of the answer are the first that are read.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode

import requests
import urllib3

from dockerlab.client import Client, engine_errors, meaning
from dockerlab.duplex import Duplex

_LONGEST: Final = 1 << 20  # bytes of an engine's error


def opened(client: Client) -> Any:
    """A new connection, without a time limit on reading. Raises ConnectionError."""
    api: Any = client.api
    url = api._url("/_ping")
    adapter: Any = api.get_adapter(url)
    request = requests.Request("GET", url).prepare()
    trust = api.merge_environment_settings(url, {}, True, None, None)
    pool = adapter.get_connection_with_tls_context(request, verify=trust["verify"], proxies={}, cert=trust["cert"])
    connection = pool._new_conn()
    try:
        if isinstance(connection, urllib3.connection.HTTPSConnection):
            connection.sock = _secured(connection, trust["verify"], trust["cert"], api.timeout)
        else:
            connection.connect()
    except OSError as error:  # a socket that is no longer there, too
        raise ConnectionError(str(error)) from error
    connection.timeout = None
    connection.sock.settimeout(None)
    return connection


def _secured(
    connection: urllib3.connection.HTTPSConnection, verify: str | bool, cert: tuple[str, str] | None, timeout: float
) -> Duplex:
    """TLS as docker-py has it. verify, cert: as requests takes them."""
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE)
    if verify:
        known = requests.utils.DEFAULT_CA_BUNDLE_PATH if verify is True else verify
        is_folder = os.path.isdir(known)
        context.load_verify_locations(None if is_folder else known, known if is_folder else None)
    if cert:
        context.load_cert_chain(*cert)
    host = connection.host.strip("[]")
    tcp = socket.create_connection((host, connection.port), timeout)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Duplex(tcp, context, host)


def ask(
    connection: Any,
    client: Client,
    method: str,
    path: str,
    params: Mapping[str, Any] | None = None,
    body: bytes = b"",
    headers: Iterable[tuple[str, str]] = (),
) -> http.client.HTTPResponse:
    """Sends a request and reads the head of its answer. headers: a name may come several times. Raises ConnectionError."""
    query = f"?{urlencode(params)}" if params else ""
    api: Any = client.api
    connection.putrequest(method, f"/v{api._version}{path}{query}")
    for name, value in (("Content-Length", str(len(body))), *api._general_configs.get("HttpHeaders", {}).items(), *headers):
        connection.putheader(name, value)
    connection.endheaders(body or None)
    response = http.client.HTTPResponse(connection.sock, method=method)
    try:
        response.begin()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    return response


def reader(response: http.client.HTTPResponse, *, upgraded: bool) -> Callable[[int], bytes]:
    """Reads up to so many bytes, as soon as there are some. upgraded: what follows the head is no longer HTTP."""

    def read(size: int) -> bytes:
        # A response that nobody holds closes what it reads from.
        return (response.fp if upgraded else response).read1(size)

    return read


def is_readable(connection: Any) -> bool:
    """Whether there is something to read by now; False where that cannot be told (a Windows pipe, ssh on Windows)."""
    sock = connection.sock
    if isinstance(sock, Duplex) and sock.pending:
        return True
    # docker-py's socket for ssh is one in name only: it is connected to nothing.
    return isinstance(sock, socket.socket) and getattr(sock, "proc", None) is None and urllib3.util.wait_for_read(sock, 0)


def upgraded(
    client: Client, path: str, *, doing: str, headers: Iterable[tuple[str, str]] = ()
) -> tuple[Any, Callable[[int], bytes]]:
    """A connection that becomes HTTP/2, and what reads it. Raises EngineError, EngineGone."""
    with engine_errors(doing):
        connection = opened(client)
        try:
            response = ask(connection, client, "POST", path, headers=[("Connection", "Upgrade"), ("Upgrade", "h2c"), *headers])
            if response.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise meaning(said(response), doing, response.status, None)
        except BaseException:
            end(connection)
            raise
    return connection, reader(response, upgraded=True)


def said(response: http.client.HTTPResponse) -> str:
    """The message in an engine's error, as far as it comes."""
    try:
        body = response.read(_LONGEST)
    except (OSError, http.client.HTTPException) as error:
        body = getattr(error, "partial", b"")
    text = body.decode("utf-8", "replace")
    with suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return text


def end_of_input(connection: Any) -> None:
    """Closes our side for writing, the other stays open."""
    sock = connection.sock
    process = getattr(sock, "proc", None)
    if process is not None:  # ssh on Windows, as a process
        process.stdin.close()
    elif isinstance(sock, Duplex):
        sock.end_of_input()
    elif isinstance(sock, socket.socket):
        sock.shutdown(socket.SHUT_WR)
    else:
        sock.send(b"")  # an engine's named pipe is in message mode, where an empty message ends the input


def end(connection: Any) -> None:
    """Ends it, wherever it is. May be called twice, from any thread."""
    wake(connection.sock)
    with suppress(OSError):
        connection.close()


def wake(sock: Any) -> None:
    """Ends what a connection reads from and writes to; http.client lets go of it where an answer is the last."""
    if isinstance(sock, socket.socket):
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
    elif sock is not None:  # a named pipe
        with suppress(OSError):
            sock.close()
    if process := getattr(sock, "proc", None):  # ssh on Windows: its close() does nothing once the input has ended
        process.terminate()
