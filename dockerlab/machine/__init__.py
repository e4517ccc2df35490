"""`picture()`: hardware → (system → hypervisor → Linux virtual machine) → kernel → engine → container → program, on this machine.

Beside it stands how the same programs would run in virtual machines. `facts` reads what machine and engine report, `stacks` judges it.
`example("mac")` is a machine that is made up, to compare with.
`process(container)`: a container's process on the engine's host, and its namespaces beside the host's.
"""

from __future__ import annotations

from dataclasses import dataclass

from dockerlab.client import Client, connect, engine_errors
from dockerlab.containers.container import Which, not_running, several
from dockerlab.faces import machine as faces
from dockerlab.faces.machine import Stack
from dockerlab.faces.shown import Shown
from dockerlab.machine import stacks
from dockerlab.machine.examples import Example, example
from dockerlab.machine.facts import Facts, ask, read
from dockerlab.machine.processes import Process, process


@dataclass(frozen=True, repr=False)
class Machine(Shown):
    """What the facts say: two stacks of layers, the program's first, the hardware last."""

    facts: Facts

    @property
    def place(self) -> stacks.Place:
        """Where containers run."""
        return stacks.place(self.facts)

    @property
    def containers(self) -> Stack:
        """How containers run on the engine."""
        return stacks.containers(self.facts)

    @property
    def machines(self) -> Stack:
        """How the same programs would run in virtual machines."""
        return stacks.machines(self.facts)

    @property
    def chain(self) -> str:
        """From the hardware to the program, in one line."""
        return faces.chain(self.containers)

    def _text(self) -> str:
        return faces.TEXT

    def _table(self) -> str:
        return faces.table(self.place.value, (self.containers, self.machines))

    def _html(self) -> str:
        return faces.html(self.place.value, (self.containers, self.machines))


def picture(*which: Which, client: Client | None = None) -> Machine:
    """This machine and the engine that answers, from what they report now.

    which: the running containers that are drawn; none: the newest. Raises NotFound, Conflict, NoEngine, EngineGone.
    """
    client = client or connect()
    found = several(which, client)
    for container in found:
        if container.facts.state != "running":
            raise not_running(container)
    with engine_errors("ask the engine what it runs on"):
        return Machine(ask(client, read(), [str(container.id) for container in found]))


__all__ = ["Example", "Facts", "Machine", "Process", "Stack", "example", "picture", "process"]
