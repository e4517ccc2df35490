"""POST /session: a build's client serves the engine on a connection of its own (see `dockerlab.engine.sessions`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dockerlab.engine.http.types import Connection, Hijack, Request, Response, Route
from dockerlab.errors import UsageError

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

_PREFIX: Final = "x-docker-expose-session-"
_LONGEST: Final = 1024


def session(engine: Engine, request: Request) -> Response:
    """POST /session"""
    from dockerlab.engine.sessions.session import Session  # h2 is imported by whoever has one

    headers = request.headers
    if headers.get("upgrade", "").lower() != "h2c":
        raise UsageError(f"unsupported upgrade: {headers.get('upgrade', '')!r}", hint="A session is HTTP/2: Upgrade: h2c.")
    id, name, key = (headers.get(_PREFIX + field, "") for field in ("uuid", "name", "sharedkey"))
    if not id:
        raise UsageError("a session needs an id, in X-Docker-Expose-Session-Uuid")
    if max(map(len, (id, name, key))) > _LONGEST:
        raise UsageError("a session's id, name or key is too long")
    # A header that is repeated arrives as one list.
    methods = [method.strip() for method in headers.get(f"{_PREFIX}grpc-method", "").split(",")]
    engine.sessions.check(id)

    def run(connection: Connection) -> None:
        engine.sessions.serve(Session(id, name, key, methods), connection)

    return Hijack(run, upgrade={"Connection": "Upgrade", "Upgrade": "h2c"})


ROUTES = (Route("POST", "/session", session),)
