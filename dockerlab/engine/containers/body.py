"""The types of what requests of containers may say, by Docker's names of them. Pure."""

from __future__ import annotations

from dockerlab.engine.json_shapes import DURATION, NUMBER, TEXT, TEXT_BY_NAME, TEXTS, WORDS, YES_NO, List, Map, Shape, Struct
from dockerlab.engine.networks.requests import ENDPOINT

_NOTHING = Struct("struct {}", {})


def _fields(shape: Shape, names: str) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), shape)


_WEIGHTS = List(Struct("blkiodev.WeightDevice", {"Path": TEXT, "Weight": NUMBER}), "[]*blkiodev.WeightDevice")
_RATES = List(Struct("blkiodev.ThrottleDevice", {"Path": TEXT, "Rate": NUMBER}), "[]*blkiodev.ThrottleDevice")
_BINDINGS = Map(List(Struct("nat.PortBinding", _fields(TEXT, "HostIp HostPort")), "[]nat.PortBinding"), "nat.PortMap")
_HEALTH_CHECK = Struct(
    "container.HealthConfig",
    {"Test": TEXTS, **_fields(DURATION, "Interval Timeout StartPeriod StartInterval"), "Retries": NUMBER},
)
_DRIVER = Struct("mount.Driver", {"Name": TEXT, "Options": TEXT_BY_NAME})
_MOUNT = Struct(
    "mount.Mount",
    {
        **_fields(TEXT, "Type Source Target Consistency"),
        "ReadOnly": YES_NO,
        "BindOptions": Struct(
            "mount.BindOptions",
            {"Propagation": TEXT, **_fields(YES_NO, "NonRecursive CreateMountpoint ReadOnlyNonRecursive ReadOnlyForceRecursive")},
        ),
        "VolumeOptions": Struct(
            "mount.VolumeOptions", {"NoCopy": YES_NO, "Labels": TEXT_BY_NAME, "Subpath": TEXT, "DriverConfig": _DRIVER}
        ),
        "ImageOptions": Struct("mount.ImageOptions", {"Subpath": TEXT}),
        "TmpfsOptions": Struct(
            "mount.TmpfsOptions", {**_fields(NUMBER, "SizeBytes Mode"), "Options": List(TEXTS, "[][]string")}
        ),
        "ClusterOptions": Struct("mount.ClusterOptions", {}),
    },
)  # fmt: skip
_DEVICE_REQUEST = Struct(
    "container.DeviceRequest",
    {
        "Driver": TEXT,
        "Count": NUMBER,
        "DeviceIDs": TEXTS,
        "Capabilities": List(TEXTS, "[][]string"),
        "Options": TEXT_BY_NAME,
    },
)
_RESOURCES: dict[str, Shape] = {
    **_fields(TEXT, "CgroupParent CpusetCpus CpusetMems"),
    **_fields(
        NUMBER, "CpuShares Memory NanoCpus BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime MemoryReservation"
    ),
    **_fields(NUMBER, "MemorySwap MemorySwappiness PidsLimit CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth"),
    **_fields(_RATES, "BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps"),
    "BlkioWeightDevice": _WEIGHTS,
    "DeviceCgroupRules": TEXTS,
    "DeviceRequests": List(_DEVICE_REQUEST, "[]container.DeviceRequest"),
    "Devices": List(
        Struct("container.DeviceMapping", _fields(TEXT, "PathOnHost PathInContainer CgroupPermissions")),
        "[]container.DeviceMapping",
    ),
    "OomKillDisable": YES_NO,
    "Ulimits": List(Struct("units.Ulimit", {"Name": TEXT, "Soft": NUMBER, "Hard": NUMBER}), "[]*units.Ulimit"),
}
_POLICY = Struct("container.RestartPolicy", {"Name": TEXT, "MaximumRetryCount": NUMBER})
_HOST_CONFIG = Struct(
    "container.HostConfig",
    {
        **_RESOURCES,
        **_fields(TEXT, "ContainerIDFile NetworkMode VolumeDriver CgroupnsMode IpcMode Cgroup PidMode UTSMode UsernsMode Runtime"),
        **_fields(TEXT, "Isolation"),
        **_fields(YES_NO, "AutoRemove Privileged PublishAllPorts ReadonlyRootfs Init"),
        **_fields(NUMBER, "OomScoreAdj ShmSize"),
        **_fields(
            TEXTS, "Binds VolumesFrom Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links SecurityOpt MaskedPaths ReadonlyPaths"
        ),
        **_fields(WORDS, "CapAdd CapDrop"),
        **_fields(TEXT_BY_NAME, "Annotations StorageOpt Tmpfs Sysctls"),
        "ConsoleSize": List(NUMBER, "[2]uint"),
        "LogConfig": Struct("container.LogConfig", {"Type": TEXT, "Config": TEXT_BY_NAME}),
        "Mounts": List(_MOUNT, "[]mount.Mount"),
        "PortBindings": _BINDINGS,
        "RestartPolicy": _POLICY,
    },
)

CREATE = Struct(
    "container.CreateRequest",
    {
        **_fields(TEXT, "Hostname Domainname User Image WorkingDir MacAddress StopSignal"),
        **_fields(YES_NO, "AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce ArgsEscaped NetworkDisabled"),
        **_fields(TEXTS, "Env OnBuild"),
        **_fields(WORDS, "Cmd Entrypoint Shell"),
        **_fields(Map(_NOTHING, "map[string]struct {}"), "ExposedPorts Volumes"),
        "Labels": TEXT_BY_NAME,
        "StopTimeout": NUMBER,
        "Healthcheck": _HEALTH_CHECK,
        "HostConfig": _HOST_CONFIG,
        "NetworkingConfig": Struct(
            "network.NetworkingConfig", {"EndpointsConfig": Map(ENDPOINT, "map[string]*network.EndpointSettings")}
        ),
    },
)
UPDATE = Struct("container.UpdateConfig", {**_RESOURCES, "RestartPolicy": _POLICY})
_CONSOLE: dict[str, Shape] = {"Tty": YES_NO, "ConsoleSize": List(NUMBER, "[2]uint")}
EXEC = Struct(
    "container.ExecOptions",
    {
        **_CONSOLE,
        **_fields(TEXT, "User DetachKeys WorkingDir"),
        **_fields(YES_NO, "Privileged AttachStdin AttachStdout AttachStderr"),
        **_fields(TEXTS, "Env Cmd"),
    },
)
EXEC_START = Struct("container.ExecStartOptions", {**_CONSOLE, "Detach": YES_NO})
