"""Image references, parsed and canonical, by the grammar of github.com/distribution/reference.

    reference := name [":" tag] ["@" digest]        name := [domain "/"] path

The first component is a domain only if it holds "." or ":", or is "localhost"; else the domain is `docker.io`, and a path of one
component there lies under `library/`. So `python`, `python:latest` and `docker.io/library/python:latest` are the same image.

*familiar* is the short form that people write (`python:3.10`), *canonical* the full one (`docker.io/library/python:3.10`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dockerlab.errors import InvalidReference

_ALPHANUM = r"[a-z0-9]+"
_COMPONENT = rf"{_ALPHANUM}(?:(?:\.|_|__|-+){_ALPHANUM})*"
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?",
    re.ASCII,
)
_IMAGE_ID = re.compile(r"[a-f0-9]{64}")

DEFAULT_DOMAIN, DEFAULT_TAG = "docker.io", "latest"


@dataclass(frozen=True, slots=True)
class Reference:
    """domain: registry host with its port. path: repository in that registry. tag and digest: at least one, after `parse`."""

    domain: str
    path: str
    tag: str | None
    digest: str | None

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: `python`, `user/app`, `localhost:5000/app`."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def familiar(self) -> str:
        """The short form: `python:3.10`."""
        return self.familiar_name + self._suffix

    @property
    def canonical(self) -> str:
        """The full form: `docker.io/library/python:3.10`."""
        return f"{self.domain}/{self.path}{self._suffix}"

    def __str__(self) -> str:
        return self.familiar


def parse(text: str) -> Reference:
    """The reference that `text` names; without tag and digest its tag is `latest`.

    Raises InvalidReference with the part that is at fault.
    """
    if _IMAGE_ID.fullmatch(text):
        raise InvalidReference(
            f"invalid reference '{text}'", hint="A name of 64 hexadecimal digits would be taken for an image id."
        )
    match = _REFERENCE.fullmatch(text)
    if not match:
        raise InvalidReference(f"invalid reference '{text}'", hint=_fault(text))
    name, tag, digest = match["name"], match["tag"], match["digest"]
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        domain, path = first, rest
    else:
        domain, path = DEFAULT_DOMAIN, name
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    if path != path.lower():
        raise InvalidReference(f"invalid reference '{text}'", hint=_fault(text))
    if len(f"{domain}/{path}") > 255:
        raise InvalidReference("invalid reference: its name is longer than 255 characters", hint="Choose a shorter one.")
    return Reference(domain, path, tag or (None if digest else DEFAULT_TAG), digest)


def _fault(text: str) -> str:
    shape = "A reference looks like name, name:tag, or registry:port/name:tag."
    if not text:
        return f"It is empty. {shape}"
    if text != text.strip() or re.search(r"\s", text):
        return f"It holds white space. {shape}"
    if text.startswith("-"):
        return f"It starts with '-', like a flag. {shape}"
    name = text.partition("@")[0]
    head, _, tag = name.rpartition(":")
    if head and "/" not in tag:
        if not re.fullmatch(r"\w[\w.-]{0,127}", tag, re.ASCII):
            return (
                f"Its tag '{tag}' may hold letters, digits, '_', '.' and '-', 128 at most, and starts with a letter, digit or '_'."
            )
        name = head
    if name != name.lower():
        return f"A repository name is in lower case: '{text.replace(name, name.lower(), 1)}'."
    return shape
