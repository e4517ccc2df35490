"""`docker update`: a container's limits and restart policy change, at once where it runs. Statuses and texts are Docker Engine 28's."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from dockerlab.engine.runtime import limits
from dockerlab.engine.runtime.limits import group_name
from tests.embedded.containing import Client, by_stream
from tests.embedded.rungs import eventually

MIB = 1 << 20
MEANS = limits.find()
FORK = ["sh", "-c", "for i in 1 2 3 4 5 6; do true & done; wait; echo forked"]


def changed(api: Client, made: str, asked: Any) -> Any:
    reply = api.post(f"/containers/{made}/update", asked)
    assert reply.status == 200, reply.body
    return reply.json()["Warnings"]


def executed(api: Client, made: str, command: list[str]) -> dict[int, bytes]:
    asked = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
    created = api.post(f"/containers/{made}/exec", asked).json()["Id"]
    return by_stream(api.post(f"/exec/{created}/start", {}).body)


def test_what_does_not_run_keeps_it_for_its_start(api: Client) -> None:
    made = api.create("true")
    changed(
        api, made, {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}, "Memory": 100 * MIB, "MemorySwap": 200 * MIB}
    )
    changed(api, made, {"PidsLimit": 7, "Memory": 0})
    host = api.inspect(made)["HostConfig"]
    assert (host["RestartPolicy"], host["Memory"], host["PidsLimit"]) == (
        {"Name": "on-failure", "MaximumRetryCount": 2},
        100 * MIB,
        7,
    )


CONFLICTS = [
    (
        {},
        {"Memory": 64 * MIB},
        "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
    ),
    (
        {"NanoCpus": 10**8},
        {"CpuQuota": 5000},
        "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
    ),
    (
        {"CpuPeriod": 5000},
        {"NanoCpus": 10**8},
        "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
    ),
    (
        {"AutoRemove": True},
        {"RestartPolicy": {"Name": "always"}},
        "Restart policy cannot be updated because AutoRemove is enabled for the container",
    ),
]


@pytest.mark.parametrize(("host", "asked", "text"), CONFLICTS)
def test_what_does_not_go_with_what_it_has(api: Client, host: Any, asked: Any, text: str) -> None:
    made = api.create("true", host=host)
    before = api.inspect(made)["HostConfig"]
    assert api.message("POST", f"/containers/{made}/update", asked) == (409, f"Cannot update container {made}: {text}")
    assert api.inspect(made)["HostConfig"] == before


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"Memory": 1}, "Minimum memory limit allowed is 6MB"),
        ({"CpuQuota": 5}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"RestartPolicy": {"Name": "no", "MaximumRetryCount": 1}}, None),
    ],
)
def test_what_makes_no_sense(api: Client, asked: Any, text: str | None) -> None:
    status, said = api.message("POST", f"/containers/{api.create('true')}/update", asked)
    assert (status, said) == (400, text or "invalid restart policy: maximum retry count can only be used with 'on-failure'")


@pytest.mark.skipif(not {"memory", "pids", "cpu"} <= MEANS.controllers.keys(), reason="no groups may be made")
def test_what_runs_gets_a_group_and_other_limits(api: Client) -> None:
    made = api.run("sleep", "600")
    asked = {"Memory": 64 * MIB, "MemorySwap": 64 * MIB, "PidsLimit": 5, "CpuQuota": 50000, "CpuPeriod": 100000}
    assert changed(api, made, asked) is None
    groups = {name: os.path.join(path, group_name(made)) for name, path in MEANS.controllers.items()}
    pid = api.inspect(made)["State"]["Pid"]
    for name in ("memory", "pids", "cpu"):
        with open(f"{groups[name]}/cgroup.procs", encoding="ascii") as processes:
            assert processes.read().split() == [str(pid)]
    with open(f"{groups['pids']}/pids.max", encoding="ascii") as most:
        assert most.read() == "5\n"
    memory = "memory.limit_in_bytes" if MEANS.version == 1 else "memory.max"
    with open(f"{groups['memory']}/{memory}", encoding="ascii") as most:
        assert most.read() == f"{64 * MIB}\n"
    # An added process is in the group, and one limit can be lifted again.
    assert b"can't fork" in executed(api, made, FORK)[2]
    assert changed(api, made, {"PidsLimit": -1}) is None
    assert executed(api, made, FORK) == {1: b"forked\n", 2: b""}
    api.post(f"/containers/{made}/kill")
    assert not any(os.path.exists(group) for group in groups.values())


def test_a_policy_is_heeded_at_once(api: Client) -> None:
    made = api.run("sleep", "600")
    changed(api, made, {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}})

    def state() -> Any:
        return api.inspect(made)["State"]

    first = state()["Pid"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: state()["Pid"] not in (0, first))
    os.kill(state()["Pid"], signal.SIGKILL)
    eventually(lambda: state()["Status"] == "exited")
    assert (api.inspect(made)["RestartCount"], state()["ExitCode"]) == (1, 137)
