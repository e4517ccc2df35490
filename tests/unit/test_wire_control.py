"""BuildKit's reports: what Docker Engine 28 sent, and whatever goes there and back."""

from __future__ import annotations

import base64
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerlab.wire import trace
from dockerlab.wire.control import SourceInfo, StatusResponse, events, report
from dockerlab.wire.protobuf import MalformedError, decode, encode

# Of `POST /build?version=2`, the body a tar in GNU's format. FROM busybox as base, WORKDIR /w, RUN echo out; echo err >&2,
# ENV WIRE_PASSWORD=x, RUN echo é; exit 3. The last is of another build, one that succeeds.
RECORDED_AS_TEXT = """
Is4JCkdzaGEyNTY6YmNmMWEwYTYwYmUyMzllNzVjZTEwMjc5YmZlNzUxOTc2YTI2NTNhMzJmYTE5OGY0MTA3NDhiYjE2ZDYzM2IxZhABGkRGcm9tQXNDYXNpbmc6ICdh
cycgYW5kICdGUk9NJyBrZXl3b3JkcycgY2FzaW5nIGRvIG5vdCBtYXRjaCAobGluZSAxKSI8VGhlICdhcycga2V5d29yZCBzaG91bGQgbWF0Y2ggdGhlIGNhc2Ugb2Yg
dGhlICdmcm9tJyBrZXl3b3JkKjpodHRwczovL2RvY3MuZG9ja2VyLmNvbS9nby9kb2NrZXJmaWxlL3J1bGUvZnJvbS1hcy1jYXNpbmcvMrYHCgpEb2NrZXJmaWxlEmNG
Uk9NIGJ1c3lib3ggYXMgYmFzZQpXT1JLRElSIC93ClJVTiBlY2hvIG91dDsgZWNobyBlcnIgPiYyCkVOViBXSVJFX1BBU1NXT1JEPXgKUlVOIGVjaG8gw6k7IGV4aXQg
MwoatgYKTloAGkoKLmh0dHA6Ly9idWlsZC1jb250ZXh0LWpiNnlzNmZmbHpzeTB4bzl3dHZ3NHZxOWwSGAoNaHR0cC5maWxlbmFtZRIHY29udGV4dAqDAQpJCkdzaGEy
NTY6NTY0Y2U1YTI5NzYyMGJlNmQxM2RhNGVmMzZiZWQ0MTk4ZTVlOTZiODM5ZWQ3YjVkZjE0YzBkNGU3YTdhZWY5NVoAIjQSMgj///////////8BIiUKCC9jb250ZXh0
EgEvIP///////////wE4AVj///////////8BCksKSQpHc2hhMjU2OmJjZjFhMGE2MGJlMjM5ZTc1Y2UxMDI3OWJmZTc1MTk3NmEyNjUzYTMyZmExOThmNDEwNzQ4YmIx
NmQ2MzNiMWYSlAEKR3NoYTI1Njo1NjRjZTVhMjk3NjIwYmU2ZDEzZGE0ZWYzNmJlZDQxOThlNWU5NmI4MzllZDdiNWRmMTRjMGQ0ZTdhN2FlZjk1EkkSNgoObGxiLmN1
c3RvbW5hbWUSJFtpbnRlcm5hbF0gbG9hZCByZW1vdGUgYnVpbGQgY29udGV4dCoPCgtzb3VyY2UuaHR0cBABEloKR3NoYTI1NjpiY2YxYTBhNjBiZTIzOWU3NWNlMTAy
NzliZmU3NTE5NzZhMjY1M2EzMmZhMTk4ZjQxMDc0OGJiMTZkNjMzYjFmEg8qDQoJZmlsZS5iYXNlEAESgAEKR3NoYTI1NjoxNjM1ODVmMTEyNGVjM2E2ZTdlNDllY2Ni
NjUzZjIwODRlOTRhYmYzNTk0YTRjODM5ZmQ4OWY0Y2Q1MzlhYTU2EjUqFAoQbWV0YS5kZXNjcmlwdGlvbhABKg8KC2NvbnN0cmFpbnRzEAEqDAoIcGxhdGZvcm0QARqa
AQpLCkdzaGEyNTY6NTY0Y2U1YTI5NzYyMGJlNmQxM2RhNGVmMzZiZWQ0MTk4ZTVlOTZiODM5ZWQ3YjVkZjE0YzBkNGU3YTdhZWY5NRIACksKR3NoYTI1NjpiY2YxYTBh
NjBiZTIzOWU3NWNlMTAyNzliZmU3NTE5NzZhMjY1M2EzMmZhMTk4ZjQxMDc0OGJiMTZkNjMzYjFmEgAiCkRvY2tlcmZpbGU6CAoCCAESAggB

CoUBCkdzaGEyNTY6ZTE0MzJiOGUyMDU0YWJiMDM0NDUxYzE1ZjBhOGFkNDlkMDdmNTg5MmNhMjY2MDE2MjI2ZmVjNzdlOTVkMjBhMBorWzEvNF0gRlJPTSBkb2NrZXIu
aW8vbGlicmFyeS9idXN5Ym94OmxhdGVzdCABKgsI77Cg2AYQi57uWA==

Gl8KR3NoYTI1NjowN2U1MjZhY2E5YTIyZDM1Yzg2NGIwMTVjOTE3YmMyNzE2NDcwMGZmZDU2ODdlYjYyM2U1NzhlYThlYjBhOTYzEgwI77Cg2AYQndmb8wIYAiIEZXJy
Cg==

Gl4KR3NoYTI1Njo2NWI3MDU0MGQ2OTlmZGViNDNmNzU0MTVmNmU1YTMzNzJkZWI3ZGY3Y2Y2YTY4Zjg0MGFiMDNjNWQ3MWFlMmE3EgwI8LCg2AYQpbXgqwEYASIDw6kK

CpsCCkdzaGEyNTY6NjViNzA1NDBkNjk5ZmRlYjQzZjc1NDE1ZjZlNWEzMzcyZGViN2RmN2NmNmE2OGY4NDBhYjAzYzVkNzFhZTJhNxJHc2hhMjU2OjA3ZTUyNmFjYTlh
MjJkMzVjODY0YjAxNWM5MTdiYzI3MTY0NzAwZmZkNTY4N2ViNjIzZTU3OGVhOGViMGE5NjMaGVs0LzRdIFJVTiBlY2hvIMOpOyBleGl0IDMqDAjvsKDYBhCxosmoAzIM
CPCwoNgGEKGN28ABOlBwcm9jZXNzICIvYmluL3NoIC1jIGVjaG8gw6k7IGV4aXQgMyIgZGlkIG5vdCBjb21wbGV0ZSBzdWNjZXNzZnVsbHk6IGV4aXQgY29kZTogMw==

EqYBCjFuYW1pbmcgdG8gZG9ja2VyLmlvL2xpYnJhcnkvd2lyZS1yZWNvcmRpbmc6bGF0ZXN0EkdzaGEyNTY6ZjFjOWQyMzUzYTlkZWY4MDkyNjhkZjI4YTI1OGMxMTUw
Njg3MTFhNGZhYmMzNTIzZDhiYWQyMTk4MjA3NzIxYzIMCOi0oNgGEN2qo+gBOgwI6LSg2AYQ4rHd5QFCDAjotKDYBhCRmqPoAQ==
"""
RECORDED = [base64.b64decode(block) for block in RECORDED_AS_TEXT.split("\n\n")]

CONTEXT = "sha256:bcf1a0a60be239e75ce10279bfe751976a2653a32fa198f410748bb16d633b1f"
FROM = "sha256:e1432b8e2054abb034451c15f0a8ad49d07f5892ca266016226fec77e95d20a0"
RUN = "sha256:07e526aca9a22d35c864b015c917bc27164700ffd5687eb623e578ea8eb0a963"
FAILS = "sha256:65b70540d699fdeb43f75415f6e5a3372deb7df7cf6a68f840ab03c5d71ae2a7"
EXPORT = "sha256:f1c9d2353a9def809268df28a258c115068711a4fabc3523d8bad2198207721c"


def test_what_an_engine_sent() -> None:
    warned, cached, printed, accented, failed, named = ([*events(data)] for data in RECORDED)
    assert warned == [
        trace.Lint(
            CONTEXT,
            "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)",
            ("The 'as' keyword should match the case of the 'from' keyword",),
            "https://docs.docker.com/go/dockerfile/rule/from-as-casing/",
            (1,),
        )
    ]
    assert cached == [trace.Vertex(FROM, "[1/4] FROM docker.io/library/busybox:latest", (), 1795692655.186355467, None, True)]
    assert printed == [trace.Log(RUN, b"err\n", 2, 1795692655.778497241)]
    assert accented == [trace.Log(FAILS, "é\n".encode(), 1, accented[0].timestamp)]  # type: ignore[union-attr]
    why = 'process "/bin/sh -c echo é; exit 3" did not complete successfully: exit code: 3'
    [vertex] = failed
    assert vertex == trace.Vertex(FAILS, "[4/4] RUN echo é; exit 3", (RUN,), 1795692655.890392797, 1795692656.404145696, False, why)
    assert named == [
        trace.Status("naming to docker.io/library/wire-recording:latest", EXPORT, "", 0, 0, 1795693160.481778, 1795693160.487116)
    ]


def test_it_is_encoded_as_the_engine_does() -> None:
    """Byte for byte, but for the parts of a warning's Dockerfile that are not wanted."""
    warned, *others = RECORDED
    assert [encode(decode(StatusResponse, data)) for data in others] == others
    [warning] = decode(StatusResponse, warned).warnings
    text = "FROM busybox as base\nWORKDIR /w\nRUN echo out; echo err >&2\nENV WIRE_PASSWORD=x\nRUN echo é; exit 3\n"
    assert warning.info == SourceInfo("Dockerfile", text.encode())


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 1 << 62)
SECONDS = st.integers(0, 4 * 10**18).map(lambda nanoseconds: nanoseconds / 10**9)
TIMES = st.none() | SECONDS
EVENTS = (
    st.builds(trace.Vertex, TEXTS, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), TIMES, TIMES, st.booleans(), TEXTS)
    | st.builds(trace.Status, TEXTS, TEXTS, TEXTS, NUMBERS, NUMBERS, TIMES, TIMES)
    | st.builds(trace.Log, TEXTS, st.binary(max_size=50), st.sampled_from([1, 2]), SECONDS)
    | st.builds(
        trace.Lint,
        TEXTS,
        TEXTS,
        st.lists(TEXTS, max_size=3).map(tuple),
        TEXTS,
        st.lists(st.integers(0, 1 << 31), max_size=3).map(tuple),
    )
)
ORDER = [trace.Vertex, trace.Status, trace.Log, trace.Lint]


@given(st.lists(EVENTS, max_size=6))
def test_there_and_back(found: list[trace.Event]) -> None:
    """In the order of their kinds: a report has a list for each."""
    assert [*events(report(found))] == sorted(found, key=lambda event: ORDER.index(type(event)))


@given(st.floats(0, 1 << 33))
def test_a_time_is_kept_to_the_nanosecond(seconds: float) -> None:
    [vertex] = decode(StatusResponse, report([trace.Vertex("", "", started=seconds)])).vertexes
    assert vertex.started is not None
    assert 0 <= vertex.started.nanos < 10**9
    assert math.isclose(vertex.started.seconds + vertex.started.nanos / 10**9, seconds, rel_tol=0, abs_tol=1e-9 + math.ulp(seconds))


def test_a_report_of_nothing() -> None:
    assert report([]) == b""
    assert [*events(b"")] == []


def test_bytes_that_are_no_text_are_kept() -> None:
    """A Dockerfile's line may be of any bytes."""
    lint = trace.Lint("", b"bad \xff".decode("utf-8", "surrogateescape"), ("\udcfe",), "", (1,))
    assert [*events(report([lint]))] == [lint]


def test_what_is_no_report() -> None:
    with pytest.raises(MalformedError):
        [*events(b"\x0a\x7f")]
