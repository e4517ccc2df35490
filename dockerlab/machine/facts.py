"""What this machine and its engine report of themselves, read and not yet judged.

Linux tells in files: `/proc/cpuinfo`, the firmware's names of the machine (DMI), the sources of its clock, the numbers of its namespaces.
macOS tells by sysctl(8). `read(root)` takes a folder in the place of `/`, so that any machine can be tried.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from dockerlab.client import Client
from dockerlab.engines import Engine, engine
from dockerlab.faces.hiding import hide_in_command

SHOWN = 3
_SYSTEMS = {"darwin": "macOS", "win32": "Windows", "linux": "Linux"}
_SYSCTL_SECONDS = 5
# The numbers that Linux gives to the namespaces that it starts with: include/uapi/linux/nsfs.h
FIRST_NAMESPACES = {"pid": 0xEFFFFFFC, "uts": 0xEFFFFFFE}
# What the firmware calls itself → whose virtual machine it is. Amazon's, Google's and others' machines may also be real ones.
_VIRTUAL_NAMES = (
    ("vmware", "VMware"),
    ("virtualbox", "VirtualBox"),
    ("innotek", "VirtualBox"),
    ("parallels", "Parallels"),
    ("apple virtualization", "Apple's Virtualization framework"),
    ("bhyve", "bhyve"),
    ("microsoft corporation virtual machine", "Hyper-V"),
    ("hvm domu", "Xen"),
    ("xen", "Xen"),
    ("kvm", "KVM"),
    ("qemu", "QEMU"),
    ("openstack", "KVM or another of OpenStack's"),
    ("google compute engine", "KVM"),
    ("firecracker", "KVM, with Firecracker"),
)
# A clock that a hypervisor offers to its guests.
_CLOCKS = {"kvm-clock": "KVM", "hyperv": "Hyper-V", "xen": "Xen"}


@dataclass(frozen=True)
class Here:
    """The machine that this process runs on.

    system: "Linux", "macOS", "Windows", or what Python calls it. version: of the system, "Debian GNU/Linux 12 (bookworm)", "15.1"; in a
    container it is the container's. kernel: its release. model: of the machine, by its firmware. processor: its name.
    is_virtual: whether it is a virtual machine, None where that cannot be told. hypervisor: beneath it, "" where unknown.
    is_contained: whether this process is in a container, None where that cannot be told. is_pod: whether Kubernetes started that.
    has_kvm: whether this machine can run virtual machines by Linux's KVM.
    """

    system: str
    version: str
    kernel: str
    architecture: str
    name: str
    model: str = ""
    processor: str = ""
    is_virtual: bool | None = None
    hypervisor: str = ""
    is_contained: bool | None = False
    is_pod: bool = False
    has_kvm: bool = False

    @property
    def is_wsl(self) -> bool:
        """Whether it is the Windows Subsystem for Linux, version 2: a kernel of Microsoft's in a virtual machine of Windows."""
        return self.system == "Linux" and "microsoft" in self.kernel.lower()


@dataclass(frozen=True)
class Running:
    """A container that runs: its name, its image, the command that it was started with, without secrets."""

    name: str
    image: str
    command: str


@dataclass(frozen=True)
class Facts:
    """here: this machine. engine: what answers. is_own: whether it is dockerlab's own.

    host, processors, memory: of the machine that the engine runs on, as it says: its name, how many, in bytes; "" and 0 where it does
    not say. running: the newest containers that run, `SHOWN` at most, or those that were
    asked for. others: how many more run; 0 where some were asked for.
    """

    here: Here
    engine: Engine
    is_own: bool = False
    host: str = ""
    processors: int = 0
    memory: int = 0
    running: tuple[Running, ...] = ()
    others: int = 0


def ask(client: Client, here: Here, only: Collection[str] = ()) -> Facts:
    """What an engine says. only: the ids of the containers that are asked for; empty: any that run. Raises what docker-py raises."""
    from dockerlab import embedded

    version, info = client.version(), client.info()
    running = [one for one in client.api.containers() if not only or one["Id"] in only]
    shown = len(only) or SHOWN
    return Facts(
        here=here,
        engine=engine(client, version, info),
        is_own=embedded.is_own(version),
        host=str(info.get("Name") or ""),
        processors=int(info.get("NCPU") or 0),
        memory=int(info.get("MemTotal") or 0),
        running=tuple(
            Running(
                str((one.get("Names") or ["?"])[0]).lstrip("/"),
                str(one.get("Image") or ""),
                hide_in_command(str(one.get("Command") or "")),
            )
            for one in running[:shown]
        ),
        others=max(len(running) - shown, 0),
    )


def read(root: Path = Path("/"), system: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Here:
    """This machine. root, system: for a test, of another one."""
    name, machine = platform.node(), platform.machine()
    if system == "darwin":
        model, processor = _sysctl("hw.model"), _sysctl("machdep.cpu.brand_string")
        is_guest = {"0": False, "1": True}.get(_sysctl("kern.hv_vmm_present"))
        return Here("macOS", platform.mac_ver()[0], platform.release(), machine, name, model, processor, is_guest)
    if system != "linux":
        return Here(_SYSTEMS.get(system, platform.system() or system), platform.release(), platform.version(), machine, name,
                    processor=platform.processor())  # fmt: skip
    model = _model(root)
    is_virtual, hypervisor = _virtual(root, model)
    kernel = _text(root / "proc/sys/kernel/osrelease")
    return Here(
        system="Linux",
        version=_release(root),
        kernel=kernel or platform.release(),
        architecture=machine,
        name=name,
        model=model,
        processor=_field(_text(root / "proc/cpuinfo"), "model name"),
        is_virtual=True if "microsoft" in kernel.lower() else is_virtual,
        hypervisor="Hyper-V" if "microsoft" in kernel.lower() else hypervisor,
        is_contained=_is_contained(root),
        is_pod="KUBERNETES_SERVICE_HOST" in environ,
        has_kvm=(root / "dev/kvm").exists(),
    )


def _virtual(root: Path, model: str) -> tuple[bool | None, str]:
    """Whether this Linux is a virtual machine, and whose."""
    named = next((name for words, name in _VIRTUAL_NAMES if words in model.lower()), "")
    clocks = _text(root / "sys/devices/system/clocksource/clocksource0/available_clocksource")
    offered = next((name for clock, name in _CLOCKS.items() if clock in clocks), "")
    flags = _field(_text(root / "proc/cpuinfo"), "flags").split()
    guest = _text(root / "proc/device-tree/hypervisor/compatible").rstrip("\0").partition(",")[2]
    xen = _text(root / "sys/hypervisor/type")
    hypervisor = named or offered or guest.upper() or xen.capitalize()
    # Each x86 processor says so itself to whom it is not wholly given.
    if flags:
        is_guest = "hypervisor" in flags
        return is_guest, hypervisor if is_guest else ""
    # Others do not: only what has a name is known to be virtual, and only a firmware that names a real machine is known to be none.
    return (True, hypervisor) if hypervisor else (False if model else None, "")


def _is_contained(root: Path) -> bool | None:
    """Whether this process is in namespaces of its own for processes or for the host's name, as every container has."""
    numbers = {}
    for name in FIRST_NAMESPACES:
        try:
            found = re.fullmatch(rf"{name}:\[(\d+)\]", os.readlink(root / "proc/self/ns" / name))
        except OSError:
            found = None
        if found is None:
            return None
        numbers[name] = int(found[1])
    return numbers != FIRST_NAMESPACES


def _model(root: Path) -> str:
    """What the machine is called by who made it."""
    names = [_text(root / "sys/class/dmi/id" / file) for file in ("sys_vendor", "product_name")]
    # Placeholders that makers leave.
    given = [name for name in names if name and "to be filled" not in name.lower() and name.lower() != "system product name"]
    return " ".join(given) or _text(root / "proc/device-tree/model").rstrip("\0")


def _release(root: Path) -> str:
    for file in ("etc/os-release", "usr/lib/os-release"):
        if found := re.search(r'^PRETTY_NAME=(["\']?)(.*)\1$', _text(root / file), re.MULTILINE):
            return found[2]
    return ""


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{name}\s*: *(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _text(path: Path) -> str:
    """A file's text, "" where it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(100_000).strip()
    except OSError:
        return ""


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name],
            capture_output=True,
            text=True,
            timeout=_SYSCTL_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
