"""Path → handler, and which version of the API a client asks for.

    /v1.44/containers/web/json → version (1, 44), GET /containers/{id}/json, id = "web"

Without a version it is the newest. What no route matches is Docker's 404 "page not found", a wrong method included. OPTIONS is Docker's
empty 200, of any path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dockerlab.engine.http.types import API, OLDEST_API, Answer, Hijack, Request, Response, Route
from dockerlab.errors import NotFound, UsageError

_VERSION = re.compile(r"/v(\d{1,4})\.(\d{1,4})(/.*)", re.DOTALL)
# The content type of older clients says nothing of frames; the stream has them all the same.
_MULTIPLEXED_SINCE = (1, 42)
_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


class Router:
    """A handler for the server. engine: what the routes' handlers get first."""

    def __init__(self, engine: Any, routes: Sequence[Route]) -> None:
        self._engine = engine
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Route]]] = {}
        for route in routes:
            if "{" not in route.pattern:
                self._exact.setdefault((route.method, route.pattern), route)
            else:
                self._patterns.setdefault((route.method, _first(route.pattern)), []).append((_compiled(route.pattern), route))

    def __call__(self, request: Request) -> Response:
        """Answers a request whose path still has its version. Raises NotFound, UsageError, and what the handler raises."""
        version, path = _version(re.sub("^//+", "/", request.path))
        if "\0" in path:
            raise UsageError("invalid path: it holds a NUL")
        if request.method == "OPTIONS":
            return Answer()
        found = self.route(request.method, path)
        if found is None:
            raise NotFound("page not found")
        route, params = found
        response = route.handler(self._engine, replace(request, path=path, version=version, params=params))
        if isinstance(response, Hijack) and version < _MULTIPLEXED_SINCE:
            return replace(response, multiplexed=False)
        return response

    def route(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """The route of a path without its version, and what stands in its braces; None where there is none."""
        if route := self._exact.get((method, path)):
            return route, {}
        for pattern, route in self._patterns.get((method, _first(path)), ()):
            if match := pattern.fullmatch(path):
                return route, match.groupdict()
        return None


def _version(path: str) -> tuple[tuple[int, int], str]:
    match = _VERSION.fullmatch(path)
    if not match:
        return API, path
    version = int(match[1]), int(match[2])
    if version > API:
        raise UsageError(f"client version {_text(version)} is too new. Maximum supported API version is {_text(API)}")
    if version < OLDEST_API:
        raise UsageError(
            f"client version {_text(version)} is too old. Minimum supported API version is {_text(OLDEST_API)}, "
            "please upgrade your client to a newer version"
        )
    return version, match[3]


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _first(path: str) -> str:
    return path[1:].partition("/")[0]


def _compiled(pattern: str) -> re.Pattern[str]:
    parts, end = [], 0
    for match in _PARAMETER.finditer(pattern):
        parts += [re.escape(pattern[end : match.start()]), f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})"]
        end = match.end()
    return re.compile("".join(parts) + re.escape(pattern[end:]), re.DOTALL)
