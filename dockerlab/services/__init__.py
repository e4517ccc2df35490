"""Services: containers that a Swarm keeps running, so many of an image, wherever there is room. The verbs of `docker service`.

    services.create("hello", name="web", replicas=3, publish="mode=host,target=5000")     a Service, when its replicas run
    services.ls()                  Services
    services.ps("web")             Tasks: each start of each replica, where, and why it ended
    services.show("web")           a Service: its replicas on their nodes
    services.scale({"web": 6})
    services.update("web", image="hello:2", update_delay="1s")      returns when it is done; a failed one raises ServiceFailed
    services.rollback("web")
    services.logs("web"), services.inspect("web"), services.rm("web")

Each takes `client=`, else asks the engine that `connect()` finds, which is a manager of a Swarm (`dockerlab.swarm`). Flags are those of
the docker command as keywords: `--limit-memory` is `limit_memory=`, and one that repeats takes a text or several.

- `options`, `spec`: PURE. flags → the body of a request
- `model`, `asking`: what is known of a service and of its tasks
- `following`: how it comes to be what it was to be, or does not
- `verbs`, `reading`: what is done
"""

from __future__ import annotations

from dockerlab.services.asking import get, ls, ps
from dockerlab.services.model import Service, Services, Task, Tasks
from dockerlab.services.reading import inspect, logs
from dockerlab.services.verbs import create, rm, rollback, scale, show, update

__all__ = [
    "Service",
    "Services",
    "Task",
    "Tasks",
    "create",
    "get",
    "inspect",
    "logs",
    "ls",
    "ps",
    "rm",
    "rollback",
    "scale",
    "show",
    "update",
]
