"""Whether a registry knows somebody, as `docker login` asks it: nothing is kept here."""

from __future__ import annotations

from dataclasses import dataclass, field

from dockerlab.registry import refusals
from dockerlab.registry.abort import Abort
from dockerlab.registry.auth import Credentials
from dockerlab.registry.client import Client, Pace
from dockerlab.registry.hosts import Hosts
from dockerlab.registry.refusals import Refused, asked


@dataclass(frozen=True)
class Known:
    """It does. identity_token: to be kept in place of the password, "" where it gives none. is_asked: whether it asked who that is."""

    identity_token: str = field(default="", repr=False)
    is_asked: bool = True


def login(hosts: Hosts, domain: str, credentials: Credentials, pace: Pace | None = None) -> Known:
    """Makes sure that a registry knows somebody. domain: of its images. Raises Refused where it does not; EngineError."""
    client = Client(hosts.endpoints(domain)[-1], hosts, credentials, Abort(), pace or Pace())
    try:
        client.connect()
        url = f"{client.base}/v2/"
        try:
            header = client.authorizer.header(frozenset(), asked("GET", url), is_login=True)
            with client.open("GET", url):
                pass
        except Refused as error:
            if error.answered == 401 and error.code == "UNAUTHORIZED" and not error.message.startswith("Get "):
                said = f"login attempt to {url} failed with status: {refusals.phrase(401)}"
                raise Refused(said, code=error.code, answered=401, status=500) from error
            raise
        return Known(client.authorizer.identity_token, header is not None)
    finally:
        client.close()
