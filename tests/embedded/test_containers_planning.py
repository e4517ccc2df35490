"""From a container's record to the runtime's plan, and to what is shown of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dockerlab.engine import timestamps
from dockerlab.engine.containers import configuration, inspection, log_options, planning, publishing, restarting
from dockerlab.engine.containers.planning import Surroundings
from dockerlab.engine.containers.publishing import Binding
from dockerlab.engine.containers.record import MountPoint, Published, Record, State, from_json
from dockerlab.engine.rootfs import Root
from dockerlab.engine.runtime.plan import Forward, Limits, Mount, Network
from dockerlab.errors import EngineError

SECOND = 1_000_000_000
ROOT = Root("overlay", ("/lower",), "/c/upper", "/c/work")


def record(host: dict[str, Any] | None = None, mounts: tuple[MountPoint, ...] = (), **config: Any) -> Record:
    own, of_host = configuration.parse({"Cmd": ["sh"], **config, "HostConfig": host or {}})
    merged = configuration.merged(own, {})
    return Record(
        "a" * 64, "web", timestamps.text(0), "sha256:b", merged | {"Hostname": "box"}, of_host, ROOT, ("sha256:c",), mounts
    )


AROUND = Surroundings("/c", "namespaces", Network("loopback", "127.18.0.2"), Limits())


def test_a_record_survives_json() -> None:
    found = replace(
        record({"Binds": ["/a:/b"]}, (MountPoint("bind", "/b", "/a"),)), ports=(Published(80, "tcp", "127.0.0.1", 8080),)
    )
    assert from_json(found.to_json()) == found


def test_a_plan_has_the_process_and_what_is_around_it() -> None:
    of = record(
        {"ReadonlyRootfs": True, "Init": True, "Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 6}], "GroupAdd": ["audio"]},
        Entrypoint=["python"],
        Cmd=["-V"],
        Tty=True,
        OpenStdin=True,
        StdinOnce=True,
        User="app",
        WorkingDir="/srv",
    )
    plan = planning.plan(of, AROUND, [Published(80, "udp", "127.0.0.1", 8080)])
    assert plan.process.argv == ("python", "-V")
    assert (plan.process.tty, plan.process.stdin, plan.stdin_once) == (True, True, True)
    assert (plan.process.user, plan.process.cwd, plan.process.make_cwd, plan.process.groups) == ("app", "/srv", True, ("audio",))
    assert plan.process.rlimits == (("nofile", 5, 6),)
    assert (plan.readonly, plan.init, plan.hostname, plan.network) == (True, True, "box", AROUND.network)
    assert plan.ports == (Forward(80, "udp"),)


@pytest.mark.parametrize(
    ("given", "tty", "expected"),
    [
        ([], False, ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=box")),
        (["PATH=/x", "A=1", "A=2=3"], True, ("PATH=/x", "HOSTNAME=box", "TERM=xterm", "A=2=3")),
        (["PATH=/x", "HOSTNAME", "TERM=dumb"], True, ("PATH=/x", "TERM=dumb")),
    ],
)
def test_environment(given: list[str], tty: bool, expected: tuple[str, ...]) -> None:
    assert planning.environment(given, "box", tty) == expected


def test_mounts_come_by_depth_and_the_networks_files_first() -> None:
    points = (
        MountPoint("bind", "/data/deep", "/deep", writable=False),
        MountPoint("volume", "/data", "/v/_data", "v"),
        MountPoint("bind", "/etc/hosts", "/my-hosts"),
    )
    plan = planning.plan(record({"Tmpfs": {"/run": "size=1m,ro"}}, points), AROUND)
    assert plan.mounts == (
        Mount("bind", "/c/hostname", "/etc/hostname"),
        Mount("bind", "/c/resolv.conf", "/etc/resolv.conf"),
        Mount("bind", "/v/_data", "/data"),
        Mount("tmpfs", "", "/run", True, {"size": "1048576"}),
        Mount("bind", "/deep", "/data/deep", True),
        Mount("bind", "/my-hosts", "/etc/hosts"),
    )


@pytest.mark.parametrize(
    ("driver", "options", "limit"),
    [
        ("json-file", {}, (0, 1)),
        ("json-file", {"max-size": "10m", "max-file": "3"}, (10_000_000, 3)),
        ("json-file", {"max-size": "1.5 kB"}, (1500, 1)),
        ("json-file", {"max-size": "7", "compress": "false", "mode": "non-blocking"}, (7, 1)),
        ("json-file", {"max-file": "3"}, (0, 3)),
        ("local", {}, (20_000_000, 5)),
        ("local", {"max-size": "1gib"}, (10**9, 5)),
        ("none", {"max-size": "x"}, (0, 1)),
    ],
)
def test_log_limits(driver: str, options: dict[str, str], limit: tuple[int, int]) -> None:
    log_options.check(driver, options)
    assert log_options.limit(driver, options) == limit


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max-size": "x"}, "invalid size: 'x'"),
        ({"max-size": "-1"}, "invalid size: '-1'"),
        ({"max-size": "k"}, "invalid size: 'k'"),
        ({"max-size": "10q"}, "invalid suffix: 'q'"),
        ({"max-size": "1kk"}, "invalid suffix: 'kk'"),
        ({"max-size": "0"}, "max-size must be a positive number"),
        ({"max-file": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ({"max-file": "0"}, "max-file cannot be less than 1"),
        ({"compress": "x"}, 'strconv.ParseBool: parsing "x": invalid syntax'),
        ({"compress": "true"}, "compress cannot be true when max-file is less than 2 or max-size is not set"),
    ],
)
def test_log_options_that_a_start_refuses(options: dict[str, str], text: str) -> None:
    log_options.check("json-file", options)
    with pytest.raises(EngineError) as refused:
        log_options.limit("json-file", options)
    assert (refused.value.status, refused.value.message.partition("logging driver: ")[2]) == (500, text)


def test_exec_takes_what_it_does_not_say_from_the_container() -> None:
    of = record(Env=["A=1"], User="app", WorkingDir="/srv")
    process = planning.exec_process(of, {"Cmd": ["id"], "Env": ["B=2"], "Tty": True}, (24, 80))
    assert (process.user, process.cwd, process.size, process.make_cwd) == ("app", "/srv", (24, 80), False)
    assert {"A=1", "B=2", "TERM=xterm"} <= set(process.env)
    other = planning.exec_process(of, {"Cmd": ["id"], "User": "0", "WorkingDir": "/"})
    assert (other.user, other.cwd, other.tty) == ("0", "/", False)


def bindings(host: dict[str, Any], **config: Any) -> list[Binding]:
    of = record(host, **config)
    return publishing.bindings(of.config, of.host_config)


def test_an_address_that_is_not_named_is_this_machines_own() -> None:
    ports = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81/udp": [{"HostIp": "0.0.0.0", "HostPort": ""}], "82/tcp": None}
    assert bindings({"PortBindings": ports}) == [
        Binding(80, "tcp", "127.0.0.1", 8080, 8080),
        Binding(81, "udp", "0.0.0.0"),
        Binding(82, "tcp"),
    ]


def test_what_is_no_address_stands_for_none() -> None:
    asked = [{"HostIp": address, "HostPort": "80"} for address in ("localhost", "[::1]")]
    assert [one.host_ip for one in bindings({"PortBindings": {"80/tcp": asked}})] == ["127.0.0.1", "::1"]


def test_publish_all_adds_what_is_exposed() -> None:
    ports = {"80/tcp": [{"HostPort": "8000-8010"}]}
    found = bindings({"PortBindings": ports, "PublishAllPorts": True}, ExposedPorts={"80/tcp": {}, "90-91": {}})
    assert found == [Binding(80, "tcp", "127.0.0.1", 8000, 8010), Binding(90, "tcp"), Binding(91, "tcp")]


@pytest.mark.parametrize("mode", ["host", "none", "container:other"])
def test_nothing_is_published_without_a_network_of_its_own(mode: str) -> None:
    assert bindings({"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}, "NetworkMode": mode}) == []


def test_a_port_that_is_taken() -> None:
    first = publishing.listen([Binding(80, "tcp")], "a (1)")
    taken = first[0][0].host_port
    with pytest.raises(EngineError) as caught:
        publishing.listen([Binding(81, "tcp"), Binding(80, "tcp", "127.0.0.1", taken, taken)], "web (22)", [first[0][0]])
    assert caught.value.status == 500
    assert caught.value.message == (
        "failed to set up container networking: driver failed programming external connectivity on endpoint web (22): "
        f"Bind for 127.0.0.1:{taken} failed: port is already allocated"
    )
    with pytest.raises(EngineError, match=f"failed to bind host port 127.0.0.1:{taken}/tcp: address already in use"):
        publishing.listen([Binding(80, "tcp", "127.0.0.1", taken, taken)], "web (22)")
    ranged = publishing.listen([Binding(80, "tcp", "127.0.0.1", taken, 65535)], "b (3)")
    assert ranged[0][0].host_port > taken
    for _, sock in (*first, *ranged):
        sock.close()


def test_ports_are_shown_while_it_runs() -> None:
    of = replace(record(ExposedPorts={"80/tcp": {}, "90/tcp": {}}), ports=(Published(80, "tcp", "127.0.0.1", 8080),))
    assert publishing.ports_json(of) == {}
    of = replace(of, state=State("running"))
    assert publishing.ports_json(of) == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "90/tcp": None}
    assert publishing.ports_list(of) == [
        {"IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 90, "Type": "tcp"},
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, " "),
        ({"labels": "b,a", "env": "X,NONE"}, "X=1,a=of+a,b=2 "),
        ({"labels-regex": "^a$", "env-regex": "Y"}, "Y=,a=of+a "),
    ],
)
def test_what_logs_tell_of_a_container(options: dict[str, str], text: str) -> None:
    assert log_options.details(options, {"b": "2", "a": "of a", "c": "3"}, ["X=1", "Y"]) == text


@pytest.mark.parametrize(
    ("policy", "code", "count", "stopped", "again"),
    [
        ({"Name": "no"}, 1, 0, False, False),
        ({"Name": "always"}, 0, 9, False, True),
        ({"Name": "always"}, 0, 9, True, False),
        ({"Name": "unless-stopped"}, 0, 0, False, True),
        ({"Name": "unless-stopped"}, 0, 0, True, False),
        ({"Name": "on-failure"}, 0, 0, False, False),
        ({"Name": "on-failure"}, 1, 99, False, True),
        ({"Name": "on-failure", "MaximumRetryCount": 2}, 1, 1, False, True),
        ({"Name": "on-failure", "MaximumRetryCount": 2}, 1, 2, False, False),
        ({}, 1, 0, False, False),
    ],
)
def test_restart_policies(policy: dict[str, Any], code: int, count: int, stopped: bool, again: bool) -> None:
    assert restarting.restarts(policy, code, count, manually_stopped=stopped) is again


def test_the_delay_grows_and_is_forgotten_after_a_long_run() -> None:
    delays = [0.0]
    for _ in range(12):
        delays.append(restarting.next_delay(delays[-1], 1.0))
    assert delays[1:4] == [0.1, 0.2, 0.4]
    assert delays[-1] == 60.0
    assert restarting.next_delay(60.0, 10.0) == 0.1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (120, "2 minutes"),
        (3600, "About an hour"),
        (5 * 3600, "5 hours"),
        (3 * 86400, "3 days"),
        (15 * 86400, "2 weeks"),
        (65 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert inspection.human(seconds) == text


@pytest.mark.parametrize(
    ("state", "health", "text"),
    [
        (State(), "", "Created"),
        (State("running", started_at=timestamps.text(0)), "", "Up 5 seconds"),
        (State("running", started_at=timestamps.text(0)), "starting", "Up 5 seconds (health: starting)"),
        (State("running", started_at=timestamps.text(0)), "healthy", "Up 5 seconds (healthy)"),
        (State("paused", started_at=timestamps.text(0)), "healthy", "Up 5 seconds (Paused)"),
        (State("exited", exit_code=3, finished_at=timestamps.text(0)), "", "Exited (3) 5 seconds ago"),
        (State("restarting", exit_code=3, finished_at=timestamps.text(0)), "", "Restarting (3) 5 seconds ago"),
        (State("removing"), "", "Removal In Progress"),
        (State("dead"), "", "Dead"),
    ],
)
def test_status(state: State, health: str, text: str) -> None:
    assert inspection.status(state, 5 * SECOND, health) == text


def test_a_command_with_blanks_is_quoted() -> None:
    assert inspection.command_line(["sh", "-c", "echo hi; exit 3", "x"]) == "sh -c 'echo hi; exit 3' x"
