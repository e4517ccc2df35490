"""What clients ask for in a wrong way: statuses and texts of Docker Engine 28, endpoint by endpoint."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.embedded.containing import Client

_CHECKED = [
    ("stop?signal=FOO", None, 500, "cannot stop container: web: invalid signal: FOO"),
    ("restart?signal=FOO", None, 500, "Cannot restart container web: invalid signal: FOO"),
    ("kill?signal=99", None, 400, "cannot kill container: web: the linux daemon does not support signal 99"),
    (
        "start",
        {"Binds": ["/x:/y"]},
        400,
        "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
    ),
    ("resize?h=-1&w=5", None, 400, 'invalid resize height "-1": value out of range'),
    ("resize?h=5&w=99999", None, 400, 'invalid resize width "99999": value out of range'),
    ("resize?h=x&w=5", None, 400, 'invalid resize height "x": invalid syntax'),
]


@pytest.mark.parametrize(("call", "body", "status", "text"), _CHECKED)
def test_calls_on_what_runs(api: Client, call: str, body: Any, status: int, text: str) -> None:
    api.run("sleep", "600", name="web")
    assert api.message("POST", f"/containers/web/{call}", body) == (status, text)
    assert api.inspect("web")["State"]["Running"]


def test_an_empty_body_starts(api: Client) -> None:
    made = api.create("true")
    assert api.post(f"/containers/{made}/start", {}).status == 204


def test_signals_by_their_distance_from_the_last(api: Client) -> None:
    made = api.ready("sh", "-c", "trap 'exit 9' 62; echo begun; while :; do sleep 0.1; done")
    assert api.post(f"/containers/{made}/kill", signal="SIGRTMAX-2").status == 204
    assert api.wait(made) == 9


def test_an_empty_archive_changes_nothing(api: Client) -> None:
    made = api.create("true")
    assert api.ask("PUT", f"/containers/{made}/archive", b"", path="/tmp").status == 200
    reply = api.ask("GET", f"/containers/{made}/changes")
    assert (reply.headers["content-type"], reply.json()) == ("application/json", None)


def test_devices_that_are_not_there(api: Client) -> None:
    made = api.create("true", host={"DeviceRequests": [{"Capabilities": [["gpu"]], "Count": -1}]})
    refusal = 'could not select device driver "" with capabilities: [[gpu]]'
    assert api.message("POST", f"/containers/{made}/start") == (500, refusal)
    state = api.inspect(made)["State"]
    assert (state["Status"], state["Error"]) == ("created", refusal)
    made = api.create(
        "true", host={"Devices": [{"PathOnHost": "/dev/nosuch", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}]}
    )
    status, text = api.message("POST", f"/containers/{made}/start")
    assert (status, text.partition('"')[0]) == (500, "error gathering device information while adding custom device ")


def test_every_answer_has_its_date(api: Client) -> None:
    said = parsedate_to_datetime(api.ask("GET", "/_ping").headers["date"])
    assert abs((datetime.now(UTC) - said).total_seconds()) < 60


def test_a_commit_of_nothing(api: Client) -> None:
    assert api.message("POST", "/commit") == (400, 'invalid name or ID supplied: ""')
