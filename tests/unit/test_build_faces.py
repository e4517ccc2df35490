"""A build's three faces: stable text, full table, static HTML; hostile text is shown, never run."""

from __future__ import annotations

import re

from dockerlab.builds.record import Build, Trace
from dockerlab.dockerfile import parse
from dockerlab.faces.markup import END_VOLATILE, VOLATILE
from dockerlab.wire.trace import Log, Status, Vertex

TEXT = "FROM python:3.10\nEXPOSE 5000\nRUN pip install flask\nCOPY . .\n"


def record(
    outcome: str = "done", *, took: float = 2.4, cached: bool = False, output: bytes = b"ok\n", tag: str = "app:latest"
) -> Build:
    trace = Trace(parse(TEXT), (tag,), "classic", "", 100.0)
    for i, name in enumerate(("FROM python:3.10", "EXPOSE 5000", "RUN pip install flask", "COPY . .")):
        trace.apply(Vertex(str(i), name))
    trace.apply(Vertex("0", "FROM", started=100.0, completed=100.1))
    trace.apply(Vertex("1", "EXPOSE", started=100.1, completed=100.2, cached=cached))
    trace.apply(Vertex("2", "RUN", started=100.2))
    trace.apply(Log("2", output))
    if outcome == "running":
        trace.apply(Status("abc", "2", "Downloading", 50, 100))
    elif outcome == "failed":
        trace.apply(Vertex("2", "RUN", started=100.2, completed=100.2 + took, error="oh no"))
    elif outcome == "done":
        trace.apply(Vertex("2", "RUN", started=100.2, completed=100.2 + took, cached=cached))
        trace.apply(Vertex("3", "COPY", started=103.0, completed=103.1, cached=cached))
    return trace.snapshot(110.0, outcome)


def stable(html: str) -> str:
    return re.sub(f"{VOLATILE}.*?{END_VOLATILE}", "", html, flags=re.DOTALL)


def test_the_text_is_the_same_on_every_run() -> None:
    text = "\n".join(
        [
            "build app:latest",
            "1  FROM python:3.10       base",
            "2  EXPOSE 5000            config",
            "3  RUN pip install flask  layer",
            "4  COPY . .               layer",
        ]
    )
    assert repr(record()) == text
    assert repr(record(took=0.1, cached=True, output=b"other\n")) == text


def test_the_text_of_a_failure_says_what_failed() -> None:
    assert repr(record("failed")).splitlines() == [
        "build app:latest: failed",
        "1  FROM python:3.10       base",
        "2  EXPOSE 5000            config",
        "3  RUN pip install flask  layer  ✕ failed",
        "4  COPY . .               layer",
    ]


def test_the_table_has_states_and_times() -> None:
    assert str(record("failed")).splitlines() == [
        "app:latest   2 of 4 steps   10.0 s   failed",
        "1  FROM python:3.10       base    ● done     0.1 s",
        "2  EXPOSE 5000            config  ● done     0.1 s",
        "3  RUN pip install flask  layer   ✕ failed   2.4 s",
        "4  COPY . .               layer   ○ not run",
    ]
    assert str(record("interrupted")).splitlines()[3].endswith("■ interrupted  9.8 s")


def test_html_outside_the_volatile_marks_is_the_same_on_every_run() -> None:
    one, two = record(), record(took=0.1, cached=True, output=b"other\n" * 100)
    assert one._repr_html_() != two._repr_html_()
    assert stable(one._repr_html_()) == stable(two._repr_html_())
    assert stable(one._repr_html_()) != stable(record(tag="other:latest")._repr_html_())
    assert stable(one._repr_html_()) != stable(record("failed")._repr_html_())


def test_hostile_text_is_shown_and_never_run() -> None:
    html = record(output=b"<script>alert(1)</script>\n<!--/volatile-->\n", tag="<img src=x onerror=alert(1)>")._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert html.count(VOLATILE) == html.count(END_VOLATILE)


def test_while_it_runs_there_are_bars_and_the_last_lines() -> None:
    html = record("running", output=b"".join(b"line %d\n" % i for i in range(1000)))._repr_html_()
    assert 'aria-label="50 %"' in html
    assert "line 999" in html
    assert "line 900" not in html
    assert len(html) < 20_000


def test_a_long_log_is_cut_in_the_page_and_whole_on_the_record() -> None:
    build = record(output=b"".join(b"line %d\n" % i for i in range(10_000)))
    assert "9,940 earlier lines: image.build.log" in build._repr_html_()
    assert "line 0\n" in build.log
    assert "line 9999" in build.log


def test_output_may_be_cut_in_the_middle_of_a_character_or_a_line() -> None:
    trace = Trace(parse("FROM a\n"), (), "classic", "", 0.0)
    trace.apply(Vertex("0", "FROM a", started=0.0))
    for piece in ("grö".encode()[:3], "grö".encode()[3:] + b"\x1b[31", b"mrot\x1b[0m\n10%\r", b"99%\nrest"):
        trace.apply(Log("0", piece))
    assert trace.snapshot(1.0).steps[0].output == ("grörot", "99%", "rest")
