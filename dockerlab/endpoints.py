"""Where an engine may answer, as the `docker` command has it: an argument, DOCKER_HOST, a docker context, else the usual sockets.

    endpoints("tcp://engine:2376", os.environ) → [Endpoint("tcp://engine:2376", "as asked", tls)]
    str(endpoint), repr(endpoint)                 never the password that an address may have

Nothing is connected to, and nothing but Docker's own configuration is read.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import docker.errors
from docker.tls import TLSConfig

from dockerlab import contexts, embedded
from dockerlab.errors import MASK, UsageError
from dockerlab.transport import ssh_host

_SCHEMES: Final = ("unix://", "tcp://", "ssh://", "npipe://", "http://", "https://")
_CONTEXTS: Final = ("docker context", "current docker context", "DOCKER_CONTEXT")
_SOCKETS: Final = ("unix://", "npipe://")
_PASSWORD: Final = re.compile(r"^(\w+://[^:@]*):.*@", re.DOTALL)  # whatever is in it
_TOKEN: Final = re.compile(r"^((?:tcp|https?)://)[^:/@]{16,}@")  # in the place of a user's name


@dataclass(frozen=True)
class Endpoint:
    """An address at which an engine may answer. source: why it is looked at, for people. shown: the address without a password."""

    url: str = field(repr=False)
    source: str
    tls: TLSConfig | None = None
    shown: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", _shown(self.url))

    def __str__(self) -> str:
        return self.shown

    @property
    def has_password(self) -> bool:
        """Whether there is one in the address."""
        if self.url.startswith(_SOCKETS):
            return False
        try:
            found = urlsplit(self.url)
            _ = found.port
        except ValueError:  # what stands there is no port: a password with a slash in it, perhaps
            return bool(_PASSWORD.match(self.url))
        return found.password is not None

    @property
    def login(self) -> tuple[str, str, int | None]:
        """User ("" for one's own), host and port of an address by ssh."""
        parts = urlsplit(self.url)
        return parts.username or "", parts.hostname or "", parts.port

    @property
    def certificates(self) -> str:
        """Where those are that TLS goes by, for people."""
        files = [self.tls.ca_cert, *(self.tls.cert or ())] if self.tls else []
        folder = next((os.path.dirname(file) for file in files if file), "none")
        return f"{self.source}, {folder}" if self.source.startswith(_CONTEXTS) else f"DOCKER_CERT_PATH, {folder}"

    @property
    def is_local(self) -> bool:
        """Whether the engine's published ports are this machine's."""
        return self.url.startswith(_SOCKETS) or self._named.startswith("127.") or self._named in ("localhost", "::1")

    @property
    def is_there(self) -> bool:
        """Whether a socket is there as far as this user can see; yes for what is no socket."""
        return not self.url.startswith("unix://") or os.path.exists(self.url.removeprefix("unix://"))

    @property
    def host(self) -> str:
        """The host that published ports are reached at, of an alias of ssh's what it stands for; 127.0.0.1 for a socket or a pipe."""
        return (ssh_host(self.url) if self.url.startswith("ssh://") else None) or self._named

    @property
    def _named(self) -> str:
        return "127.0.0.1" if self.url.startswith(_SOCKETS) else urlsplit(self.url).hostname or "127.0.0.1"


def endpoints(target: str | None, environ: Mapping[str, str]) -> list[Endpoint]:
    """Where to look for an engine, first choice first; one endpoint where one is configured.

    Raises UsageError for a context that does not exist or cannot be read.
    """
    if target and is_url(target):
        return [Endpoint(_url(target), "as asked", _tls(target, environ))]
    if target:
        return [_context_endpoint(target, "as asked", environ)]
    if host := environ.get("DOCKER_HOST"):
        return [Endpoint(_url(host), "DOCKER_HOST", _tls(host, environ))]
    if context := environ.get("DOCKER_CONTEXT"):
        return [_context_endpoint(context, "DOCKER_CONTEXT", environ)]
    current = contexts.current(environ)
    if current and current != contexts.DEFAULT:
        return [_context_endpoint(current, "current docker context", environ)]
    return usual_sockets(environ, sys.platform)


def _shown(url: str) -> str:
    if url.startswith(_SOCKETS):
        return url
    return _TOKEN.sub(rf"\1{MASK}@", _PASSWORD.sub(rf"\1:{MASK}@", url))


def is_url(target: str) -> bool:
    """Whether it is an address, and not the name of a docker context."""
    return target.startswith((*_SCHEMES, "/"))


def _url(target: str) -> str:
    return f"unix://{target}" if target.startswith("/") else target


def _tls(url: str, environ: Mapping[str, str]) -> TLSConfig | None:
    """TLS as the environment asks for it; the `docker` command reads the same variables."""
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    certificates = environ.get("DOCKER_CERT_PATH")
    if not url.startswith(("tcp://", "https://")) or not (verify or certificates):
        return None
    folder = Path(certificates or os.path.expanduser("~/.docker"))
    pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
    try:
        return TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem") if verify else None, verify=verify)
    except docker.errors.TLSParameterError as error:
        raise UsageError(f"the engine's TLS certificates in {folder} cannot be used", evidence=[str(error).splitlines()[0]],
                         hint="DOCKER_CERT_PATH names a folder with ca.pem, cert.pem and key.pem.") from error  # fmt: skip


def _context_endpoint(name: str, source: str, environ: Mapping[str, str]) -> Endpoint:
    shown = _shown(name)
    label = f"docker context '{shown}'" if source == "as asked" else f"{source} '{shown}'"
    try:
        context = contexts.read(name, environ)
    except contexts.UnreadableError as error:
        raise UsageError(
            f"docker context '{shown}' cannot be read", evidence=[str(error)], hint="See: docker context inspect"
        ) from error
    if context is None:
        raise UsageError(
            f"there is no docker context '{shown}'",
            hint=f"Known contexts: {', '.join(contexts.names(environ))}; `{embedded.TARGET}` is {embedded.NAME}. "
            "A URL starts with unix://, tcp:// or ssh://.",
        )
    return Endpoint(context.host, label, context.tls)


def usual_sockets(environ: Mapping[str, str], platform: str) -> list[Endpoint]:
    """Where engines are that nothing is configured of. platform: as of `sys.platform`."""
    if platform == "win32":
        pipes = (
            ("docker_engine", "default pipe"),
            ("dockerDesktopLinuxEngine", "Docker Desktop"),
            ("podman-machine-default", "Podman"),
        )
        return [Endpoint(f"npipe:////./pipe/{pipe}", source) for pipe, source in pipes]
    home = environ.get("HOME") or os.path.expanduser("~")  # a user without a home has "~", where nothing is
    found = [("/var/run/docker.sock", "default socket")]
    runtime = environ.get("XDG_RUNTIME_DIR") or (f"/run/user/{os.getuid()}" if platform == "linux" else None)
    if runtime:
        found.append((f"{runtime}/docker.sock", "rootless Docker"))
    found.append((f"{home}/.docker/run/docker.sock", "Docker Desktop or rootless Docker"))
    found.append((f"{home}/.docker/desktop/docker.sock", "Docker Desktop"))
    if runtime:
        found.append((f"{runtime}/podman/podman.sock", "rootless Podman"))
    if platform == "linux":
        found.append(("/run/podman/podman.sock", "Podman"))
    else:
        found.append((f"{home}/.local/share/containers/podman/machine/podman.sock", "Podman machine"))
    usual = [Endpoint(f"unix://{path}", source) for path, source in found]
    ours = embedded.address(environ, platform)
    return [*usual, Endpoint(ours, embedded.NAME)] if ours else usual
