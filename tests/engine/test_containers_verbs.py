"""The verbs other than `run`, on real engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab import containers, images
from dockerlab.client import Client
from dockerlab.containers import Container
from dockerlab.errors import CommandError, Conflict, NotFound, UsageError
from tests.engine.test_containers import IMAGE, Kept, exists, interrupted, name, running

pytestmark = pytest.mark.contract


@pytest.fixture
def box(client: Client) -> Iterator[Container]:
    """A container that does nothing, and ends when it is asked to."""
    command = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    with running(client, "sh", "-c", command, name=name("box")) as container:
        while b"ready" not in container.logs():
            time.sleep(0.05)
        yield container


@pytest.fixture
def inside(client: Client, box: Container, tmp_path: Path) -> Container:
    """`box`, on an engine whose exec stays in the container. One in a chroot executes on its host, where a test must not go on."""
    mark = tmp_path / f"{box.name}-inside"
    mark.touch()
    containers.cp(mark, f"{box.name}:/{mark.name}", client=client)
    try:
        containers.exec(box, ["test", "-e", f"/{mark.name}"], client=client)
    except CommandError:
        pytest.fail("this engine executes outside of the container: a dockerd in a chroot needs pivot_root (tests/engines.sh)")
    return box


def test_exec(client: Client, inside: Container) -> None:
    kept = Kept()
    flags = {"env": ["A=1"], "workdir": "/tmp", "user": "1000"}
    containers.exec(inside, ["sh", "-c", "echo $A $(pwd) $(id -u); echo err >&2"], output=kept, client=client, **flags)  # type: ignore[arg-type]
    assert (kept.of(1), kept.of(2)) == (b"1 /tmp 1000\n", b"err\n")


@pytest.mark.parametrize(("command", "code"), [(["sh", "-c", "exit 4"], 4), (["nosuch"], 127)])
def test_exec_that_fails(client: Client, inside: Container, command: list[str], code: int) -> None:
    with pytest.raises(CommandError) as caught:
        containers.exec(inside, command, client=client)
    assert caught.value.exit_code == code


def test_exec_feeds_a_megabyte_each_way(client: Client, inside: Container) -> None:
    kept, data = Kept(), b"0123456789abcde\n" * 65536
    containers.exec(inside, ["cat"], stdin=data, output=kept, client=client)
    assert kept.of(1) == data


def test_exec_detached(client: Client, inside: Container) -> None:
    containers.exec(inside, ["touch", "/tmp/done"], detach=True, client=client)
    deadline = time.monotonic() + 5
    while "/tmp/done" not in [c.path for c in containers.diff(inside, client=client)] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "A /tmp/done" in repr(containers.diff(inside, client=client))


def test_exec_interrupted(client: Client, inside: Container) -> None:
    begun = time.monotonic()
    with interrupted(1.0):
        containers.exec(inside, ["sleep", "5"], client=client)
    assert time.monotonic() - begun < 4


def test_what_needs_a_running_container(client: Client) -> None:
    with running(client, "true", name=name("over")) as c:
        assert containers.wait(c, client=client) == 0
        for verb in (
            lambda: containers.exec(c, "ls", client=client),
            lambda: containers.kill(c, client=client),
            lambda: containers.top(c, client=client),
        ):
            with pytest.raises(Conflict, match=f"container '{c.name}' is not running"):
                verb()


def test_no_such_container(client: Client) -> None:
    missing = name("missing")
    with pytest.raises(NotFound, match=f"no such container '{missing}'"):
        containers.stop(missing, client=client)
    assert repr(containers.rm(missing, force=True, client=client)) == f"there was no container '{missing}'"


def test_stop_start_restart_kill_rm(client: Client, box: Container) -> None:
    called = f"container {box.name} (busybox)"
    assert repr(containers.stop(box, client=client)) == f"{called}: exited 0"
    assert repr(containers.start(box, client=client)) == f"{called}: running"
    assert repr(containers.restart([box], timeout=0, client=client)) == f"{called}: running"
    with pytest.raises(Conflict, match=f"container '{box.name}' is running"):
        containers.rm(box, client=client)
    assert repr(containers.kill(box, client=client)) == f"{called}: exited 137"
    assert repr(containers.rm(box, client=client)) == f"removed {called}"
    assert not exists(client, str(box.name))


def test_wait(client: Client) -> None:
    with running(client, "sh", "-c", "sleep 0.5; exit 3") as one, running(client, "true") as other:
        assert containers.wait(one, client=client) == 3
        assert containers.wait([one, other], client=client) == [3, 0]


def test_wait_interrupted(client: Client, box: Container) -> None:
    with interrupted(0.5):
        containers.wait(box, client=client)
    assert box.refresh()


def test_rename(client: Client, box: Container) -> None:
    other = name("renamed")
    assert containers.rename(box, other, client=client).name == other


def test_ps(client: Client, box: Container) -> None:
    line = f"container {box.name} (busybox): running"
    assert line in repr(containers.ps(client=client)).splitlines()
    containers.stop(box, client=client)
    assert str(box.name) not in repr(containers.ps(client=client))
    assert f"container {box.name} (busybox): exited 0" in repr(containers.ps(all=True, client=client)).splitlines()


def test_logs(client: Client) -> None:
    with running(client, "sh", "-c", "echo one; echo two >&2; echo three") as c:
        containers.wait(c, client=client)
        kept = Kept()
        containers.logs(c, output=kept, client=client)
        assert (kept.of(1), kept.of(2)) == (b"one\nthree\n", b"two\n")
        last = Kept()
        containers.logs(c, tail=1, since="10m", output=last, client=client)
        assert last.of(1) + last.of(2) in (b"three\n", b"two\n")  # the order of two streams is not promised


def test_logs_followed(client: Client) -> None:
    with running(client, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done") as c:
        kept = Kept()
        containers.logs(c, follow=True, output=kept, client=client)
        assert kept.of(1) == b"1\n2\n3\n"


def test_logs_interrupted(client: Client, box: Container) -> None:
    with interrupted(0.5):
        containers.logs(box, follow=True, client=client)
    assert box.refresh()
    assert box.facts.state == "running"


def test_diff(client: Client) -> None:
    with running(client, "sh", "-c", "echo x > /added; rm /etc/group") as c:
        containers.wait(c, client=client)
        assert repr(containers.diff(c, client=client)) == "A /added\nC /etc\nD /etc/group"


def test_inspect_and_top(client: Client, box: Container) -> None:
    assert containers.inspect(box, client=client)["Id"] == box.id
    assert any("trap" in command for command in containers.top(box, client=client).commands)


def test_stats(client: Client) -> None:
    with running(client, "sh", "-c", "while :; do :; done", memory="64m", cpus="0.5") as c:
        (usage,) = containers.stats(c, client=client)
        # Where an engine says that it enforces no limit, there is none.
        info = client.info()
        assert 10 < usage.cpu < (90 if info["CpuCfsQuota"] else 110)
        assert usage.limit == (64 << 20 if info["MemoryLimit"] else info["MemTotal"])
        assert 0 < usage.memory < usage.limit
        assert usage.processes >= 1


def test_cp_both_ways(client: Client, box: Container, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_text("1")
    (source / "sub/b").write_text("22")
    assert containers.cp(source, f"{box.name}:/new", client=client).files == 2  # there was no /new: it gets the contents
    containers.cp(f"{source}/.", f"{box.name}:/tmp", client=client)
    containers.cp(source, f"{box.name}:/tmp", client=client)
    containers.cp(source / "a", f"{box.name}:/tmp/named", client=client)
    containers.cp(f"{box.name}:/tmp", tmp_path / "out", client=client)
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert found == ["a", "named", "source/a", "source/sub/b", "sub/b"]
    containers.cp(f"{box.name}:/new", tmp_path / "out", client=client)
    assert (tmp_path / "out/new/sub/b").read_text() == "22"
    containers.cp(f"{box.name}:/new/a", tmp_path / "file", client=client)
    assert (tmp_path / "file").read_text() == "1"


def test_cp_of_what_is_not_there(client: Client, box: Container, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no /nosuch in container"):
        containers.cp(f"{box.name}:/nosuch", tmp_path, client=client)
    with pytest.raises(UsageError, match="there is no"):
        containers.cp(tmp_path / "nosuch", f"{box.name}:/", client=client)
    with pytest.raises(NotFound, match="there is no folder /no in container"):
        containers.cp(tmp_path, f"{box.name}:/no/such", client=client)


def test_commit(client: Client) -> None:
    reference = f"{name('image')}:1"
    with running(client, "sh", "-c", "echo kept > /kept") as c:
        containers.wait(c, client=client)
        image = containers.commit(c, reference, change=['CMD ["cat", "/kept"]'], client=client)
    try:
        assert image.name == reference
        kept = Kept()
        containers.run(image, rm=True, output=kept, client=client)
        assert kept.of(1) == b"kept\n"
    finally:
        images.rm(reference, force=True, client=client)


def test_prune_takes_those_that_bear_the_label(client: Client) -> None:
    label, taken = f"{name('label')}=yes", name("prune")
    containers.run(IMAGE, ["true"], name=taken, label=[label], client=client)
    pruned = containers.prune(label=[label], client=client)
    assert repr(pruned) == f"removed container {taken} (busybox)"
    assert pruned.reclaimed is not None
    assert repr(containers.prune(label=[label], client=client)) == "nothing to remove"


def test_no_thread_is_left(client: Client, box: Container) -> None:
    containers.logs(box, client=client)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("dockerlab")]
