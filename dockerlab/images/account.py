"""`login` and `logout`: who the user is at a registry, kept as `docker login` keeps it, for pulls, pushes and builds of any tool.

A registry is asked first whether it knows name and password: by this machine, so that no engine is needed. A password that it does not
take is not kept. Where they are kept, Docker's config file says: see `dockerlab.credentials.keeping`. No password is in an answer,
an error or a repr.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dockerlab.credentials import Credentials as Keychain
from dockerlab.credentials import keeping
from dockerlab.errors import MASK, EngineError, UsageError
from dockerlab.images.registries import called, host_of, in_words
from dockerlab.images.registry_values import LoggedIn, LoggedOut
from dockerlab.registry import hosts
from dockerlab.registry.auth import Credentials

_SERVER: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?|\[[0-9A-Fa-f:.]+\](?::\d+)?")
_VARIABLE: Final = "DOCKER_AUTH_CONFIG"


def login(
    server: str | None = None, username: str | None = None, password: str | None = None, *, insecure: bool = False
) -> LoggedIn:
    """Asks a registry whether it knows the user, and keeps name and password where `docker login` would. None is Docker Hub.

    Without a password, those that are kept already are asked about. insecure: as of `remote`; whoever is in between reads the password.

    Raises UsageError; EngineError (the registry does not take them; it has `status` 401), RegistryUnreachable; CredentialsError.
    """
    domain = registry(server)
    keychain = Keychain.found(os.environ)
    if is_new := password is not None:
        who = Credentials(_checked(username), _filled(password))
        del password  # a traceback with all variables would show it
    else:
        who = _kept(domain, keychain, username)
    from dockerlab.registry.login import login as ask

    host = host_of(domain)
    with in_words(domain, f"log in to {called(domain)}", is_known=True, problems=keychain.problems), _hidden(who):
        known = ask(hosts.of_user(os.environ, [domain] if insecure else []), domain, who)
    kept = None
    if is_new:
        token = known.identity_token
        kept = keeping.keep(os.environ, host, who.username, token or who.password, is_token=bool(token))
    notes = [] if known.is_asked else [f"{called(domain)} asked for no password: what was given was not checked."]
    if is_new and _is_overridden(domain):
        notes.append(f"{_VARIABLE} in the environment names others for it, which go before.")
    return LoggedIn(called(domain), who.username, kept.place if kept else "", kept is None or kept.is_encrypted, tuple(notes))


def logout(server: str | None = None) -> LoggedOut:
    """Forgets who the user is at a registry, in the helper and in Docker's config file. None is Docker Hub. Raises CredentialsError."""
    domain = registry(server)
    was_there = keeping.forget(os.environ, host_of(domain))
    notes = [f"{_VARIABLE} in the environment still names some for it."] if _is_overridden(domain) else []
    return LoggedOut(called(domain), was_there, tuple(notes))


def registry(server: str | None) -> str:
    """The domain of a registry's images, out of what people write: an address, also with scheme and path. Raises UsageError."""
    text = (server or "").strip()
    bare = hosts.bare(text)
    if "@" in text:
        # What stands before it may be a password.
        raise UsageError(
            "a registry's address has no name or password in it", hint="`%image login SERVER -u USER` asks for the password."
        )
    if text and not _SERVER.fullmatch(bare):
        raise UsageError(f"'{text}' is not the address of a registry", hint="Such as registry.example or localhost:5000.")
    return hosts.domain(bare)


def _checked(username: str | None) -> str:
    if not username:
        raise UsageError("no user's name was given", hint="`%image login SERVER -u USER`")
    if ":" in username:
        raise UsageError("a user's name has no colon in it", hint="The password is asked for by itself.")
    return username


def _filled(password: str) -> str:
    if not password:
        raise UsageError("the password is empty", hint="Nothing was asked of the registry, and nothing changed.")
    return password


def _kept(domain: str, keychain: Keychain, username: str | None) -> Credentials:
    """Those that are kept, of that user if one is named. Raises UsageError."""
    found = keychain.answer(host_of(domain))
    if not found.secret or (username and found.username and username != found.username):
        raise UsageError(f"no password is kept for {called(domain)}", hint="`%image login` in a cell asks for one.")
    return Credentials(found.username, found.secret) if found.username else Credentials(identity_token=found.secret)


def _is_overridden(domain: str) -> bool:
    """Whether the environment has credentials that go before those of the file."""
    text = os.environ.get(_VARIABLE)
    return bool(text) and bool(Keychain.found({_VARIABLE: text or "", "DOCKER_CONFIG": os.devnull}).answer(host_of(domain)).secret)


@contextmanager
def _hidden(who: Credentials) -> Iterator[None]:
    """A registry's answer might repeat what it was sent."""
    try:
        yield
    except EngineError as error:
        secrets = [one for one in (who.password, who.identity_token) if one]
        for secret in [*secrets, *(b64encode(one.encode()).decode() for one in secrets), who.basic.partition(" ")[2]]:
            if secret in error.message:
                error.reword(error.message.replace(secret, MASK))
        raise
