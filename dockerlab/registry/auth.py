"""How a registry wants to know who asks: Basic, or Bearer with tokens of a token server (Docker's token authentication).

A registry answers 401 with a challenge: `Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull"`.
The realm gives a token for a scope, in exchange for a password, an identity token, or nothing; it is good for a minute or more and is
kept that long. A password goes to the registry or the realm that it names, to nobody else, and never from a registry with TLS to a realm
without.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from dockerlab.registry import refusals
from dockerlab.registry.refusals import Refused

_PART = re.compile(
    r"(?P<key>[\w!#$%&'*+.^`|~-]+)[ \t]*=[ \t]*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^\s,\"]+))|(?P<scheme>[A-Za-z][\w-]*)"
)
CLIENT: Final = "dockerlab"
_NO_TOKEN: Final = "NO_TOKEN"
_SHORTEST: Final = 60.0  # seconds that a token is good for, if it does not say
_EARLY: Final = 10.0  # it is renewed that long before

# Asks a token server: method, URL, headers, form → status and body.
Exchange = Callable[[str, str, Mapping[str, str], Mapping[str, str] | None], tuple[int, bytes]]


@dataclass(frozen=True)
class Credentials:
    """Either a user and a password, or an identity token (exchanged for others), or a registry token (sent as it is)."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.has_password or self.identity_token or self.registry_token)

    @property
    def has_password(self) -> bool:
        """Whether there is what Basic authentication needs."""
        return bool(self.username and self.password)

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Challenge:
    """scheme: in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(headers: Sequence[str]) -> list[Challenge]:
    """What WWW-Authenticate headers say."""
    found: list[tuple[str, dict[str, str]]] = []
    for part in (match for header in headers for match in _PART.finditer(header)):
        if scheme := part["scheme"]:
            found.append((scheme.lower(), {}))
        elif found:
            quoted = part["quoted"]
            found[-1][1][part["key"].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else part["plain"]
    return [Challenge(*one) for one in found]


@dataclass(frozen=True)
class _Token:
    text: str = field(repr=False)
    until: float


class Authorizer:
    """For one registry. credentials: None for somebody unknown. exchange: how token servers are asked. For several threads."""

    def __init__(self, credentials: Credentials | None, exchange: Exchange, clock: Callable[[], float] = time.monotonic) -> None:
        self._credentials = credentials or Credentials()
        self._exchange, self._clock = exchange, clock
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[frozenset[str], _Token] = {}
        self.identity_token = ""  # what a token server gave for a password

    def learn(self, headers: Sequence[str]) -> None:
        """Takes note of the challenge in an answer; Bearer is preferred."""
        known = {one.scheme: one for one in challenges(headers)}
        if chosen := known.get("bearer") or known.get("basic"):
            self._challenge = chosen

    def header(self, scopes: frozenset[str], where: str, *, is_login: bool = False) -> str | None:
        """The value of Authorization for a request, None where none was asked for. where: the request, for errors. Raises Refused."""
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        if self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            if not self._credentials.has_password:
                raise Refused(f"{where}: no basic auth credentials", code="NO_CREDENTIALS", answered=401, status=500)
            return self._credentials.basic
        with self._lock:  # of several requests at once, one gets the token
            token = self._tokens.get(scopes)
            if token is None or self._clock() >= token.until:
                token = self._tokens[scopes] = self._fetch(self._challenge, scopes, where, is_login)
            return f"Bearer {token.text}"

    def renew(self, headers: Sequence[str], scopes: frozenset[str], refused: str | None) -> bool:
        """After a 401: takes note of its challenge. Whether asking once more may help. refused: the Authorization that it refused."""
        before = self._challenge
        self.learn(headers)
        challenge = self._challenge
        if challenge is None or (challenge.scheme == "basic" and refused and refused.startswith("Basic")):
            return False
        if refused is None:
            return True
        with self._lock:
            token = self._tokens.get(scopes)
            if token and refused == f"Bearer {token.text}":
                del self._tokens[scopes]
        # A token that was just given, and does not suffice, is a refusal; one that was in use may have expired.
        return before is not challenge or challenge.parameters.get("error") != "insufficient_scope"

    def _fetch(self, challenge: Challenge, scopes: frozenset[str], where: str, is_login: bool) -> _Token:
        wanted = sorted(scopes) or challenge.parameters.get("scope", "").split()
        realm = challenge.parameters.get("realm", "")
        self._refuse_realm(realm, where)
        service = challenge.parameters.get("service", "")
        headers: dict[str, str] = {}
        if self._credentials.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": self._credentials.identity_token, "client_id": CLIENT}
            form |= {name: text for name, text in (("service", service), ("scope", " ".join(wanted))) if text}
            status, data = self._exchange("POST", realm, headers, form)
        else:
            query = [("service", service)] if service else []
            query += [("scope", scope) for scope in wanted]
            if self._credentials.has_password:
                headers["Authorization"] = self._credentials.basic
                query += [("account", self._credentials.username)]
            if is_login:
                query += [("offline_token", "true"), ("client_id", CLIENT)]
            status, data = self._exchange("GET", _with_query(realm, query), headers, None)
        if status != 200:
            error = refusals.answer(status, data)
            raise Refused(f"{where}: {error.message}", code=error.code, answered=status, status=error.status)
        return self._parsed(data, where)

    def _refuse_realm(self, realm: str, where: str) -> None:
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise Refused(
                f"{where}: the registry's token server is not one: {realm[:100]!r}", code=_NO_TOKEN, answered=401, status=500
            )
        if parts.scheme == "http" and self._credentials and where.partition('"')[2].startswith("https:"):
            raise Refused(
                f"{where}: the registry asks to send credentials without TLS to {parts.netloc}: refused",
                code=_NO_TOKEN,
                answered=401,
                status=500,
            )

    def _parsed(self, data: bytes, where: str) -> _Token:
        try:
            value: Any = json.loads(data)
            text = value.get("token") or value.get("access_token")
            seconds = value.get("expires_in") or 0
        except (ValueError, AttributeError, RecursionError):
            text, seconds, value = None, 0, {}
        if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable():
            raise Refused(
                f"{where}: authorization server did not include a token in the response", code=_NO_TOKEN, answered=401, status=500
            )
        if isinstance(value.get("refresh_token"), str):
            self.identity_token = value["refresh_token"]
        lasts = max(_SHORTEST, float(seconds)) if isinstance(seconds, int | float) else _SHORTEST
        return _Token(text, self._clock() + lasts - _EARLY)


def _with_query(url: str, more: Sequence[tuple[str, str]]) -> str:
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *more])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
