"""What differs from run to run is cut; all else still counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dockerlab.faces import markup
from dockerlab.testing.sanitiser import PATH, rules, sanitise


def face(instruction: str = "RUN make", seconds: str = "2.4 s", identifier: str = "4f2a") -> str:
    """A table as a build shows it, with a volatile cell over several lines and one that holds another."""
    inner = f"{identifier}\n<b>{markup.volatile(seconds)}</b>\n{markup.volatile(seconds)}"
    rows = [[markup.code(instruction), markup.volatile(f"\n{seconds}\n"), markup.volatile(inner), "kept"]]
    return markup.page(markup.head("app:latest", markup.volatile(seconds)), markup.table(["step", "time", "id", ""], rows))


def test_two_runs_become_equal() -> None:
    one, other = face(seconds="2.4 s", identifier="4f2a"), face(seconds="1 m 05 s\n…", identifier="")
    assert one != other
    assert sanitise(one) == sanitise(other)
    assert "kept" in sanitise(one)
    assert "2.4 s" not in sanitise(one)


def test_what_is_not_volatile_still_differs() -> None:
    assert sanitise(face(instruction="RUN make")) != sanitise(face(instruction="RUN mak"))
    assert sanitise(face()) != sanitise(face().replace("kept", "lost"))


def test_a_mark_without_its_end_cuts_nothing() -> None:
    assert sanitise(f"{markup.VOLATILE}a {markup.volatile('b')} c") == f"{markup.VOLATILE}a {markup.VOLATILE} c"


def test_marks_within_marks_are_cut_with_them_however_deep() -> None:
    def nested(said: str) -> str:
        return markup.volatile(f"{said}{markup.volatile(f'{said}{markup.volatile(said)}{said}')}{said}")

    assert sanitise(f"a{nested('2.4 s')}b") == sanitise(f"a{nested('')}b")


def test_marks_in_text_from_outside_are_shown_not_obeyed() -> None:
    hostile = markup.text("<!--volatile-->evil<!--/volatile-->")
    assert sanitise(hostile) == hostile


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Running on http://172.17.0.2:5000", "Running on http://172.30.28.14:5000"),
        ("Running on http://10.88.0.2:5000", "Running on http://172.17.0.3:5000"),
        ("127.18.0.1 - - ", "172.17.0.1 - - "),
        ("'http://127.0.0.1:32768'", "'http://127.0.0.1:41234'"),
        ('- - [24/Nov/2026 04:53:00] "GET / HTTP/1.1" 200 -', '- - [01/Jan/2027 23:00:59] "GET / HTTP/1.1" 200 -'),
        ("2026-11-24T04:53:00.123456789Z ready", "2027-01-02T00:00:00.5Z ready"),
        ("[2026-11-24 04:53:00 +0000] ready", "[2027-01-02 00:00:00 +0000] ready"),
        (f"sha256:{'a1' * 32}", f"sha256:{'0f' * 32}"),
    ],
)
def test_text_that_programs_print_becomes_equal(one: str, other: str) -> None:
    assert sanitise(one) == sanitise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081"),
        ("http://127.0.0.1/", "http://127.0.0.2/"),
        ("http://10.0.0.2/", "http://10.0.0.3/"),
        ("http://172.217.1.1/", "http://172.217.1.2/"),
        ("2.4 s", "2.5 s"),
        ("exit code 1", "exit code 2"),
        ("v2026-11-24", "v2026-11-25"),
        ("deadbeef", "deadbeee"),
    ],
)
def test_text_that_means_something_still_differs(one: str, other: str) -> None:
    assert sanitise(one) != sanitise(other)


def test_nbval_reads_the_same_rules() -> None:
    plugin = pytest.importorskip("nbval.plugin")
    assert tuple(plugin.get_sanitize_patterns(PATH.read_text(encoding="utf-8"))) == rules()
    assert len(rules()) == PATH.read_text(encoding="utf-8").count("\nregex:") == 5


def test_the_module_prints_the_path() -> None:
    printed = subprocess.run([sys.executable, "-m", "dockerlab.testing"], capture_output=True, text=True, check=True).stdout
    assert Path(printed.strip()) == PATH
    assert PATH.is_file()
