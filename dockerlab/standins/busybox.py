"""The stand-in for `busybox`: a static busybox of this machine, or, where there is none, its own shell and commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

from dockerlab.standins import machine
from dockerlab.standins.archives import Layer, Recipe
from dockerlab.standins.tree import Tree

NAME = "busybox:latest"


def recipe(program: Path | None) -> Recipe:
    """program: a static busybox, or None."""
    tree = Tree()
    machine.add_system(tree, "busybox")
    if program:
        applets = _applets(program)
        tree.file("/usr/bin/busybox", program, 0o755)
        for applet in applets:
            tree.link(f"/usr/bin/{applet}", "busybox")
        holds = f"a static busybox with {len(applets)} commands"
    else:
        holds = f"sh and {machine.add_commands(tree) - 1} other commands of {machine.distribution()}"
    return Recipe(
        name=NAME,
        architecture=machine.architecture(),
        env={"PATH": machine.PATH},
        command=("sh",),
        labels=machine.labels("busybox", holds),
        steps=(Layer(tree, f"dockerlab stand-in: {holds}"), 'CMD ["sh"]'),
    )


def _applets(program: Path) -> list[str]:
    answer = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    # A link named busybox would replace the program by a link to itself.
    return sorted({name for name in answer.stdout.split() if "/" not in name} - {"busybox"})
