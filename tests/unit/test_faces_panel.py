"""The faces of a container's panel, and its plots."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pytest

from dockerlab.containers.panel import Mount, Panel, Variable
from dockerlab.containers.processes import Process
from dockerlab.containers.sampling import Limits, Sample
from dockerlab.containers.values import Change
from dockerlab.faces.container import Facts, PortLink
from dockerlab.faces.plot import Line, Plot, _ticks
from dockerlab.testing.sanitiser import sanitise

EVIL = "<script>alert(1)</script>"
FACTS = Facts(
    id="a" * 64, name="web1", engine_name="web1", image="app", command="flask run", state="running", health="healthy",
    ports=(PortLink("8080→5000", "http://127.0.0.1:8080/"),),
)  # fmt: skip
SERIES = tuple(Sample(1000.0 + i, 10.0 + i, 1_000_000 * i, 3, 1000 * i, 500 * i, 0, 10 * i) for i in range(10))


def panel(**changes: Any) -> Panel:
    usual: dict[str, Any] = {
        "facts": FACTS, "at": 1010.0, "started": 900.0, "samples": SERIES, "network": "bridge",
        "limits": Limits(cpus=0.5, memory=64_000_000, processes=100, processors=2, machine_memory=8_000_000_000),
        "environment": (Variable("A", "1"),), "mounts": (Mount("bind", "/src", "/app", False),),
        "processes": (Process(1, "root", "sh"), Process(7, "root", "flask", 1, True, 1.5, 2_000_000)),
        "changes": (Change("/tmp/new", "added"),), "log": ("\x1b[31mred\x1b[0m", "plain"), "settings": (("network", "bridge 10.0.0.2"),),
    }  # fmt: skip
    return Panel(**(usual | changes))


def words(html: str) -> str:
    return unescape(" ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL).split()))


def test_the_text_is_the_same_on_every_run() -> None:
    assert repr(panel()) == repr(panel(samples=(), at=5000.0)) == "container web1 (app): running"
    assert sanitise(panel()._repr_html_()) == sanitise(panel(samples=(), at=5000.0, log=(), processes=None)._repr_html_())


def test_the_table_says_all_of_it() -> None:
    said = str(panel())
    for part in ("running, healthy, up 1 m 50 s", "8080→5000", "CPU: 19.0 %", "limit 50 %", "limit 64.0 MB",
                 "3 processes and threads of at most 100",
                 "└─ flask", "+ /tmp/new", "A=1", "bind /src → /app (read-only)", "\n  red\n", "in 1.0 kB/s"):  # fmt: skip
        assert part in said, part


def test_the_static_face_has_no_control() -> None:
    html = panel()._repr_html_()
    assert not re.search(r"<button|<input|<script|data-action|data-log|data-copy", html)
    assert '<span style="color:var(--sgr-1)">red</span>' in html
    assert html.count("<svg") == 4
    for picture in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(picture)


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        ("running", ["stop", "restart", "pause", "kill", "remove", "freeze"]),
        ("paused", ["unpause", "stop", "kill", "remove", "freeze"]),
        ("exited", ["start", "remove", "freeze"]),
        ("removed", ["freeze"]),
    ],
)
def test_the_live_face_has_the_buttons_that_make_sense(state: str, actions: list[str]) -> None:
    html = panel(facts=replace(FACTS, state=state))._live_html()
    assert re.findall(r'data-action="(\w+)"', html) == actions
    assert ("data-confirm" in html) == ("remove" in actions)
    assert html.count("data-log=") == 1
    assert re.findall(r"<(\w+)[^>]* data-copy=", html) == ["button"], "which the keyboard reaches"


def test_nothing_from_outside_is_markup() -> None:
    evil = panel(
        facts=replace(FACTS, name=EVIL, image=EVIL, command=EVIL), environment=(Variable(EVIL, EVIL),), log=(EVIL, f"\x1b[1m{EVIL}"),
        mounts=(Mount(EVIL, EVIL, EVIL, True),), processes=(Process(1, EVIL, EVIL),), changes=(Change(EVIL, "added"),), note=EVIL,
        health_said=EVIL, settings=((EVIL, EVIL),), network=EVIL,
    )  # fmt: skip
    assert "<script" not in evil._repr_html_()
    assert "<script" not in evil._live_html()


def test_lists_are_bounded() -> None:
    many = panel(
        changes=tuple(Change(f"/{i}", "added") for i in range(5000)), processes=tuple(Process(i, "u", "c") for i in range(900))
    )
    assert "… 4,800 more" in words(many._live_html())
    assert "… 700 more" in str(many)
    assert len(many._live_html()) < 120_000


def test_what_an_engine_cannot_measure_is_said() -> None:
    bare = tuple(Sample(1000.0 + i) for i in range(3))
    limits = Limits(cpus=0.5, memory=64_000_000, unenforced=frozenset({"cpus", "memory"}))
    said = words(panel(samples=bare, limits=limits)._repr_html_())
    for part in ("does not measure processor time", "does not measure memory", "does not count its network", "nothing reached a disk yet",
                 "limit 50 % is not enforced by this engine"):  # fmt: skip
        assert part in said, part
    assert "no network" in words(panel(samples=bare, network="none")._repr_html_())
    assert "host's network" in words(panel(samples=bare, network="host")._repr_html_())
    assert "9.0 kB / 4.5 kB in all" in words(panel()._repr_html_())
    assert "9.0 kB / 4.5 kB by published ports" in words(panel(counts_published=True)._repr_html_())
    assert "Waiting for the first sample" in words(panel(samples=())._live_html())
    assert "<figure" not in panel(samples=(), facts=replace(FACTS, state="created"))._repr_html_()


def test_a_plot_in_words_and_as_a_picture() -> None:
    points = [(0.0, 1.0), (1.0, 3.0), (2.0, None), (3.0, 2.0), (4.0, 2.5), (5.0, None), (6.0, 1.0)]
    plot = Plot("CPU", (Line("", points),), lambda value: f"{value:g} %", least=1.0, limit=4.0, limit_said="limit 4 %")
    assert plot.said() == "CPU: 1 %, at most 3 % in 6.0 s, limit 4 %"
    html = plot.html(0.0, 6.0)
    assert html.count('class="line first"') == 2  # a value that stands alone is no line
    assert html.count('<path class="limit"') == 1
    assert 'aria-label="CPU: 1 %, at most 3 % in 6.0 s, limit 4 %"' in html
    assert "<svg" not in Plot("CPU", (Line("", [(0.0, 1.0)]),), str, least=1.0).html(0.0, 0.0)


@pytest.mark.parametrize(("top", "ticks"), [(10.0, [0, 5, 10]), (54.0, [0, 20, 40]), (7e7, [0, 5e7]), (1.08, [0, 0.5, 1.0])])
def test_ticks_are_round(top: float, ticks: list[float]) -> None:
    assert _ticks(top) == pytest.approx(ticks)
