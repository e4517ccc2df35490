"""Live views as a front end hears of them: what a kernel sends, how much of it, and what it leaves behind. No page, no engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

_HEAD = """
import threading, time
from dockerlab.faces.shown import Shown
from dockerlab.notebook.live import LiveDisplay
from dockerlab.notebook.session import Session
from dockerlab.notebook.view import LiveView

class Face(Shown):
    def __init__(self, html):
        self.html = html
    def _text(self):
        return "a face"
    def _html(self):
        return self.html

class Lively(Face):
    def _live_html(self):
        return "live " + self.html

session = Session(get_ipython())
"""
_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def client() -> Iterator[BlockingKernelClient]:
    """A kernel that a person uses, not one of a test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_VERSION", raising=False)
        manager, client = start_new_kernel(kernel_name="python3")
    try:
        run(client, _HEAD)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, code: str, *, in_page: bool = True) -> list[dict[str, Any]]:
    """Runs a cell as a page does, or as a program; what the kernel sent until it was idle, each with `at`, when it came."""
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    message = client.session.msg("execute_request", content, metadata={"cellId": "one"} if in_page else {})
    client.shell_channel.send(message)
    found: list[dict[str, Any]] = []
    while True:
        heard = client.get_iopub_msg(timeout=30)
        found.append({"type": heard["msg_type"], "at": time.monotonic(), **heard["content"]})
        assert heard["msg_type"] != "error", heard["content"]
        if heard["content"].get("execution_state") == "idle" and heard["parent_header"]["msg_id"] == message["header"]["msg_id"]:
            return found


def htmls(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The states that hold markup, with `at`."""
    states = [{**one["data"].get("state", {}), "at": one["at"]} for one in heard if one["type"] in ("comm_open", "comm_msg")]
    return [state for state in states if "html" in state]


def logs(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that hold lines of a log."""
    contents = [one["data"].get("content", {}) for one in heard if one["type"] == "comm_msg"]
    return [content for content in contents if content.get("kind") == "log"]


def say(client: BlockingKernelClient, heard: list[dict[str, Any]], content: dict[str, Any]) -> None:
    """Tells the view that was opened what a page would."""
    comm = next(one["comm_id"] for one in heard if one["type"] == "comm_open" and "html" in one["data"]["state"])
    message = {"comm_id": comm, "data": {"method": "custom", "content": content}}
    client.shell_channel.send(client.session.msg("comm_msg", message))


def test_faces_come_ten_times_a_second_and_the_last_always(client: BlockingKernelClient) -> None:
    show = "view = LiveView(session, Face('0'))\nstop = time.monotonic() + 2\nn = 0\nwhile time.monotonic() < stop:\n"
    heard = run(client, f"{show}    n += 1; view.show(Face(str(n))); time.sleep(0.001)\ntime.sleep(0.3)\nprint(n)")
    states = htmls(heard)
    last = next(one["text"] for one in heard if one["type"] == "stream").strip()
    assert states[-1]["html"] == last
    assert 3 <= len(states) <= 24
    say(client, heard, {"kind": "here", "page": "one"})
    again = run(client, "view.freeze(); view.show(Face('late')); view.log('x', ['late']); view.freeze(); print(view.is_open)")
    (update,) = [one for one in again if one["type"] == "update_display_data"]
    assert update["data"] == {"text/plain": "a face", "text/html": last}
    assert not htmls(again)
    assert not logs(again)
    # The widget's and that of its layout.
    assert len([one for one in again if one["type"] == "comm_close"]) == 2


def test_a_view_that_ends_before_its_page_is_there_closes_when_it_is(client: BlockingKernelClient) -> None:
    heard = run(client, "view = LiveView(session, Face('<p>'))\nview.freeze()")
    assert not [one for one in heard if one["type"] == "comm_close"]
    say(client, heard, {"kind": "here", "page": "late"})
    assert len([one for one in run(client, "0") if one["type"] == "comm_close"]) == 2


def test_a_large_face_comes_more_rarely(client: BlockingKernelClient) -> None:
    show = "view = LiveView(session, Face('0'))\nfor n in range(200): view.show(Face(str(n) + ' ' * 250_000)); time.sleep(0.01)\n"
    heard = run(client, f"{show}time.sleep(0.8)\nview.freeze()")
    assert 2 <= len(htmls(heard)) <= 8
    assert htmls(heard)[-1]["html"].startswith("199 ")


def test_a_log_comes_in_batches_and_its_end_always(client: BlockingKernelClient) -> None:
    show = "view = LiveView(session, Face(''))\nfor n in range(1000): view.log('a', [f'{n} {i}' for i in range(100)])\n"
    heard = run(client, f"{show}view.log('b', ['x' * 5000])\ntime.sleep(1.2)\nview.freeze()")
    batches = [batch for batch in logs(heard) if batch["name"] == "a"]
    assert 1 <= len(batches) <= 60
    assert max(len(batch["lines"]) for batch in batches) <= 300
    ends = [batch["at"] + len(batch["lines"]) for batch in batches]
    assert ends == sorted(set(ends))
    assert ends[-1] == 100_000
    assert batches[-1]["lines"][-1] == "999 99"
    tails = [
        one["data"]["state"]["tails"] for one in heard if one["type"] == "comm_msg" and "tails" in one["data"].get("state", {})
    ]
    assert tails[-1]["a"]["at"] == 99_800
    assert tails[-1]["a"]["lines"][-1] == "999 99"
    assert tails[-1]["b"] == {"at": 0, "lines": ["x" * 2000 + " …"]}


def test_the_bundle_holds_the_static_face_beside_the_widget(client: BlockingKernelClient) -> None:
    heard = run(client, "view = LiveView(session, Lively('<p>'))")
    (shown,) = [one for one in heard if one["type"] == "display_data"]
    assert shown["data"].keys() == {"text/plain", "text/html", _VIEW}
    assert shown["data"]["text/html"] == "<p>"
    assert htmls(heard)[0]["html"] == "live <p>"
    again = run(client, "view.discard(); [t.name for t in threading.enumerate() if 'view' in t.name]")
    assert [one["data"] for one in again if one["type"] == "update_display_data"] == [{"text/plain": ""}]
    time.sleep(0.2)
    left = run(client, "[t.name for t in threading.enumerate() if 'view' in t.name]")
    assert [one["data"]["text/plain"] for one in left if one["type"] == "execute_result"] == ["[]"]


def test_a_face_that_fails_is_told_and_the_view_goes_on(client: BlockingKernelClient) -> None:
    fail = "class Broken(Face):\n    def _html(self):\n        raise ValueError('no rows')\n"
    heard = run(
        client,
        f"{fail}view = LiveView(session, Face('0'))\nfor n in range(3): view.show(Broken('')); time.sleep(0.3)\n"
        "view.show(Face('1'))\ntime.sleep(0.3)",
    )
    contents = [one["data"].get("content") for one in heard if one["type"] == "comm_msg"]
    assert contents.count({"kind": "alert", "error": "ValueError: no rows"}) == 1
    assert htmls(heard)[-1]["html"] == "1"
    run(client, "view.freeze()")


@pytest.mark.parametrize(("before", "in_page"), [("", False), ("import os; os.environ['DOCKERLAB_STATIC'] = '1'\n", True)])
def test_where_there_is_no_page_the_face_is_shown_once(client: BlockingKernelClient, before: str, in_page: bool) -> None:
    use = "view = LiveView(session, Lively('<p>'))\nview.show(Face('x')); view.log('x', ['x']); view.freeze(); print(view.is_open)"
    try:
        heard = run(client, before + use, in_page=in_page)
    finally:
        run(client, "import os; os.environ.pop('DOCKERLAB_STATIC', None)")
    assert [one["data"] for one in heard if one["type"] == "display_data"] == [{"text/plain": "a face", "text/html": "<p>"}]
    assert {one["type"] for one in heard} == {"status", "execute_input", "display_data", "stream"}
    assert [one["text"] for one in heard if one["type"] == "stream"] == ["False\n"]


def test_a_program_that_runs_notebooks_sees_updates_of_a_static_output(client: BlockingKernelClient) -> None:
    use = "with LiveDisplay(session) as live:\n    live.show(Face('1'))\n    live.show(Face('2'))"
    heard = run(client, use, in_page=False)
    shown = [one["data"]["text/html"] for one in heard if one["type"] in ("display_data", "update_display_data")]
    assert shown == ["1", "2", "2"]
    assert not [one for one in heard if one["type"].startswith("comm")]
