"""A container's panel, as a value and while it is watched, on real engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dockerlab import containers
from dockerlab.client import Client, connect
from dockerlab.containers import Container, Panel
from dockerlab.containers.tailing import LEFT_OUT
from dockerlab.containers.watching import Watch
from dockerlab.errors import NotFound
from dockerlab.testing.shell import Shell
from tests.embedded.rungs import eventually
from tests.engine.forwarder import forwarding
from tests.engine.test_containers import name, running
from tests.engine.test_transports import by_ssh, by_tcp, by_tls
from tests.engines import Engine

_COUNTS = "trap 'echo bye; exit 3' TERM; i=0; while :; do i=$((i+1)); echo count $i; sleep 0.1; done"
_SECONDS = 20.0


class Seen:
    """What a watch told."""

    def __init__(self) -> None:
        self.panels: list[Panel] = []
        self.lines: list[str] = []
        self.last: list[Panel] = []

    @property
    def panel(self) -> Panel:
        return self.panels[-1]

    def until(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + _SECONDS
        while not holds():
            assert time.monotonic() < deadline, (self.panels[-1:], self.lines[-5:])
            time.sleep(0.05)


@contextmanager
def watching(container: Container, **options: float) -> Iterator[tuple[Watch, Seen]]:
    seen = Seen()
    watch = Watch(container, show=seen.panels.append, log=seen.lines.extend, ended=seen.last.append, **options)
    watch.start()
    try:
        yield watch, seen
    finally:
        watch.close()


@pytest.fixture
def box(client: Client) -> Iterator[Container]:
    with running(client, "sh", "-c", _COUNTS, name=name("panel"), env=["TOKEN=hide-me", "A=1"]) as container:
        yield container


@pytest.mark.contract
def test_a_panel_of_a_container_that_runs(client: Client, box: Container) -> None:
    containers.exec(box, ["touch", "/tmp/new"], client=client)
    panel = containers.show(box, client=client)
    assert panel.facts.state == "running"
    assert panel.started is not None
    assert [(v.name, v.value) for v in panel.environment if v.name in ("A", "TOKEN")] == [("A", "1"), ("TOKEN", "***")]
    assert panel.samples[-1].cpu is not None
    assert panel.samples[-1].memory
    assert panel.processes is not None
    first, *others = panel.processes
    assert (first.depth, first.command.partition(" ")[0]) == (0, "sh")
    assert {process.depth for process in others} <= {1}
    assert panel.changes is not None
    assert "/tmp/new" in [change.path for change in panel.changes]
    assert panel.log[0] == "count 1"
    assert "hide-me" not in str(panel) + panel._repr_html_() + panel._live_html()


@pytest.mark.contract
def test_a_panel_of_one_that_has_ended(client: Client) -> None:
    with running(client, "sh", "-c", "echo end; exit 3", name=name("ended")) as container:
        containers.wait(container, client=client)
        panel = containers.show(container, client=client)
    assert panel.facts.word == "exited 3"
    assert (panel.samples, panel.processes, panel.log) == ((), None, ("end",))
    assert panel.finished is not None
    with pytest.raises(NotFound):
        containers.show(container, client=client)


def test_its_processors_are_a_limit_and_what_its_command_is_given_is_hidden(client: Client) -> None:
    api: Any = client.api
    command = ["curl", "-u", "me:hide-me", "https://me:hide-me@host", "-H", "Authorization: Bearer hide-me"]
    made = api.create_container("busybox", command, name=name("set"), host_config=api.create_host_config(cpuset_cpus="0"))
    try:
        panel = containers.show(made["Id"], client=client)
        assert panel.limits.cpus == 1
        assert ("processors", "0") in panel.settings
        assert panel.facts.command == "curl -u 'me:***' 'https://me:***@host' -H 'Authorization: ***'"
        listed = containers.ps(all=True, client=client)
        assert not [face for shown in (panel, listed) for face in (str(shown), shown._repr_html_()) if "hide-me" in face]
    finally:
        api.remove_container(made["Id"])


@pytest.mark.contract
def test_what_is_watched_lives_through_a_restart_and_ends_with_a_stop(client: Client, box: Container) -> None:
    with watching(box) as (watch, seen):
        seen.until(lambda: len(seen.lines) > 3 and seen.panels and seen.panel.samples)
        with watch.acting():
            containers.restart(box, client=watch.client)
        seen.until(lambda: seen.lines.count("count 2") == 2)
        assert seen.lines.count("bye") == 1
        assert not seen.last
        with watch.acting():
            containers.stop(box, client=watch.client)
        seen.until(lambda: seen.last)
        (last,) = seen.last
        assert last.facts.word == "exited 3"
        assert last.log[-1] == "bye"
        assert not last.processes
    eventually(lambda: not [t.name for t in threading.enumerate() if t.name.startswith("dockerlab")])


@pytest.mark.contract
def test_lines_come_once_and_in_order(client: Client, box: Container) -> None:
    with watching(box) as (_, seen):
        seen.until(lambda: len(seen.lines) >= 20)
    assert seen.lines == [f"count {i + 1}" for i in range(len(seen.lines))]


def test_what_others_do_is_seen(client: Client, box: Container) -> None:
    with watching(box) as (_, seen):
        seen.until(lambda: seen.panels)
        containers.pause(box, client=client)
        seen.until(lambda: seen.panel.facts.state == "paused")
        containers.unpause(box, client=client)
        seen.until(lambda: seen.panel.facts.state == "running")
        containers.restart(box, client=client)
        seen.until(lambda: seen.lines.count("count 2") == 2)
        assert not seen.last
        containers.rm(box, force=True, client=client)
        seen.until(lambda: seen.last)
        assert seen.last[0].facts.state == "removed"


def test_one_that_does_not_run_may_be_started(client: Client) -> None:
    with running(client, "sh", "-c", "echo again; exec sleep 600", name=name("again")) as container:
        containers.stop(container, timeout=0, client=client)
        with watching(container) as (watch, seen):
            seen.until(lambda: seen.lines == ["again"])
            time.sleep(1.5)
            assert not seen.last
            with watch.acting():
                containers.start(container, client=watch.client)
            seen.until(lambda: seen.lines == ["again", "again"])
            seen.until(lambda: seen.panel.is_running and seen.panel.samples)


def test_it_ends_when_nobody_does_anything_for_long(client: Client, box: Container) -> None:
    with watching(box, idle=1.0) as (_, seen):
        seen.until(lambda: seen.last)
    assert "no longer followed" in seen.last[0].note
    assert seen.last[0].facts.state == "running"


def test_a_flood_of_lines_is_skipped_through(client: Client) -> None:
    """It prints as fast as it can: what is read is little, it is its end, and what is left out is marked."""
    with (
        running(client, "sh", "-c", "while :; do seq 10000; done", name=name("flood")) as container,
        watching(container) as (watch, seen),
    ):
        seen.until(lambda: any(LEFT_OUT in line for line in seen.lines))
        began, used, count = time.monotonic(), time.process_time(), len(seen.lines)
        time.sleep(3)
        share = (time.process_time() - used) / (time.monotonic() - began)
        assert share < 0.5
        assert 500 < len(seen.lines) - count < 30_000
        with watch.acting():
            containers.kill(container, client=watch.client)
        seen.until(lambda: seen.last)
        assert seen.last[0].log


def test_an_engine_that_goes_away_is_asked_again(engine: Engine, client: Client, box: Container) -> None:
    with (
        forwarding(engine.url) as forwarder,
        closing(connect(forwarder.url)) as reached,
        watching(containers.get(box, client=reached)) as (_, seen),
    ):
        seen.until(lambda: len(seen.lines) > 3)
        forwarder.cut()
        seen.until(lambda: any("does not answer" in panel.note for panel in seen.panels))
        seen.until(lambda: not seen.panel.note and len(seen.lines) > 30)
        numbers = [int(line.split()[1]) for line in seen.lines]
        assert numbers == sorted(set(numbers))


def test_it_is_closed_also_where_the_network_stands_still(engine: Engine, client: Client, box: Container) -> None:
    with (
        forwarding(engine.url) as forwarder,
        closing(connect(forwarder.url)) as reached,
        watching(containers.get(box, client=reached)) as (watch, seen),
    ):
        seen.until(lambda: len(seen.lines) > 3 and seen.panels and seen.panel.samples)
        forwarder.stall()
        began = time.monotonic()
        watch.close()
        assert time.monotonic() - began < 6
        forwarder.cut()


@pytest.mark.parametrize("way", ["tcp", "tls", "ssh"])
def test_every_way_to_an_engine(engine: Engine, client: Client, box: Container, way: str, tmp_path: Path) -> None:
    with {"tcp": by_tcp, "tls": by_tls, "ssh": by_ssh}[way](engine, tmp_path) as reached:
        with watching(containers.get(box, client=reached)) as (watch, seen):
            seen.until(lambda: len(seen.lines) > 3 and seen.panels and seen.panel.samples)
            with watch.acting():
                containers.pause(box, client=watch.client)
            seen.until(lambda: seen.panel.facts.state == "paused")
            began = time.monotonic()
        assert time.monotonic() - began < 3
        containers.unpause(box, client=client)


@pytest.mark.contract
def test_in_a_cell_that_is_not_live_it_is_shown_once(client: Client, box: Container) -> None:
    with Shell() as shell:
        result = shell.run(f"%container show {box.name}")
        assert isinstance(result.value, Panel)
        assert [set(display) for display in result.displays] == [{"text/plain", "text/html"}]
        assert result.displays[0]["text/plain"] == f"container {box.name} (busybox): running"
        assert isinstance(shell.run(f"%container pause {box.name}").value, Container)
        assert shell.run(f"%container show {box.name}").value.facts.state == "paused"
        shell.run(f"%container unpause {box.name}")
        assert "show" in shell.complete("%container sh")
        assert str(box.name) in shell.complete(f"%container show {str(box.name)[:10]}")
