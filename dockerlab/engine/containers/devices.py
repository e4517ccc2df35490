"""What Docker refuses about devices when a container starts, with its texts.

This engine adds no devices. A device of the host that is there is a warning at the container's creation, not a refusal here: many programs
do without it, or find it already. A GPU is refused: that is what Docker does where its driver is missing, too.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import Any

from dockerlab.errors import EngineError

_RULE = re.compile(r"[acb] (?:[0-9]+|\*):(?:[0-9]+|\*) [rwm]{1,3}")


def check(host: Mapping[str, Any]) -> None:
    """Raises EngineError for the first thing that is wrong in a HostConfig."""
    if not host["Privileged"]:
        for device in host["Devices"] or ():
            path = device.get("PathOnHost", "")
            if reason := _wrong(path):
                raise _refusal(f'error gathering device information while adding custom device "{path}": {reason}')
        for rule in host["DeviceCgroupRules"] or ():
            if not _RULE.fullmatch(rule):
                raise _refusal(f"invalid device cgroup rule format: '{rule}'")
    for request in host["DeviceRequests"] or ():
        if request.get("Driver") != "cdi":
            sets = " ".join(f"[{' '.join(words)}]" for words in request.get("Capabilities") or ())
            raise _refusal(f'could not select device driver "{request.get("Driver", "")}" with capabilities: [{sets}]')
        if names := request.get("DeviceIDs"):
            raise _refusal(f"CDI device injection failed: unresolvable CDI devices {', '.join(names)}")


def _wrong(path: str) -> str:
    """Why there is no device at a path of the host; "" where there is one, or a directory with one somewhere in it."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    if _is_device(mode):
        return ""
    within = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    return "" if any(_is_device(os.lstat(name).st_mode) for name in within) else "not a device node"


def _is_device(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _refusal(text: str) -> EngineError:
    return EngineError(text, status=500)
