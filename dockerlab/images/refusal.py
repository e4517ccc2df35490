"""Why a registry did not give or take an image: an engine's words → one error. Docker Engine 20.10 and 28 and Podman 4 were asked. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dockerlab.client import meaning
from dockerlab.errors import EngineError, NotFound, RegistryUnreachable
from dockerlab.reference import DEFAULT_DOMAIN, Reference

OFFLINE = re.compile(
    r"no such host|connection refused|i/o timeout|Client\.Timeout exceeded|TLS handshake timeout|network is unreachable"
    r"|no route to host"
    r"|server misbehaving|request canceled while waiting|context deadline exceeded|proxyconnect|temporary failure"
)
BROKE_OFF = re.compile(r"peer closed connection|without sending|connection reset|broken pipe|closed network connection|\bEOF\b")
PLAIN = re.compile(r"server gave HTTP response to HTTPS client|first record does not look like a TLS handshake")
UNTRUSTED = re.compile(r"x509: |certificate")
LIMITED = re.compile(r"toomanyrequests|too many requests|rate limit", re.IGNORECASE)
_PLATFORM = re.compile(
    r"no matching manifest for|no image found in (?:manifest list|image index)"
    r"|does not match the (?:specified|expected) platform"
    r"|does not provide the specified platform"
)
_REFUSED = re.compile(
    r"manifest unknown|name unknown|not found|does not exist|access denied|requested access to the resource is denied|unauthorized"
    r"|authentication required|no basic auth credentials|denied:|forbidden",
    re.IGNORECASE,
)


def refusal(
    image: Reference,
    said: str,
    platform: str | None = None,
    status: int | None = None,
    *,
    doing: str = "pull",
    problems: Sequence[str] = (),
) -> EngineError:
    """The error that `said`, an engine's answer to a pull of `image`, stands for; the same message on every engine.

    platform: that was asked for. status: of the HTTP answer, None where the answer came within the stream. doing: "pull" or "push".
    problems: why credentials were not found.
    """
    name, evidence = image.familiar, [*(f"the engine says: {line}" for line in said.strip().splitlines()[:3]), *problems]
    is_hub = image.domain == DEFAULT_DOMAIN
    registry = "the registry" if is_hub else f"the registry {image.domain}"
    log_in = f"`%image login{'' if is_hub else f' {image.domain}'}`"
    if LIMITED.search(said):
        return EngineError(
            f"cannot {doing} '{name}': {registry} limits how often one may {doing}",
            evidence=evidence,
            status=429,
            hint=f"Wait, or log in: {log_in}. The limit is then higher.",
        )
    if _PLATFORM.search(said):
        wanted = f"platform {platform}" if platform else "the engine's platform"
        return NotFound(
            f"cannot {doing} '{name}': the image is not there for {wanted}",
            evidence=evidence,
            hint="Leave out --platform, or choose one that the image is made for.",
        )
    if PLAIN.search(said):
        return RegistryUnreachable(
            f"cannot {doing} '{name}': {registry} has no TLS, which the engine wants of all but those on its own machine",
            evidence=evidence,
            hint="Give the registry a certificate. Or trust the network in between, and tell the engine so: "
            f'`"insecure-registries": ["{image.domain}"]` in Docker\'s daemon.json or in the registries.json of dockerlab\'s engine, '
            "`insecure = true` in Podman's registries.conf.",
        )
    if OFFLINE.search(said):
        without = "Without a network: `%image prepare busybox python:3.10`."
        here = "A registry of your own: `%image prepare registry:2`, then run it and push to `localhost:PORT/NAME`."
        return RegistryUnreachable(
            f"cannot {doing} '{name}': {registry} does not answer",
            evidence=evidence,
            hint=f"Is the engine's host online? {here if doing == 'push' else without}",
        )
    if BROKE_OFF.search(said):
        return RegistryUnreachable(
            f"cannot {doing} '{name}': {registry} broke the connection off",
            evidence=evidence,
            hint="Try again: layers that have arrived do not travel twice.",
        )
    if UNTRUSTED.search(said):
        return RegistryUnreachable(
            f"cannot {doing} '{name}': the engine does not trust the certificate of {registry}",
            evidence=evidence,
            hint=f"The certificate of who signed it belongs into /etc/docker/certs.d/{image.domain}/ca.crt on the engine's host; "
            "Podman and dockerlab's own engine look into ~/.config/{containers,docker}/certs.d/, too.",
        )
    if status not in (401, 403, 404) and not _REFUSED.search(said):
        return meaning(said, f"{doing} '{name}'", status)
    if doing == "pull":
        return NotFound(
            f"cannot pull '{name}': {registry} has no such image, or it is private",
            evidence=evidence,
            hint=f"Check the spelling and the tag; for a private image, log in: {log_in}.",
        )
    yours = f" Docker Hub takes it under your own name: `%image tag {name} USER/{name}`, then push that."
    return EngineError(
        f"cannot push '{name}': {registry} does not let you",
        evidence=evidence,
        status=status or 403,
        hint=f"Log in as one who may push there: {log_in}." + (yours if is_hub and image.path.startswith("library/") else ""),
    )
