"""/_ping, /version, /info, /system/df: what the engine is, what it can and cannot do here, and what it keeps."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockerlab import __version__
from dockerlab.engine import timestamps
from dockerlab.engine.api.images import sizes
from dockerlab.engine.containers.configuration import RUNTIMES
from dockerlab.engine.filters import Filters
from dockerlab.engine.home import Home, read_json, write_json
from dockerlab.engine.http.types import API, OLDEST_API, Answer, Request, Response, Route
from dockerlab.engine.runtime.limits import Means
from dockerlab.engine.runtime.probe import Capabilities
from dockerlab.engine.store.kinship import between, own_layers, shown
from dockerlab.errors import EngineError, UsageError
from dockerlab.registry import hosts

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine
    from dockerlab.engine.store import Image

NAME = "dockerlab engine"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_NOT_CACHED = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}
_INDEX = "https://index.docker.io/v1/"
_KINDS = ("container", "image", "volume", "build-cache")
_LIMITS = (
    ("memory", "No memory limit support"),
    ("cpu", "No cpu cfs quota support"),
    ("cpuset", "No cpuset support"),
    ("pids", "No pids limit support"),
)


def _registries(root: Path) -> dict[str, Any]:
    """How registries are reached; as if nothing were configured where that cannot be read, which a pull tells."""
    try:
        return hosts.read(root, os.environ).to_json()
    except EngineError:
        return hosts.Hosts().to_json()


def ping(engine: Engine, request: Request) -> Response:
    """GET and HEAD /_ping"""
    headers = {"Builder-Version": "1", "Swarm": "inactive", **_NOT_CACHED}
    return Answer("" if request.method == "HEAD" else "OK", headers=headers)


def version(engine: Engine, request: Request) -> Response:
    """GET /version"""
    api, oldest = (f"{major}.{minor}" for major, minor in (API, OLDEST_API))
    common = {
        "ApiVersion": api,
        "MinAPIVersion": oldest,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": os.uname().release,
        "BuildTime": "",
    }
    details = {**common, "Experimental": "false", "PythonVersion": sys.version.split()[0]}
    component = {"Name": NAME, "Version": __version__, "Details": details}
    return Answer({"Platform": {"Name": NAME}, "Components": [component], "Version": __version__, **common})


def architecture() -> str:
    """This machine's, in the words of images."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def warnings(capabilities: Capabilities, means: Means) -> list[str]:
    """What containers do not get on this machine, each in a sentence. Pure."""
    if not capabilities.isolation:
        return [f"No container can run here: {name}: {text}" for name, text in capabilities.findings.items() if text]
    found = ["No network isolation: containers share this machine's network, each with an address of its own in 127.0.0.0/8"]
    if capabilities.isolation == "supervised":
        why = capabilities.findings.get("namespaces") or capabilities.findings.get("overlay") or "asked for by the environment"
        found.append(f"No namespaces ({why}): a supervisor shows each container its own files, it does not wall it off")
        found.append("No PID namespace: containers see this machine's processes")
        found.append("Root in a container is pretended: it has the rights of the user that runs the engine")
    else:
        if not capabilities.own_pids:
            found.append(f"No PID namespace ({capabilities.findings.get('proc', '')}): containers see this machine's processes")
        if not capabilities.is_root:
            found.append("Root in a container has the rights of the user that runs the engine")
    for controller, text in _LIMITS:
        if controller not in means.controllers and not (controller == "pids" and means.counts_processes) and controller != "cpuset":
            found.append(text)
    if "memory" in means.controllers and not means.swap:
        found.append("No swap limit support")
    return found


def info(engine: Engine, request: Request) -> Response:
    """GET /info"""
    from dockerlab.engine import procfs  # which no start of the engine waits for

    capabilities, means = engine.runtime.capabilities, engine.containers.parts.means
    states = Counter(container.record.state.status for container in engine.containers.all())
    running = states["running"] + states["restarting"]
    has = {name: name in means.controllers for name in ("memory", "cpu", "cpuset", "pids")}
    return Answer(
        {
            "ID": identity(engine.home),
            "Containers": states.total(),
            "ContainersRunning": running,
            "ContainersPaused": states["paused"],
            "ContainersStopped": states.total() - running - states["paused"],
            "Images": sum(not image.is_cache for image in engine.store.images()),
            "Driver": capabilities.rootfs,
            "DriverStatus": [["Isolation", capabilities.isolation or "none"]],
            "Plugins": {
                "Volume": ["local"],
                "Network": ["bridge", "host", "null"],
                "Authorization": None,
                "Log": ["json-file", "local"],
            },
            "MemoryLimit": has["memory"],
            "SwapLimit": has["memory"] and means.swap,
            "CpuCfsPeriod": has["cpu"],
            "CpuCfsQuota": has["cpu"],
            "CPUShares": has["cpu"],
            "CPUSet": True,
            "PidsLimit": has["pids"] or means.counts_processes,
            "IPv4Forwarding": True,
            # There is no bridge.
            "BridgeNfIptables": False,
            "BridgeNfIp6tables": False,
            "Debug": False,
            "NFd": len(os.listdir("/proc/self/fd")),
            "OomKillDisable": False,
            "NGoroutines": threading.active_count(),
            "SystemTime": timestamps.now(),
            "LoggingDriver": "json-file",
            "CgroupDriver": "cgroupfs" if means.version else "none",
            "CgroupVersion": str(means.version or _mounted_version()),
            "NEventsListener": engine.events.listeners,
            "KernelVersion": os.uname().release,
            "OperatingSystem": operating_system(_text("/etc/os-release")),
            "OSVersion": "",
            "OSType": "linux",
            "Architecture": os.uname().machine,
            "IndexServerAddress": _INDEX,
            "RegistryConfig": _registries(engine.home.root),
            "NCPU": len(os.sched_getaffinity(0)),
            "MemTotal": procfs.memory(),
            "GenericResources": None,
            "DockerRootDir": str(engine.home.root),
            "HttpProxy": "",
            "HttpsProxy": "",
            "NoProxy": "",
            "Name": socket.gethostname(),
            "Labels": [],
            "ExperimentalBuild": False,
            "ServerVersion": __version__,
            "Runtimes": {name: {"path": "dockerlab"} for name in RUNTIMES},
            "DefaultRuntime": RUNTIMES[0],
            "Swarm": {
                "NodeID": "",
                "NodeAddr": "",
                "LocalNodeState": "inactive",
                "ControlAvailable": False,
                "Error": "",
                "RemoteManagers": None,
            },
            "LiveRestoreEnabled": True,
            "Isolation": "",
            "InitBinary": "dockerlab",
            "ContainerdCommit": {"ID": ""},
            "RuncCommit": {"ID": ""},
            "InitCommit": {"ID": ""},
            "SecurityOptions": [] if capabilities.is_root else ["name=rootless"],
            "CDISpecDirs": [],
            "Warnings": warnings(capabilities, means),
        }
    )


def identity(home: Home) -> str:
    """The engine's own id, the same for as long as its data is there."""
    path = home.root / "engine.json"
    try:
        return str(read_json(path)["id"])
    except FileNotFoundError:
        import uuid  # seldom, and slow to import

        found = str(uuid.uuid4())
        write_json(path, {"id": found})
        return found


def operating_system(os_release: str) -> str:
    """The name in a /etc/os-release, as people read it. Pure."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return values.get("PRETTY_NAME", values.get("NAME", "Linux")).strip("\"'")


def _mounted_version() -> str:
    root = Path("/sys/fs/cgroup")
    return "2" if (root / "cgroup.controllers").exists() else "1" if root.is_dir() and any(root.iterdir()) else ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


# Disk


def df(engine: Engine, request: Request) -> Response:
    """GET /system/df"""
    kinds = request.query.all("type") or list(_KINDS)
    for kind in kinds:
        if kind not in _KINDS:
            raise UsageError(f"unknown object type: {kind}")
    images = engine.store.images() if "image" in kinds else []
    users = {id: len(containers) for id, containers in engine.containers.images().items()}
    return Answer(
        {
            "LayersSize": sum(own_layers(image for image in images if not image.is_cache).values()),
            "Images": image_usage(shown(images), users, request.version) if "image" in kinds else None,
            "Containers": engine.containers.listed(Filters(), all=True, size=True) if "container" in kinds else None,
            "Volumes": _volume_usage(engine) if "volume" in kinds else None,
            "BuildCache": build_cache(engine) if "build-cache" in kinds else None,
        }
    )


def build_cache(engine: Engine) -> list[dict[str, Any]]:
    """What `RUN --mount=type=cache` and the contexts of sessions have kept, and the steps of builds that are nothing but cache."""
    steps = step_usage(engine.store.images(), {use.image for use in engine.uses()})
    return [*_kept(engine), *steps]


def step_usage(images: list[Image], used: Collection[str]) -> list[dict[str, Any]]:
    """The steps of builds that are nothing but cache, each with the layer that it added. used: ids of images. Pure.

    Those are shared that pruning leaves: an image stands on them, or has the layer.
    """
    by_id = {image.id: image for image in images}
    inner, layers = between(by_id), own_layers(image for image in images if not image.is_cache)
    found = []
    for image in images:
        if not image.is_cache:
            continue
        below = by_id[image.parent].layers if image.parent in by_id else ()
        added = image.layers[len(below) :]
        told = image.config.get("history") or [{}]
        usage = _cache_usage(
            image.id.removeprefix("sha256:"),
            "regular",
            str(told[-1].get("created_by") or ""),
            sum(layer.files_size for layer in added),
            timestamps.nanoseconds(image.created) if image.created else 0,
            is_used=image.id in used,
        )
        is_shared = image.id in inner or any(layer.chain_id in layers for layer in added)
        parent = image.parent.removeprefix("sha256:")
        found.append(usage | {"Shared": is_shared, **({"Parent": parent, "Parents": [parent]} if parent else {})})
    return found


def _kept(engine: Engine) -> list[dict[str, Any]]:
    if not any((engine.home.root / name).exists() for name in ("caches", "contexts")):
        return []  # without importing the builder
    caches = (
        _cache_usage(cache.name, "exec.cachemount", "RUN --mount=type=cache", cache.size, cache.changed, is_used=cache.is_used)
        for cache in engine.builder.caches.all()
    )
    contexts = (
        _cache_usage(context.name, "source.local", "local source for context", context.size, context.used, is_used=context.is_used)
        for context in engine.builder.contexts.all()
    )
    return [*caches, *contexts]


def _cache_usage(name: str, kind: str, description: str, size: int, time: int, *, is_used: bool) -> dict[str, Any]:
    return {
        "ID": name,
        "Type": kind,
        "Description": description,
        "InUse": is_used,
        "Shared": False,
        "Size": size,
        "CreatedAt": timestamps.text(time),
        "LastUsedAt": timestamps.text(time),
        "UsageCount": 1,
    }


def image_usage(images: list[Image], users: Mapping[str, int], version: tuple[int, int]) -> list[dict[str, Any]]:
    """The images with what they take. users: how many containers are made of each. version: of the API. Pure."""
    counted = Counter(layer.chain_id for image in images for layer in image.layers)
    return [
        {
            "Containers": users.get(image.id, 0),
            "Created": timestamps.nanoseconds(image.created) // 10**9 if image.created else 0,
            "Id": image.id,
            "Labels": dict(image.run.get("Labels") or {}) or None,
            "ParentId": image.parent,
            "RepoDigests": image.digests or None,
            "RepoTags": image.tags or None,
            "SharedSize": sum(layer.files_size for layer in image.layers if counted[layer.chain_id] > 1),
            **sizes(image, version),
        }
        for image in images
    ]


def _volume_usage(engine: Engine) -> list[dict[str, Any]]:
    volumes = engine.volumes
    return [
        volume.to_json() | {"UsageData": {"RefCount": len(volumes.users(volume.name)), "Size": volumes.size(volume)}}
        for volume in volumes.all()
    ]


ROUTES = (
    Route("GET", "/_ping", ping),
    Route("HEAD", "/_ping", ping),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("GET", "/system/df", df),
)
