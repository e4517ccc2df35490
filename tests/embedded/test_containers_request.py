"""What a create request asks for: completed, and refused with Docker's texts. Seen on Docker Engine 28."""

from __future__ import annotations

from typing import Any

import pytest

from dockerlab.engine.containers import configuration, creation, mounting, names, resources, validation
from dockerlab.engine.containers.record import MountPoint
from dockerlab.engine.runtime import capabilities
from dockerlab.engine.runtime.limits import Means
from dockerlab.errors import EngineError, UsageError

PATH = configuration.DEFAULT_PATH


def config(**given: Any) -> dict[str, Any]:
    return configuration.parse(given)[0]


def host(**given: Any) -> dict[str, Any]:
    return configuration.parse({"HostConfig": given})[1]


def test_every_field_has_its_default() -> None:
    parsed, of_host = configuration.parse({"Image": "busybox"})
    assert parsed["Tty"] is False
    assert parsed["Labels"] == {}
    assert of_host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert of_host["NetworkMode"] == "bridge"
    assert of_host["ShmSize"] == 64 << 20
    assert "Healthcheck" not in configuration.shown(parsed)
    assert "Mounts" not in configuration.shown(of_host)
    plain = {"Type": "volume", "Target": "/v"}
    _, of_host = configuration.parse({"HostConfig": {"Mounts": [{**plain, "Source": "", "ReadOnly": False}]}})
    assert of_host["Mounts"] == [plain]
    assert configuration.shown(parsed)["Volumes"] is None


def test_memory_and_swap_together_are_twice_the_memory() -> None:
    assert host(Memory=100 << 20)["MemorySwap"] == 200 << 20
    assert host(Memory=100 << 20, MemorySwap=-1)["MemorySwap"] == -1


def test_names_are_matched_in_whatever_case_and_unknown_ones_are_left_out() -> None:
    assert config(image="a", TTY=True, Nosuch=1)["Tty"] is True
    assert "Nosuch" not in config(Nosuch=1)


NUMBER = "cannot unmarshal number into Go struct field"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"Tty": "x"}, "cannot unmarshal string into Go struct field .Tty of type bool"),
        ({"Labels": {"a": 5}}, "cannot unmarshal number into Go struct field .Labels.a of type string"),
        ({"Cmd": 5}, "cannot unmarshal number into Go value of type string"),
        ({"Env": "A=b"}, "cannot unmarshal string into Go struct field .Env of type []string"),
        ({"StopTimeout": True}, "cannot unmarshal bool into Go struct field .StopTimeout of type int64"),
        ({"HostConfig": []}, "cannot unmarshal array into Go struct field .HostConfig of type container.HostConfig"),
        ({"HostConfig": {"Memory": "1"}}, "cannot unmarshal string into Go struct field .HostConfig.Memory of type int64"),
        ({"HostConfig": {"Memory": 1.5}}, "cannot unmarshal number 1.5 into Go struct field .HostConfig.Memory of type int64"),
        ({"HostConfig": {"Mounts": [{"BindOptions": 1}]}}, f"{NUMBER} .HostConfig.Mounts.0.BindOptions of type mount.BindOptions"),
        (
            {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 1}]}}},
            f"{NUMBER} .HostConfig.PortBindings.80~1tcp.0.HostPort of type string",
        ),
        ({"HostConfig": {"LogConfig": {"Config": 1}}}, f"{NUMBER} .HostConfig.LogConfig.Config of type map[string]string"),
        (
            {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Links": 1}}}},
            f"{NUMBER} .NetworkingConfig.EndpointsConfig.bridge.Links of type []string",
        ),
        (
            {"Healthcheck": {"Interval": True}},
            "cannot unmarshal bool into Go struct field .Healthcheck.Interval of type time.Duration",
        ),
    ],
)
def test_wrong_types(body: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        configuration.parse(body)
    assert caught.value.message == f"invalid JSON: json: {text}"


@pytest.mark.parametrize(
    ("own", "of_image", "entrypoint", "command"),
    [
        ({}, {"Cmd": ["sh"]}, None, ["sh"]),
        ({"Cmd": ["ls"]}, {"Entrypoint": ["e"], "Cmd": ["sh"]}, ["e"], ["ls"]),
        ({"Entrypoint": ["x"]}, {"Entrypoint": ["e"], "Cmd": ["sh"]}, ["x"], None),
        ({"Entrypoint": [""], "Cmd": ["ls"]}, {"Entrypoint": ["e"]}, None, ["ls"]),
        ({"Entrypoint": "", "Cmd": "ls"}, {"Entrypoint": ["e"]}, None, ["ls"]),
        ({"Entrypoint": [], "Cmd": ["ls"]}, {"Entrypoint": ["e"]}, [], ["ls"]),
    ],
)
def test_entrypoint_and_command(own: dict[str, Any], of_image: dict[str, Any], entrypoint: Any, command: Any) -> None:
    merged = configuration.merged(config(**own), of_image)
    assert (merged["Entrypoint"], merged["Cmd"]) == (entrypoint, command)


def test_nothing_to_run() -> None:
    with pytest.raises(UsageError, match="no command specified"):
        configuration.merged(config(Entrypoint=[""]), {"Entrypoint": ["e"], "Cmd": None})


def test_the_images_configuration_completes_the_clients() -> None:
    of_image = {
        "Cmd": ["sh"],
        "User": "app",
        "Env": ["A=image", "B=image"],
        "Labels": {"a": "image", "b": "image"},
        "Volumes": {"/data": {}},
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5},
    }
    own = config(Env=["A=mine"], Labels={"a": "mine"}, ExposedPorts={"81/tcp": {}}, Healthcheck={"Interval": 7})
    merged = configuration.merged(own, of_image)
    assert merged["Env"] == ["A=mine", "B=image", PATH]
    assert merged["Labels"] == {"a": "mine", "b": "image"}
    assert merged["ExposedPorts"] == {"80/tcp": {}, "81/tcp": {}}
    assert merged["Volumes"] == {"/data": {}}
    assert (merged["User"], merged["StopSignal"]) == ("app", "SIGINT")
    assert merged["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 7}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"Env": ["=x"]}, "invalid environment variable: =x"),
        ({"Env": [""]}, "invalid environment variable: "),
        ({"WorkingDir": "foo"}, "the working directory 'foo' is invalid, it needs to be an absolute path"),
        ({"StopSignal": "FOO"}, "invalid signal: FOO"),
        ({"Healthcheck": {"Test": ["CMD", "x"], "Interval": 100}}, "Interval in Healthcheck cannot be less than 1ms"),
    ],
)
def test_refused_configs(given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        validation.check(config(**given), host())
    assert caught.value.message == text


_POLICY = "invalid restart policy: "


@pytest.mark.parametrize(
    ("given", "status", "text"),
    [
        (
            {"RestartPolicy": {"Name": "foo"}},
            400,
            f"{_POLICY}unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
        (
            {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}},
            400,
            f"{_POLICY}maximum retry count can only be used with 'on-failure'",
        ),
        (
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -3}},
            400,
            f"{_POLICY}maximum retry count cannot be negative",
        ),
        (
            {"AutoRemove": True, "RestartPolicy": {"Name": "always"}},
            400,
            "can't create 'AutoRemove' container with restart policy",
        ),
        ({"PortBindings": {"80/tcp": [{"HostPort": "abc"}]}}, 400, 'invalid port specification: "abc"'),
        ({"PortBindings": {"abc": [{"HostPort": "8"}]}}, 400, 'invalid port specification: "abc"'),
        ({"ShmSize": -1}, 400, "SHM size can not be less than 0"),
        ({"OomScoreAdj": 5000}, 400, "Invalid value 5000, range for oom score adj is [-1000, 1000]"),
        ({"Runtime": "foo"}, 400, "unknown or invalid runtime name: foo"),
        ({"CapAdd": ["FOO"]}, 400, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
        ({"PidMode": "foo"}, 400, "invalid PID mode: foo"),
        ({"IpcMode": "foo"}, 400, "invalid IPC mode: foo"),
        ({"SecurityOpt": ["foo"]}, 500, 'invalid --security-opt 1: "foo"'),
        ({"PidMode": "container:"}, 400, "invalid PID mode: container:"),
        ({"NetworkMode": "container:"}, 400, "invalid network mode: invalid container format container:<name|id>"),
        ({"Isolation": "hyperv"}, 400, "invalid isolation (hyperv): linux only supports 'default'"),
        ({"LogConfig": {"Type": "foo"}}, 400, 'error looking up logging plugin foo: plugin "foo" not found'),
        ({"LogConfig": {"Config": {"foo": "1"}}}, 400, "unknown log opt 'foo' for json-file log driver"),
        ({"LogConfig": {"Type": "local", "Config": {"tag": "1"}}}, 400, "unknown log opt 'tag' for log driver local"),
        ({"LogConfig": {"Config": {"mode": "x"}}}, 400, "logger: logging mode not supported: x"),
        ({"Tmpfs": {"foo": ""}}, 400, "invalid mount path: 'foo' mount path must be absolute"),
        (
            {"StorageOpt": {"size": "1G"}},
            500,
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        ),
    ],
)
def test_refused_host_configs(given: dict[str, Any], status: int, text: str) -> None:
    with pytest.raises((UsageError, EngineError)) as caught:
        validation.check(config(), host(**given))
    assert (caught.value.status, caught.value.message) == (status, text)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"Memory": -1}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 100}, "Minimum memory limit allowed is 6MB"),
        ({"NanoCpus": -100}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
        ({"NanoCpus": 10**11}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
        ({"CpusetCpus": "77"}, "Requested CPUs are not available - requested 77, available: 0-1"),
        ({"CpusetCpus": "a"}, "Invalid value a for cpuset cpus: invalid format: a"),
        ({"CpusetMems": "9"}, "Requested memory nodes are not available - requested 9, available: 0"),
        ({"CpusetMems": "a"}, "Invalid value a for cpuset mems: invalid format: a"),
        ({"Memory": 104857600, "MemorySwap": 50000000}, "Minimum memoryswap limit should be larger than memory limit, see usage"),
        ({"MemorySwap": 50000000}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        ({"MemoryReservation": 5000}, "Minimum memory reservation allowed is 6MB"),
        ({"CpuShares": -5}, "invalid CPU shares (-5): value must be a positive integer"),
    ],
)
def test_refused_limits(given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        resources.check(host(**given), 2)
    assert caught.value.message == text


def test_limits() -> None:
    found = resources.limits(host(Memory=100 << 20, CpuQuota=50_000, CpuPeriod=100_000, PidsLimit=-1))
    assert (found.memory, found.cpus, found.pids) == (100 << 20, 0.5, 0)
    assert resources.limits(host(NanoCpus=1_500_000_000)).cpus == 1.5


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"BlkioWeight": 100}, "Weight discarded."),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/x", "Rate": 1}]}, "Block I/O BPS read limit discarded."),
        ({"MemoryReservation": 32 << 20}, "Limitation discarded."),
        ({"CpuPercent": 10}, "linux does not support CPU percent. Percent discarded."),
        ({"Sysctls": {"net.ipv4.ip_forward": "1"}}, "The embedded engine sets no kernel parameters: --sysctl has no effect."),
    ],
)
def test_limits_that_have_no_effect_are_told(given: dict[str, Any], text: str) -> None:
    [told] = resources.warnings(host(**given))
    assert told.endswith(text)
    assert not resources.warnings(host(Memory=64 << 20, NanoCpus=10**9, CpuShares=512))


@pytest.mark.parametrize(
    ("spec", "point"),
    [
        ("/a:/b", MountPoint("bind", "/b", "/a", propagation="rprivate")),
        ("/a/:/b/:ro,rslave", MountPoint("bind", "/b", "/a", mode="ro,rslave", writable=False, propagation="rslave")),
        ("vol:/b", MountPoint("volume", "/b", "", "vol", "local", "z", copies=True)),
        ("vol:/b:nocopy", MountPoint("volume", "/b", "", "vol", "local", "nocopy,z")),
        ("/b", MountPoint("volume", "/b", "", "", "local", "", anonymous=True, copies=True)),
        ("/b:ro", MountPoint("volume", "/b", "", "", "local", "ro", False, anonymous=True, copies=True)),
    ],
)
def test_binds(spec: str, point: MountPoint) -> None:
    assert mounting.parse_bind(spec).point == point


_VOLUME = 'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'
_ABSOLUTE = "mount path must be absolute"


@pytest.mark.parametrize(
    ("spec", "status", "text"),
    [
        (
            "a",
            500,
            f"invalid volume specification: 'a': invalid mount config for type \"volume\": invalid mount path: 'a' {_ABSOLUTE}",
        ),
        (
            "a:b",
            500,
            f"invalid volume specification: 'a:b': invalid mount config for type \"volume\": invalid mount path: 'b' {_ABSOLUTE}",
        ),
        ("/a:/b:zz", 500, "invalid mode: zz"),
        (
            "/a:/",
            500,
            "invalid volume specification: '/a:/': invalid mount config for type \"bind\": "
            "invalid specification: destination can't be '/'",
        ),
        ("x:/b:ro:rw", 500, "invalid volume specification: 'x:/b:ro:rw'"),
        (":/b", 500, "invalid volume specification: ':/b'"),
        ("a/b:/b", 400, f'create a/b: "a/b" {_VOLUME}. If you intended to pass a host directory, use absolute path'),
    ],
)
def test_refused_binds(spec: str, status: int, text: str) -> None:
    with pytest.raises((UsageError, EngineError)) as caught:
        mounting.parse_bind(spec)
    assert (caught.value.status, caught.value.message) == (status, text)


@pytest.mark.parametrize(
    ("mount", "text"),
    [
        ({"Type": "bind", "Source": "", "Target": "/x"}, "field Source must not be empty"),
        ({"Type": "bind", "Source": "nosuch", "Target": "/x"}, "invalid mount path: 'nosuch' mount path must be absolute"),
        ({"Type": "volume", "Source": "abc", "Target": "x"}, "invalid mount path: 'x' mount path must be absolute"),
        ({"Type": "volume", "Source": "abc"}, "field Target must not be empty"),
        ({"Type": "foo", "Source": "abc", "Target": "/x"}, "mount type unknown"),
        ({"Type": "tmpfs", "Source": "abc", "Target": "/x"}, "field Source must not be specified"),
    ],
)
def test_refused_mounts(mount: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        mounting.wanted(config(), host(Mounts=[mount]), {})
    assert caught.value.message == f'invalid mount config for type "{mount["Type"]}": {text}'


def test_all_kinds_of_mounts_together() -> None:
    found = mounting.wanted(
        config(Volumes={"/data": {}, "/taken": {}, "/run": {}}),
        host(
            Binds=["/a:/taken"],
            Mounts=[{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5, "Mode": 0o700}}],
            Tmpfs={"/run": "size=1m"},
        ),
        {},
    )
    assert [(one.point.type, one.point.destination) for one in found] == [("bind", "/taken"), ("tmpfs", "/t"), ("volume", "/data")]
    assert found[1].point.options == {"size": "5", "mode": "700"}
    assert found[2].point.anonymous


def test_one_place_is_mounted_once() -> None:
    with pytest.raises(UsageError, match="Duplicate mount point: /b"):
        mounting.wanted(config(), host(Binds=["/a:/b", "/c:/b/"]), {})


@pytest.mark.parametrize(
    ("text", "options"),
    [("", {}), ("size=64m,mode=1777", {"size": "67108864", "mode": "1777"}), ("ro,noexec", {"ro": ""}), ("size=5", {"size": "5"})],
)
def test_tmpfs_options(text: str, options: dict[str, str]) -> None:
    assert mounting.tmpfs_options(text) == options


@pytest.mark.parametrize("text", ["foo", "foo=1", "nr_inodes"])
def test_tmpfs_options_that_there_are_not(text: str) -> None:
    with pytest.raises(EngineError) as caught:
        mounting.tmpfs_options(text)
    assert caught.value.message == f'invalid tmpfs option "{text.partition("=")[0]}"'


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGUSR1", 10), ("RTMIN", 34), ("RTMIN+3", 37), ("SIGRTMIN+3", 37), ("RTMAX-2", 62)],
)
def test_signals(text: str, number: int) -> None:
    assert validation.signal_number(text) == number


@pytest.mark.parametrize("text", ["FOO", "0", "65", "-1", "", "RTMIN+99", "RTMAX-99"])
def test_no_signals(text: str) -> None:
    is_number = text in ("65", "-1")
    with pytest.raises(UsageError, match=f"^{'the linux daemon does not support signal' if is_number else 'invalid signal:'} "):
        validation.signal_number(text)


@pytest.mark.parametrize(
    ("add", "drop", "kept"),
    [
        ((), (), {0, 1, 13}),
        ((), ("NET_RAW", "SYS_ADMIN"), {0, 1}),
        ((), ("all",), set()),
        (("CAP_CHOWN", "SYS_ADMIN"), ("ALL",), {0}),
        (("ALL",), ("CHOWN",), {1, 13}),
    ],
)
def test_capabilities(add: tuple[str, ...], drop: tuple[str, ...], kept: set[int]) -> None:
    assert capabilities.kept(frozenset({0, 1, 13}), add, drop) == kept


def test_names() -> None:
    assert names.check("/web.1_a-b") == "web.1_a-b"
    for wrong in ("a", "a b", "-web", "", "wéb"):
        with pytest.raises(UsageError) as caught:
            names.check(wrong)
        assert caught.value.message == f"Invalid container name ({wrong}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    assert names.check(names.suggest())
    assert names.check(names.suggest(9))


def test_more_groups_take_root() -> None:
    host = configuration.parse({"Image": "x", "HostConfig": {"GroupAdd": ["5"]}})[1]
    text = "A user's namespace has one group: --group-add has no effect."
    assert creation.warnings(host, "namespaces", Means(counts_processes=True)) == [text]
    assert creation.warnings(host, "namespaces", Means()) == []
    assert creation.warnings(host, "supervised", Means(counts_processes=True)) == []
