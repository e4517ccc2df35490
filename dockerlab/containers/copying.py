"""`cp`: files out of a container and into it, by the rules of `docker cp`.

    CONTAINER:SRC DST      SRC CONTAINER:DST

- SRC is a file: it becomes the file DST; or lands in DST, where that is a folder
- SRC is a folder: DST is made and gets its contents; or, where DST is there, gets the folder, or its contents if SRC ends in `/.`

What comes out of a container is not trusted: nothing is written outside the target, no link leads out of it, no device is made.
"""

from __future__ import annotations

import base64
import json
import os
import posixpath
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dockerlab.client import Client, connect
from dockerlab.containers.container import Container, acting, get
from dockerlab.containers.values import Copied
from dockerlab.errors import NotFound, UsageError

if sys.version_info >= (3, 11, 4):
    import tarfile
else:  # the first ones, Debian 12's among them, have no filters yet
    from backports import tarfile  # type: ignore[import-not-found,import-untyped,no-redef,unused-ignore]

_GO_DIR, _GO_LINK = 1 << 31, 1 << 27  # Go's FileMode
_SPOOLED = 8_000_000
_PIECE = 2_000_000


def cp(source: str | os.PathLike[str], destination: str | os.PathLike[str], *, client: Client | None = None) -> Copied:
    """Copies between a container and this machine; one of the two is `CONTAINER:PATH`, the other a local path.

    Raises NotFound (the container, the source), UsageError (a target that does not fit).
    """
    outward, inward = split(source), split(destination)
    if outward and inward:
        raise UsageError(
            "cp copies between a container and this machine, not between containers", hint="Copy to a local path first."
        )
    if outward:
        return _out(get(outward[0], client=client or connect()), outward[1], Path(destination).expanduser(), str(destination))
    if inward:
        return _in(Path(source).expanduser(), str(source), get(inward[0], client=client or connect()), inward[1])
    raise UsageError("neither of the two is in a container", hint="`%container cp CONTAINER:SRC DST`, or `SRC CONTAINER:DST`")


def split(place: str | os.PathLike[str]) -> tuple[str, str] | None:
    """`web:/app` → ("web", "/app"); None for a local path: absolute, with `.` or `~` in front, a Windows drive, or without a
    colon."""
    if not isinstance(place, str) or place.startswith(("/", ".", "~", "\\")) or re.match(r"[A-Za-z]:[\\/]", place):
        return None
    container, colon, path = place.partition(":")
    return (container, path or "/") if colon and container else None


@dataclass(frozen=True)
class _Stat:
    """A path in a container. name: its last component."""

    name: str
    folder: bool
    link: str


def _stat(container: Container, path: str) -> _Stat | None:
    """None where there is no such path; links are followed."""
    api: Any = container.client.api
    for _ in range(10):
        with acting("copy from or to", container):
            response = api.head(api._url("/containers/{0}/archive", container.id), params={"path": path}, timeout=api.timeout)
            if response.status_code == 404:
                return None
            api._raise_for_status(response)
        found = json.loads(base64.b64decode(response.headers["X-Docker-Container-Path-Stat"]))
        mode = int(found["mode"])
        if not (mode & _GO_LINK and found.get("linkTarget")):
            break
        target = posixpath.join(posixpath.dirname(path.rstrip("/")) or "/", found["linkTarget"])
        if target == path:
            break
        path = target
    return _Stat(str(found["name"]), bool(mode & _GO_DIR), path)


# --- out of a container


def _out(container: Container, path: str, target: Path, shown: str) -> Copied:
    contents = path.endswith("/.")
    clean = path.removesuffix("/.") or "/"
    found = _stat(container, clean)
    if found is None:
        raise NotFound(
            f"there is no {path} in container {container.facts.label}", hint="`%container exec NAME ls` lists what there is."
        )
    if found.folder:
        if target.exists() and not target.is_dir():
            raise UsageError(f"cannot copy the folder {path} over the file {shown}", hint="Name a folder.")
        name = posixpath.basename(posixpath.normpath(clean))
        into = target / name if target.is_dir() and not contents and name else target
    elif target.is_dir():
        into = target / posixpath.basename(clean)
    elif str(shown).endswith(("/", os.sep)):
        raise UsageError(f"there is no folder {shown}", hint="Make it first, or leave out the slash.")
    else:
        into = target
    if not into.parent.is_dir():
        raise UsageError(f"there is no folder {into.parent}", hint="Make it first.")
    if into.is_dir() and not found.folder:
        raise UsageError(f"cannot copy the file {path} over the folder {into}", hint="Name a file.")
    with tempfile.SpooledTemporaryFile(_SPOOLED) as file:
        with acting("copy from", container):
            chunks, _ = container.client.api.get_archive(container.id, found.link if found.folder else clean, chunk_size=_PIECE)
            for chunk in chunks:
                file.write(chunk)
        file.seek(0)
        files, size, refused = extract(file, into, folder=found.folder)
    return Copied(f"{container.facts.name or container.facts.image}:{path}", shown, files, size, refused)


def extract(archive: IO[bytes], into: Path, *, folder: bool) -> tuple[int, int, tuple[str, ...]]:
    """Unpacks an archive with one root, which becomes `into`. Returns how many files, their bytes, and the members that were
    refused.

    Every member passes tarfile's data filter: it is refused if it, or where it links to, lies outside `into`, or if it is a device.
    """
    files = size = 0
    refused = []
    base = into if folder else into.parent
    if folder:
        into.mkdir(exist_ok=True)
    elif into.is_symlink():
        into.unlink()
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member in tar:
            _, _, inside = member.name.strip("/").removeprefix("./").partition("/")
            if folder and not inside:
                continue
            name = inside if folder else into.name
            link = _moved(member.linkname) if member.islnk() else member.linkname
            try:
                safe = tarfile.data_filter(member.replace(name=name, linkname=link, deep=False), str(base))
            except tarfile.FilterError:
                refused.append(member.name)
                continue
            if not folder and not (safe.isreg() or safe.issym()):
                refused.append(member.name)
                continue
            tar.extract(safe, base, filter="data", set_attrs=not safe.issym())
            files += safe.isreg()
            size += safe.size if safe.isreg() else 0
            if not folder:  # one file was asked for: a second member could write through a link that the first has made
                break
    return files, size, tuple(refused)


def _moved(name: str) -> str:
    """A hard link's target, seen from the archive's root."""
    return name.strip("/").removeprefix("./").partition("/")[2] or name


# --- into a container


def _in(source: Path, shown: str, container: Container, path: str) -> Copied:
    contents = shown.endswith(("/.", f"{os.sep}."))
    if not os.path.lexists(source):
        raise UsageError(f"there is no {shown}", hint=f"Seen from the working directory, {Path.cwd()}.")
    absolute = posixpath.join("/", path)
    found = _stat(container, absolute.rstrip("/") or "/")
    if source.is_dir():
        if found and not found.folder:
            raise UsageError(f"cannot copy the folder {shown} over the file {path}", hint="Name a folder.")
        into, name = (found.link, "." if contents else source.resolve().name) if found else _parent(container, absolute)
    elif found and found.folder:
        into, name = found.link, source.name
    elif path.endswith("/"):
        raise UsageError(
            f"there is no folder {path} in container {container.facts.label}", hint="Make it first, or leave out the slash."
        )
    else:
        into, name = _parent(container, found.link if found else absolute)
    with tempfile.SpooledTemporaryFile(_SPOOLED) as file:
        files, size = pack(source, name, file)
        file.seek(0)
        with acting("copy to", container):
            api: Any = container.client.api
            url = api._url("/containers/{0}/archive", container.id)
            api._raise_for_status(
                api._put(url, params={"path": into}, data=_pieces(file), headers={"Content-Type": "application/x-tar"})
            )
    return Copied(shown, f"{container.facts.name or container.facts.image}:{path}", files, size)


def _parent(container: Container, path: str) -> tuple[str, str]:
    """The folder that `path` is to be made in, and its name there."""
    folder, name = posixpath.split(path.rstrip("/"))
    found = _stat(container, folder or "/")
    if found is None or not found.folder:
        raise NotFound(f"there is no folder {folder} in container {container.facts.label}", hint="Make it first.")
    return found.link, name


def pack(source: Path, name: str, file: Any) -> tuple[int, int]:
    """Writes a tar of `source`, called `name`, with root as owner. Returns how many files, and their bytes. Sockets are left
    out."""
    files = size = 0

    def owned(info: tarfile.TarInfo) -> tarfile.TarInfo:
        nonlocal files, size
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        if info.isreg():
            files, size = files + 1, size + info.size
        if os.name == "nt":  # no execute bits there: as docker cp, leave everything executable
            info.mode |= stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
        return info

    try:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(source, name, filter=owned)
    except PermissionError as error:
        raise UsageError(
            f"cannot read {error.filename}: {error.strerror}", hint="Make it readable, or copy another folder."
        ) from error
    return files, size


def _pieces(file: Any) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
