"""Why a registry did not give an image: an engine's words → one error. Docker Engine 20.10 and 28 and Podman 4 were asked. Pure."""

from __future__ import annotations

import re

from dockerlab.client import meaning
from dockerlab.errors import EngineError, NotFound, RegistryUnreachable
from dockerlab.reference import Reference

_OFFLINE = re.compile(
    r"no such host|connection refused|i/o timeout|Client\.Timeout exceeded|TLS handshake timeout|network is unreachable"
    r"|no route to host"
    r"|server misbehaving|request canceled while waiting|context deadline exceeded|connection reset|proxyconnect|temporary failure"
)
_UNTRUSTED = re.compile(r"x509: |certificate|server gave HTTP response to HTTPS client")
_LIMITED = re.compile(r"toomanyrequests|too many requests|rate limit", re.IGNORECASE)
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


def refusal(image: Reference, said: str, platform: str | None = None, status: int | None = None) -> EngineError:
    """The error that `said`, an engine's answer to a pull of `image`, stands for; the same message on every engine.

    platform: that was asked for. status: of the HTTP answer, None where the answer came within the stream.
    """
    name, evidence = image.familiar, [f"the engine says: {line}" for line in said.strip().splitlines()[:3]]
    registry = "the registry" if image.domain == "docker.io" else f"the registry {image.domain}"
    if _LIMITED.search(said):
        return EngineError(
            f"cannot pull '{name}': {registry} limits how often one may pull",
            evidence=evidence,
            status=429,
            hint="Wait, or log in with `docker login`: the limit is then higher.",
        )
    if _PLATFORM.search(said):
        wanted = f"platform {platform}" if platform else "the engine's platform"
        return NotFound(
            f"cannot pull '{name}': the image is not there for {wanted}",
            evidence=evidence,
            hint="Leave out --platform, or choose one that the image is made for.",
        )
    if _OFFLINE.search(said):
        return RegistryUnreachable(
            f"cannot pull '{name}': {registry} does not answer",
            evidence=evidence,
            hint="Is the engine's host online? Without a network: `%image prepare busybox python:3.10`.",
        )
    if _UNTRUSTED.search(said):
        return RegistryUnreachable(
            f"cannot pull '{name}': the engine does not trust the certificate of {registry}",
            evidence=evidence,
            hint="The engine's configuration names the certificates that it trusts.",
        )
    if status in (401, 403, 404) or _REFUSED.search(said):
        return NotFound(
            f"cannot pull '{name}': {registry} has no such image, or it is private",
            evidence=evidence,
            hint="Check the spelling and the tag; for a private image, log in with `docker login`.",
        )
    return meaning(said, f"pull '{name}'", status)
