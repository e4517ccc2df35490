"""Credentials kept and forgotten, as `docker login` and `docker logout` do it: by a credential helper, or in Docker's config file.

    place = keep(os.environ, "registry.example", "me", password)       where they are: a helper's program, or the file
    forget(os.environ, "registry.example")                             whether there were any

Which one, as docker/cli chooses (cli/config/configfile): `credHelpers` of that registry, else `credsStore`, else, in a configuration
that has kept none so far, the helper of the desktop where it is installed; else the file. That one is written anew beside the old
one and takes its place whole, readable by its owner alone; what else stands in it stays, and one that cannot be read is not touched.
The secret goes to the helper's standard input and into the file, nowhere else.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dockerlab import credentials as room
from dockerlab.errors import CredentialsError

_UNKNOWN: Final = (b"credentials not found", b"no credentials")
_TOKEN: Final = "<token>"


@dataclass(frozen=True)
class Kept:
    """place: the helper's program, or the file. is_encrypted: whether a helper has them."""

    place: str
    is_encrypted: bool


def keep(environ: Mapping[str, str], host: str, name: str, secret: str, *, is_token: bool = False) -> Kept:
    """Keeps them. host: with its port, of Docker Hub `HUB_HOST`. is_token: secret is an identity token in place of a password.

    Raises CredentialsError where they cannot be kept; what was kept before is then still there.
    """
    path, config = _configuration(environ)
    key = room.key(host).decode()
    helper = _helper(config, host)
    if not helper and (found := _of_desktop(config)):
        helper = config["credsStore"] = found
    entry: dict[str, str] = {}
    if helper:
        value = {"ServerURL": key, "Username": _TOKEN if is_token else name, "Secret": secret}
        _ask(environ, helper, "store", json.dumps(value).encode(), host)
    else:
        entry = {"auth": base64.b64encode(f"{name}:{'' if is_token else secret}".encode()).decode()}
        entry |= {"identitytoken": secret} if is_token else {}
    # Also with a helper: the entry tells `docker` that somebody is logged in there.
    others = {one: value for one, value in _auths(config).items() if not room.is_of(one, host)}
    _write(path, {**config, "auths": {**others, key: entry}})
    return Kept(f"docker-credential-{helper}", True) if helper else Kept(str(path), False)


def forget(environ: Mapping[str, str], host: str) -> bool:
    """Whether there were any, with a helper or in the file. Raises CredentialsError."""
    path, config = _configuration(environ)
    helper = _helper(config, host)
    was_there = bool(helper) and _ask(environ, helper, "erase", room.key(host), host)
    auths = _auths(config)
    others = {one: value for one, value in auths.items() if not room.is_of(one, host)}
    if len(others) < len(auths):
        _write(path, {**config, "auths": others})
        was_there = True
    return was_there


def _configuration(environ: Mapping[str, str]) -> tuple[Path, dict[str, Any]]:
    path = room.config_path(environ)
    config, problem = room.read(path)
    if problem:
        raise CredentialsError(problem, hint="It was left as it is. Mend it, or move it away: `docker` reads it, too.")
    return Path(path), dict(config)


def _auths(config: Mapping[str, Any]) -> Mapping[str, Any]:
    found = config.get("auths")
    return found if isinstance(found, dict) else {}


def _helper(config: Mapping[str, Any], host: str) -> str:
    return room.Credentials(config).helper(host)


def _of_desktop(config: Mapping[str, Any]) -> str:
    """The helper that is the platform's own, if it is installed and the configuration has kept nothing anywhere."""
    if any(config.get(name) for name in ("auths", "credsStore", "credHelpers")):
        return ""
    of_linux = "pass" if shutil.which("pass") else "secretservice"
    name = {"darwin": "osxkeychain", "win32": "wincred"}.get(sys.platform, of_linux)
    return name if shutil.which(f"docker-credential-{name}") else ""


def _ask(environ: Mapping[str, str], helper: str, verb: str, data: bytes, host: str) -> bool:
    """Whether the helper knew of it. Raises CredentialsError."""
    program = f"docker-credential-{helper}"
    doing = f"{program} does not {'keep' if verb == 'store' else 'forget'} the credentials of {host}"
    found = shutil.which(program) if room.is_helper(helper) else None
    if not found:
        raise CredentialsError(
            f"{doing}: it is not installed",
            hint=f"Install it, or take it out of {room.config_path(environ)} (credsStore, credHelpers).",
        )
    try:
        # What it says on stderr is for people, and might be what nobody should see.
        done = subprocess.run(
            [found, verb], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=room.SECONDS, env=dict(environ)
        )
    except subprocess.TimeoutExpired:
        # Not from it: it holds what was sent.
        raise CredentialsError(
            f"{doing}: it did not answer within {room.SECONDS:g} s", hint="Does it wait to be unlocked?"
        ) from None
    except OSError as error:
        raise CredentialsError(f"{doing}: it cannot be started", evidence=[error.strerror or "it is no program"]) from None
    if done.returncode and verb == "erase" and done.stdout.strip().startswith(_UNKNOWN):
        return False
    if done.returncode:
        raise CredentialsError(
            f"{doing}: it ended with exit code {done.returncode}",
            hint=f"Does it work by itself? `{program} list` in a terminal tells.",
        )
    return True


def _write(path: Path, config: Mapping[str, Any]) -> None:
    """In place of what was there. Raises CredentialsError."""
    path = Path(os.path.realpath(path))  # a link stays
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp's files are their owner's alone.
        handle, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(config, indent="\t", ensure_ascii=False) + "\n")
            _give_to_its_owner(path, draft)
            os.replace(draft, path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CredentialsError(
            f"{path} cannot be written: {error.strerror or error}", hint="What was there before is still there."
        ) from None


def _give_to_its_owner(path: Path, draft: str) -> None:
    """Root may write the file of another user, who is to read it afterwards."""
    if hasattr(os, "chown") and path.exists():
        before = path.stat()
        if (before.st_uid, before.st_gid) != (os.stat(draft).st_uid, os.stat(draft).st_gid):
            os.chown(draft, before.st_uid, before.st_gid)
