"""Limits: asked for, read inside, kept or not; what an engine claims goes with what is read."""

from __future__ import annotations

import pytest

from dockerlab import containers
from dockerlab.client import Client
from dockerlab.containers.limits import Limit, read_cpus, read_memory
from dockerlab.errors import Conflict

MIB = 1 << 20


@pytest.mark.contract
def test_what_was_asked_for_is_read_inside_where_it_is_kept(client: Client, prefix: str) -> None:
    name = f"{prefix}small"
    containers.run("busybox", ["sleep", "60"], detach=True, name=name, memory="64m", cpus=0.5, client=client)
    found = containers.limits(name, client=client)
    info = client.info()
    assert (found.memory.asked, found.cpus.asked) == (64 * MIB, 0.5)
    assert (found.memory.is_kept, found.cpus.is_kept) == (info["MemoryLimit"], info["CpuCfsQuota"])
    assert found.agree
    for limit in (found.memory, found.cpus):
        assert limit.inside in (limit.asked, None) if limit.is_kept else limit.told
    assert repr(found) == f"limits of container {name} (busybox)"
    assert "64 MiB" in str(found)
    assert ("keeps it" if info["MemoryLimit"] else "cannot keep it") in found._repr_html_()


@pytest.mark.contract
def test_without_limits_and_without_running(client: Client, prefix: str) -> None:
    name = f"{prefix}free"
    containers.run("busybox", ["sleep", "60"], detach=True, name=name, client=client)
    found = containers.limits(name, client=client)
    assert (found.memory.asked, found.cpus.asked, found.agree) == (0, 0, True)
    containers.kill(name, client=client)
    with pytest.raises(Conflict, match="is not running"):
        containers.limits(name, client=client)


@pytest.mark.parametrize(
    ("line", "count"), [("67108864", 64 * MIB), ("max", 0), ("9223372036854771712", 0), ("unknown", None), ("", None)]
)
def test_memory_of_both_forms_of_control_groups(line: str, count: int | None) -> None:
    assert read_memory(line) == count


@pytest.mark.parametrize(
    ("line", "cpus"), [("50000 100000", 0.5), ("max 100000", 0), ("-1 100000", 0), ("", None), ("50000", None)]
)
def test_cpus_of_both_forms_of_control_groups(line: str, cpus: float | None) -> None:
    assert read_cpus(line) == cpus


def test_a_claim_that_is_not_kept_is_seen() -> None:
    assert not Limit(asked=64 * MIB, inside=0, is_kept=True).agrees
    assert Limit(asked=64 * MIB, inside=0, is_kept=False).agrees


def test_what_a_kernel_rounds_down_is_kept() -> None:
    assert Limit(asked=1 / 3, inside=0.33333, is_kept=True).agrees
    assert Limit(asked=64 * MIB + 1, inside=64 * MIB, is_kept=True).agrees
    assert not Limit(asked=0.5, inside=0.25, is_kept=True).agrees
    assert not Limit(asked=0.5, inside=0, is_kept=True).agrees
    assert not Limit(asked=64 * MIB, inside=63 * MIB, is_kept=True).agrees


@pytest.mark.contract
def test_a_container_that_asked_for_a_third_of_a_cpu(client: Client, prefix: str) -> None:
    name = f"{prefix}third"
    containers.run("busybox", ["sleep", "60"], detach=True, name=name, memory="67108865", cpus=0.3333333, client=client)
    assert containers.limits(name, client=client).agree


@pytest.mark.contract
def test_what_a_container_says_without_a_measure_is_not_kept(client: Client, prefix: str) -> None:
    name = f"{prefix}talks"
    containers.run("busybox", ["sleep", "60"], detach=True, name=name, client=client)
    # Its `sh` is another program from now on.
    liar = "printf '#!/bin/busybox sh\\nprintf 1%%09999d 0\\n' > /liar; chmod +x /liar; mv -f /liar /bin/sh"
    containers.exec(name, ["sh", "-c", liar], client=client)
    found = containers.limits(name, client=client)
    assert (found.memory.inside, found.cpus.inside) == (None, None)
