"""Registries asked by this machine, not by the engine: who the user is there, and what a registry's refusal means in words.

with asked(image, doing="look at 'app:1'") as client:       connected; what goes wrong in the block is an error for people
    client.document(…)

The engine has its own way to a registry, and its own idea of whom to trust: what fails here may work there, and the other way round.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dockerlab.credentials import HUB_HOST
from dockerlab.credentials import Credentials as Keychain
from dockerlab.errors import DockerlabError, EngineError, NotFound, RegistryUnreachable
from dockerlab.images.refusal import BROKE_OFF, LIMITED, OFFLINE, PLAIN, UNTRUSTED
from dockerlab.reference import DEFAULT_DOMAIN, Reference
from dockerlab.registry import hosts
from dockerlab.registry.auth import Credentials
from dockerlab.registry.refusals import Refused

if TYPE_CHECKING:
    from dockerlab.registry.client import Client

_NO_PASSWORD: Final = "NO_CREDENTIALS"
FOLDERS: Final = "/etc/docker/certs.d/{host}/ca.crt or ~/.config/docker/certs.d/{host}/ca.crt"


def host_of(domain: str) -> str:
    """Under which name a registry's credentials are kept. domain: of its images."""
    return HUB_HOST if domain == DEFAULT_DOMAIN else domain


def called(domain: str) -> str:
    """A registry as people call it."""
    return "Docker Hub" if domain == DEFAULT_DOMAIN else domain


@contextmanager
def asked(image: Reference, *, insecure: bool, doing: str) -> Iterator[Client]:
    """A connection to an image's registry, as the user whom Docker's config file knows there. doing: for errors: cannot `doing`."""
    from dockerlab.registry.abort import Abort
    from dockerlab.registry.client import Client, Pace

    keychain = Keychain.found(os.environ)
    found = keychain.answer(host_of(image.domain))
    who = Credentials(found.username, found.secret) if found.username else Credentials(identity_token=found.secret)
    with in_words(image.domain, doing, image=image, is_known=bool(who), problems=keychain.problems):
        where = hosts.of_user(os.environ, [image.domain] if insecure else [])
        client = Client(where.endpoints(image.domain)[-1], where, who, Abort(), Pace(attempts=3))
        try:
            client.connect()
            yield client
        finally:
            client.close()


@contextmanager
def in_words(
    domain: str, doing: str, *, image: Reference | None = None, is_known: bool = False, problems: Sequence[str] = ()
) -> Iterator[None]:
    """Raises what a registry's refusal means. image: that was asked for. is_known: whether somebody was named who asked.

    problems: why credentials were not found.
    """
    try:
        yield
    except (NotFound, RegistryUnreachable):
        raise
    except EngineError as error:
        raise _meaning(error, domain, doing, image, is_known, problems) from error


def _meaning(
    error: EngineError, domain: str, doing: str, image: Reference | None, is_known: bool, problems: Sequence[str]
) -> DockerlabError:
    said, name = error.message, called(domain)
    evidence = [said, *problems]
    cannot = f"cannot {doing}"
    answered = error.answered if isinstance(error, Refused) else 0
    if LIMITED.search(said) or answered == 429:
        hint = "Wait, or log in: `%image login`. The limit is then higher."
        return EngineError(f"{cannot}: {name} limits how often one may ask", evidence=evidence, status=429, hint=hint)
    if PLAIN.search(said):
        return RegistryUnreachable(
            f"{cannot}: {name} has no TLS, which is wanted of all registries but those on this machine",
            evidence=evidence,
            hint="Is the port right? Whoever is in between could read along and put in another image; where you trust them: "
            "`--tls-verify=false`.",
        )
    if OFFLINE.search(said):
        return RegistryUnreachable(
            f"{cannot}: {name} does not answer this machine",
            evidence=evidence,
            hint="Is the address right, with its port? Is this machine online? "
            "(Push and pull are the engine's: one elsewhere may reach what this machine does not.)",
        )
    if UNTRUSTED.search(said):
        return RegistryUnreachable(
            f"{cannot}: this machine does not trust the certificate of {name}",
            evidence=evidence,
            hint=f"If it is the right one, put the certificate of who signed it into {FOLDERS.format(host=domain)}. "
            "`--tls-verify=false` asks for none.",
        )
    if BROKE_OFF.search(said):
        return RegistryUnreachable(f"{cannot}: {name} broke the connection off", evidence=evidence, hint="Try again.")
    if answered in (401, 403, 404) or (isinstance(error, Refused) and error.code == _NO_PASSWORD):
        return _refused(cannot, name, domain, image, answered, evidence, is_known)
    return EngineError(f"{cannot}: {said}", evidence=problems, hint=error.hint, status=error.status)


def _refused(
    cannot: str, name: str, domain: str, image: Reference | None, answered: int, evidence: Sequence[str], is_known: bool
) -> DockerlabError:
    log_in = f"`%image login{'' if domain == DEFAULT_DOMAIN else f' {domain}'}`"
    if image is None:
        return EngineError(
            f"{cannot}: {name} does not take this name with this password",
            evidence=evidence,
            status=401,
            hint="Check both. Many registries want an access token in place of the password: their pages say where to make one.",
        )
    if answered == 404:
        hint = "Check the spelling and the tag." + ("" if is_known else f" A private one may hide so: {log_in}.")
        return NotFound(f"{cannot}: {name} has no such image", evidence=evidence, hint=hint)
    if is_known:
        hint = f"You are logged in there, as one who may not see it, or with a password that is no longer right: {log_in} again."
        return EngineError(f"{cannot}: {name} does not let you", evidence=evidence, status=answered or 401, hint=hint)
    return NotFound(
        f"{cannot}: {name} has no such image, or it is private",
        evidence=evidence,
        hint=f"Check the spelling; for a private image log in: {log_in}.",
    )
