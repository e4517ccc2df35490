"""What is refused about devices at a start: Docker Engine 28's texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.containers import configuration, devices
from dockerlab.errors import EngineError

_GATHERING = "error gathering device information while adding custom device"


def host(**asked: Any) -> dict[str, Any]:
    return configuration.parse({"Image": "busybox", "HostConfig": asked})[1]


def device(path: str) -> list[dict[str, str]]:
    return [{"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"}]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"Devices": device("/dev/nonexistent")}, f'{_GATHERING} "/dev/nonexistent": no such file or directory'),
        ({"Devices": device("/etc/passwd/x")}, f'{_GATHERING} "/etc/passwd/x": not a directory'),
        ({"Devices": device("/etc/passwd")}, f'{_GATHERING} "/etc/passwd": not a device node'),
        ({"Devices": [{}]}, f'{_GATHERING} "": no such file or directory'),
        ({"DeviceCgroupRules": ["c 1:3 rwm", "c *:* rwmm"]}, "invalid device cgroup rule format: 'c *:* rwmm'"),
        (
            {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]},
            'could not select device driver "" with capabilities: [[gpu]]',
        ),
        (
            {"DeviceRequests": [{"Driver": "nvidia", "Capabilities": [["gpu", "compute"], ["utility"]]}], "Privileged": True},
            'could not select device driver "nvidia" with capabilities: [[gpu compute] [utility]]',
        ),
        ({"DeviceRequests": [{}]}, 'could not select device driver "" with capabilities: []'),
        (
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["v.com/c=d", "v.com/c=e"]}]},
            "CDI device injection failed: unresolvable CDI devices v.com/c=d, v.com/c=e",
        ),
    ],
)
def test_what_is_refused(asked: dict[str, Any], text: str) -> None:
    with pytest.raises(EngineError) as caught:
        devices.check(host(**asked))
    assert (caught.value.status, caught.value.message) == (500, text)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"Devices": device("/dev/null")},
        {"Devices": device("/dev")},
        {"Devices": device("/dev/nonexistent"), "DeviceCgroupRules": ["nonsense"], "Privileged": True},
        {"DeviceCgroupRules": ["a *:* rwm"], "DeviceRequests": [{"Driver": "cdi"}]},
    ],
)
def test_what_is_not(asked: dict[str, Any]) -> None:
    devices.check(host(**asked))


def test_a_directory_without_a_device(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/dev/null")
    with pytest.raises(EngineError, match="not a device node"):
        devices.check(host(Devices=device(str(tmp_path))))
