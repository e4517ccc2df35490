"""Where a registry is: its host, mirrors of it, whether it may be spoken to without TLS, and which certificates it is trusted by.

Configured as Docker's daemon is, by `registries.json` in the engine's root, or in place of it by DOCKERLAB_REGISTRIES, which holds the
name of such a file or, beginning with `{`, the JSON itself:

    {"registry-mirrors": ["https://mirror.example"],             of docker.io; tried first, for pulls only
     "insecure-registries": ["registry.example:5000", "10.0.0.0/8"]}

An insecure registry is tried with TLS first, unverified, then without. This machine's own (127.0.0.0/8, ::1, localhost) are insecure,
as for Docker. Certificates: `certs.d/<host>/` in the engine's root, in the user's configuration, in /etc/docker; in it `*.crt` are
authorities that are trusted besides the system's, `*.cert` with `*.key` what the client shows.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dockerlab import reference
from dockerlab.errors import EngineError

if TYPE_CHECKING:
    import ssl

CONFIGURATION = "registries.json"
VARIABLE = "DOCKERLAB_REGISTRIES"
_DOCKER_IO = "registry-1.docker.io"
_LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Endpoint:
    """A registry as it is reached. host: with its port. schemes: to be tried, in this order. is_verified: whether TLS must be right."""

    host: str
    schemes: tuple[str, ...] = ("https",)
    is_verified: bool = True

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine: no proxy is asked for it."""
        return _is_within(self.host, _LOOPBACK)


@dataclass(frozen=True)
class Hosts:
    """mirrors: URLs. insecure: hosts, with a port or without, and networks. certificates: directories with one for each host."""

    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    certificates: tuple[Path, ...] = ()

    def endpoints(self, domain: str, *, mirrored: bool = False) -> list[Endpoint]:
        """Where the registry of a domain is. mirrored: with its mirrors before it. Raises EngineError for a mirror that is none."""
        own = self.endpoint(_DOCKER_IO if domain == reference.DEFAULT_DOMAIN else domain)
        wanted = self.mirrors if mirrored and domain == reference.DEFAULT_DOMAIN else ()
        return [*(self._mirror(url) for url in wanted), own]

    def endpoint(self, host: str) -> Endpoint:
        """How a host is spoken to."""
        if _is_within(host, (*_LOOPBACK, *self.insecure)):
            return Endpoint(host, ("https", "http"), is_verified=False)
        return Endpoint(host)

    def _mirror(self, url: str) -> Endpoint:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or "@" in parts.netloc:
            raise EngineError(
                f"invalid mirror: {url!r} is not the address of a registry", hint=f"{CONFIGURATION}: https://host[:port]"
            )
        return Endpoint(parts.netloc, (parts.scheme,), self.endpoint(parts.netloc).is_verified)

    def context(self, endpoint: Endpoint) -> ssl.SSLContext:
        """What TLS with a registry rests on. Raises EngineError for certificates that cannot be read."""
        import ssl  # not before it is needed: most engines that start pull nothing

        if not endpoint.is_verified:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif _has_authorities():
            context = ssl.create_default_context()
        else:
            import httpx

            context = httpx.create_ssl_context()  # which brings some of its own
        for folder in (folder / endpoint.host for folder in self.certificates):
            try:
                for path in sorted(folder.glob("*.crt")):
                    context.load_verify_locations(path)
                for path in sorted(folder.glob("*.cert")):
                    context.load_cert_chain(path, path.with_suffix(".key"))
            except OSError as error:  # of which SSLError is one
                raise EngineError(f"the certificates for {endpoint.host} in {folder} cannot be used: {error}") from error
        return context

    def to_json(self) -> dict[str, Any]:
        """As `docker info` shows it."""
        networks = [text for text in self.insecure if "/" in text]
        index: dict[str, Any] = {"Mirrors": list(self.mirrors), "Name": "docker.io", "Official": True, "Secure": True}
        others = {
            text: {"Mirrors": [], "Name": text, "Official": False, "Secure": False} for text in self.insecure if "/" not in text
        }
        return {
            "IndexConfigs": {"docker.io": index, **others},
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", *networks],
            "Mirrors": list(self.mirrors) or None,
        }


def of_user(environ: Mapping[str, str], insecure: Sequence[str] = ()) -> Hosts:
    """For who asks a registry without an engine: what DOCKERLAB_REGISTRIES says, and certificates of Docker's and Podman's folders.

    insecure: more hosts that may do without TLS, or with a certificate that nobody vouches for. Raises EngineError as `read`.
    """
    found = read(None, environ)
    folders = (*found.certificates, _configuration(environ) / "containers" / "certs.d", Path("/etc/containers/certs.d"))
    return replace(found, insecure=(*found.insecure, *insecure), certificates=folders)


def read(root: Path | None, environ: Mapping[str, str]) -> Hosts:
    """The configuration as it is now. root: an engine's. Raises EngineError for one that cannot be read."""
    said = environ.get(VARIABLE, "").strip()
    path = Path(said) if said else root / CONFIGURATION if root else None
    what = VARIABLE if said.startswith("{") or path is None else said or str(path)
    try:
        found = json.loads(said) if said.startswith("{") else _json(path) if path else {}
    except FileNotFoundError as error:
        if said:
            raise EngineError(f"{VARIABLE}: there is no {said}") from error
        found = {}
    except (ValueError, OSError, RecursionError) as error:
        raise EngineError(f"{what} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise EngineError(f"{what}: a JSON object is expected")
    own = (root / "certs.d",) if root else ()
    folders = (*own, _configuration(environ) / "docker" / "certs.d", Path("/etc/docker/certs.d"))
    return Hosts(_texts(found, "registry-mirrors", what), _texts(found, "insecure-registries", what), folders)


def _configuration(environ: Mapping[str, str]) -> Path:
    """The user's."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or os.path.expanduser("~"), ".config"))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def bare(address: str) -> str:
    """A host out of what people and older configurations write: without scheme and path."""
    return address.removeprefix("https://").removeprefix("http://").partition("/")[0]


def domain(server: str) -> str:
    """The domain that a login's `serveraddress` means."""
    host = bare(server)
    return reference.DEFAULT_DOMAIN if host in ("", "index.docker.io", reference.DEFAULT_DOMAIN, "registry-1.docker.io") else host


def _texts(found: Mapping[str, Any], name: str, what: str) -> tuple[str, ...]:
    value = found.get(name) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise EngineError(f"{what}: {name} is a list of texts")
    return tuple(text.rstrip("/") for text in value)


def _is_within(host: str, wanted: Sequence[str]) -> bool:
    """Whether a host is one of these, or in one of these networks. Names are not looked up, but for localhost."""
    name = urlsplit(f"//{host}").hostname or ""
    if host in wanted or name in wanted:
        return True
    try:
        address = ipaddress.ip_address("127.0.0.1" if name == "localhost" else name)
    except ValueError:
        return False
    return any(address in network for network in map(_network, wanted) if network)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _has_authorities() -> bool:
    """Whether this machine trusts any: a small image may come without."""
    import ssl

    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or (bool(paths.capath) and any(os.scandir(str(paths.capath))))
