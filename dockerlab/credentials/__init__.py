"""Who we are at registries: from Docker's config file and its credential helpers.

    credentials = Credentials.found(os.environ)
    credentials.answer("registry.example")     name and secret; both are empty where nothing is known
    credentials.header("registry.example")     the same as the Engine API wants it along with a pull or a push
    credentials.problems                       why some were not found, for the error of what was refused; never a password

A registry of which nothing is known, or whose helper fails, gets an empty answer: the engine then asks it as nobody. Nothing secret is
kept, printed, or in a repr or an error. `dockerlab.builds.credentials` serves them to an engine that asks while it
builds; `keeping` is what a login does with them.

Follows docker/cli (cli/config/configfile, cli/config/credentials), moby/buildkit (session/auth/authprovider) and the protocol of
docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any, Final, Self

from dockerlab.wire.services import CredentialsResponse

HUB: Final = "https://index.docker.io/v1/"  # where Docker Hub's are kept
HUB_HOST: Final = "registry-1.docker.io"  # what engines ask for

_VARIABLE: Final = "DOCKER_AUTH_CONFIG"
_HUB_NAMES: Final = ("index.docker.io", "docker.io", HUB_HOST)
_TOKEN: Final = "<token>"  # in the place of a name: it is no password
SECONDS: Final = 30.0  # that a helper has
_NAME: Final = re.compile(r"[\w.-]+")
_UNKNOWN: Final = (b"credentials not found", b"no credentials server", b"no credentials username")
_NOBODY: Final = CredentialsResponse()


class Credentials:
    """config: what Docker's config file says. source: its name, for `problems`. first: `auths` that go before it."""

    def __init__(
        self, config: Mapping[str, Any], source: str = "Docker's config file", first: Mapping[str, Any] | None = None
    ) -> None:
        self._first = _mapping(first)
        self._auths = _mapping(config.get("auths"))
        self._helpers = _mapping(config.get("credHelpers"))
        self._store = config.get("credsStore")
        self._source = source
        self._problems: dict[str, None] = {}

    @classmethod
    def found(cls, environ: Mapping[str, str]) -> Self:
        """Those of the config file that the `docker` command would read; DOCKER_AUTH_CONFIG goes before it, as there."""
        path = config_path(environ)
        config, problem = read(path)
        text = environ.get(_VARIABLE)
        first, malformed = _parsed(text, _VARIABLE) if text else ({}, "")
        credentials = cls(config, path, first.get("auths"))
        credentials._problems.update(dict.fromkeys(filter(None, (problem, malformed))))
        return credentials

    def __repr__(self) -> str:
        return "Credentials(…)"

    @property
    def problems(self) -> tuple[str, ...]:
        """What kept credentials from being found, in words."""
        return tuple(self._problems)

    def answer(self, host: str) -> CredentialsResponse:
        """What is known of a registry; a helper is waited for. host: with its port; of Docker Hub `HUB_HOST`."""
        found = self.known(host)
        if found is None and (helper := self.started(host)):
            with helper:
                try:
                    output, _ = helper.communicate(key(host), timeout=SECONDS)
                    found = self.told(host, helper.returncode, output)
                except subprocess.TimeoutExpired:
                    self.late(host)
                finally:
                    helper.kill()
        return self.filed(host) if found is None else found

    def header(self, host: str) -> str:
        """X-Registry-Auth of the Engine API."""
        found = self.answer(host)
        login = {"serveraddress": HUB if host == HUB_HOST else host}
        if found.username:
            login |= {"username": found.username, "password": found.secret}
        elif found.secret:
            login |= {"identitytoken": found.secret}
        return base64.urlsafe_b64encode(json.dumps(login if found.secret else {}).encode()).decode()

    # The steps of it, for who cannot wait

    def known(self, host: str) -> CredentialsResponse | None:
        """What is known without a helper; None where one is to be asked."""
        if entry := _entry(self._first, host):
            return self._answer(host, entry)
        return None if self.helper(host) else self.filed(host)

    def helper(self, host: str) -> str:
        """The name of the program that keeps a registry's credentials, or nothing."""
        name = _entry(self._helpers, host) or self._store
        return name if isinstance(name, str) else ""

    def filed(self, host: str) -> CredentialsResponse:
        """What stands in the file itself, or nothing."""
        return self._answer(host, _entry(self._auths, host))

    def failed(self, what: str) -> None:
        """Notes a problem."""
        self._problems[what] = None

    def started(self, host: str) -> subprocess.Popen[bytes] | None:
        """The helper of a registry, which `key` is to be given to; None where it cannot be started, which is noted."""
        program = self._program(host)
        found = shutil.which(program) if is_helper(self.helper(host)) else None
        if found is None:
            self.failed(f"{program}, which keeps the credentials of {host}, is not installed")
            return None
        try:
            # What it says on stderr is for people, and might be what nobody should see.
            return subprocess.Popen(
                [found, "get"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ
            )
        except OSError as error:
            self.failed(f"{program} cannot be started: {error.strerror or error}")
            return None

    def late(self, host: str) -> None:
        """Notes that a helper did not answer in time."""
        self.failed(f"{self._program(host)} did not answer within {SECONDS:g} s when asked for {host}")

    def _program(self, host: str) -> str:
        return f"docker-credential-{self.helper(host)}"

    def told(self, host: str, code: int, output: bytes) -> CredentialsResponse:
        """What a helper's answer means."""
        program = self._program(host)
        if code:
            # By the protocol the reason is in the output: it is looked at, and not shown.
            if not output.strip().startswith(_UNKNOWN):
                self.failed(f"{program} ended with exit code {code} when asked for {host}; try: echo {_key(host)} | {program} get")
            return self.filed(host)
        try:
            answer = json.loads(output)
            name, secret = answer["Username"], answer["Secret"]
        except (ValueError, KeyError, TypeError):
            name = secret = None
        if not isinstance(name, str) or not isinstance(secret, str):
            self.failed(f"{program} gave no answer that can be read when asked for {host}")
            return self.filed(host)
        if not secret:
            return self.filed(host)
        return CredentialsResponse("" if name == _TOKEN else name, secret)

    def _answer(self, host: str, entry: Any) -> CredentialsResponse:
        entry = _mapping(entry)
        if token := entry.get("identitytoken"):
            return CredentialsResponse("", str(token))
        if text := entry.get("auth"):
            try:
                name, colon, password = base64.b64decode(str(text), validate=True).decode().partition(":")
            except (binascii.Error, ValueError):
                name = colon = password = ""
            if colon and name:
                return CredentialsResponse(name, password.strip("\0"))
            self.failed(f"{self._source}: 'auth' of {host} is not the base64 of name:password")
        elif entry.get("username") and entry.get("password"):
            return CredentialsResponse(str(entry["username"]), str(entry["password"]))
        elif entry.get("registrytoken"):
            self.failed(f"{self._source}: the 'registrytoken' of {host} is not used; log in with a name and a password")
        return _NOBODY


def key(host: str) -> bytes:
    """What a helper is asked for."""
    return _key(host).encode("utf-8", "replace")


def _key(host: str) -> str:
    """The name under which a registry's are kept."""
    return HUB if host == HUB_HOST else host


def _entry(among: Mapping[str, Any], host: str) -> Any:
    """What is kept for a registry: under its name, or under a URL of it; None if there is nothing."""
    key = _key(host)
    return among[key] if key in among else next((among[one] for one in among if is_of(one, host)), None)


def is_of(entry: str, host: str) -> bool:
    """Whether an entry of the file is of a registry: its key may be a URL, as older files have them."""
    names = _HUB_NAMES if _key(host) == HUB else (_key(host),)
    return re.sub(r"^https?://", "", entry).partition("/")[0] in names


def is_helper(name: str) -> bool:
    """Whether a helper can be called so: it is a part of a program's name."""
    return _NAME.fullmatch(name) is not None


def config_path(environ: Mapping[str, str]) -> str:
    """Docker's config file, whether it is there or not."""
    folder = environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    return os.path.join(folder, "config.json")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def read(path: str) -> tuple[Mapping[str, Any], str]:
    """A config file, and what is wrong with it; one that is not there is empty."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError) as error:
        return {}, f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
    return _parsed(text, path)


def _parsed(text: str, source: str) -> tuple[Mapping[str, Any], str]:
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    return (config, "") if isinstance(config, Mapping) else ({}, f"{source} cannot be read: it is not a JSON object")
