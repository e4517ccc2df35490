"""A token server for tests, beside a fake registry that wants its tokens (Docker's token authentication).

server = TokenServer(registry, {"me": "secret"})
server.asked                                    what it was asked for, with the Authorization
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.embedded.fakes import Asked, Fake


class TokenServer:
    """Beside a fake registry, which wants its tokens. lasts: requests that a token is good for."""

    def __init__(self, registry: Fake, users: dict[str, str] | None = None, lasts: int = 1000, realm: str = "") -> None:
        self.registry, self.users, self.lasts = registry, users, lasts
        self.realm = realm or f"http://{registry.address}/token"
        self.asked: list[dict[str, list[str]]] = []
        self.tokens: dict[str, list[Any]] = {}
        self.granted: frozenset[str] | None = None  # None: all that is asked for
        registry.faults.insert(0, self)

    def __call__(self, request: Asked) -> object:
        path, query = urlsplit(request.path).path, parse_qs(urlsplit(request.path).query)
        if path == "/token":
            return self._token(request, query)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        scopes, left = self.tokens.get(token, (frozenset(), 0))
        wanted = self._wanted(request.command, path)
        if left and wanted <= scopes:
            self.tokens[token][1] -= 1
            return False
        error = ',error="insufficient_scope"' if left else ""
        scope = f',scope="{" ".join(sorted(wanted))}"' if wanted else ""
        head = {"WWW-Authenticate": f'Bearer realm="{self.realm}",service="test"{scope}{error}'}
        return request.refuse(401, "UNAUTHORIZED", "authentication required", head)

    def _wanted(self, method: str, path: str) -> frozenset[str]:
        if path == "/v2/":
            return frozenset()
        return frozenset({"repository:app:pull" if method in ("GET", "HEAD") else "repository:app:push"})

    def _token(self, request: Asked, query: dict[str, list[str]]) -> object:
        if request.command == "POST":
            query = parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
        self.asked.append(query | {"authorization": [request.headers.get("Authorization", "")]})
        if self.users is not None:
            said = base64.b64decode(request.headers.get("Authorization", "Basic ").removeprefix("Basic ")).decode()
            name, _, password = said.partition(":")
            if query.get("refresh_token", [""])[0] != "identity" and (not name or self.users.get(name) != password):
                return request.reply(401, b'{"details": "incorrect username or password"}')
        scopes = set()
        for scope in " ".join(query.get("scope", [])).split():
            kind, name, actions = scope.split(":")
            scopes |= {f"{kind}:{name}:{action}" for action in actions.split(",")}
        token = f"token{len(self.tokens)}"
        self.tokens[token] = [frozenset(scopes) if self.granted is None else self.granted, self.lasts]
        found = {"token": token, "expires_in": 300}
        if query.get("offline_token"):
            found["refresh_token"] = "identity"
        return request.reply(200, json.dumps(found).encode())
