"""Builds that are disturbed: a session that breaks off, several at once, interrupts, no frontend; and secrets, which stay so."""

from __future__ import annotations

import gzip
import io
import json
import os
import secrets
import socket
import tarfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import Build
from dockerlab.builds import reading, sending
from dockerlab.builds.session import Session
from dockerlab.client import Client, connect
from dockerlab.errors import BuildError, DockerlabError, EngineGone
from tests.embedded import rungs

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("sessions")]


@pytest.fixture(autouse=True)
def no_image_is_left(client: Client) -> Iterator[None]:
    yield
    for image in client.api.images(filters={"label": "dockerlab-test=faults"}):
        client.api.remove_image(image["Id"], force=True)


def build(client: Client, dockerfile: str, **options: Any) -> Build:
    record = dockerlab.build(dockerfile, client=client, label={"dockerlab-test": "faults"}, **options).build
    assert record is not None
    return record


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]


def has_printed(record: Build, word: str) -> bool:
    return record.outcome == "running" and any(word in line for step in record.steps for line in step.output)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The sessions that are opened."""
    found: list[Session] = []
    entering = Session.__enter__

    def enter(self: Session) -> Session:
        found.append(self)
        return entering(self)

    monkeypatch.setattr(Session, "__enter__", enter)
    return found


def cut(session: Session) -> None:
    socket.socket.shutdown(session._connection.sock, socket.SHUT_RDWR)


def test_a_session_that_breaks_off_while_the_context_is_sent(
    client: Client, tmp_path: Path, opened: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "big").write_bytes(os.urandom(4 << 20))
    took = reading.read

    def read(*arguments: Any) -> bytes:
        if isinstance(arguments[0].source, str):
            cut(opened[-1])
        return took(*arguments)

    monkeypatch.setattr(sending, "read", read)
    with pytest.raises(EngineGone, match="the build's session with the engine broke off") as caught:
        build(client, "FROM busybox\nCOPY . /all/\n", context=tmp_path)
    assert caught.value.evidence
    assert caught.value.hint
    assert not threads()


@pytest.mark.parametrize("has_begun", [False, True])
def test_an_interrupt_before_and_while_the_context_is_sent(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_begun: bool
) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(4 << 30)
    reports: list[Build] = []
    opened: list[str] = []
    opening = reading.opened

    def seen(found: Any) -> Any:
        if found.size == 4 << 30:
            opened.append(found.path)
        return opening(found)

    def interrupt(record: Build) -> None:
        reports.append(record)
        if record.warnings and bool(opened) == has_begun:
            raise KeyboardInterrupt

    monkeypatch.setattr(sending, "opened", seen)

    tag = f"dockerlab-test-faults:{secrets.token_hex(4)}"
    with pytest.raises(KeyboardInterrupt):
        build(client, "FROM busybox\nCOPY . /all/\n", context=tmp_path, progress=interrupt, tag=tag)
    assert reports[-1].outcome == "interrupted"
    assert "big 4.3 GB" in reports[-1].warnings[0].text
    assert not threads()
    assert not client.api.images(name=tag)


def test_several_at_once_of_one_context(client: Client, tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).write_bytes(os.urandom(1000))
    (tmp_path / "mark").write_text(mark := secrets.token_hex(8))
    found: list[object] = []

    def go(number: int) -> None:
        try:
            record = build(
                client, f"FROM busybox\nCOPY . /all/\nRUN cat /all/mark; echo; echo {number}; ls /all | wc -l\n", context=tmp_path
            )
            found.append([line for step in record.steps for line in step.output])
        except Exception as error:  # noqa: BLE001  told below
            found.append(error)

    running = [threading.Thread(target=go, args=(number,)) for number in range(3)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert sorted(map(str, found)) == sorted(str([mark, str(number), "51"]) for number in range(3))


def test_no_secret_is_anywhere(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    canary = {name: f"c4nary-{secrets.token_hex(8)}" for name in ("env", "file", "value")}
    monkeypatch.setenv("A_TOKEN", canary["env"])
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "kept"))
    (tmp_path / "key").write_text(canary["file"])
    mount = "--mount=type=secret,id="
    read = f"RUN {mount}e {mount}f cat /run/secrets/e /run/secrets/f | wc -c; env > /env # {time.time()}\n"
    given = ["id=e,env=A_TOKEN", f"id=f,src={tmp_path / 'key'}"]
    image = dockerlab.build(f"FROM busybox\n{read}", client=client, secret=given, label={"dockerlab-test": "faults"})
    api: Any = client.api
    assert image.build is not None
    assert [line for step in image.build.steps for line in step.output] == ["46"]
    text = build(client, f"FROM busybox\nRUN {mount}v cat /run/secrets/v | wc -c # {time.time()}\n", secret={"v": canary["value"]})
    seen = [repr(vars(text)), text._repr_html_(), text.log, repr(vars(image.build)), image.build._repr_html_(), image.build.log]
    seen += [
        str(image),
        image._repr_html_(),
        json.dumps(api.inspect_image(image.id)),
        json.dumps(api.history(image.id)),
    ]
    # A step that prints them, whole, in pieces, and as it fails.
    printing = f"RUN {mount}e {mount}f cat /run/secrets/e; set -x; cat /run/secrets/f; : $(cat /run/secrets/e); set +x; "
    printing += "head -c 9 /run/secrets/e; "
    printing += f"sleep 0.4; tail -c +10 /run/secrets/e; echo; exit 3 # {time.time()}\n"
    shown: list[Any] = []
    with pytest.raises(BuildError) as caught:
        build(client, f"FROM busybox\n{printing}", secret=given, progress=lambda record: shown.append(record._repr_html_()))
    assert isinstance(caught.value.build, Build)
    assert caught.value.build.log.count("***") == 4
    assert str(caught.value.log).count("***") == 4
    seen += [*shown, "".join(traceback.format_exception(caught.value)), repr(vars(caught.value)), *caught.value.lines()]
    for line in ("false", "cat /run/secrets/none"):
        wanted = f"FROM busybox\nRUN {mount}e {mount}none,required={'true' if 'none' in line else 'false'} {line} # {time.time()}\n"
        with pytest.raises(BuildError) as caught:
            build(client, wanted, secret=given)
        seen += ["".join(traceback.format_exception(caught.value)), repr(vars(caught.value)), *caught.value.lines()]
    seen += [caplog.text, *(path.read_bytes().decode("latin-1") for path in (tmp_path / "kept").rglob("*") if path.is_file())]
    with tarfile.open(fileobj=io.BytesIO(b"".join(api.get_image(image.id)))) as saved:
        for member in filter(tarfile.TarInfo.isreg, saved):
            data = saved.extractfile(member).read()  # type: ignore[union-attr]
            seen.append((gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("latin-1"))
    assert not [name for name, value in canary.items() for one in seen if value in one]


@pytest.mark.skipif(not Path("/proc").exists(), reason="our own engine needs Linux")
def test_an_engine_that_is_killed(engine: Any, tmp_path: Path) -> None:
    """One of our own, since the others are shared."""
    if not engine.is_main:
        pytest.skip("once is enough")
    with rungs.engine("user" if os.getuid() else "root") as own, closing(connect(f"unix://{own.home.socket}")) as client:

        def kill(record: Build) -> None:
            if has_printed(record, "started"):
                own.kill()

        with pytest.raises(DockerlabError) as caught:
            build(client, "FROM busybox\nRUN echo started; sleep 300\n", progress=kill)
        assert isinstance(caught.value, EngineGone)
        assert caught.value.hint
        assert not threads()
        own.start()
        assert build(client, "FROM busybox\nRUN true\n").outcome == "done"


def test_a_secret_that_is_too_short_to_be_masked_is_warned_of(client: Client) -> None:
    text = (
        f"FROM busybox\nRUN --mount=type=secret,id=pin --mount=type=secret,id=long cat /run/secrets/*; : {secrets.token_hex(8)}\n"
    )
    record = build(client, text, secret={"pin": "7", "long": "canary"})
    assert [line for step in record.steps for line in step.output] == ["***7"]
    assert [lint.text for lint in record.warnings if not lint.text.startswith("BaseNotPinned: ")] == [
        "The secret 'pin' is too short to be masked: where a step prints it, the log shows it"
    ]
    assert "The secret 'pin' is too short" in str(record)
