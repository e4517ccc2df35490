"""What needs a registry: pull and push of images, login, and /distribution."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dockerlab import reference
from dockerlab.engine import json_lines, json_shapes
from dockerlab.engine.http.types import Answer, Request, Response, Route, Stream
from dockerlab.engine.json_shapes import TEXT, Struct
from dockerlab.engine.registry import credentials
from dockerlab.engine.registry.credentials import Keychain
from dockerlab.engine.store.catalogue import canonical
from dockerlab.engine.store.values import tagged
from dockerlab.errors import InvalidReference
from dockerlab.registry import hosts
from dockerlab.registry.auth import Credentials

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

# Seconds for a registry to say no with a status. Later it is a message of the answer: before that begins, no client is seen to leave.
_PATIENCE = 10.0
_AUTH = Struct(
    "auth", dict.fromkeys(("username", "password", "auth", "email", "serveraddress", "identitytoken", "registrytoken"), TEXT)
)


def pull(engine: Engine, request: Request) -> Response:
    """POST /images/create with `fromImage`."""
    from dockerlab.engine.registry.pulling import Pull

    query = request.query
    name, all_tags = _named(query.text("fromImage"), query.text("tag"))
    pulling = Pull(
        *(engine.store, _hosts(engine), Keychain(os.environ), name, query.text("platform"), _credentials(request), all_tags),
        notify=_notify(engine),
    )
    pulling.begin(_PATIENCE)
    return Stream(json_lines.lines(pulling.messages()), "application/json", pulling.cancel)


def push(engine: Engine, request: Request) -> Response:
    """POST /images/{name}/push"""
    from dockerlab.engine.registry.pushing import Push

    name, all_tags = _named(request.params["name"], request.query.text("tag"))
    pushing = Push(
        *(engine.store, _hosts(engine), Keychain(os.environ), name, _credentials(request), all_tags), notify=_notify(engine)
    )
    return Stream(json_lines.lines(pushing.messages()), "application/json", pushing.cancel)


def auth(engine: Engine, request: Request) -> Response:
    """POST /auth"""
    from dockerlab.registry.login import login

    value = json_shapes.read(request.body.json(), _AUTH)
    domain = hosts.domain(value.get("serveraddress") or "")
    token = login(_hosts(engine), domain, credentials.of_json(value)).identity_token
    return Answer({"IdentityToken": token, "Status": "Login Succeeded"})


def distribution(engine: Engine, request: Request) -> Response:
    """GET /distribution/{name}/json"""
    from dockerlab.engine.registry import checking

    name = canonical(request.params["name"])
    return Answer(checking.distribution(_hosts(engine), Keychain(os.environ), name, _credentials(request)))


def _named(name: str, tag: str) -> tuple[str, bool]:
    """A reference, and whether it is a repository whose tags are all meant: one without a tag. Raises InvalidReference."""
    if not name:
        raise InvalidReference("invalid reference format")
    canonical(name)
    repository, _, last = name.partition("@")[0].rpartition("/")
    plain = f"{repository}/{last.partition(':')[0]}" if repository else last.partition(":")[0]
    if ":" in tag:
        try:
            if reference.parse(f"{plain}@{tag}").digest:
                return f"{plain}@{tag}", False
        except InvalidReference as error:
            raise InvalidReference("invalid tag format") from error
    if tag:
        return canonical(tagged(plain, tag)), False
    return name, "@" not in name and ":" not in last


def _hosts(engine: Engine) -> hosts.Hosts:
    return hosts.read(engine.home.root, os.environ)


def _credentials(request: Request) -> Credentials | None:
    return credentials.of_header(request.headers.get("x-registry-auth", ""))


def _notify(engine: Engine) -> Callable[[str, str, Mapping[str, str]], object]:
    return lambda action, name, attributes: engine.events.emit("image", action, name, attributes)


ROUTES = (
    Route("POST", "/auth", auth),
    Route("GET", "/distribution/{name:path}/json", distribution),
    Route("POST", "/images/{name:path}/push", push),
)
