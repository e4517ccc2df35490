"""Containers, learned and used from a Jupyter notebook.

    %load_ext dockerlab            the magics: %%dockerfile, %%context, %container, %image, %pipeline, %engine,
                                   %compose, %service, %exercise …

    dockerlab.connect()            a docker-py client to the engine that answers
    dockerlab.build(text, …)       an Image, from a Dockerfile
    dockerlab.check(text)          what is to be said of a Dockerfile before it is built
    dockerlab.stages(text)         its stages, and who takes what from whom
    dockerlab.debug(error)         a Container of the state before the step of a build that failed
    dockerlab.run(image, …)        a Container, from an image
    dockerlab.containers, .images  the other verbs: ps, logs, exec, …; pull, tag, history, …
    dockerlab.networks, .volumes   create, ls, get, rm
    dockerlab.compose              up, ps, logs, config, down, of a Compose file
    dockerlab.swarm, .services     init, join, nodes, secrets; create, scale, update, show, of Docker's Swarm
    dockerlab.explore(image)       the files of its layers, and what is wasted; of an archive on disk, too
    dockerlab.pipeline(image)      one picture: Dockerfile line, build step, layer, image, its containers
    dockerlab.prepare(name, …)     base images: found, pulled, or made from this machine's files
    dockerlab.exercise(name)       what of an exercise is done; dockerlab.course: exercises, also of your own
    dockerlab.engines.show()       which engine answers; second() starts one more, beside it
    dockerlab.project              a notebook as a folder with Dockerfiles, and back
    dockerlab.doctor.examine()     what works on this machine, found by trying it
    dockerlab.machine.picture()    what a container stands on here, from the hardware up, beside a virtual machine
    dockerlab.errors               the one error tree

Names are imported when they are first used: `%load_ext dockerlab` neither connects nor prints.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from dockerlab import (
        compose,
        containers,
        course,
        doctor,
        engines,
        errors,
        images,
        machine,
        networks,
        project,
        services,
        swarm,
        volumes,
    )
    from dockerlab.builds import Build, build, export
    from dockerlab.builds.checking import check
    from dockerlab.builds.debugging import debug
    from dockerlab.builds.staging import stages
    from dockerlab.client import Client, connect, use
    from dockerlab.containers import Container, run
    from dockerlab.course import exercise
    from dockerlab.images import Image, explore
    from dockerlab.pipelines import pipeline
    from dockerlab.standins import prepare

__version__ = "0.1.0"

_HOMES = {
    "Build": "dockerlab.builds",
    "Client": "dockerlab.client",
    "Container": "dockerlab.containers",
    "Image": "dockerlab.images",
    "build": "dockerlab.builds",
    "check": "dockerlab.builds.checking",
    "compose": "",
    "connect": "dockerlab.client",
    "containers": "",
    "course": "",
    "debug": "dockerlab.builds.debugging",
    "doctor": "",
    "engines": "",
    "errors": "",
    "exercise": "dockerlab.course",
    "explore": "dockerlab.images",
    "export": "dockerlab.builds",
    "images": "",
    "machine": "",
    "networks": "",
    "pipeline": "dockerlab.pipelines",
    "prepare": "dockerlab.standins",
    "project": "",
    "run": "dockerlab.containers",
    "services": "",
    "stages": "dockerlab.builds.staging",
    "swarm": "",
    "use": "dockerlab.client",
    "volumes": "",
}

__all__ = [
    "Build",
    "Client",
    "Container",
    "Image",
    "build",
    "check",
    "compose",
    "connect",
    "containers",
    "course",
    "debug",
    "doctor",
    "engines",
    "errors",
    "exercise",
    "explore",
    "export",
    "images",
    "machine",
    "networks",
    "pipeline",
    "prepare",
    "project",
    "run",
    "services",
    "stages",
    "swarm",
    "use",
    "volumes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dockerlab' has no attribute '{name}'")
    home = _HOMES[name]
    value = getattr(import_module(home), name) if home else import_module(f"dockerlab.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What `%load_ext dockerlab` calls: registers the magics, nothing more."""
    from dockerlab.notebook import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What `%unload_ext dockerlab` and `%reload_ext dockerlab` call: takes the magics back and closes their connections."""
    from dockerlab.notebook import unload

    unload(shell)
