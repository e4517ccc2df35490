"""Containers: `dockerlab.run()` and the other verbs. Flags → API parameters → values.

Every verb takes `client=None` as a keyword and connects where none is given. A container is named by its name, its id or a
Container object; where a parameter is called `containers`, one of these or a sequence of them. Results display themselves.

- `options`, `ports`, `configuration`: PURE. flags → the body of a create request
- `running`, `execution`: a command in a new container, in a running one; `connection`, `output`, `calls`: how they are carried out
- `container`, `facts`, `address`, `page`, `readiness`: what is known of a container, and where it is reached
- `panel`: all of a container on one page; `sampling`, `processes`, `hiding`: what of it is counted, and what is not shown
- `watching`: the same while it changes; `following`, `tailing`: how it is read
- `lifecycle`, `observation`, `measurement`, `limits`, `copying`: the other verbs; `values`: their results
"""

from __future__ import annotations

from dockerlab.containers.container import Container, Containers, get
from dockerlab.containers.copying import cp
from dockerlab.containers.execution import exec, logs
from dockerlab.containers.lifecycle import commit, kill, pause, prune, rename, restart, rm, start, stop, unpause, wait
from dockerlab.containers.limits import limits
from dockerlab.containers.measurement import stats
from dockerlab.containers.observation import diff, inspect, port, ps, top
from dockerlab.containers.page import Page
from dockerlab.containers.panel import Panel, show
from dockerlab.containers.running import run

__all__ = [
    "Container",
    "Containers",
    "Page",
    "Panel",
    "commit",
    "cp",
    "diff",
    "exec",
    "get",
    "inspect",
    "kill",
    "limits",
    "logs",
    "pause",
    "port",
    "prune",
    "ps",
    "rename",
    "restart",
    "rm",
    "run",
    "show",
    "start",
    "stats",
    "stop",
    "top",
    "unpause",
    "wait",
]
