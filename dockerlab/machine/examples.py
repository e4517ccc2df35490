"""Machines that are made up, to be set beside the learner's own: `example("mac")`, `%engine picture --example mac`.

Each is what such a machine and its engine usually report, judged by the same rules as a real one. A picture of one says that it is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dockerlab.dockerfile import nearest
from dockerlab.engines import Engine
from dockerlab.errors import UsageError
from dockerlab.faces import machine as faces
from dockerlab.faces.machine import Stack
from dockerlab.faces.shown import Shown
from dockerlab.machine import stacks
from dockerlab.machine.facts import Facts, Here, Running

_GIB: Final = 1 << 30
_RUNNING: Final = (Running("web", "app", "flask run"),)
_ENGINE: Final = Engine(
    "Docker Engine", "28.5.2", "1.51", "linux/amd64", "Debian GNU/Linux 12 (bookworm)", "6.1.0-18-amd64", "overlay2 (graph driver)", "2",
    False, "unix:///var/run/docker.sock", "default socket", True,
)  # fmt: skip
_SERVER: Final = Here(
    "Linux", _ENGINE.operating_system, _ENGINE.kernel, "x86_64", "server", "Dell PowerEdge R650", "Intel Xeon", False
)
_MAC: Final = Here("macOS", "15.1", "24.1.0", "arm64", "book", "MacBook Pro", "Apple M3", False)
_WINDOWS: Final = Here("Windows", "11", "10.0.26100", "AMD64", "pc", processor="Intel Core i7", is_virtual=False)
_ON_MAC: Final = replace(_ENGINE, platform="linux/arm64", operating_system="Docker Desktop", kernel="6.10.14-linuxkit")
_ON_WINDOWS: Final = replace(
    _ENGINE,
    operating_system="Docker Desktop",
    kernel="5.15.167.4-microsoft-standard-WSL2",
    url="npipe:////./pipe/docker_engine",
)
# name → what it is, and what it would report. Docker Desktop takes half of the memory unless told otherwise: here of 16 GiB.
EXAMPLES: Final = {
    "server": ("Docker Engine on a Linux server", Facts(_SERVER, _ENGINE, False, "server", 8, 16 * _GIB, _RUNNING)),
    "mac": ("Docker Desktop on a Mac", Facts(_MAC, _ON_MAC, False, "docker-desktop", 8, 8 * _GIB, _RUNNING)),
    "windows": ("Docker Desktop on Windows", Facts(_WINDOWS, _ON_WINDOWS, False, "docker-desktop", 8, 8 * _GIB, _RUNNING)),
}


@dataclass(frozen=True, repr=False)
class Example(Shown):
    """A machine that is made up. title: what it is."""

    title: str
    facts: Facts

    @property
    def containers(self) -> Stack:
        """How containers run on it, the program's layer first."""
        return replace(stacks.containers(self.facts), title=self.title)

    @property
    def chain(self) -> str:
        """From the hardware to the program, in one line."""
        return faces.chain(self.containers)

    def _text(self) -> str:
        return faces.example_text(self.title)

    def _table(self) -> str:
        return faces.table(self._text(), (self.containers,))

    def _html(self) -> str:
        return faces.example_html(self.containers)


def example(name: str) -> Example:
    """The one of that name: "server", "mac" or "windows". Raises UsageError for another."""
    if name not in EXAMPLES:
        near = nearest(name, EXAMPLES)
        message = f"there is no example {name}" + (f": did you mean {near}?" if near else "")
        raise UsageError(message, hint=f"There are: {', '.join(EXAMPLES)}.")
    title, facts = EXAMPLES[name]
    return Example(title, facts)
