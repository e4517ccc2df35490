"""The verbs that look after the engine's disk: `check`, `df`, `prune`. They print, and give the exit code.

launch: makes the engine's process where it does not run.
"""

from __future__ import annotations

import json
import os
from urllib.parse import quote

from dockerlab.engine import control, home

_UNITS = ("B", "kB", "MB", "GB", "TB")


def check(repair: bool) -> int:
    """Looks for what a crash left, while the engine runs or not. 1 where something is found that is not repaired."""
    from dockerlab.engine.core import check as check_home

    findings = check_home(home.find(os.environ), repair=repair)
    left = [finding for finding in findings if not finding.repaired]
    for finding in findings:
        print(finding)
    if not findings:
        print("Nothing is wrong.")
    elif repair:
        print(f"{len(findings) - len(left)} mended.")
    else:
        print(f"\n→ `dockerlab engine check --repair` mends {'it' if len(findings) == 1 else 'them'}.")
    return 1 if left else 0


def df(launch: control.Launch) -> int:
    """Prints what takes up how much disk, as `docker system df` does."""
    instance, _ = control.start(home.find(os.environ), launch)
    usage = control.ask(instance.host, "GET", "/system/df")
    images, containers, volumes = (usage.get(name) or [] for name in ("Images", "Containers", "Volumes"))
    cache = [item for item in usage.get("BuildCache") or [] if not item.get("Shared")]
    rows = [
        ("images", len(images), int(usage.get("LayersSize") or 0)),
        ("containers", len(containers), sum(int(item.get("SizeRw") or 0) for item in containers)),
        ("volumes", len(volumes), sum(max(0, int((item.get("UsageData") or {}).get("Size", 0))) for item in volumes)),
        ("build cache", len(cache), sum(int(item.get("Size") or 0) for item in cache)),
    ]
    for name, count, size in rows:
        print(f"{name:<12}{count:>5}   {_size(size):>9}")
    return 0


def prune(launch: control.Launch, *, every_image: bool, volumes: bool) -> int:
    """Removes what is not used, as `docker system prune` does, and prints what that freed."""
    instance, _ = control.start(home.find(os.environ), launch)
    filters = quote(json.dumps({"dangling": ["false" if every_image else "true"]}))
    steps = [
        ("containers", "/containers/prune", "ContainersDeleted"),
        ("networks", "/networks/prune", "NetworksDeleted"),
        ("build cache", "/build/prune", "CachesDeleted"),
        ("images", f"/images/prune?filters={filters}", "ImagesDeleted"),
    ]
    if volumes:
        steps.append(("volumes", f"/volumes/prune?filters={quote(json.dumps({'all': ['true']}))}", "VolumesDeleted"))
    freed = 0
    for name, path, field in steps:
        before = _images(instance.host)
        answer = control.ask(instance.host, "POST", path)
        # Of images the answer lists names and layers, too.
        count = before - _images(instance.host) if name == "images" else len(answer.get(field) or [])
        print(f"{name:<12}{count:>5} removed")
        freed += int(answer.get("SpaceReclaimed") or 0)
    print(f"{_size(freed)} freed.")
    return 0


def _images(host: str) -> int:
    return len(control.ask(host, "GET", "/images/json"))


def _size(count: int) -> str:
    """Bytes in decimal units, as Docker prints them."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if not unit or value >= 99.95 else f"{value:.1f} {_UNITS[unit]}"
