"""What a container stands on, on every kind of machine: from facts that are made up, and from files as Linux has them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dockerlab.engines import Engine
from dockerlab.errors import UsageError
from dockerlab.faces import machine as faces
from dockerlab.machine import Machine, example, stacks
from dockerlab.machine.facts import Facts, Here, Running, read
from dockerlab.machine.stacks import Place

BARE = Here(
    "Linux", "Debian GNU/Linux 12 (bookworm)", "6.1.0-18-amd64", "x86_64", "desk", "Dell XPS 13", "Intel i7", False, has_kvm=True
)
GUEST = replace(BARE, model="", is_virtual=True, hypervisor="KVM", has_kvm=False)
WSL = Here("Linux", "Ubuntu 24.04", "5.15.167.4-microsoft-standard-WSL2", "x86_64", "pc", "", "Intel i7", True, "Hyper-V")
MAC = Here("macOS", "15.1", "24.1.0", "arm64", "book", "Mac15,3", "Apple M3", False)
WINDOWS = Here("Windows", "11", "10.0.26100", "AMD64", "pc", processor="Intel64")
POD = replace(GUEST, version="dockerlab stand-in", is_contained=True, is_pod=True)
DOCKER = Engine(
    "Docker Engine", "28.5.2", "1.51", "linux/amd64", BARE.version, BARE.kernel, "overlay2 (graph driver)", "2", False,
    "unix:///var/run/docker.sock", "default socket", True,
)  # fmt: skip
DESKTOP = replace(DOCKER, operating_system="Docker Desktop", kernel="6.10.14-linuxkit")
PODMAN = replace(
    DOCKER, name="Podman", version="5.2", operating_system="fedora", kernel="6.9.12-200.fc40.aarch64", is_rootless=True
)
OWN = replace(DOCKER, name="dockerlab engine", version="0.1.0", isolation="supervised", is_rootless=True)
FAR = replace(DOCKER, url="ssh://me:secret@far.example", is_local=False, kernel="6.8.0-45-generic", operating_system="Ubuntu 24.04")

# What this machine is and what answers → where containers run, and each layer from the engine down; `?` where it is unknown.
MACHINES = {
    "bare Linux": (BARE, DOCKER, Place.HERE, "engine kernel hardware=Dell"),
    "Linux in a virtual machine": (GUEST, DOCKER, Place.HERE, "engine kernel vm=desk hypervisor=KVM hardware?"),
    "… of which it is not known": (
        replace(BARE, is_virtual=None, model=""), DOCKER, Place.HERE, "engine kernel hypervisor? hardware=Intel",
    ),
    "… whose hypervisor is not known": (replace(GUEST, hypervisor=""), DOCKER, Place.HERE, "engine kernel vm hypervisor? hardware?"),
    "rootless": (BARE, replace(DOCKER, is_rootless=True), Place.HERE, "engine=rootless kernel hardware"),
    "Docker Desktop on macOS": (
        MAC, DESKTOP, Place.VM, "engine kernel=linuxkit vm=Docker.Desktop hypervisor? system=macOS.15.1 hardware=Mac15",
    ),
    "Docker Desktop on a virtual macOS": (
        replace(MAC, is_virtual=True), DESKTOP, Place.VM, "engine kernel vm=Desktop hypervisor? system=macOS vm=book hypervisor? hardware?",
    ),
    "Docker Desktop on Windows, WSL 2": (
        WINDOWS, replace(DESKTOP, kernel=WSL.kernel, url="npipe:////./pipe/docker_engine"), Place.VM,
        "engine kernel=WSL2 vm=Docker.Desktop hypervisor=Hyper-V system=Windows.11 hypervisor? hardware=Intel64",
    ),
    "Docker Desktop on Windows, Hyper-V": (WINDOWS, DESKTOP, Place.VM, "engine kernel vm hypervisor=Hyper-V system hypervisor? hardware"),
    "Docker Desktop, from within WSL 2": (
        WSL, replace(DESKTOP, kernel=WSL.kernel), Place.HERE, "engine kernel=WSL2 vm=WSL hypervisor=Hyper-V system=Windows hardware=Intel",
    ),
    "Docker Engine within WSL 2": (
        WSL, replace(DOCKER, kernel=WSL.kernel), Place.HERE, "engine kernel=Ubuntu vm=WSL hypervisor=Hyper-V system=Windows hardware",
    ),
    "Docker Desktop on Linux": (BARE, DESKTOP, Place.VM, "engine kernel vm=Desktop hypervisor=KVM system=Debian hardware=Dell"),
    "Podman machine": (MAC, PODMAN, Place.VM, "engine=rootless kernel vm=Podman.machine hypervisor? system=macOS hardware"),
    "another machine's Linux on macOS": (MAC, DOCKER, Place.VM, "engine kernel vm=colima hypervisor? system=macOS hardware"),
    "our own engine": (BARE, replace(OWN, isolation="namespaces"), Place.HERE, "engine=namespaces kernel=Debian hardware=Dell"),
    "our own engine in a pod": (
        POD, replace(OWN, operating_system=POD.version), Place.HERE,
        "engine=without.root outer=pod.of.Kubernetes kernel vm hypervisor=KVM hardware?",
    ),
    "our own engine in who knows what": (BARE, replace(OWN, operating_system="Alpine"), Place.HERE, "engine outer? kernel hardware"),
    "a socket into a container": (
        replace(POD, is_pod=False), DOCKER, Place.HERE, "engine kernel=Debian vm hypervisor=KVM hardware?",
    ),
    "another kernel behind a socket": (BARE, PODMAN, Place.SOCKET, "engine kernel=fc40 vm? hardware?"),
    "another machine by ssh": (BARE, FAR, Place.ELSEWHERE, "engine kernel=6.8.0 hypervisor? hardware?"),
    "another machine by TCP": (MAC, replace(FAR, url="tcp://10.0.0.7:2376"), Place.ELSEWHERE, "engine kernel hypervisor? hardware?"),
    "another's Docker Desktop": (
        BARE, replace(FAR, operating_system="Docker Desktop"), Place.ELSEWHERE, "engine kernel vm=Desktop hypervisor? hardware?",
    ),
    "this machine by its own address": (
        replace(BARE, name="colima"), replace(FAR, kernel=BARE.kernel), Place.HERE, "engine kernel=Debian hardware=Dell",
    ),
    "Windows containers": (WINDOWS, replace(DOCKER, platform="windows/amd64"), Place.HERE, "engine kernel=Windows hypervisor? hardware"),
}  # fmt: skip


def facts(here: Here, engine: Engine) -> Facts:
    return Facts(here, engine, engine.name == OWN.name, "colima", 4, 8_000_000_000)


@pytest.mark.parametrize(("here", "answers", "place", "expected"), MACHINES.values(), ids=MACHINES)
def test_what_a_container_stands_on(here: Here, answers: Engine, place: Place, expected: str) -> None:
    machine = Machine(facts(here, answers))
    assert machine.place is place
    program, container, *layers = machine.containers.layers
    assert (program.kind, container.kind) == ("program", "container")
    assert [layer.kind for layer in layers] == [re.split("[=?]", word)[0] for word in expected.split()]
    for layer, word in zip(layers, expected.split(), strict=True):
        (box,) = layer.boxes
        assert box.is_known is not word.endswith("?"), layer
        assert re.search(word.partition("=")[2], f"{box.name} {box.about}"), layer
        assert box.name or not box.is_known, layer
    # What is unknown is said in words, and nothing is left open in the sentence.
    unknown = expected.count("?")
    assert str(machine).partition("The same programs")[0].count("? ") == unknown
    assert machine._repr_html_().partition("The same programs")[0].count('"box unknown"') == unknown
    assert "None" not in str(machine)
    assert "()" not in str(machine)
    assert ": ," not in str(machine)


@pytest.mark.parametrize(("here", "answers", "place", "expected"), MACHINES.values(), ids=MACHINES)
def test_the_same_in_virtual_machines(here: Here, answers: Engine, place: Place, expected: str) -> None:
    running = (Running("a", "one", "first"), Running("b", "two", "second"))
    containers, machines = (f(replace(facts(here, answers), running=running)) for f in (stacks.containers, stacks.machines))
    of = {layer.kind: layer for layer in machines.layers}
    assert list(of)[:5] == ["program", "files", "kernel", "vm", "hypervisor"]
    assert of["program"] == containers.layers[0]
    assert {len(of[kind].boxes) for kind in ("program", "files", "kernel", "vm")} == {2}, "a kernel each"
    assert [len(layer.boxes) for layer in containers.layers if layer.kind == "kernel"] == [1], "one for all"
    assert of["hardware"] == containers.layers[-1], "it is the same machine"


def test_virtual_machines_need_a_hypervisor() -> None:
    def hypervisor(here: Here) -> tuple[str, bool]:
        (box,) = next(layer for layer in stacks.machines(facts(here, DOCKER)).layers if layer.kind == "hypervisor").boxes
        return box.name, box.is_known

    assert hypervisor(BARE) == ("KVM", True)
    assert hypervisor(replace(BARE, has_kvm=False)) == ("", False)
    assert hypervisor(replace(GUEST, hypervisor="Xen")) == ("Xen", True), "the one that it runs on"


def test_an_engine_that_nobody_knows_behind_a_socket_may_be_anywhere() -> None:
    machine = Machine(replace(facts(MAC, DOCKER), host="box"))
    assert machine.place is Place.SOCKET
    kernel, vm, hardware = machine.containers.layers[3:]
    assert kernel.boxes[0].about == "not this machine's, which is Darwin 24.1.0"
    assert (vm.boxes[0].is_known, hardware.boxes[0].is_known) == (False, False)
    assert vm.boxes[0].about == "the engine calls it box"


def test_a_remote_engine_is_told_from_this_machine() -> None:
    stack = stacks.containers(facts(BARE, FAR))
    assert stack.title == "Containers on the engine's machine"
    this = "This notebook runs on this machine (Debian GNU/Linux 12 (bookworm))"
    assert stack.notes == (f"{this}; the engine is reached by ssh at far.example.",)
    same = stacks.containers(facts(BARE, replace(FAR, kernel=BARE.kernel)))
    assert same.notes[1] == "Its kernel is of the same release as this machine's: whether it is the same one is unknown."
    assert "secret" not in str(Machine(facts(BARE, FAR))) + Machine(facts(BARE, FAR))._repr_html_()


def test_what_runs_stands_on_top() -> None:
    running = (Running("web", "app:1", "flask run --host 0.0.0.0"), Running("<b>", "x\x1b[31my", "</style><script>" + "z" * 5000))
    machine = Machine(replace(facts(BARE, DOCKER), running=running, others=2))
    assert "program     flask run --host 0.0.0.0\n" in str(machine)
    assert "web · of app:1" in str(machine)
    assert "2 more run." in str(machine)
    assert repr(machine) == faces.TEXT
    html = machine._repr_html_()
    assert "<script" not in html
    assert html.count("</style>") == html.count("<style>")
    assert "&lt;b&gt;" in html
    assert "\x1b" not in html + str(machine)
    assert len(html) < 12_000


# Files as Linux has them → virtual or not, by whom, the model.
X86 = "model name\t: AMD EPYC\nflags\t\t: fpu vme"
LINUXES: dict[str, tuple[dict[str, str], bool | None, str, str]] = {
    "a laptop": ({"cpuinfo": X86, "sys_vendor": "LENOVO", "product_name": "21HM"}, False, "", "LENOVO 21HM"),
    "QEMU": ({"cpuinfo": f"{X86} hypervisor", "sys_vendor": "QEMU", "product_name": "Standard PC"}, True, "QEMU", "QEMU Standard PC"),
    "no firmware, a clock": ({"cpuinfo": f"{X86} hypervisor", "available_clocksource": "tsc kvm-clock"}, True, "KVM", ""),
    "no name at all": ({"cpuinfo": f"{X86} hypervisor"}, True, "", ""),
    "Azure": (
        {"cpuinfo": f"{X86} hypervisor", "sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"},
        True, "Hyper-V", "Microsoft Corporation Virtual Machine",
    ),
    "a Surface": (
        {"cpuinfo": X86, "sys_vendor": "Microsoft Corporation", "product_name": "Surface"},
        False, "", "Microsoft Corporation Surface",
    ),
    "Amazon, not virtual": ({"cpuinfo": X86, "sys_vendor": "Amazon EC2", "product_name": "m5.metal"}, False, "", "Amazon EC2 m5.metal"),
    "Xen": ({"cpuinfo": f"{X86} hypervisor", "type": "xen"}, True, "Xen", ""),
    "WSL": ({"cpuinfo": f"{X86} hypervisor", "osrelease": WSL.kernel}, True, "Hyper-V", ""),
    "a Raspberry Pi": ({"cpuinfo": "processor\t: 0", "model": "Raspberry Pi 5\0"}, False, "", "Raspberry Pi 5"),
    "ARM under KVM": ({"cpuinfo": "processor\t: 0", "compatible": "linux,kvm\0"}, True, "KVM", ""),
    "ARM on a Mac": (
        {"cpuinfo": "processor\t: 0", "sys_vendor": "Apple Inc.", "product_name": "Apple Virtualization Generic Platform"},
        True, "Apple's Virtualization framework", "Apple Inc. Apple Virtualization Generic Platform",
    ),
    "ARM that says nothing": ({"cpuinfo": "processor\t: 0"}, None, "", ""),
    "nothing to be read": ({}, None, "", ""),
}  # fmt: skip
PLACES = {
    "cpuinfo": "proc", "osrelease": "proc/sys/kernel", "sys_vendor": "sys/class/dmi/id", "product_name": "sys/class/dmi/id",
    "available_clocksource": "sys/devices/system/clocksource/clocksource0", "type": "sys/hypervisor", "model": "proc/device-tree",
    "compatible": "proc/device-tree/hypervisor",
}  # fmt: skip


@pytest.mark.parametrize(("files", "is_virtual", "hypervisor", "model"), LINUXES.values(), ids=LINUXES)
def test_what_a_linux_says_of_itself(
    tmp_path: Path, files: dict[str, str], is_virtual: bool | None, hypervisor: str, model: str
) -> None:
    for name, text in files.items():
        path = tmp_path / PLACES[name] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    here = read(tmp_path, "linux", {})
    assert (here.is_virtual, here.hypervisor, here.model) == (is_virtual, hypervisor, model)
    assert here.is_wsl == ("osrelease" in files)


@pytest.mark.parametrize(
    ("pid", "uts", "expected"),
    [
        ("pid:[4026531836]", "uts:[4026531838]", False),
        ("pid:[4026532512]", "uts:[4026532510]", True),
        ("pid:[4026531836]", "uts:[4026532510]", True),  # --pid host
        ("", "", None),
        ("who knows", "uts:[4026531838]", None),
    ],
)
def test_a_process_in_a_container_has_namespaces_of_its_own(tmp_path: Path, pid: str, uts: str, expected: bool | None) -> None:
    folder = tmp_path / "proc/self/ns"
    folder.mkdir(parents=True)
    for name, number in (("pid", pid), ("uts", uts)):
        if number:
            (folder / name).symlink_to(number)
    assert read(tmp_path, "linux", {}).is_contained is expected
    assert read(tmp_path, "linux", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).is_pod


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("server", ["hardware", "kernel", "engine", "container", "program"]),
        ("mac", ["hardware", "system", "hypervisor", "virtual machine", "kernel", "engine", "container", "program"]),
        ("windows", ["hardware", "system", "hypervisor", "virtual machine", "kernel", "engine", "container", "program"]),
    ],
)
def test_an_example_is_judged_as_a_machine_is_and_says_what_it_is(name: str, kinds: list[str]) -> None:
    made = example(name)
    assert [link.partition(" (")[0] for link in made.chain.split(" → ")] == kinds
    assert made.chain.endswith("program (flask run)")
    for shown in (repr(made), str(made), made._repr_html_()):
        assert "an example, not this machine" in shown
        assert made.title in shown
    assert "<!--volatile-->" not in made._repr_html_()


def test_there_is_no_example_of_every_machine() -> None:
    with pytest.raises(UsageError, match="there is no example macs: did you mean mac"):
        example("macs")
