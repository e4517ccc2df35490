"""`RUN --mount=…`: what the command sees besides the image's files, made ready and taken away again.

- bind: a copy of files of the context, of a stage or an image, so that what the command writes there with `rw` is lost, as it is to be
- cache: a directory that outlives the build (see `caches`)
- tmpfs: the runtime's
- secret, ssh: of a client's session (see `secrets`), which the classic protocol has not; what is not required is left out
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dockerlab.dockerfile.mounts import Mount
from dockerlab.dockerfile.refusal import Refused
from dockerlab.dockerfile.words import quoted
from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.building.copying import digest, unpack
from dockerlab.engine.building.running import Bound
from dockerlab.engine.home import BUILD_FILES, Home
from dockerlab.engine.rootfs.reading import View, resolve
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.runtime.mounts import DEVICES, OF_PROC
from dockerlab.engine.store.disk import full_disk_is_an_error
from dockerlab.errors import NotFound

if TYPE_CHECKING:
    from dockerlab.engine.building.caches import Caches
    from dockerlab.engine.building.secrets import Secrets

HALF_MADE = f"{BUILD_FILES}mount-"
# What is in a container's /dev and stays there.
_OF_DEV = (*DEVICES, "console", "ptmx", "pts", "fd", "stdin", "stdout", "stderr", "core")
_AGENTS = "/run/buildkit/ssh_agent."
# Files by the name of a stage or an image; "" is the build context.
Find = Callable[[str], View]


@dataclass
class Mounted:
    """What a container of RUN is given. env: NAME=value; secret: the same, which is in no record."""

    bound: list[Bound] = field(default_factory=list)
    tmpfs: dict[str, str] = field(default_factory=dict)
    env: list[str] = field(default_factory=list)
    secret: list[str] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Mounting:
    """home: where copies are made."""

    home: Home
    caches: Caches
    cancellation: Cancellation
    secrets: Secrets | None = None

    def material(self, mounts: Sequence[Mount], find: Find) -> list[object]:
        """What the result depends on: the content of what is bound. What is in a cache does not count. Raises NotFound."""
        return [_told(mount, find) for mount in mounts]

    @contextmanager
    def ready(self, mounts: Sequence[Mount], workdir: str, find: Find) -> Iterator[Mounted]:
        """Makes it ready. Raises NotFound, EngineError, Cancelled."""
        with ExitStack() as stack:
            found = Mounted()
            with full_disk_is_an_error():
                caches = self._caches(mounts, workdir, find, stack)
            for mount in mounts:
                self.cancellation.check()
                target = _target(mount, workdir)
                if mount.type == "tmpfs":
                    found.tmpfs[target] = f"size={mount.size}" if mount.size else ""
                elif mount.type == "cache":
                    found.bound.append(Bound(caches[mount.id or target], target, mount.read_only))
                elif mount.type == "bind":
                    with full_disk_is_an_error():
                        copy = stack.enter_context(self._copied(mount, find))
                    found.bound.append(Bound(copy, target, mount.read_only))
                elif mount.type == "secret":
                    self._secret(mount, workdir, found, stack)
                elif mount.type == "ssh":
                    self._agent(mount, workdir, found, stack)
            yield found

    def _secret(self, mount: Mount, workdir: str, found: Mounted, stack: ExitStack) -> None:
        """Not to be found is an error only where it is required."""
        name = secret_id(mount)
        value = self.secrets.value(name) if self.secrets else None
        if value is None:
            if mount.required:
                hint = f"Give it to the build: --secret id={name},src=FILE or env=VARIABLE."
                raise Refused(f"secret {name}: not found", at=f"id={name}", hint=hint)
            return
        assert self.secrets
        if mount.env:
            text = value.decode("utf-8", "surrogateescape")
            if "\0" in text:
                raise Refused(f"secret {name} cannot be in a variable: it holds a null byte", at=f"env={mount.env}")
            found.secret.append(f"{mount.env}={text}")
        if mount.target or not mount.env:
            target = mount.target or f"/run/secrets/{posixpath.basename(name)}"
            mode = 0o400 if mount.mode is None else mount.mode
            path = stack.enter_context(self.secrets.file(value, mode, mount.uid or 0, mount.gid or 0))
            found.bound.append(Bound(path, posixpath.normpath(posixpath.join(workdir, target))))

    def _agent(self, mount: Mount, workdir: str, found: Mounted, stack: ExitStack) -> None:
        name = mount.id or "default"
        if not self.secrets or not self.secrets.has_agent(name):
            if mount.required:
                hint = f"Give it to the build: --ssh {name}. An agent runs, and SSH_AUTH_SOCK names it?"
                raise Refused(f'no SSH key "{name}" forwarded from the client', at="type=ssh", hint=hint)
            return
        number = sum(one.target.startswith(_AGENTS) for one in found.bound)
        target = posixpath.normpath(posixpath.join(workdir, mount.target)) if mount.target else f"{_AGENTS}{number}"
        mode = 0o600 if mount.mode is None else mount.mode
        path = stack.enter_context(self.secrets.agent(name, mode, mount.uid or 0, mount.gid or 0))
        found.bound.append(Bound(path, target, read_only=False))
        if not found.env:
            found.env.append(f"SSH_AUTH_SOCK={target}")

    def _caches(self, mounts: Sequence[Mount], workdir: str, find: Find, stack: ExitStack) -> dict[str, Path]:
        """By id. Each is taken once, and all in one order: two commands that lock the same ones do not wait for each other."""
        wanted: dict[str, Mount] = {}
        for mount in mounts:
            if mount.type == "cache":
                wanted.setdefault(mount.id or _target(mount, workdir), mount)
        return {
            name: stack.enter_context(self.caches.using(name, mount.sharing, partial(_fill, mount, find), self.cancellation))
            for name, mount in sorted(wanted.items())
        }

    @contextmanager
    def _copied(self, mount: Mount, find: Find) -> Iterator[Path]:
        scratch = Path(tempfile.mkdtemp(prefix=HALF_MADE, dir=self.home.tmp))
        try:
            place = scratch / "bound"
            unpack(find(mount.from_), _source(mount, find), place)
            yield place
        finally:
            with suppress(FileNotFoundError):
                remove(scratch)


def refuse_taken(view: View, mounts: Sequence[Mount], workdir: str) -> None:
    """Raises DockerfileError for a target, links of the image followed, where every command has something of its own.

    Below /dev there may be more; below /sys, and over it, something else.
    """
    for mount in mounts:
        if mount.type not in ("bind", "cache", "tmpfs"):
            continue
        target = _target(mount, workdir)
        if "\0" in target:
            raise Refused("invalid mount target: it holds a null byte", at="target=")
        place = "/" + resolve(view, target)
        if place == "/":
            raise _taken(mount, place, "that is the root of the image itself")
        if place == "/dev" or (place.startswith("/dev/") and place[5:] in _OF_DEV):
            raise _taken(mount, place, "each command has the devices of its container there")
        if place == "/proc" or (place.startswith("/proc/") and place[6:] not in OF_PROC):
            raise _taken(mount, place, "each command has the /proc of its container there")


def _taken(mount: Mount, place: str, why: str) -> Refused:
    links = "" if place == posixpath.join("/", mount.target) else f", which is {place}"
    return Refused(
        f"invalid mount target {quoted(mount.target)}{links}: {why}",
        at=mount.target,
        hint="Give it a folder of its own, such as target=/mnt.",
    )


def _target(mount: Mount, workdir: str) -> str:
    """Where a command sees it."""
    return posixpath.normpath(posixpath.join("/", workdir, mount.target))


def stubs(view: View, targets: Sequence[str]) -> tuple[str, ...]:
    """The paths, deepest first, that are not in a root and will be made there for something to be mounted at."""
    found: set[str] = set()
    for target in targets:
        path, is_missing = "", False
        for name in resolve(view, target).split("/"):
            path = f"{path}/{name}" if path else name
            is_missing = is_missing or view.lookup(path) is None
            if is_missing:
                found.add(path)
    return tuple(sorted(found, key=lambda path: path.count("/"), reverse=True))


def _told(mount: Mount, find: Find) -> object:
    said = [mount.type, mount.target, mount.from_, mount.source, mount.id, mount.read_only, mount.size]
    return [*said, digest(find(mount.from_), _source(mount, find))] if mount.type == "bind" else said


def secret_id(mount: Mount) -> str:
    """What a secret is asked for by: its id, else its source, else its target's name."""
    return mount.id or mount.source or posixpath.basename(posixpath.normpath(mount.target))


def _source(mount: Mount, find: Find) -> str:
    """The path of what is bound, symlinks followed. Raises NotFound."""
    view = find(mount.from_)
    path = posixpath.normpath("/" + mount.source).lstrip("/")
    found = resolve(view, path)
    if found and view.lookup(found) is None:
        raise NotFound(f'failed to compute cache key: "/{path}": not found', status=500)
    return found


def _fill(mount: Mount, find: Find, directory: Path) -> None:
    """What a cache begins with."""
    if mount.from_ or mount.source:
        unpack(find(mount.from_), _source(mount, find), directory)
    directory.chmod(0o755 if mount.mode is None else mount.mode)
    if mount.uid or mount.gid:
        with suppress(PermissionError):  # of an engine without rights: to the disk all users are one
            os.chown(directory, mount.uid or 0, mount.gid or 0)
