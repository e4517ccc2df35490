"""What engines say of containers → what is shown; addresses; output; copying."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dockerlab.containers.address import address_of, url_of
from dockerlab.containers.copying import extract, pack, split
from dockerlab.containers.execution import moment
from dockerlab.containers.facts import epoch, facts, image_name, is_made_up
from dockerlab.containers.measurement import usage
from dockerlab.containers.output import Console
from dockerlab.containers.page import Page, fetch
from dockerlab.containers.ports import Published
from dockerlab.containers.values import Change, Changes, Ports, Processes, Removed, Stats
from dockerlab.endpoints import Endpoint
from dockerlab.errors import UsageError
from dockerlab.faces import container as faces
from dockerlab.faces.container import Facts, PortLink
from dockerlab.wire.multiplex import Demultiplexer

SOCKET, REMOTE = Endpoint("unix:///x.sock", "test"), Endpoint("tcp://engine.example:2376", "test")
EVIL = "<script>alert(1)</script>"


def shown(**changes: Any) -> Facts:
    usual = {"id": "a" * 64, "name": "web1", "engine_name": "web1", "image": "app", "command": "flask run", "state": "running"}
    return Facts(**(usual | changes))


def test_facts_of_an_inspected_and_a_listed_container_agree() -> None:
    inspected = {
        "Id": "a" * 64, "Name": "/web1", "Created": "2026-01-02T03:04:05.123456789Z", "Path": "flask", "Args": ["run"],
        "State": {"Status": "exited", "ExitCode": 3}, "Config": {"Image": "app:latest"}, "NetworkSettings": {"Ports": {}},
    }  # fmt: skip
    listed = {
        "Id": "a" * 64, "Names": ["/other/alias", "/web1"], "Created": 1767323045.123456, "Command": "flask run", "State": "exited",
        "Status": "Exited (3) 2 days ago", "Image": "docker.io/library/app:latest", "Ports": [],
    }  # fmt: skip
    one, other = facts(inspected, lambda p: None), facts(listed, lambda p: None)
    assert one == other == shown(state="exited", exit_code=3, created=1767323045.123456)
    assert faces.text(one) == "container web1 (app): exited 3"


def test_secrets_in_a_command_are_not_shown() -> None:
    config = {"Image": "app", "Env": ["API_KEY=open sesame", "A=1"]}
    inspected = {"Path": "app", "Args": ["--token", "t0", "open sesame", "1"], "State": {"Status": "running"}, "Config": config}
    listed = [{"Command": command, "State": "running"} for command in (["app", "--token", "t0"], "app --token t0")]
    assert facts(inspected, lambda p: None).command == "app --token *** '***' 1"
    assert [facts(one, lambda p: None).command for one in listed] == ["app --token ***"] * 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("app", "app"),
        ("app:latest", "app"),
        ("docker.io/library/app:1", "app:1"),
        ("localhost/app:latest", "app"),
        ("me/app", "me/app"),
        ("sha256:" + "a" * 64, ""),
        ("abcdef012345", ""),
    ],
)
def test_image_name(given: str, expected: str) -> None:
    assert image_name(given) == expected


def test_names_that_engines_make_up_are_left_out_of_texts() -> None:
    assert is_made_up("nifty_hopper")
    assert is_made_up("zen_swartz9")
    assert not is_made_up("web_app")
    assert faces.text(shown(name="", engine_name="nifty_hopper")) == "container of app: running"


def test_no_time_in_year_one() -> None:
    assert epoch("0001-01-01T00:00:00Z") is None
    assert epoch("1970-01-01T01:00:01.5+01:00") == 1.5


def test_faces_of_containers() -> None:
    several = [shown(), shown(name="once", engine_name="once", state="exited", exit_code=0)]
    assert faces.texts(several) == "container web1 (app): running\ncontainer once (app): exited 0"
    assert faces.texts([]) == "No containers. Start one: `%container run …`"
    html = faces.html(several)
    assert "● running" in html
    assert "■ exited 0" in html


def test_nothing_hostile_gets_into_the_markup() -> None:
    hostile = shown(name=EVIL, engine_name=EVIL, image=EVIL, command=EVIL, ports=(PortLink(EVIL, 'x" onclick="y'),))
    values = [
        Changes([Change(EVIL, "added")], hostile),
        Processes([EVIL], [[EVIL]], hostile),
        Ports({EVIL: (EVIL,)}, hostile.ports, hostile),
        Removed([hostile], [EVIL]),
        Stats([usage(hostile, {})]),
    ]
    for html in [faces.html([hostile]), *(v._repr_html_() for v in values)]:
        assert "<script" not in html
        assert 'onclick="' not in html


@pytest.mark.parametrize(
    ("endpoint", "ip", "environ", "url"),
    [
        (SOCKET, "127.0.0.1", {}, "http://127.0.0.1:8080/"),
        (SOCKET, "0.0.0.0", {}, "http://127.0.0.1:8080/"),
        (SOCKET, "::1", {}, "http://[::1]:8080/"),
        (REMOTE, "", {}, "http://engine.example:8080/"),
        (SOCKET, "", {"JUPYTERHUB_SERVICE_PREFIX": "/user/me/"}, "/user/me/proxy/8080/"),
        (REMOTE, "", {"JUPYTERHUB_SERVICE_PREFIX": "/user/me/"}, "http://engine.example:8080/"),
        (SOCKET, "", {"DOCKERLAB_PORT_URL": "https://x.org/proxy/{port}/"}, "https://x.org/proxy/8080/"),
    ],
)
def test_url(endpoint: Endpoint, ip: str, environ: dict[str, str], url: str) -> None:
    assert url_of(Published(5000, "tcp", ip, "8080"), endpoint, environ) == url


def test_address_of_a_remote_engine() -> None:
    assert address_of(Published(5000, "tcp", "0.0.0.0", "8080"), REMOTE) == ("engine.example", 8080)


def test_demultiplexer_takes_frames_cut_anywhere() -> None:
    stream = b"\x01\0\0\0\0\0\0\x03out" + b"\x02\0\0\0\0\0\0\x05error" + b"\x01\0\0\0\0\0\0\0" + b"\x01\0\0\0\0\0\0\x01!"
    for step in (1, 3, 7, 100):
        decoder, got = Demultiplexer(), {1: b"", 2: b""}
        for start in range(0, len(stream), step):
            for number, data in decoder.feed(stream[start : start + step]):
                got[number] += data
        assert got == {1: b"out!", 2: b"error"}


def test_console_joins_characters_that_were_cut(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    for piece in (b"\xe2\x82", b"\xac", b"\xff"):
        console(1, piece)
    console(2, b"\xe2")
    console.finish()
    assert capsys.readouterr() == ("€�", "�")


def test_cpu_as_the_docker_command_computes_it() -> None:
    answer = {
        "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
        "memory_stats": {"usage": 1000, "limit": 4000, "stats": {"inactive_file": 400}},
        "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 5}, {"op": "write", "value": 6}]},
        "pids_stats": {"current": 7},
    }
    u = usage(shown(), answer)
    assert (u.cpu, u.memory, u.limit, u.received, u.sent, u.read, u.written, u.processes) == (40.0, 600, 4000, 11, 22, 5, 6, 7)


@pytest.mark.parametrize(("given", "seconds"), [("10m", 400.0), ("1h30m", -4400.0), ("1.5s", 998.5), ("100", 100.0), (7, 7.0)])
def test_since(given: Any, seconds: float) -> None:
    assert moment(given, 1000.0) == seconds


def test_wrong_since() -> None:
    with pytest.raises(UsageError, match="--since"):
        moment("yesterday", 0.0)


# --- pages


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/")
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/")
        else:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<h1>Hello</h1>{EVIL}".encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[tuple[str, int]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield ("127.0.0.1", server.server_port)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/none", 404), ("/moved", 200), ("/away", 302)])
def test_page(site: tuple[str, int], path: str, status: int) -> None:
    assert fetch(site, path, "http://x/", "port 1").status == status


def test_a_page_runs_nothing_and_loads_nothing() -> None:
    html = Page("http://x/", "/", 200, "OK", "text/html", f"<h1>Hi</h1>{EVIL}".encode())._repr_html_()
    assert "<script" not in html
    assert '<iframe sandbox=""' in html
    assert "default-src &#x27;none&#x27;" in html


def test_text_of_a_page_cannot_steer_a_terminal() -> None:
    page = Page("http://x/", "/", 200, "OK", "text/plain", b"hello\x1b[2J\n")
    assert repr(page) == "200 OK\n\nhello\\x1b[2J"


# --- copying


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("web:/app", ("web", "/app")),
        ("web:app", ("web", "app")),
        ("web:", ("web", "/")),
        ("./web:x", None),
        ("/a:b", None),
        (r"C:\x", None),
        ("x", None),
        ("~/x:y", None),
        (Path("web:x"), None),
    ],
)
def test_places(place: Any, expected: Any) -> None:
    assert split(place) == expected


def archive(*members: tuple[str, Any]) -> io.BytesIO:
    """name → bytes for a file, `("sym"|"hard"|"device", target)` for something else, None for a folder."""
    file = io.BytesIO()
    kinds = {"sym": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
                continue
            info.type, info.mode = (kinds[content[0]], 0o644) if content else (tarfile.DIRTYPE, 0o755)
            info.linkname = content[1] if content else ""
            tar.addfile(info)
    file.seek(0)
    return file


def test_a_folder_takes_the_place_of_the_archives_root(tmp_path: Path) -> None:
    tar = archive(
        ("root", None),
        ("root/a", b"1"),
        ("root/sub", None),
        ("root/sub/b", b"22"),
        ("root/l", ("sym", "a")),
        ("root/h", ("hard", "root/a")),
    )
    files, size, refused = extract(tar, tmp_path / "new", folder=True)
    assert (files, size, refused) == (2, 3, ())
    assert (tmp_path / "new/sub/b").read_bytes() == b"22"
    assert (tmp_path / "new/l").read_bytes() == (tmp_path / "new/h").read_bytes() == b"1"


@pytest.mark.parametrize(
    "members",
    [
        [("root/../../evil", b"x")],
        [("root/l", ("sym", "/etc")), ("root/l/evil", b"x")],
        [("root/l", ("sym", "../..")), ("root/l/evil", b"x")],
        [("root/h", ("hard", "root/../../secret"))],
        [("root/d", ("device", ""))],
        [("/abs/../../evil", b"x")],
    ],
)
def test_nothing_gets_out_of_the_target(tmp_path: Path, members: list[tuple[str, Any]]) -> None:
    (tmp_path / "secret").write_text("secret")
    outer = tmp_path / "outer"
    outer.mkdir()
    *_, refused = extract(archive(("root", None), *members), outer / "new", folder=True)
    assert refused
    assert sorted(p.name for p in tmp_path.iterdir()) == ["outer", "secret"]
    assert [p.name for p in outer.iterdir()] == ["new"]
    assert not (outer / "new/l").is_symlink()


def test_one_file_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    extract(archive(("f", ("sym", "other")), ("f", b"evil")), tmp_path / "f", folder=False)
    assert (tmp_path / "other").read_text() == "mine"


def test_pack(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("hello")
    file = io.BytesIO()
    assert pack(tmp_path / "d", "x", file) == (1, 5)
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        assert [(m.name, m.uid) for m in tar] == [("x", 0), ("x/f", 0)]
