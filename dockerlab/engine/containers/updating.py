"""`docker update`: other limits and another restart policy for a container, whether it runs or not.

What runs gets its new limits at once, by its monitor; what this machine cannot enforce is a warning, as when a container is created.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockerlab.engine.containers import creation, resources, validation
from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.runtime import limits
from dockerlab.engine.runtime.plan import Limits
from dockerlab.errors import Conflict, EngineError


def update(parts: Parts, container: Container, asked: Mapping[str, Any]) -> list[str]:
    """Changes what `asked` names, the body of the request; what of it has no effect. Raises UsageError, Conflict, EngineError."""
    resources.check(resources.complete(asked), creation.cpus())
    policy = asked.get("RestartPolicy") or {}
    validation.check_policy(policy, removes_itself=False)
    with container.lock:
        if container.record.state.status in ("removing", "dead"):
            raise _conflict(container, 'container is marked for removal and cannot be "update"')
        if conflict := resources.conflict(container.record.host_config, asked):
            raise _conflict(container, conflict)
        host = resources.changed(container.record.host_config, asked)
        if policy.get("Name"):
            if host["AutoRemove"] and policy["Name"] != "no":
                raise _conflict(container, "Restart policy cannot be updated because AutoRemove is enabled for the container")
            host["RestartPolicy"] = {"Name": policy["Name"], "MaximumRetryCount": policy.get("MaximumRetryCount") or 0}
        after = resources.limits(host)
        if after != resources.limits(container.record.host_config):
            _apply(container, after)
        container.update(host_config=host)
    parts.emit(container, "update")
    return [*limits.warnings(resources.limits(resources.complete(asked)), parts.means), *resources.warnings(asked)]


def _apply(container: Container, after: Limits) -> None:
    """Tells the monitor, if there is one; a container that ends at this moment needs no other limits."""
    if not container.record.state.is_alive:
        return
    try:
        with container.talking() as running:
            running.update(after)
    except Conflict:
        return
    except EngineError as error:
        raise EngineError(f"Cannot update container {container.id}: {error.message}", status=500) from error


def _conflict(container: Container, why: str) -> Conflict:
    return Conflict(f"Cannot update container {container.id}: {why}")
