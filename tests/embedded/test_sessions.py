"""Builds whose client serves them by a session: what travels, what is kept, secrets and keys, and how they end."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dockerlab.builds.session import Exchange, Metadata
from dockerlab.wire import services, trace
from dockerlab.wire.protobuf import decode, encode
from tests.embedded import registries, rungs
from tests.embedded.builds import Files, nothing_left
from tests.embedded.rungs import OwnEngine, eventually
from tests.embedded.serving import Talk
from tests.embedded.sessions import TIME, File, Folder, Told, asked, build, credentials, lines, secrets, session

CANARY = b"can4ry-" + os.urandom(8).hex().encode()


@pytest.fixture(scope="module", params=rungs.RUNGS)
def own(request: pytest.FixtureRequest) -> Iterator[OwnEngine]:
    with rungs.engine(request.param) as engine:
        yield engine


@pytest.fixture(scope="module")
def root() -> Iterator[OwnEngine]:
    with rungs.engine("user" if os.getuid() else "root") as engine:
        yield engine


def built(own: OwnEngine, folder: Folder, /, key: str = "", more: dict[str, Any] | None = None, **query: Any) -> Told:
    with session(own.home.socket, folder, key=key, **(more or {})) as made:
        return build(own.home.socket, session=made.id, **query)


# The context


def test_only_what_is_needed_is_told_and_only_what_changed_travels(root: OwnEngine) -> None:
    folder = Folder(
        {
            "Dockerfile": 'FROM busybox\nARG D=src\nCOPY ["$D/*.py", "x y", "/app/"]\n',
            "src/a.py": "a",
            "src/b.py": "b",
            "src/c.md": "c",
            "x y": "z",
            "other/big": b"0" * 3_000_000,
            ".dockerignore": "**/*.md\n",
        }
    )
    first = built(root, folder, key="one")
    assert {*Files(root.client, first.image).entries} >= {"app/a.py", "app/b.py", "app/x y"}
    assert folder.asked[-1]["followpaths"] == ["src/*.py", "x y"]
    assert folder.asked[-1]["exclude-patterns"] == ["**/*.md"]
    assert sorted(folder.sent) == [".dockerignore", "Dockerfile", "src/a.py", "src/b.py", "x y"]
    folder.sent.clear()
    again = built(root, folder, key="one")
    assert (again.image, folder.sent) == (first.image, [])
    assert again.vertexes["[2/2] COPY [src/*.py, x y, /app/]"].cached
    folder.files["src/a.py"] = File(b"A2", time=TIME + 1)
    changed = built(root, folder, key="one")
    assert folder.sent == ["src/a.py"]
    assert Files(root.client, changed.image).text("app/a.py") == "A2"
    assert Files(root.client, changed.image).text("app/b.py") == "b"
    folder.sent.clear()
    built(root, folder, key="another")
    assert "src/b.py" in folder.sent, "another folder's files are not this one's"


def test_a_context_by_session_and_one_by_tar_are_one_to_the_cache(root: OwnEngine) -> None:
    from tests.embedded.builds import build as classic

    files = {"a": "same", "d/b": "too"}
    dockerfile = "FROM busybox\nCOPY a d /x/\n"
    folder = Folder({"Dockerfile": dockerfile, "a": "same", "d/b": "too"})
    first = built(root, folder)
    assert classic(root.client, dockerfile, files).cached == 1
    assert first.image


def test_all_kinds_of_files_arrive(root: OwnEngine) -> None:
    big = os.urandom(1 << 20) * 3 + bytes(1 << 20)
    folder = Folder(
        {
            "Dockerfile": "FROM busybox\nCOPY . /all/\nRUN /all/run > /ran\n",
            "run": File(b"#!/bin/sh\necho ran\n", 0o755),
            "empty": b"",
            "big": big,
            "bigger": big + b"x",
            "link": File(link="d/deep/x"),
            "d/deep/x": "x",
            "d/hollow": File(None, 0o700),
            "odd\udcff name": "odd",
            ".dockerignore": "Dockerfile\n.dockerignore\n",
        }
    )
    found = Files(root.client, built(root, folder, key="kinds").image)
    assert found.text("ran") == "ran\n"
    assert found.contents["all/big"] == big
    assert found.contents["all/bigger"] == big + b"x"
    assert found.entries["all/link"].linkname == "d/deep/x"
    assert found.entries["all/d/hollow"].mode == 0o700
    assert found.contents["all/empty"] == b""
    assert found.contents["all/odd\udcff name"] == b"odd"
    assert not {"all/Dockerfile", "all/.dockerignore"} & {*found.entries}
    folder.sent.clear()
    built(root, folder, key="kinds")
    assert folder.sent == []


def test_a_file_that_shrinks_or_vanishes_meanwhile_is_what_has_come(root: OwnEngine) -> None:
    class Shrinking(Folder):
        def data(self, path: str) -> Iterator[bytes]:
            yield from [b"12"] if path == "shrunk" else [] if path == "gone" else super().data(path)

    folder = Shrinking({"Dockerfile": "FROM busybox\nCOPY gone shrunk whole /x/\n", "gone": "1234", "shrunk": "1234", "whole": "w"})
    found = Files(root.client, built(root, folder, key="shrinking").image)
    assert [found.text(f"x/{name}") for name in ("gone", "shrunk", "whole")] == ["", "12", "w"]
    folder.sent.clear()
    built(root, folder, key="shrinking")
    assert sorted(folder.sent) == ["gone", "shrunk"], "they are not what was told"


def test_what_is_kept_is_counted_pruned_and_comes_again(root: OwnEngine) -> None:
    folder = Folder({"Dockerfile": "FROM busybox\nCOPY a /\n", "a": os.urandom(100_000)})
    built(root, folder, key="kept")
    kept = [one for one in root.client.get("/system/df")["BuildCache"] if one["Type"] == "source.local"]
    assert sum(one["Size"] for one in kept) >= 100_000
    assert not any(one["InUse"] for one in kept)
    assert root.client.post("/build/prune").json()["SpaceReclaimed"] >= 100_000
    assert not [one for one in root.client.get("/system/df")["BuildCache"] if one["Type"] == "source.local"]
    folder.sent.clear()
    built(root, folder, key="kept")
    assert sorted(folder.sent) == ["Dockerfile", "a"]


def test_two_builds_of_one_folder_at_once(root: OwnEngine) -> None:
    folders = [Folder({"Dockerfile": "FROM busybox\nCOPY a b /\n", "a": f"{number}", "b": "same"}) for number in range(4)]
    told: dict[int, Told] = {}

    def one(number: int) -> None:
        told[number] = built(root, folders[number], key="twins")

    for _ in range(2):
        threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Equal stats with different bytes: which of them is kept is not told, but each is whole.
        assert {Files(root.client, told[number].image).text("b") for number in told} == {"same"}
        assert {Files(root.client, told[number].image).text("a") for number in told} <= {"0", "1", "2", "3"}


def test_an_engine_that_is_killed_meanwhile_leaves_nothing_half(root: OwnEngine) -> None:
    class Silent(Folder):
        def data(self, path: str) -> Iterator[bytes]:
            if path == "b":
                root.kill()
            yield from super().data(path)

    files = {"Dockerfile": "FROM busybox\nCOPY a b /\n", "a": "1", "b": "2"}
    with pytest.raises((OSError, ValueError, AssertionError)):
        built(root, Silent(files), key="killed")
    root.revive()
    eventually(lambda: not [*root.home.tmp.iterdir()], "half-made files are left")
    folder = Folder(files)
    assert Files(root.client, built(root, folder, key="killed").image).text("b") == "2"


# Secrets


def canaries(own: OwnEngine) -> list[str]:
    """Where the secret is, on the disk and in memory-backed places, and in the log."""
    found = [str(path) for path in own.files() if path.is_file() and not path.is_symlink() and CANARY in path.read_bytes()]
    found += [str(path) for path in Path("/dev/shm").rglob("dockerlab-*") if path.is_file()]
    return found + (["the log"] if CANARY in own.said().encode() else [])


def test_a_secret_is_seen_by_its_step_and_is_nowhere_after(own: OwnEngine) -> None:
    dockerfile = """FROM busybox
RUN --mount=type=secret,id=tok wc -c </run/secrets/tok >/size; stat -c %a /run/secrets/tok >/mode
RUN --mount=type=secret,id=tok,target=/t/k,mode=0444,env=TOKEN test "$TOKEN" = "$(cat /t/k)" && echo ${#TOKEN} >/env
RUN --mount=type=secret,id=other test ! -e /run/secrets/other && ls /run /t >/left 2>&1; env >>/left
"""
    names: list[str] = []
    told = built(own, Folder({"Dockerfile": dockerfile}), more={"GET_SECRET": secrets({"tok": CANARY}, names)}, tag="s")
    found = Files(own.client, told.image)
    assert found.text("size").strip() == found.text("env").strip() == str(len(CANARY))
    assert found.text("mode").strip() == "400"
    assert "tok" not in found.text("left")
    assert names == ["tok", "tok", "other"]
    assert not {"run/secrets", "t"} & {*found.entries}
    assert CANARY not in told.raw
    assert CANARY.decode() not in json.dumps([own.client.get(f"/images/{told.image}/{what}") for what in ("json", "history")])
    nothing_left(own)
    assert canaries(own) == []


def test_another_value_of_a_secret_does_not_run_a_step_anew(root: OwnEngine) -> None:
    folder = Folder({"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=v cat /run/secrets/v >/dev/null\n"})
    first = built(root, folder, more={"GET_SECRET": secrets({"v": b"1"})})
    assert built(root, folder, more={"GET_SECRET": secrets({"v": b"2"})}).image == first.image


@pytest.mark.parametrize("more", [{}, {"GET_SECRET": secrets({})}])
def test_a_secret_that_is_required_and_missing_says_where(root: OwnEngine, more: dict[str, Any]) -> None:
    folder = Folder({"Dockerfile": "FROM busybox\n\nRUN --mount=type=secret,id=nope,required=true true\n"})
    told = built(root, folder, more=more)
    assert told.error.startswith("secret nope: not found\n3 | RUN --mount=type=secret,id=nope,required=true true\n")
    assert "--secret id=nope,src=FILE" in told.error
    assert told.vertexes["[stage-0 2/2] RUN --mount=type=secret,id=nope,required=true true"].error == "secret nope: not found"


def test_the_clients_ssh_agent_answers_in_the_step(own: OwnEngine) -> None:
    class Echo:
        """An agent that says what it heard, in capitals."""

        def __init__(self, exchange: Exchange, metadata: Metadata) -> None:
            self._exchange = exchange
            heard.append(list(metadata.get("buildkit.ssh.id", ())))

        def received(self, message: bytes) -> None:
            data = decode(services.BytesMessage, message).data
            self._exchange.send(encode(services.BytesMessage(data.upper())))

        def ended(self) -> None:
            self._exchange.finish()

        def more(self) -> bool:
            return False

    class Check(Echo):
        def received(self, message: bytes) -> None:
            self._exchange.send(b"")
            self._exchange.finish()

    heard: list[list[str]] = []
    dockerfile = """FROM busybox
RUN --mount=type=ssh,required=true test -S "$SSH_AUTH_SOCK" && echo "$SSH_AUTH_SOCK" >/where
"""
    told = built(own, Folder({"Dockerfile": dockerfile}), more={"CHECK_AGENT": Check, "FORWARD_AGENT": Echo})
    found = Files(own.client, told.image)
    assert found.text("where") == "/run/buildkit/ssh_agent.0\n"
    nothing_left(own)


def test_an_agent_that_is_required_and_missing_says_so(root: OwnEngine) -> None:
    told = built(root, Folder({"Dockerfile": "FROM busybox\nRUN --mount=type=ssh,required=true true\n"}))
    assert told.error.startswith('no SSH key "default" forwarded from the client\n2 | RUN --mount=type=ssh')


# Credentials


def test_a_registry_that_asks_is_told_what_the_session_knows(tmp_path: Path) -> None:
    with registries.docker_registry(tmp_path, password=True) as address:
        data = {"insecure-registries": [address]}
        with rungs.engine("user" if os.getuid() else "root", DOCKERLAB_REGISTRIES=json.dumps(data)) as own:
            name = f"{address}/private:1"
            assert own.client.ask("POST", f"/images/busybox/tag?repo={address}/private&tag=1").status == 201
            auth = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "secret"}).encode()).decode()
            with Talk(own.home.socket) as talk:
                assert b"digest" in talk.ask("POST", f"/images/{name}/push", headers={"X-Registry-Auth": auth}).body
            own.client.ask("DELETE", f"/images/{name}")
            folder, hosts = Folder({"Dockerfile": f"FROM {name}\nRUN true\n"}), list[str]()
            refused = built(own, folder, more={"CREDENTIALS": credentials({}, hosts)})
            assert refused.vertexes[f"[internal] load metadata for {name}"].error
            told = built(own, folder, more={"CREDENTIALS": credentials({address: ("me", "secret")}, hosts)})
            assert told.image
            assert {*hosts} == {address}
            assert b"secret" not in told.raw + own.said().encode()
            assert f"[1/2] FROM {name}" in told.vertexes


# How they end


def test_a_session_that_is_dropped_ends_its_build(root: OwnEngine) -> None:
    folder = Folder({"Dockerfile": "FROM busybox\nRUN echo begun; sleep 1000\n"})
    with session(root.home.socket, folder) as made, asked(root.home.socket, session=made.id) as talk:
        assert talk.head().status == 200
        told = Told()
        for line in lines(talk):
            if any(isinstance(event, trace.Log) for event in told.take(line)):
                made.__exit__(None, None, None)
    assert "the build's session has ended" in told.error
    nothing_left(root)


def test_a_session_that_is_dropped_while_files_travel(root: OwnEngine) -> None:
    class Leaving(Folder):
        def data(self, path: str) -> Iterator[bytes]:
            if path == "a":
                raise OSError("this client breaks")
            yield from super().data(path)

    told = built(root, Leaving({"Dockerfile": "FROM busybox\nCOPY a /\n", "a": "1"}), key="leaving")
    assert "this client breaks" in told.error
    nothing_left(root)


def test_a_build_is_cancelled_by_its_id(root: OwnEngine) -> None:
    folder = Folder({"Dockerfile": "FROM busybox\nRUN echo begun; sleep 1000\n"})
    with session(root.home.socket, folder) as made, asked(root.home.socket, session=made.id, buildid="mine") as talk:
        assert talk.head().status == 200
        told = Told()
        for line in lines(talk):
            if any(isinstance(event, trace.Log) for event in told.take(line)):
                assert root.client.ask("POST", "/build/cancel?id=other").status == 200
                assert root.client.ask("POST", "/build/cancel?id=mine").status == 200
    assert told.error == "context canceled"
    assert root.client.ask("POST", "/build/cancel").status == 400
    nothing_left(root)


def test_a_session_that_is_not_there(root: OwnEngine) -> None:
    told = build(root.home.socket, session="nobody")
    assert told.error.startswith("no active session for nobody: context deadline exceeded")


def test_a_client_that_speaks_no_http2_is_let_go(root: OwnEngine) -> None:
    threads = root.counts()[1]
    with Talk(root.home.socket) as talk:
        talk.send(
            "POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: odd\r\n\r\n"
        )
        assert talk.head().status == 101
        talk.send(bytes(100_000))
        while talk.file.read(1 << 16):
            pass
    eventually(lambda: root.counts()[1] <= threads + 2, "threads are left")


def test_a_session_needs_an_id_and_an_upgrade(root: OwnEngine) -> None:
    for headers in ({"Upgrade": "h2c"}, {"X-Docker-Expose-Session-Uuid": "a"}):
        with Talk(root.home.socket) as talk:
            assert talk.ask("POST", "/session", headers={"Connection": "Upgrade", **headers}).status == 400


def test_the_socket_of_a_hostile_reader_does_not_grow_the_engine(root: OwnEngine) -> None:
    """A client that makes the engine answer pings and reads none of it."""
    with Talk(root.home.socket) as talk:
        talk.send(
            "POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: pings\r\n\r\n"
        )
        assert talk.head().status == 101
        talk.send(b"\0\0\0\x04\0\0\0\0\0")  # SETTINGS
        before = rungs.resident(root.pid)
        ping = b"\0\0\x08\x06\0\0\0\0\0" + b"12345678"
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            for _ in range(20):
                talk.send(ping * 10_000)
        assert rungs.resident(root.pid) < before + 150
