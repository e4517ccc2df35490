"""What is mounted in a container: `-v`, `--mount`, `--tmpfs`, VOLUME and `--volumes-from` to mount points. Pure.

A *bind* shows a directory or file of the host. A *volume* is the engine's own directory; it is made, and filled with what the image has
at its place, when the container is created. Texts and statuses of what is refused are Docker's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dockerlab.engine.containers.record import MountPoint, Record
from dockerlab.errors import EngineError, UsageError

_LABELS = frozenset(("z", "Z"))
_PROPAGATIONS = frozenset(("shared", "rshared", "slave", "rslave", "private", "rprivate"))
_OTHERS = frozenset(("ro", "rw", "nocopy", "consistent", "cached", "delegated"))
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_TMPFS_SIZE = re.compile(r"(\d+)([kmgt]?)b?", re.IGNORECASE)
# What is accepted; what of it has an effect is in `tmpfs_options`.
_TMPFS_VALUES = frozenset(("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"))
_TMPFS_FLAGS = frozenset(
    (
        *(
            "defaults",
            "ro",
            "rw",
            "suid",
            "nosuid",
            "dev",
            "nodev",
            "exec",
            "noexec",
            "sync",
            "async",
            "dirsync",
            "remount",
            "mand",
        ),
        *("nomand", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "bind"),
        *("rbind", "unbindable", "runbindable", "private", "rprivate", "shared", "rshared", "slave", "rslave"),
    )
)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True)
class Wanted:
    """A mount point that is asked for. volume: how its volume is to be made, where one is; its name "" for an anonymous one.

    must_exist: of a bind's source, which else is made, as a directory.
    """

    point: MountPoint
    must_exist: bool = False
    driver: str = ""
    driver_options: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    subpath: str = ""


def wanted(config: Mapping[str, Any], host: Mapping[str, Any], others: Mapping[str, Record]) -> list[Wanted]:
    """All mount points of a new container. others: the containers that VolumesFrom names. Raises UsageError, EngineError."""
    explicit = [
        *(parse_bind(spec) for spec in host.get("Binds") or ()),
        *(_parse_mount(mount) for mount in host.get("Mounts") or ()),
    ]
    seen: set[str] = set()
    for one in explicit:
        if one.point.destination in seen:
            raise UsageError(f"Duplicate mount point: {one.point.destination}")
        seen.add(one.point.destination)
    tmpfs = {_clean(target) for target in host.get("Tmpfs") or {}}
    if twice := seen & tmpfs:
        raise UsageError(f"Duplicate mount point: {min(twice)}")
    inherited = [one for spec in host.get("VolumesFrom") or () for one in _from_other(spec, others)]
    taken = {one.point.destination: one for one in (*inherited, *explicit)}
    for target in config.get("Volumes") or {}:
        place = _clean("/" + target)
        if place not in taken and place not in tmpfs:
            point = MountPoint("volume", place, driver="local", anonymous=True, copies=True)
            taken[place] = Wanted(point, driver=host.get("VolumeDriver") or "")
    return list(taken.values())


def parse_bind(spec: str) -> Wanted:
    """`-v`: "/host:/container:ro", "name:/container", "/container". Raises EngineError as Docker does, with 500."""
    parts = spec.split(":")
    if not parts[0] or len(parts) > 3:
        raise EngineError(f"invalid volume specification: '{spec}'", status=500)
    if len(parts) == 1:
        source, target, mode = "", parts[0], ""
    elif len(parts) == 2 and _is_mode(parts[1]):
        source, target, mode = "", *parts
    else:
        source, target, mode = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    kind = "bind" if source.startswith("/") else "volume"
    words = mode.split(",") if mode else []
    if mode and not _is_mode(mode):
        raise EngineError(f"invalid mode: {mode}", status=500)
    problem = _problem_of_target(target)
    if problem:
        raise EngineError(
            f"invalid volume specification: '{spec}': invalid mount config for type \"{kind}\": {problem}", status=500
        )
    writable = "ro" not in words
    if kind == "bind":
        propagation = next((word for word in words if word in _PROPAGATIONS), "rprivate")
        point = MountPoint("bind", _clean(target), source=_clean(source), mode=mode, writable=writable, propagation=propagation)
        return Wanted(point)
    _check_volume_name(source)
    copies = "nocopy" not in words
    mode = mode if _LABELS & set(words) or not source else ",".join([*words, "z"])
    return Wanted(MountPoint("volume", _clean(target), "", source, "local", mode, writable, anonymous=not source, copies=copies))


def _parse_mount(mount: Mapping[str, Any]) -> Wanted:
    if not isinstance(mount, dict):
        raise UsageError("invalid JSON: a mount is an object")
    kind, source, target = str(mount.get("Type") or ""), str(mount.get("Source") or ""), str(mount.get("Target") or "")
    if kind not in ("bind", "volume", "tmpfs"):
        reason = f"not supported by dockerlab's engine: {kind} mounts" if kind in ("image", "cluster") else "mount type unknown"
        raise UsageError(f'invalid mount config for type "{kind}": {reason}')
    problem = "field Target must not be empty" if not target else _problem_of_target(target)
    for name, owner in (("BindOptions", "bind"), ("VolumeOptions", "volume"), ("TmpfsOptions", "tmpfs")):
        if name in mount and kind != owner:
            problem = problem or f"field {name} must not be specified"
    if kind == "bind":
        problem = problem or _problem_of_source(source)
    if kind == "tmpfs" and source:
        problem = problem or "field Source must not be specified"
    if problem:
        raise UsageError(f'invalid mount config for type "{kind}": {problem}')
    writable, place = not mount.get("ReadOnly"), _clean(target)
    if kind == "bind":
        options = mount.get("BindOptions") or {}
        point = MountPoint("bind", place, _clean(source), writable=writable, propagation=options.get("Propagation") or "rprivate")
        return Wanted(point, must_exist=not options.get("CreateMountpoint"))
    if kind == "tmpfs":
        options = mount.get("TmpfsOptions") or {}
        settings = {"size": str(options["SizeBytes"])} if options.get("SizeBytes") else {}
        settings |= {"mode": f"{options['Mode']:o}"} if options.get("Mode") else {}
        return Wanted(MountPoint("tmpfs", place, writable=writable, options=settings))
    options = mount.get("VolumeOptions") or {}
    driver = options.get("DriverConfig") or {}
    _check_volume_name(source)
    subpath = str(options.get("Subpath") or "")
    if subpath and (subpath.startswith("/") or ".." in subpath.split("/")):
        raise UsageError(f'invalid mount config for type "volume": subpath must be a relative path within the volume: {subpath}')
    point = MountPoint(
        *("volume", place, "", source, driver.get("Name") or "local", "z", writable),
        anonymous=not source,
        copies=not options.get("NoCopy") and not subpath,
    )
    return Wanted(point, False, driver.get("Name") or "", driver.get("Options"), options.get("Labels"), subpath)


def _from_other(spec: str, others: Mapping[str, Record]) -> Iterable[Wanted]:
    name, _, mode = spec.partition(":")
    if mode and not _is_mode(mode):
        raise EngineError(f"invalid mode: {mode}", status=500)
    for point in others[name].mounts:
        if point.type != "tmpfs":
            writable = point.writable and "ro" not in mode.split(",")
            yield Wanted(replace(point, writable=writable, anonymous=False, copies=False))


def tmpfs_options(text: str) -> dict[str, str]:
    """`--tmpfs /run:size=64m,mode=1777` to a mount's options, the size in bytes. "ro" stays in it as itself.

    Raises UsageError, EngineError.
    """
    found: dict[str, str] = {}
    for word in filter(None, text.split(",")):
        name, _, value = word.partition("=")
        if name == "size" and (match := _TMPFS_SIZE.fullmatch(value)):
            found["size"] = str(int(match[1]) * _UNITS[match[2].lower()])
        elif name in ("mode", "uid", "gid", "ro", "exec"):
            found[name] = value
        elif name == "size" and not re.fullmatch(r"\d+%", value):
            text = f'error mounting "tmpfs" to rootfs: data={word}: invalid argument'
            raise UsageError(f"failed to create task for container: {text}")
        elif name not in _TMPFS_FLAGS and (name not in _TMPFS_VALUES or not value):
            raise EngineError(f'invalid tmpfs option "{name}"', status=500)
    return found


def _check_volume_name(name: str) -> None:
    if name and (not _VOLUME_NAME.fullmatch(name) or len(name) < 2):
        if _VOLUME_NAME.fullmatch(name):
            raise UsageError(f"create {name}: volume name is too short, names should be at least two alphanumeric characters")
        allowed = 'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'
        raise UsageError(f'create {name}: "{name}" {allowed}. If you intended to pass a host directory, use absolute path')


def _problem_of_target(target: str) -> str:
    if not target.startswith("/"):
        return f"invalid mount path: '{target}' mount path must be absolute"
    return "invalid specification: destination can't be '/'" if _clean(target) == "/" else ""


def _problem_of_source(source: str) -> str:
    if not source:
        return "field Source must not be empty"
    return "" if source.startswith("/") else f"invalid mount path: '{source}' mount path must be absolute"


def _is_mode(text: str) -> bool:
    words = text.split(",")
    known = _LABELS | _PROPAGATIONS | _OTHERS
    return bool(text) and all(word in known for word in words) and len(words) == len(set(words)) and not {"ro", "rw"} <= set(words)


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned
