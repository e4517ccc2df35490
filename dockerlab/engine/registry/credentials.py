"""Who the user is, for a registry: as the request says, else as the user's own Docker configuration does.

    header      X-Registry-Auth: base64 of {"username": …, "password": …} or {"identitytoken": …}; {} is somebody unknown
    config.json {"auths": {"registry.example": {"auth": base64 of user:password}}, "credsStore": …, "credHelpers": {…}}
    helper      the program `docker-credential-<name>`: `get`, the registry on its standard input, JSON on its output

A secret stands in no text: not in a log, not in an error, not in a repr.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerlab import reference
from dockerlab.errors import EngineError, UsageError
from dockerlab.registry import hosts
from dockerlab.registry.auth import Credentials

# What Docker's configuration calls docker.io.
INDEX = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_SECONDS = 30
_TOKEN_USER = "<token>"  # a helper's user name where its secret is an identity token
_NOT_FOUND = "credentials not found in native keychain"
_LONGEST = 1 << 20


def of_json(value: Mapping[str, Any]) -> Credentials:
    """As requests have them, in X-Registry-Auth or as the body of a login."""
    texts = {name.lower(): text for name, text in value.items() if isinstance(text, str)}
    username, password = texts.get("username", ""), texts.get("password", "")
    if texts.get("auth") and not username:
        username, password = _decoded(texts["auth"])
    return Credentials(username, password, texts.get("identitytoken", ""), texts.get("registrytoken", ""))


def of_header(text: str) -> Credentials | None:
    """X-Registry-Auth; None without one. One that says nothing is somebody unknown; Docker, too, takes so what cannot be read."""
    if not text:
        return None
    try:
        data = base64.b64decode(text.strip() + "=" * (-len(text.strip()) % 4), altchars=b"-_", validate=False)
        value = json.loads(data)
    except (ValueError, binascii.Error, RecursionError):
        return Credentials()
    return of_json(value) if isinstance(value, dict) else Credentials()


def _decoded(auth: str) -> tuple[str, str]:
    """User and password; empty where they cannot be read."""
    try:
        username, _, password = base64.b64decode(auth).decode().partition(":")
    except (ValueError, binascii.Error):
        return "", ""
    return username, password.rstrip("\0")


@dataclass(frozen=True)
class Keychain:
    """environ: where the engine's user has the configuration, and finds helpers."""

    environ: Mapping[str, str]

    def get(self, domain: str) -> Credentials | None:
        """For a registry, by the domain of its images. Raises EngineError where a configuration or a helper is there but fails."""
        path = self._path()
        config = self._read(path)
        wanted = INDEX if domain == reference.DEFAULT_DOMAIN else domain
        helper = (_object(config, "credHelpers", path).get(domain)) or config.get("credsStore")
        if helper and (found := self._ask(str(helper), wanted)):
            return found
        for name, entry in _object(config, "auths", path).items():
            if isinstance(entry, dict) and hosts.bare(name) == hosts.bare(wanted) and (found := of_json(entry)):
                return found
        return None

    def _path(self) -> Path:
        folder = self.environ.get("DOCKER_CONFIG")
        return Path(folder or Path(self.environ.get("HOME") or "/", ".docker"), "config.json")

    def _read(self, path: Path) -> Mapping[str, Any]:
        try:
            with path.open("rb") as file:
                value = json.loads(file.read(_LONGEST))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return {}
        except (ValueError, RecursionError, OSError) as error:
            raise EngineError(f"{path} cannot be read", hint="It is Docker's configuration; `docker login` writes it.") from error
        if not isinstance(value, dict):
            raise EngineError(f"{path} is not a JSON object")
        return value

    def _ask(self, helper: str, server: str) -> Credentials | None:
        if not _HELPER.fullmatch(helper):
            raise UsageError(f"not a credential helper's name: {helper!r}")
        program = f"docker-credential-{helper}"
        try:
            done = subprocess.run(
                [program, "get"], input=server.encode(), capture_output=True, timeout=_HELPER_SECONDS, env=dict(self.environ)
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said = error.strerror if isinstance(error, OSError) else f"no answer within {_HELPER_SECONDS} s"
            raise EngineError(f"error getting credentials - {program}: {said}") from error
        if done.returncode:
            said = done.stdout[:500].decode(errors="replace").strip()
            if _NOT_FOUND in said:
                return None
            raise EngineError(f"error getting credentials - {program}: exit status {done.returncode}, out: `{said}`")
        try:
            value = json.loads(done.stdout[:_LONGEST])
            username, secret = str(value["Username"]), str(value["Secret"])
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"error getting credentials - {program} does not speak the helpers' protocol") from error
        if username == _TOKEN_USER:
            return Credentials(identity_token=secret)
        return Credentials(username, secret) or None


def _object(config: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    value = config.get(name) or {}
    if not isinstance(value, dict):
        raise EngineError(f"{path}: {name} is not a JSON object")
    return value
