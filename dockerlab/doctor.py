"""`examine()`: what works on this machine, found by trying it; what each lack costs, and the command that mends it.

    examine()             a Diagnosis: print it, or let the notebook show it
    examine().can_run     whether some engine runs containers here

Nothing is concluded from a version or a name. What the engine needs is tried by the engine, in a process of its own (`python -m
dockerlab.engine probe`), the rest here. The kernel's settings are read only to pick the command that is offered.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from dockerlab import embedded, engines
from dockerlab.attempts import Attempt
from dockerlab.client import or_embedded, reach
from dockerlab.endpoints import Endpoint, endpoints
from dockerlab.errors import DockerlabError
from dockerlab.faces import doctor as faces
from dockerlab.faces.doctor import Finding
from dockerlab.faces.human import size
from dockerlab.faces.shown import Shown

REGISTRY = "registry-1.docker.io"
_REGISTRY_SECONDS = 5
_ENOUGH = 2_000_000_000
_ENGINE = "an engine"
_ELSEWHERE = "export DOCKERLAB_ENGINE_ROOT=/a/directory/of/yours/on/ext4/or/xfs"
_ERRNO = re.compile(r"^\[Errno \d+\] ")
# The first package manager that is there → how it gets Graphviz, and an engine.
_MANAGERS = (
    ("apt-get", "sudo apt-get install graphviz", "sudo apt-get install docker.io"),
    ("dnf", "sudo dnf install graphviz", "sudo dnf install podman && systemctl --user enable --now podman.socket"),
    ("zypper", "sudo zypper install graphviz", "sudo zypper install podman && systemctl --user enable --now podman.socket"),
    ("pacman", "sudo pacman -S graphviz", "sudo pacman -S podman && systemctl --user enable --now podman.socket"),
    ("apk", "sudo apk add graphviz", "sudo apk add docker && sudo rc-update add docker && sudo service docker start"),
    # Last, as Homebrew is to be had on Linux, too.
    ("brew", "brew install graphviz", "brew install --cask docker"),
    ("winget", "winget install graphviz", "winget install Docker.DockerDesktop"),
)


@dataclass(frozen=True, repr=False)
class Diagnosis(Shown):
    """What was found, in the order in which it was tried."""

    findings: tuple[Finding, ...]

    @property
    def can_run(self) -> bool:
        """Whether containers can run: an engine answers, or dockerlab's own can be started."""
        return any(finding.works for finding in self.findings if finding.name in (_ENGINE, embedded.NAME))

    def _text(self) -> str:
        return faces.TEXT

    def _table(self) -> str:
        return faces.table(self.findings)

    def _html(self) -> str:
        return faces.html(self.findings)


def examine() -> Diagnosis:
    """Tries everything. No engine is started."""
    return Diagnosis((*_engines(os.environ), *_own(sys.platform), _registry(), _dot()))


def _engines(environ: Mapping[str, str]) -> list[Finding]:
    """A finding for each engine that answers or refuses; one that says so where there is none."""
    try:
        places = endpoints(None, environ)
    except DockerlabError as error:
        return [Finding(_ENGINE, False, error.message, "no cell of a notebook can run", error.hint or "")]
    ours = embedded.address(environ, sys.platform)
    there = [(place, _engine(place)) for place in places if len(places) == 1 or place.is_there]
    # A socket that ours left when it was killed is none: the next cell starts it.
    if found := [finding for place, finding in there if finding.works or len(places) == 1 or place.url != ours]:
        return found
    cost = "little, where dockerlab's own can run: it is started by the first cell that needs it"
    return [Finding(_ENGINE, False, "no socket at any of the usual places", cost, _manager()[2])]


def _engine(place: Endpoint) -> Finding:
    reached = reach(place)
    if isinstance(reached, Attempt):
        cost = "the images and containers of this engine are not to be had"
        return Finding(_ENGINE, False, str(reached), cost, or_embedded(reached.hint))
    with closing(reached) as client:
        try:
            return Finding(_ENGINE, True, f"{engines.show(client=client).title} at {place} ({place.source})")
        except DockerlabError as error:
            return Finding(_ENGINE, False, f"{place}: {error.message}", "it may answer no other question", error.hint or "")


def _own(platform: str) -> list[Finding]:
    """What dockerlab's own engine gets of this machine: as a whole, part by part, and its disk."""
    if platform != "linux":
        cost = "nothing where Docker Desktop or Podman runs"
        return [Finding(embedded.NAME, False, "a container needs a Linux kernel, and this is none", cost, "start Docker Desktop")]
    try:
        done = embedded.run(["probe"])
        report: dict[str, Any] = json.loads(done.stdout)
    except (embedded.CannotStart, ValueError) as error:
        said = error.message if isinstance(error, embedded.CannotStart) else done.stderr.strip().rpartition("\n")[2]
        return [Finding(embedded.NAME, False, said, "only an engine that runs already can be used", _ELSEWHERE)]
    isolation, is_root = str(report["isolation"]), bool(report["is_root"])
    said_of = {name: _ERRNO.sub("", str(reason)) for name, reason in report["findings"].items()}
    first = said_of["namespaces"]
    # What needs namespaces was not tried where there are none.
    tried = {name: reason for name, reason in said_of.items() if name == "namespaces" or not first or reason != first}
    parts = [_part(name, reason, isolation, is_root) for name, reason in tried.items()]
    return [_whole(report), *parts, _disk(Path(str(report["root"])))]


def _whole(report: Mapping[str, Any]) -> Finding:
    rights = "as root" if report["is_root"] else "without root"
    match report["isolation"]:
        case "namespaces":
            pids = "" if report["own_pids"] else ", but they see this machine's processes"
            return Finding(embedded.NAME, True, f"runs containers in namespaces on an {report['rootfs']}, {rights}{pids}")
        case "supervised":
            found = report["findings"]
            is_asked = "" if found["namespaces"] or found["overlay"] else ", as DOCKERLAB_ENGINE_ISOLATION asks"
            said = f"runs containers under a supervisor, {rights}{is_asked}: files are their own, processes and limits are not isolated"
            return Finding(embedded.NAME, True, said)
    return Finding(embedded.NAME, False, "neither namespaces nor a supervisor are to be had", "only an engine elsewhere can be used",
                   "%engine use ssh://user@host")  # fmt: skip


# The engine's name for a part → ours, and what its lack costs where containers run in namespaces, and where they are supervised.
_SLOWER = "containers are supervised instead: they run slower, and processes and limits are not isolated"
_PARTS: dict[str, tuple[str, str, str]] = {
    "namespaces": ("namespaces and mounts", _SLOWER, _SLOWER),
    "proc": ("a /proc of their own", "containers see this machine's processes", "containers see this machine's processes"),
    "overlay": ("overlay mounts", _SLOWER, _SLOWER),
    "supervisor": (
        "ptrace and seccomp", "little for want of ptrace; for want of seccomp notification, two containers cannot listen on one port",
        "no container can run",
    ),
}  # fmt: skip


def _part(name: str, reason: str, isolation: str, is_root: bool) -> Finding:
    title, cost, cost_supervised = _PARTS[name]
    if not reason:
        return Finding(title, True, "tried, and it works")
    return Finding(title, False, reason, cost if isolation == "namespaces" else cost_supervised, _mend(name, reason, is_root))


def _mend(name: str, reason: str, is_root: bool) -> str:
    """The command that is most likely to help. Only the choice of it is by what the kernel's settings say."""
    match name:
        case "namespaces" if is_root:
            return "in a container: start it with --cap-add SYS_ADMIN --security-opt apparmor=unconfined"
        case "namespaces" if _setting("kernel/unprivileged_userns_clone") == "0":
            return "sudo sysctl -w kernel.unprivileged_userns_clone=1"
        case "namespaces" if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
            return "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        case "namespaces" if _setting("user/max_user_namespaces") == "0":
            return "sudo sysctl -w user.max_user_namespaces=15000"
        case "namespaces":
            return "in a container: start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        case "proc":
            return "in a container: start it with --security-opt systempaths=unconfined"
        case "overlay" if os.strerror(errno.ENOSPC) in reason:
            return "dockerlab engine prune"
        case "overlay":
            return _ELSEWHERE
        case "supervisor" if _setting("kernel/yama/ptrace_scope") == "2":
            return "sudo sysctl -w kernel.yama.ptrace_scope=1"
        case "supervisor" if _setting("kernel/yama/ptrace_scope") == "3":
            return "set kernel.yama.ptrace_scope to 1 in /etc/sysctl.d, and restart this machine: a running kernel keeps 3"
        case "supervisor":
            return "in a container: start it with --cap-add SYS_PTRACE, or on Linux 5.9 or later"
    return ""


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text(encoding="ascii").strip()
    except OSError:
        return ""  # this kernel has no such setting


def _disk(root: Path) -> Finding:
    place = next(path for path in (root, *root.parents) if path.exists())
    usage = shutil.disk_usage(place)
    said = f"{size(usage.free)} free at {root}"
    return Finding("disk", usage.free >= _ENOUGH, said, "an image may not fit", "dockerlab engine prune")


def _registry() -> Finding:
    """One short request, through a proxy where one is configured. 401 is how a registry says that it is there."""
    try:
        status = requests.get(f"https://{REGISTRY}/v2/", timeout=_REGISTRY_SECONDS).status_code
    except requests.exceptions.Timeout:
        reason = f"does not answer within {_REGISTRY_SECONDS} s"
    except requests.exceptions.SSLError:
        reason = "is reached, but its certificate is not trusted here"
    except requests.exceptions.RequestException:
        reason = "is not reached from here"
    else:
        if status in (200, 401):
            return Finding("registry", True, f"{REGISTRY} answers")
        reason = f"answers with HTTP status {status}"
    lack = "no image of Docker Hub can be pulled, unless by a mirror; stand-ins take the place of a few"
    return Finding("registry", False, f"{REGISTRY} {reason}", lack, "dockerlab images prepare")


def _manager() -> tuple[str, str, str]:
    """Of `_MANAGERS`, the one of this machine."""
    there = (manager for manager in _MANAGERS if shutil.which(manager[0]))
    return next(there, ("", "see https://graphviz.org/download", "see https://docs.docker.com/get-docker"))


def _dot() -> Finding:
    mend = _manager()[1]
    cost = "graphs of layers and builds are not drawn"
    try:
        done = subprocess.run(["dot", "-V"], capture_output=True, text=True, check=False)
    except OSError:
        return Finding("dot", False, "no such command", cost, mend)
    # It prints its version as an error.
    said = (done.stderr or done.stdout).strip().partition("\n")[0]
    return Finding("dot", done.returncode == 0, said, cost, mend)
