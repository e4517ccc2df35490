"""The stand-in for `registry:2`: Debian's docker-registry where it is installed, else a small registry in Python on that stand-in."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from dockerlab.standins import machine, python, registry_server
from dockerlab.standins.archives import Layer, Recipe
from dockerlab.standins.libraries import add_libraries, is_program
from dockerlab.standins.tree import Tree

NAME = "registry:2"
PORT = 5000

_DATA = "/var/lib/registry"
_CONFIG = "/etc/docker/registry/config.yml"
_SETTINGS = f"""\
version: 0.1
log:
  level: warn
storage:
  delete:
    enabled: true
  filesystem:
    rootdirectory: {_DATA}
http:
  addr: :{PORT}
"""
_SCRIPT = "/usr/local/lib/registry.py"


def recipe(program: Path | None) -> Recipe:
    """program: Debian's docker-registry, or None. Raises DockerlabError where a part is not to be found."""
    return _of_program(program) if program else _of_python()


def installed() -> Path | None:
    """The docker-registry of this machine, or None."""
    found = shutil.which("docker-registry")
    return Path(found).resolve() if found and is_program(Path(found)) else None


def _of_program(program: Path) -> Recipe:
    tree = Tree()
    machine.add_system(tree, NAME)
    machine.add_commands(tree)
    tree.file("/usr/bin/registry", program, 0o755)
    tree.file(_CONFIG, _SETTINGS.encode())
    tree.directory(_DATA)
    add_libraries(tree, [program])
    holds = f"the docker-registry of {machine.distribution()}"
    command = ("registry", "serve", _CONFIG)
    return Recipe(
        name=NAME,
        architecture=machine.architecture(),
        env={"PATH": machine.PATH},
        command=command,
        labels=machine.labels(NAME, holds),
        steps=(Layer(tree, f"dockerlab stand-in: {holds}"), f"EXPOSE {PORT}", f"CMD {list(command)}".replace("'", '"')),
        ports=(PORT,),
    )


def _of_python() -> Recipe:
    base = python.recipe()
    tree = Tree()
    tree.file("/etc/os-release", machine.os_release(NAME))
    tree.file(_SCRIPT, Path(registry_server.__file__))
    tree.directory(_DATA)
    holds = "a small registry in Python, on the stand-in for python:3.10"
    command = ("python3", _SCRIPT, _DATA, str(PORT))
    return replace(
        base,
        name=NAME,
        command=command,
        labels=machine.labels(NAME, holds),
        steps=(
            *base.steps[:-1],
            Layer(tree, "dockerlab stand-in: a small registry in Python"),
            f"EXPOSE {PORT}",
            f"CMD {list(command)}".replace("'", '"'),
        ),
        ports=(PORT,),
    )
