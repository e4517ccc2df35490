"""Docker's contexts, as `docker context ls` knows them: names of engines, each with an address and what TLS goes by. Read anew each time.

    <DOCKER_CONFIG or ~/.docker>/config.json                          currentContext
    …/contexts/meta/<SHA-256 of the name>/meta.json                   {"Name": …, "Endpoints": {"docker": {"Host": …, "SkipTLSVerify": …}}}
    …/contexts/tls/<the same>/docker/ca.pem, cert.pem, key.pem        each of them may be missing

docker-py reads them, too; but it looks in another place where there is no config.json, and passes over an authority that stands alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker.errors
from docker.tls import TLSConfig

DEFAULT: Final = "default"
_PLACES: Final = {"win32": "npipe:////./pipe/docker_engine"}
_SOCKET: Final = "unix:///var/run/docker.sock"


class UnreadableError(Exception):
    """A context whose files are not as they should be."""


@dataclass(frozen=True)
class Context:
    """host: the engine's address. tls: None where it has no certificates."""

    name: str
    host: str
    tls: TLSConfig | None = None


def names(environ: Mapping[str, str]) -> list[str]:
    """Those that there are, `default` first; one that cannot be read is none."""
    found = set()
    for file in (_folder(environ) / "contexts" / "meta").glob("*/meta.json"):
        try:
            found.add(str(json.loads(file.read_bytes())["Name"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return [DEFAULT, *sorted(found - {DEFAULT})]


def read(name: str, environ: Mapping[str, str]) -> Context | None:
    """The context of that name, or None. Raises UnreadableError."""
    if name == DEFAULT:
        return Context(name, _PLACES.get(sys.platform, _SOCKET))
    identity = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    file = _folder(environ) / "contexts" / "meta" / identity / "meta.json"
    try:
        endpoint = json.loads(file.read_bytes())["Endpoints"]["docker"]
        host = str(endpoint["Host"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"{file}: {error!r}") from error
    return Context(name, host, _tls(_folder(environ) / "contexts" / "tls" / identity / "docker", endpoint))


def current(environ: Mapping[str, str]) -> str | None:
    """The name that `docker context use` left."""
    from docker.utils.config import load_general_config

    folder = environ.get("DOCKER_CONFIG")
    name = load_general_config(os.path.join(folder, "config.json") if folder else None).get("currentContext")
    return name if isinstance(name, str) else None


def _folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))


def _tls(folder: Path, endpoint: Mapping[str, Any]) -> TLSConfig | None:
    authority, certificate, key = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
    is_skipped = bool(endpoint.get("SkipTLSVerify"))
    pair = (str(certificate), str(key)) if certificate.is_file() and key.is_file() else None
    if not pair and not authority.is_file() and not is_skipped:
        return None
    try:
        return TLSConfig(pair, str(authority) if authority.is_file() else None, verify=not is_skipped)
    except docker.errors.TLSParameterError as error:
        raise UnreadableError(str(error).splitlines()[0]) from error
