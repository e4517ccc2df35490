"""The server, spoken to in bytes over a real socket."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dockerlab.engine.http.router import Router
from dockerlab.engine.http.types import Answer, Connection, Hijack, Request, Response, Route, Stream
from dockerlab.errors import Conflict, EngineError, NotFound
from tests.embedded.serving import Reply, Talk, serving

HEADERS = {"Api-Version": "1.48", "Server": "test"}
Handler = Callable[[Request], Response]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.sock"


def ask(path: Path, handler: Handler, method: str = "GET", target: str = "/", body: bytes = b"", **headers: str) -> Reply:
    with serving(path, handler, HEADERS), Talk(path) as talk:
        return talk.ask(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})


def fails(error: Exception) -> Handler:
    def handler(request: Request) -> Response:
        raise error

    return handler


def test_an_answer(path: Path) -> None:
    reply = ask(path, lambda request: Answer({"path": request.path, "q": request.query.text("q")}), target="/a%20b?q=%C3%A4+x")
    assert (reply.status, reply.reason, reply.json()) == (200, "OK", {"path": "/a b", "q": "ä x"})
    assert reply.headers["content-type"] == "application/json"
    assert (reply.headers["api-version"], reply.headers["server"]) == ("1.48", "test")


@pytest.mark.parametrize(
    ("answer", "kind", "body"),
    [
        (Answer("OK"), "text/plain; charset=utf-8", b"OK"),
        (Answer(b"\0\1"), "application/octet-stream", b"\0\1"),
        (Answer([]), "application/json", b"[]\n"),
        (Answer(b"tar", headers={"Content-Type": "application/x-tar"}), "application/x-tar", b"tar"),
        (Answer(status=201), None, b""),
    ],
)
def test_kinds_of_answers(path: Path, answer: Answer, kind: str | None, body: bytes) -> None:
    reply = ask(path, lambda request: answer)
    assert (reply.status, reply.headers.get("content-type"), reply.body) == (answer.status, kind, body)
    assert reply.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(path: Path, status: int) -> None:
    with serving(path, lambda request: Answer({"no": 1}, status)), Talk(path) as talk:
        for _ in range(2):
            reply = talk.ask("POST", "/")
            assert (reply.status, reply.body) == (status, b"")
            assert "content-type" not in reply.headers


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (NotFound("No such container: web"), 404, "No such container: web"),
        (Conflict("in use"), 409, "in use"),
        (EngineError("not here", status=501), 501, "not here"),
        (EngineError("no reason"), 500, "no reason"),
        (KeyError("Name"), 500, "KeyError: 'Name'"),
        (ConnectionResetError("a monitor"), 500, "ConnectionResetError: a monitor"),
        (OSError(28, "No space left on device", "/x"), 500, "write /x: no space left on device"),
    ],
)
def test_errors_are_answers(path: Path, error: Exception, status: int, said: str) -> None:
    with serving(path, fails(error)), Talk(path) as talk:
        for _ in range(2):
            reply = talk.ask("GET", "/")
            assert (reply.status, reply.json()) == (status, {"message": said})


def test_an_error_can_stand_for_not_modified(path: Path) -> None:
    assert ask(path, fails(EngineError("already started", status=304))).status == 304


def test_an_unforeseen_error_is_in_the_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert ask(path, fails(ZeroDivisionError("oh")), target="/x").status == 500
    assert "GET /x" in caplog.text
    assert "ZeroDivisionError: oh" in caplog.text
    assert "Traceback" in caplog.text


def test_a_value_that_is_no_json_is_an_error(path: Path) -> None:
    reply = ask(path, lambda request: Answer({"x": {1, 2}}))
    assert reply.status == 500
    assert "TypeError" in reply.json()["message"]


def test_requests_follow_each_other_on_a_connection(path: Path) -> None:
    def handler(request: Request) -> Response:
        return Answer(request.body.read() if request.path == "/read" else b"unread")

    with serving(path, handler), Talk(path) as talk:
        assert talk.ask("POST", "/read", b"abc").body == b"abc"
        assert talk.ask("POST", "/leave", b"x" * 100_000).body == b"unread"
        talk.send(
            "POST /read HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n"
        )
        assert talk.reply().body == b"abcde"
        # Pipelined.
        talk.send("GET /read HTTP/1.1\r\nHost: d\r\n\r\nGET /other HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        assert (talk.reply().body, talk.reply().body, talk.file.read()) == (b"", b"unread", b"")


def test_http_1_0(path: Path) -> None:
    with serving(path, lambda request: Stream(iter([b"a", b"b"]))), Talk(path) as talk:
        talk.send("GET / HTTP/1.0\r\n\r\n")
        assert talk.reply().body == b"ab"


def test_head_has_no_body(path: Path) -> None:
    def handler(request: Request) -> Response:
        return Answer("OK") if request.path == "/_ping" else Stream(iter([b"a"]))

    with serving(path, handler), Talk(path) as talk:
        for target in ("/_ping", "/stream"):
            talk.send(f"HEAD {target} HTTP/1.1\r\nHost: d\r\n\r\n")
            assert talk.head().status == 200
        assert talk.ask("GET", "/_ping").body == b"OK"


def test_the_target_may_name_a_host(path: Path) -> None:
    assert ask(path, lambda request: Answer(request.path), target="http://docker:2375/info?x=1").body == b"/info"
    # An address in the query is no host.
    other = path.with_name("other.sock")
    told = ask(other, lambda request: Answer(request.query.text("remote")), target="/build?remote=http://host/context.tar")
    assert told.body == b"http://host/context.tar"


def test_a_body_that_is_waited_for(path: Path) -> None:
    def handler(request: Request) -> Response:
        return Answer(request.body.read()) if request.path == "/read" else Answer("no", 404)

    head = "Host: d\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with serving(path, handler):
        with Talk(path) as talk:
            talk.send(f"POST /read HTTP/1.1\r\n{head}")
            assert talk.head().status == 100
            talk.send("abc")
            assert talk.reply().body == b"abc"
        with Talk(path) as talk:  # refused before it is sent
            talk.send(f"POST /no HTTP/1.1\r\n{head}")
            assert (talk.reply().status, talk.file.read()) == (404, b"")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET nonsense HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: d\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: d\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /?" + b"&".join([b"a=b"] * 20_000) + b" HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: d\r\nLong: " + b"x" * (1 << 21), 431),
    ],
)
def test_malformed_http(path: Path, sent: bytes, status: int) -> None:
    with serving(path, lambda request: Answer(request.body.read())):
        with Talk(path) as talk:
            try:
                talk.send(sent)
            except BrokenPipeError:
                assert status == 431  # refused while it was sent
            reply = talk.reply()
            assert reply.status == status
            assert reply.json()["message"].startswith("malformed")
        with Talk(path) as talk:  # and it still answers
            assert talk.ask("POST", "/", b"x").body == b"x"


@pytest.mark.parametrize(
    "sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: d\r\n", b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\nabc"]
)
def test_a_client_that_leaves_early(path: Path, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with serving(path, lambda request: Answer(request.body.read())):
        with Talk(path) as talk:
            talk.send(sent)
        with Talk(path) as talk:
            assert talk.ask("POST", "/", b"x").body == b"x"
    assert "Traceback" not in caplog.text


def test_a_stream_comes_piece_by_piece(path: Path) -> None:
    go = threading.Semaphore(0)

    def pieces() -> Iterator[bytes]:
        for piece in (b"one", b"", b"two"):
            go.acquire()
            yield piece

    with serving(path, lambda request: Stream(pieces(), "text/x", headers={"X": "1"})), Talk(path) as talk:
        talk.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n")
        head = talk.head()  # before the first piece is made
        assert (head.status, head.headers["content-type"], head.headers["x"]) == (200, "text/x", "1")
        go.release()
        assert talk.chunk() == b"one"
        go.release(2)
        assert (talk.chunk(), talk.chunk()) == (b"two", b"")


def test_a_quiet_stream_ends_when_the_client_leaves(path: Path) -> None:
    left, closed = threading.Event(), threading.Event()

    def pieces() -> Iterator[bytes]:
        try:
            yield b"first"
            left.wait()
        finally:
            closed.set()

    with serving(path, lambda request: Stream(pieces(), cancel=left.set)) as server:
        with Talk(path) as talk:
            talk.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n")
            talk.head()
            assert talk.chunk() == b"first"
        assert left.wait(20)
        assert closed.wait(20)
        assert server.idle_seconds >= 0


def test_a_quiet_stream_ends_when_the_server_does(path: Path) -> None:
    begun, left = threading.Event(), threading.Event()

    def pieces() -> Iterator[bytes]:
        begun.set()
        left.wait()
        yield from ()

    with ExitStack() as stack:
        server = stack.enter_context(serving(path, lambda request: Stream(pieces(), cancel=left.set)))
        talk = stack.enter_context(Talk(path))
        talk.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n")
        talk.head()
        assert begun.wait(10)
        assert server.idle_seconds == 0
        server.close()
        assert left.wait(10)
        assert talk.file.read() == b""  # no last chunk


def test_a_stream_that_fails_breaks_off(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("halfway")

    with serving(path, lambda request: Stream(pieces())), Talk(path) as talk:
        talk.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n")
        talk.head()
        assert (talk.chunk(), talk.file.read()) == (b"one", b"")  # no last chunk: it is not whole
    assert "ValueError: halfway" in caplog.text


def test_a_stream_may_read_the_request_meanwhile(path: Path) -> None:
    def handler(request: Request) -> Response:
        return Stream(piece.upper() for piece in request.body.pieces())

    with serving(path, handler), Talk(path) as talk:
        talk.send("POST / HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert (talk.head().status, talk.head().status) == (100, 200)
        talk.send("ab")
        assert talk.chunk() == b"AB"
        talk.send("cd")
        assert (talk.chunk(), talk.chunk()) == (b"CD", b"")
        assert talk.ask("POST", "/", b"x").body == b"X"


def echo(connection: Connection) -> None:
    assert connection.fileno() >= 0
    while data := connection.recv(3):
        connection.sendall(data.upper())
    connection.sendall(b"!")
    connection.shutdown_write()


@pytest.mark.parametrize(
    ("multiplexed", "kind"),
    [(True, "application/vnd.docker.multiplexed-stream"), (False, "application/vnd.docker.raw-stream")],
)
def test_a_connection_is_handed_over(path: Path, multiplexed: bool, kind: str) -> None:
    def handler(request: Request) -> Response:
        return Hijack(echo, multiplexed)

    with serving(path, handler, HEADERS), Talk(path) as talk:
        # The first bytes come along with the request.
        talk.send("POST / HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}early")
        head = talk.head()
        assert (head.status, head.reason) == (101, "UPGRADED")
        assert (head.headers["content-type"], head.headers["connection"], head.headers["upgrade"]) == (kind, "Upgrade", "tcp")
        assert head.headers["api-version"] == "1.48"
        talk.send("late")
        talk.sock.shutdown(1)  # the end of input is not the end of the connection
        assert talk.file.read() == b"EARLYLATE!"


def test_a_connection_is_handed_over_without_an_upgrade(path: Path) -> None:
    with serving(path, lambda request: Hijack(echo)), Talk(path) as talk:
        talk.send("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\nabc")
        talk.sock.shutdown(1)
        assert talk.file.read() == b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nABC!"


def test_older_clients_know_raw_streams_only(path: Path) -> None:
    router = Router(None, [Route("POST", "/attach", lambda engine, request: Hijack(echo))])
    with serving(path, router):
        for version, kind in (("1.41", "raw"), ("1.42", "multiplexed")):
            with Talk(path) as talk:
                talk.send(f"POST /v{version}/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
                assert talk.head().headers["content-type"] == f"application/vnd.docker.{kind}-stream"


def test_what_is_refused_stays_http(path: Path) -> None:
    with serving(path, fails(NotFound("No such container: x"))), Talk(path) as talk:
        for _ in range(2):
            assert talk.ask("POST", "/attach", headers={"Connection": "Upgrade", "Upgrade": "tcp"}).status == 404


def test_input_that_nobody_read_is_no_reset(path: Path) -> None:
    def run(connection: Connection) -> None:
        connection.sendall(b"done")

    with serving(path, lambda request: Hijack(run)), Talk(path) as talk:
        talk.send("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n" + "x" * 10_000)
        assert talk.file.read().endswith(b"done")


def test_the_server_ends_connections_that_were_handed_over(path: Path) -> None:
    received: list[bytes] = []
    with (
        serving(path, lambda request: Hijack(lambda connection: received.append(connection.recv(10)))) as server,
        Talk(path) as talk,
    ):
        talk.send("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        talk.head()
        server.close()
        assert (received, talk.file.read()) == ([b""], b"")


def test_the_slow_and_the_silent_keep_nobody_waiting(path: Path) -> None:
    def handler(request: Request) -> Response:
        return Stream(iter([b"x" * (1 << 20)] * 50)) if request.path == "/much" else Answer(request.path)

    with serving(path, handler), Talk(path) as silent, Talk(path) as half, Talk(path) as unread:
        silent.send("")
        half.send("GET / HT")
        unread.send("GET /much HTTP/1.1\r\nHost: d\r\n\r\n")
        with Talk(path) as talk:
            assert talk.ask("GET", "/ok").body == b"/ok"
        half.send("TP/1.1\r\nHost: d\r\n\r\n")
        assert half.reply().body == b"/"


def test_two_hundred_clients_at_once(path: Path) -> None:
    barrier = threading.Barrier(200)

    def handler(request: Request) -> Response:
        barrier.wait(60)  # all of them are in a handler at the same time
        return Answer(request.path)

    with serving(path, handler):
        talks = [Talk(path) for _ in range(200)]
        for number, talk in enumerate(talks):
            talk.send(f"GET /{number} HTTP/1.1\r\nHost: d\r\n\r\n")
        assert [talk.reply().body.decode() for talk in talks] == [f"/{number}" for number in range(200)]
        for talk in talks:
            talk.__exit__()
