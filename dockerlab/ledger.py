"""What dockerlab makes on an engine, written down where somebody asks for it: a test run, which removes just that afterwards.

    DOCKERLAB_LEDGER=/path/of/a/file          for this process and its children, the kernels of notebooks
    note(url, Entry("image", "sha256:…"))     one line more in that file; nothing where no file is named
    entries(path, url)                        what was made on the engine at that address

Each request of dockerlab's client that makes something passes `made`, also those that a cell sends with docker-py by
`dockerlab.connect()`. What other clients make, a `!docker` in a cell or docker-py's own `from_env()`, is not written down: it cannot be
told from what the user makes meanwhile.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from dockerlab import reference as references
from dockerlab.errors import InvalidReference

VARIABLE: Final = "DOCKERLAB_LEDGER"
_LINE: Final = re.compile(r'\["[^"]*", "[^"]*", "[^"]*"\]')
_PATH: Final = re.compile(r"(?:/v[\d.]+)?(/.+)")

Kind = Literal["container", "network", "volume", "tag", "image"]


@dataclass(frozen=True)
class Entry:
    """Something that was made. name: an id of a container, a network or an image; a volume's name; a tag's familiar form, `app:latest`."""

    kind: Kind
    name: str


def is_kept() -> bool:
    """Whether somebody asks for it."""
    return bool(os.environ.get(VARIABLE))


def note(url: str, *found: Entry) -> None:
    """Writes down what was made on the engine at `url`. Raises OSError."""
    path = os.environ.get(VARIABLE)
    if path and found:
        # One write, at the end: kernels may write at once.
        with open(path, "a", encoding="utf-8") as file:
            file.write("".join(json.dumps([url, entry.kind, entry.name]) + "\n" for entry in found))


def entries(path: Path, url: str) -> list[Entry]:
    """What was made on the engine at `url`, in order, each once. Raises OSError.

    A line that a full disk or the end of a process has cut short names nothing: it is passed over.
    """
    whole = filter(_LINE.fullmatch, path.read_text(encoding="utf-8").splitlines())
    return list(dict.fromkeys(Entry(kind, name) for where, kind, name in map(json.loads, whole) if where == url))


def tag(reference: str) -> Entry | None:
    """The entry of a tag; None for what is none, a digest or an id."""
    if reference.startswith("sha256:"):
        return None
    try:
        parsed = references.parse(reference)
    except InvalidReference:
        return None
    return None if parsed.digest else Entry("tag", parsed.familiar)


def made(method: str, url: str, body: object, answer: Callable[[], Mapping[str, Any]]) -> Iterator[Entry]:
    """What a request to the Engine API has made that was answered with success.

    url: with its query. body: as it was sent. answer: gives the JSON of an answer that is not a stream.
    """
    parts = urlsplit(url)
    path = _PATH.fullmatch(unquote(parts.path))
    query = parse_qs(parts.query)
    first = {name: values[0] for name, values in query.items()}
    match path[1].strip("/").split("/") if path and method == "POST" else []:
        case ["containers", "create"]:
            yield Entry("container", str(answer()["Id"]))
            yield from _volumes(body)
        case ["networks", "create"]:
            yield Entry("network", str(answer()["Id"]))
        case ["volumes", "create"]:
            yield Entry("volume", str(answer()["Name"]))
        case ["commit"]:
            yield Entry("image", str(answer()["Id"]))
            yield from _tags(_named(first.get("repo"), first.get("tag")))
        case ["images", *_, "tag"]:
            yield from _tags(_named(first.get("repo"), first.get("tag")))
        case ["images", "create"]:
            yield from _tags(_named(first.get("fromImage") or first.get("repo"), first.get("tag")))
        case ["build"]:
            yield from _tags(*query.get("t", ()))


def _tags(*names: str | None) -> Iterator[Entry]:
    for name in names:
        if name and (entry := tag(name)):
            yield entry


def _named(repository: str | None, tag: str | None) -> str | None:
    if not repository or not tag:
        return repository
    return f"{repository}@{tag}" if tag.startswith("sha256:") else f"{repository}:{tag}"


def _volumes(body: object) -> Iterator[Entry]:
    """The volumes that a container's request names: an engine makes those that are missing."""
    try:
        host = json.loads(body if isinstance(body, str | bytes) else "{}").get("HostConfig") or {}
    except ValueError:
        return
    for bind in host.get("Binds") or ():
        source, colon, _ = str(bind).partition(":")
        if colon and re.fullmatch(r"[A-Za-z0-9][\w.-]*", source):
            yield Entry("volume", source)
    for mount in host.get("Mounts") or ():
        if mount.get("Type") == "volume" and mount.get("Source"):
            yield Entry("volume", str(mount["Source"]))
