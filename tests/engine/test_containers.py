"""`run` on real engines: output, input, exit codes, interrupts, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dockerlab import containers
from dockerlab.client import Client
from dockerlab.containers import Container
from dockerlab.errors import CommandError, Conflict, NotReady, UsageError

pytestmark = pytest.mark.contract
IMAGE = "busybox"
SERVE = "mkdir /w; echo '<h1>hello</h1>' > /w/index.html; exec httpd -f -p 5000 -h /w"


class Kept:
    """Output, kept by stream."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, bytes]] = []

    def __call__(self, stream: int, data: bytes) -> None:
        self.parts.append((stream, data))

    def of(self, stream: int) -> bytes:
        return b"".join(data for number, data in self.parts if number == stream)


def name(suffix: str) -> str:
    """A name that no other test run on the same engine has."""
    return f"dockerlab-test-{os.getpid()}-{suffix}"


@contextmanager
def interrupted(seconds: float, after: Callable[[], object] = lambda: True) -> Iterator[None]:
    """Interrupts the block that long after something has come to be."""
    over = threading.Event()

    def interrupt() -> None:
        deadline = time.monotonic() + 20
        while not after() and time.monotonic() < deadline and not over.wait(0.05):
            pass
        if not over.wait(seconds):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        over.set()
        thread.join()


@contextmanager
def running(client: Client, *command: str, **flags: object) -> Iterator[Container]:
    container = containers.run(IMAGE, list(command), detach=True, client=client, **flags)  # type: ignore[arg-type]
    assert container is not None
    try:
        yield container
    finally:
        containers.rm(container, force=True, volumes=True, client=client)


def exists(client: Client, container: str) -> bool:
    return any(f"/{container}" in c["Names"] for c in client.api.containers(all=True))


def test_output_is_told_apart(client: Client) -> None:
    kept = Kept()
    containers.run(IMAGE, ["sh", "-c", "echo out; echo err >&2"], rm=True, output=kept, client=client)
    assert (kept.of(1), kept.of(2)) == (b"out\n", b"err\n")


def test_what_the_engine_warns_of_is_told(client: Client) -> None:
    limit = 64 << 20
    created = client.api.create_container(IMAGE, ["true"], host_config=client.api.create_host_config(mem_limit=limit))
    client.api.remove_container(created["Id"])
    warnings = "".join(f"WARNING: {warning}\n" for warning in created["Warnings"] or ())
    assert warnings or client.info()["MemoryLimit"], "a limit that is not kept is warned of"
    for detach in (False, True):
        kept = Kept()
        container = containers.run(IMAGE, ["true"], memory=limit, rm=not detach, detach=detach, output=kept, client=client)
        if container:
            containers.rm(container, force=True, client=client)
        assert kept.of(2).decode() == warnings


def test_output_goes_to_the_console(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    containers.run(IMAGE, ["sh", "-c", "echo out; echo err >&2"], rm=True, client=client)
    assert capsys.readouterr() == ("out\n", "err\n")


def test_output_comes_while_the_command_runs(client: Client) -> None:
    at: list[float] = []
    containers.run(
        IMAGE, ["sh", "-c", "echo a; sleep 1; echo b"], rm=True, output=lambda s, d: at.append(time.monotonic()), client=client
    )
    assert at[-1] - at[0] > 0.6


def test_an_exit_code_fails(client: Client) -> None:
    with pytest.raises(CommandError) as caught:
        containers.run(IMAGE, ["sh", "-c", "exit 3"], rm=True, client=client)
    assert str(caught.value) == "the command in busybox ended with exit code 3"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(("command", "code"), [("nosuch", 127), ("/nosuch", 127), ("/etc", 126)])
@pytest.mark.parametrize("detach", [False, True])
def test_a_command_that_cannot_be_started(client: Client, command: str, code: int, detach: bool) -> None:
    taken = name("nostart")
    with pytest.raises(CommandError) as caught:
        containers.run(IMAGE, [command], name=taken, detach=detach, client=client)
    assert caught.value.exit_code == code
    assert not exists(client, taken)


def test_stdin_is_fed_and_ended(client: Client) -> None:
    kept = Kept()
    containers.run(IMAGE, ["sh"], stdin="echo one\necho two >&2\n", rm=True, output=kept, client=client)
    assert (kept.of(1), kept.of(2)) == (b"one\n", b"two\n")


def test_a_megabyte_each_way(client: Client) -> None:
    kept, data = Kept(), b"0123456789abcde\n" * 65536
    containers.run(IMAGE, ["cat"], stdin=data, rm=True, output=kept, client=client)
    assert kept.of(1) == data


def test_stdin_that_nobody_reads(client: Client) -> None:
    containers.run(IMAGE, ["true"], stdin=b"x" * 1_000_000, rm=True, client=client)


def test_interactive_without_input_ends(client: Client) -> None:
    containers.run(IMAGE, ["cat"], interactive=True, rm=True, client=client)


def test_without_rm_the_container_stays(client: Client) -> None:
    kept = name("stays")
    containers.run(IMAGE, ["true"], name=kept, client=client)
    assert repr(containers.get(kept, client=client)) == f"container {kept} (busybox): exited 0"
    containers.rm(kept, client=client)


@pytest.mark.parametrize("rm", [True, False])
def test_an_interrupt_stops_a_silent_command(client: Client, rm: bool) -> None:
    taken = name("interrupt")
    begun = time.monotonic()
    with interrupted(0.3, after=lambda: client.api.containers(filters={"name": taken, "status": "running"})):
        containers.run(IMAGE, ["sleep", "60"], name=taken, rm=rm, client=client)
    assert time.monotonic() - begun < 8
    assert exists(client, taken) is not rm
    if not rm:
        assert containers.get(taken, client=client).facts.state == "exited"
        containers.rm(taken, client=client)


def test_an_interrupt_lets_the_command_say_its_last_word(client: Client) -> None:
    kept = Kept()
    with interrupted(0.1, after=lambda: kept.of(1)):
        command = ["sh", "-c", "trap 'echo bye; exit 0' INT; echo ready; while :; do sleep 0.1; done"]
        containers.run(IMAGE, command, rm=True, output=kept, client=client)
    assert kept.of(1) == b"ready\nbye\n"


def test_an_output_that_raises_leaves_nothing(client: Client) -> None:
    taken = name("raises")

    def fail(stream: int, data: bytes) -> None:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        containers.run(IMAGE, ["sh", "-c", "echo x; sleep 60"], name=taken, output=fail, client=client)
    assert not exists(client, taken)


@pytest.mark.needs("busybox")
def test_a_page_is_there_when_wait_returns(client: Client) -> None:
    with running(client, "sh", "-c", f"sleep 1; {SERVE}", publish=["5000"], wait=True) as c:
        assert repr(c.page(5000)) == "200 OK\n\n<h1>hello</h1>"
        host, port = c.address()
        assert host == "127.0.0.1"
        assert c.url() == f"http://127.0.0.1:{port}/"
        assert c.url(5000) in c._repr_html_()
        with pytest.raises(UsageError, match="does not publish port 6000") as caught:
            c.url(6000)
        assert caught.value.evidence == ("published: 5000/tcp",)


def test_a_local_port_is_for_this_machine_alone(client: Client) -> None:
    with running(client, "sleep", "60", publish=["5000"]) as c:
        assert list(containers.port(c, client=client)) == ["5000/tcp"]
        assert all(place.startswith("127.0.0.1:") for place in containers.port(c, 5000, client=client)["5000/tcp"])


@pytest.mark.parametrize("rm", [True, False])
def test_not_ready_because_it_ended(client: Client, rm: bool) -> None:
    taken = name("ended")
    command = ["sh", "-c", "echo dying; exit 5"]
    with pytest.raises(NotReady) as caught:
        containers.run(IMAGE, command, name=taken, detach=True, publish=["5000"], wait=5000, rm=rm, client=client)
    assert str(caught.value) == f"container {taken} (busybox) ended before it was ready"
    assert caught.value.evidence == ("dying",)
    assert not exists(client, taken)


def test_not_ready_in_time(client: Client) -> None:
    taken = name("late")
    with pytest.raises(NotReady, match="port 5000 did not answer within 1 s"):
        containers.run(IMAGE, ["sleep", "60"], name=taken, detach=True, publish=["5000"], wait=True, wait_timeout=1, client=client)
    assert not exists(client, taken)


def test_nothing_to_wait_for(client: Client) -> None:
    taken = name("nothing")
    with pytest.raises(UsageError, match="neither a health check nor a published port"):
        containers.run(IMAGE, ["sleep", "60"], name=taken, detach=True, wait=True, client=client)
    assert not exists(client, taken)


def test_a_port_in_use(client: Client) -> None:
    taken = name("second")
    with running(client, "sleep", "60", publish=["5000"]) as c:
        _, port = c.address(5000)
        with pytest.raises(Conflict, match=f"port {port} is in use on the engine's host"):
            containers.run(IMAGE, ["sleep", "60"], name=taken, detach=True, publish=[f"{port}:5000"], client=client)
        assert not exists(client, taken)


def test_a_name_in_use_and_replace(client: Client) -> None:
    taken = name("name")
    with running(client, "sleep", "60", name=taken) as first:
        with pytest.raises(Conflict, match=f"the name '{taken}' is in use"):
            containers.run(IMAGE, ["sleep", "60"], name=taken, detach=True, client=client)
        with running(client, "sleep", "60", name=taken, replace=True) as second:
            assert second.id != first.id
            assert repr(first) == f"container {taken} (busybox): removed"


def test_settings_reach_the_command(client: Client, tmp_path: object) -> None:
    kept = Kept()
    flags = {"env": ["A=1"], "workdir": "/tmp", "user": "1000:1000", "label": ["dockerlab.test=yes"]}
    containers.run(IMAGE, ["sh", "-c", "echo $A $(pwd) $(id -u)"], rm=True, output=kept, client=client, **flags)  # type: ignore[arg-type]
    assert kept.of(1) == b"1 /tmp 1000\n"


def test_a_missing_image_leaves_nothing(client: Client) -> None:
    taken = name("noimage")
    with pytest.raises(Exception, match="no-such-image"):
        containers.run("localhost:1/no-such-image", name=taken, detach=True, client=client)
    assert not exists(client, taken)
