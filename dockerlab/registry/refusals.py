"""Errors in Docker's words: what a registry answered, and what kept the engine from asking it. Texts measured on Engine 28.

No error quotes a URL's query: it may hold a signature or a token.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from http import HTTPStatus
from urllib.parse import urlsplit

from dockerlab.errors import EngineError

_LONGEST = 400  # characters of what a registry says
DENIED = "requested access to the resource is denied"


class Refused(EngineError):
    """A registry's answer that is an error.

    code: "MANIFEST_UNKNOWN", or "" where it did not say one. answered: its HTTP status. wait: seconds after which to ask again.
    """

    def __init__(self, message: str, *, code: str = "", answered: int = 0, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.code, self.answered, self.wait = code, answered, 0.0


class Cancelled(EngineError):
    """The client left, or the engine ends."""

    def __init__(self) -> None:
        super().__init__("context canceled")


def asked(method: str, url: str) -> str:
    """Which request it was, for the beginning of an error: `Get "https://registry.example/v2/"`."""
    parts = urlsplit(url)
    return f'{method.capitalize()} "{parts.scheme}://{parts.netloc.rpartition("@")[2]}{parts.path}"'


def answer(status: int, data: bytes) -> Refused:
    """What an answer says that is an error. data: the beginning of its body."""
    code, message = _first(data)
    if status == 429 and not code:
        return Refused(f"toomanyrequests: {message or 'too many requests'}", code="TOOMANYREQUESTS", answered=status, status=429)
    if code and status < 500:
        kind = code.lower().replace("_", " ")
        text = kind if not message else f"{kind}: {message}"
        return Refused(text, code=code, answered=status, status=status if status in (401, 403, 404, 429) else 500)
    if status == 401:
        return Refused(f"unauthorized: {message or 'authentication required'}", code="UNAUTHORIZED", answered=status, status=401)
    if status == 403:
        return Refused(f"denied: {message or DENIED}", code="DENIED", answered=status, status=403)
    if status == 404 and not data:
        return Refused("not found", answered=status, status=404)
    if 400 <= status < 500:
        said = message or data[:_LONGEST].decode(errors="replace").strip() or phrase(status)
        return Refused(f"unknown: {said}", answered=status, status=404 if status == 404 else 500)
    return Refused(f"received unexpected HTTP status: {phrase(status)}", answered=status, status=500)


def _first(data: bytes) -> tuple[str, str]:
    """Code and message of the first error in a body."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(value, dict):
        return "", ""
    errors = value.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        code, message = str(errors[0].get("code") or "unknown"), str(errors[0].get("message") or "")
        return code[:100], message[:_LONGEST]
    # A token server says it in its own way.
    return "", str(value.get("details") or value.get("message") or value.get("error_description") or "")[:_LONGEST]


def phrase(status: int) -> str:
    """`503 Service Unavailable`"""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def denied(name: str) -> Refused:
    """A token that does not allow what it was asked for; also how registries hide that there is nothing."""
    text = f"pull access denied for {name}, repository does not exist or may require 'docker login': denied: {DENIED}"
    return Refused(text, code="DENIED", answered=401, status=404)


def pull(error: Refused, name: str, tag: str) -> Refused:
    """The refusal of a pull, as Docker tells it. name: familiar, of the repository. tag: with its `:` or `@`."""
    match error.code:
        case "MANIFEST_UNKNOWN":
            return Refused(f"manifest for {name}{tag} not found: {error.message}", code=error.code, answered=404, status=404)
        case "NAME_UNKNOWN":
            return Refused(f"repository {name} not found: {error.message}", code=error.code, answered=404, status=404)
        case "DENIED":
            return denied(name)
    return error


def broken(error: BaseException, method: str, url: str) -> EngineError:
    """What kept a request from being answered."""
    return EngineError(f"{asked(method, url)}: {_reason(error, urlsplit(url).netloc.rpartition('@')[2])}", status=500)


def _reason(error: BaseException, host: str) -> str:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"tls: failed to verify certificate: x509: {_certificate(cause)}"
        if isinstance(cause, ssl.SSLError):
            if cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
                return "http: server gave HTTP response to HTTPS client"
            return f"tls: {(cause.reason or 'handshake failure').lower().replace('_', ' ')}"
        if isinstance(cause, socket.gaierror):
            is_final = cause.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
            return f"dial tcp: lookup {urlsplit(f'//{host}').hostname}: {'no such host' if is_final else 'temporary failure'}"
        if isinstance(cause, ConnectionRefusedError):
            return f"dial tcp {host}: connect: connection refused"
        if isinstance(cause, TimeoutError):
            return f"{'dial' if type(error).__name__ == 'ConnectTimeout' else 'read'} tcp {host}: i/o timeout"
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return f"read tcp {host}: connection reset by peer"
        if isinstance(cause, OSError) and cause.strerror:
            return f"dial tcp {host}: {cause.strerror.lower()}"
    return re.sub(r"\s+", " ", str(error)) or type(error).__name__


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message or ""
    if "expired" in said or "not yet valid" in said:
        return "certificate has expired or is not yet valid"
    if "mismatch" in said or "not valid for" in said:
        return f"certificate is not valid for this host ({said.rstrip('.')})"
    return f"certificate signed by unknown authority ({said})"


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    next_: BaseException | None = error
    while next_ is not None and next_ not in found:
        found.append(next_)
        next_ = next_.__cause__ or next_.__context__
    return found
