"""Which frontend a Dockerfile asks for: the image that reads it for BuildKit, by `# syntax=`, or by the argument BUILDKIT_SYNTAX.

check(dockerfile, args)         raises DockerfileError for one that is not Docker's own, of any version: for an engine that runs no other
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from dockerlab.dockerfile.excerpt import excerpt
from dockerlab.dockerfile.parser import Dockerfile
from dockerlab.dockerfile.reading import PREFIX
from dockerlab.errors import DockerfileError, InvalidReference
from dockerlab.reference import parse

ARGUMENT: Final = "BUILDKIT_SYNTAX"
_DOCKERS: Final = ("docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream")
_DIRECTIVE: Final = re.compile(r"\s*#\s*syntax\s*=", re.IGNORECASE)
_HINT: Final = "Leave it out: that frontend then reads the Dockerfile. Or build with Docker Engine, which runs others."


def check(dockerfile: Dockerfile, args: Mapping[str, str | None]) -> None:
    """See the file's head. The argument goes before the line, as with BuildKit."""
    if given := (args.get(ARGUMENT) or "").split():
        if not _is_dockers(given[0]):
            raise DockerfileError(f"failed with build-arg:{ARGUMENT} = {given[0]}: {_said(given[0])}", hint=_HINT)
        return
    named = dockerfile.directives.get("syntax", "").split()
    if named and not _is_dockers(named[0]):
        line = next((n for n, text in enumerate(dockerfile.source, start=1) if _DIRECTIVE.match(text)), 1)
        message = f"{PREFIX.format(line)}{_said(named[0])}"
        raise DockerfileError(message, line=line, place=excerpt(dockerfile.source, line), hint=_HINT)


def _said(name: str) -> str:
    return f"dockerlab's engine has one frontend, its own: it does not run {name[:200]}"


def _is_dockers(name: str) -> bool:
    try:
        found = parse(name)
    except InvalidReference:
        return False
    return f"{found.domain}/{found.path}" in _DOCKERS
