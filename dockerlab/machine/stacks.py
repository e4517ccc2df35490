"""Facts → two stacks of layers. Pure: every machine that there is can be tried with facts that are made up.

Where containers run is told from three things: whether the engine is reached at this machine (a socket, a pipe, 127.0.0.1), what it
calls itself and its machine ("Docker Desktop", "colima"), and whether its kernel is of this machine's release. Nothing is guessed: what
these do not tell is `is_known=False`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from urllib.parse import urlsplit

from dockerlab.faces.human import size
from dockerlab.faces.machine import Box, Layer, Stack
from dockerlab.machine.facts import Facts, Here

_DESKTOP = "Docker Desktop"
# How programs that bring a virtual machine call it: Docker Desktop, Colima, Lima, OrbStack.
_VM_NAMES = ("docker-desktop", "colima", "lima-", "orbstack")
_OWN = {
    "namespaces": "a process of your own, without a daemon; containers are kept apart by namespaces",
    "supervised": "a process of your own, without a daemon and without root; containers run under its supervisor",
}


class Place(enum.Enum):
    """Where the engine runs containers; its value says it in a line."""

    HERE = "containers use this machine's own kernel"
    VM = "containers use the kernel of a Linux virtual machine on this machine"
    SOCKET = "containers use another kernel than this machine's"
    ELSEWHERE = "containers run on another machine"


def place(facts: Facts) -> Place:
    """See above."""
    engine, here = facts.engine, facts.here
    is_same = engine.kernel == here.kernel and here.system == "Linux"
    if not engine.is_local:
        return Place.HERE if is_same and facts.host == here.name else Place.ELSEWHERE
    if not engine.platform.startswith("linux"):
        return Place.HERE
    if here.system != "Linux":
        is_known = engine.operating_system == _DESKTOP or engine.name == "Podman" or facts.host.startswith(_VM_NAMES)
        return Place.VM if is_known else Place.SOCKET
    # All distributions of WSL, Docker Desktop's too, share one virtual machine and its kernel.
    if engine.operating_system == _DESKTOP and not (here.is_wsl and is_same):
        return Place.VM
    return Place.HERE if is_same else Place.SOCKET


def containers(facts: Facts) -> Stack:
    """How containers run on the engine that answers."""
    where = place(facts)
    title = "Containers on the engine's machine" if where is Place.ELSEWHERE else "Containers on this machine"
    beneath: dict[Place, Callable[[Facts], list[Layer]]] = {
        Place.HERE: _here,
        Place.VM: _vm,
        Place.SOCKET: _socket,
        Place.ELSEWHERE: _elsewhere,
    }
    return Stack(title, (*_running(facts), _engine(facts), *beneath[where](facts)), tuple(_notes(facts, where)))


def machines(facts: Facts) -> Stack:
    """The same programs in virtual machines, on the same hardware."""
    programs, boxes = _programs(facts), len(_programs(facts))
    beneath = [layer for layer in containers(facts).layers if layer.kind in ("system", "hardware")]
    layers = [
        Layer("program", programs),
        Layer("files", (Box("libraries, tools, services", "a whole operating system's"),) * boxes),
        Layer("kernel", (Box("its own", "started with the machine"),) * boxes),
        Layer("vm", (Box("a share of memory and processors", "set aside for it"),) * boxes),
        Layer("hypervisor", (_any_hypervisor(facts),)),
    ]
    note = "Each virtual machine starts a kernel and an operating system of its own; containers share the one that runs already."
    return Stack("The same programs in virtual machines", (*layers, *beneath), (note,))


# from the top


def _programs(facts: Facts) -> tuple[Box, ...]:
    return tuple(Box(one.command or "its command") for one in facts.running) or (Box("your program"),)


def _running(facts: Facts) -> list[Layer]:
    boxes = tuple(Box(one.name, f"of {one.image}: its own files, the kernel below") for one in facts.running)
    none = Box("a container", "its own files, the kernel below; none runs now")
    return [Layer("program", _programs(facts)), Layer("container", boxes or (none,))]


def _engine(facts: Facts) -> Layer:
    engine = facts.engine
    about = _OWN.get(engine.isolation, "") if facts.is_own else "rootless: runs without root's rights" if engine.is_rootless else ""
    return Layer("engine", (Box(engine.title, about),))


def _kernel(facts: Facts, whose: str) -> Layer:
    engine = facts.engine
    system, _, _ = engine.platform.partition("/")
    return Layer("kernel", (Box(f"{system.capitalize()} {engine.kernel}".strip(), whose, bool(engine.kernel)),))


# from the kernel down


def _here(facts: Facts) -> list[Layer]:
    here, engine = facts.here, facts.engine
    around = _around(facts) if facts.is_own else []
    # In a container, what its files call themselves is not the machine's system.
    system = ("" if facts.is_own else engine.operating_system) if here.is_contained else here.version
    about = f"this machine's{f' ({system})' if system else ''}: containers use it, too"
    return [*around, _kernel(facts, about), *_ground(here, _share(facts))]


def _around(facts: Facts) -> list[Layer]:
    """The container that dockerlab's own engine runs in itself."""
    here, its_files = facts.here, facts.engine.operating_system
    if here.is_contained is not False:
        name = "a pod of Kubernetes" if here.is_pod else "a container"
        return [Layer("outer", (Box(f"{name} that this notebook runs in", its_files, here.is_contained is True),))]
    if here.version and its_files and its_files != here.version:
        return [Layer("outer", (Box("what the engine runs in", f"its files are those of {its_files}", is_known=False),))]
    return []


def _vm(facts: Facts) -> list[Layer]:
    here, engine = facts.here, facts.engine
    if engine.operating_system == _DESKTOP:
        name = "Docker Desktop's Linux"
    elif engine.name == "Podman":
        name = "Podman machine"
    else:
        name = f"Linux, by the name of {facts.host}"
    system = Box(_system(here), f"kernel {_own_kernel(here)}")
    return [
        _kernel(facts, "the virtual machine's: all containers use it"),
        Layer("vm", (Box(name, _share(facts)),)),
        Layer("hypervisor", (_beneath_vm(facts),)),
        Layer("system", (system,)),
        *_ground(here),
    ]


def _socket(facts: Facts) -> list[Layer]:
    """A socket of this machine, and another kernel behind it."""
    said = f"the engine calls it {facts.host}" if facts.host else ""
    return [
        _kernel(facts, f"not this machine's, which is {_own_kernel(facts.here)}"),
        Layer("vm", (Box("a virtual machine here, or another machine", said, is_known=False),)),
        Layer("hardware", (Box("hardware", _share(facts), is_known=False),)),
    ]


def _elsewhere(facts: Facts) -> list[Layer]:
    kernel = _kernel(facts, f"the engine's machine's, {facts.engine.operating_system}: containers use it, too")
    unsaid = "the engine does not say what is beneath its kernel"
    if facts.engine.operating_system == _DESKTOP:
        vm = Layer("vm", (Box("Docker Desktop's Linux", _share(facts)),))
        return [kernel, vm, Layer("hypervisor", (Box("", unsaid, is_known=False),)), Layer("hardware", (Box("", is_known=False),))]
    return [
        kernel,
        Layer("hypervisor", (Box("whether there is one", unsaid, is_known=False),)),
        Layer(
            "hardware",
            (Box("", ", ".join(filter(None, (facts.engine.platform.partition("/")[2], _share(facts)))), is_known=False),),
        ),
    ]


def _ground(here: Here, share: str = "") -> list[Layer]:
    """What is beneath this machine's own kernel. share: its processors and memory."""
    processor = ", ".join(filter(None, (here.processor, here.architecture)))
    if here.is_wsl:
        return [
            Layer("vm", (Box("WSL 2's", share),)),
            Layer("hypervisor", (Box("Hyper-V", "a part of Windows"),)),
            Layer("system", (Box("Windows", "its version is not to be seen from here"),)),
            Layer("hardware", (Box(processor),)),
        ]
    if here.is_virtual:
        return [
            Layer("vm", (Box(f"this machine, {here.name}", ", ".join(filter(None, (here.model, share)))),)),
            Layer("hypervisor", (Box(here.hypervisor, is_known=bool(here.hypervisor)),)),
            Layer("hardware", (Box("", f"a virtual machine sees only its processor: {processor}", is_known=False),)),
        ]
    hardware = Layer("hardware", (Box(here.model or processor, ", ".join(filter(None, (processor if here.model else "", share)))),))
    if here.is_virtual is None:
        said = "this system does not tell whether it is a virtual machine"
        return [Layer("hypervisor", (Box("whether there is one", said, is_known=False),)), hardware]
    return [hardware]


def _beneath_vm(facts: Facts) -> Box:
    """The hypervisor beneath the engine's virtual machine on this machine."""
    kernel, is_desktop = facts.engine.kernel.lower(), facts.engine.operating_system == _DESKTOP
    match facts.here.system:
        case "Windows" if "microsoft" in kernel:
            return Box("Hyper-V", "by WSL 2, a part of Windows")
        case "Windows" if is_desktop:
            return Box("Hyper-V", "a part of Windows")
        case "Linux" if is_desktop:
            return Box("KVM", "with QEMU, which Docker Desktop brings")
        case "macOS":
            return Box("", "Apple's own or one that came with the engine: it does not say", is_known=False)
    return Box("", "the engine does not say", is_known=False)


def _any_hypervisor(facts: Facts) -> Box:
    """The hypervisor that virtual machines on this hardware would have."""
    here, where = facts.here, place(facts)
    if where is Place.VM:
        return _beneath_vm(facts)
    if where in (Place.ELSEWHERE, Place.SOCKET):
        return Box("", "whether that machine has one is not to be seen from here", is_known=False)
    if here.is_virtual:
        return Box(here.hypervisor, "the one that this machine runs on", bool(here.hypervisor))
    if here.has_kvm:
        return Box("KVM", "this machine's Linux has it: /dev/kvm is there")
    return Box("", "none was found on this machine", is_known=False)


def _system(here: Here) -> str:
    """What this machine's operating system is called."""
    return here.version or "Linux" if here.system == "Linux" else f"{here.system} {here.version}".strip()


def _own_kernel(here: Here) -> str:
    return f"Darwin {here.kernel}" if here.system == "macOS" else here.kernel


def _share(facts: Facts) -> str:
    """Processors and memory, as the engine says them."""
    processors = f"{facts.processors} processor{'s' if facts.processors > 1 else ''}" if facts.processors else ""
    return ", ".join(filter(None, (processors, f"{size(facts.memory)} of memory" if facts.memory else "")))


def _notes(facts: Facts, where: Place) -> list[str]:
    here, engine = facts.here, facts.engine
    notes = []
    if facts.others:
        notes.append(f"{facts.others} more run.")
    if where is Place.ELSEWHERE:
        address = urlsplit(engine.url)
        reached = f"the engine is reached by {address.scheme} at {address.hostname}"
        notes.append(f"This notebook runs on this machine ({_system(here)}); {reached}.")
        if engine.kernel == here.kernel:
            notes.append("Its kernel is of the same release as this machine's: whether it is the same one is unknown.")
    if here.is_contained and not facts.is_own:
        notes.append("This notebook runs in a container, too.")
    if facts.is_own and engine.isolation == "supervised":
        notes.append("Processes and limits are not isolated.")
    return notes
