"""The faces of the reasons: a table, changed lines and files beneath; everything from outside is shown and never run."""

from __future__ import annotations

from dataclasses import replace

from dockerlab.builds.reasons import Reason
from dockerlab.builds.record import Build, Trace
from dockerlab.dockerfile import parse
from dockerlab.faces import markup
from dockerlab.wire.trace import Vertex

FILES = tuple(f"src/{i}" for i in range(20))
REASONS = (
    Reason(2, "COPY src /src", "files", "30 files changed: src/0 (added), and 29 more", added=FILES, files=30),
    Reason(3, "RUN <b>x</b>", "instruction", "the instruction changed", diff=("- RUN a", "+ RUN <b>x</b>\x1b[31m")),
    Reason(4, "RUN c", "step", "because line 3 ran: RUN <b>x</b>", cause=3),
)


def record(reasons: tuple[Reason, ...] = REASONS, *, cached: bool = False) -> Build:
    trace = Trace(parse("FROM b\nCOPY src /src\nRUN <b>x</b>\nRUN c\n"), ("app:latest",), "buildkit", "", 0.0)
    for number in range(4):
        trace.apply(Vertex(str(number), "", started=1.0, completed=2.0, cached=cached))
    return replace(trace.snapshot(3.0, "done", "sha256:1"), reasons=reasons)


def test_the_table() -> None:
    lines = str(record().explanation).splitlines()
    assert lines[0].split("  ")[0] == "line"
    assert lines[1].split(maxsplit=1) == ["2", "COPY src /src  30 files changed: src/0 (added), and 29 more"]
    assert lines[2:4] == ["        + src/0", "        + src/1"]
    assert lines[22] == "        … 10 more files"
    assert lines[24:26] == ["        - RUN a", "        + RUN <b>x</b>"]
    assert lines[26].split(maxsplit=1) == ["4", "RUN c          because line 3 ran: RUN <b>x</b>"]


def test_the_stable_text_holds_nothing_that_differs_from_run_to_run() -> None:
    assert repr(record().explanation) == repr(record((), cached=True).explanation) == "why the steps of app:latest ran"


def test_the_page_is_escaped_and_what_differs_is_marked() -> None:
    html = record().explanation._repr_html_()
    assert "<b>x" not in html
    assert "&lt;b&gt;x" in html
    assert "\x1b" not in html
    before, _, rest = html.partition(markup.VOLATILE)
    assert "because" not in before
    assert "because line 3 ran" in rest.partition(markup.END_VOLATILE)[0]


def test_a_builds_details_have_them_only_where_there_are_some() -> None:
    assert "why it ran" in record()._repr_html_()
    assert "why it ran" not in record(())._repr_html_()


def test_no_reasons() -> None:
    assert str(record((), cached=True).explanation) == "No step ran: all of them were in the cache."
    assert str(record(()).explanation) == "Why the steps ran is not known."
