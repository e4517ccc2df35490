"""The build context on real engines: what arrives, what travels, and what is said of a context that is odd, or changes on its way."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import Build
from dockerlab.builds.tally import Tally
from dockerlab.client import Client
from dockerlab.errors import BuildError, ContextError

pytestmark = pytest.mark.contract

_ALL = "FROM busybox\nCOPY . /all/\n"


@pytest.fixture(autouse=True)
def no_image_is_left(client: Client) -> Iterator[None]:
    yield
    for image in client.api.images(filters={"label": "dockerlab-test=context"}):
        client.api.remove_image(image["Id"], force=True)


def build(client: Client, dockerfile: str = _ALL, **options: Any) -> Build:
    record = dockerlab.build(dockerfile, client=client, label={"dockerlab-test": "context"}, **options).build
    assert record is not None
    return record


def said(client: Client, command: str, dockerfile: str = _ALL, **options: Any) -> list[str]:
    """What a command prints in the image; it is run even where it is cached."""
    record = build(client, f"{dockerfile}RUN {command} # {os.urandom(8).hex()}\n", **options)
    return [line for step in record.steps if step.keyword == "RUN" for line in step.output]


def needs_sessions(client: Client) -> None:
    if build(client, "FROM busybox\n").builder != "buildkit":
        pytest.skip("the engine has no sessions: everything travels")


def sent(record: Build) -> dict[str, int]:
    return dict(record.context.largest)


def test_a_folder_may_have_any_name(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "проект\nx\udcff"
    folder.mkdir()
    (folder / "a").write_text("here")
    assert said(client, "cat /all/a", context=folder) == ["here"]


def test_only_what_changed_travels(client: Client, tmp_path: Path) -> None:
    needs_sessions(client)
    for name in ("a", "b", "d/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name} {os.urandom(8).hex()}")
    assert {*sent(build(client, context=tmp_path))} == {"a", "b", "d/c"}
    again = build(client, context=tmp_path).context
    assert (again.files, again.sent_files, again.sent_size, again.largest) == (3, 0, 0, ())
    (tmp_path / "d" / "c").write_text("new")
    assert sent(build(client, context=tmp_path)) == {"d/c": 3}


def test_of_cells_too_only_what_changed_travels(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_sessions(client)
    monkeypatch.chdir(tmp_path)
    files = {"a": os.urandom(8).hex(), "d/b": os.urandom(8).hex()}
    assert {*sent(build(client, files=files))} == {"a", "d/b"}
    assert build(client, files=files).context.sent_files == 0
    files["a"] = os.urandom(8).hex()
    assert sent(build(client, files=files)) == {"a": 16}, "of the same size"


def test_what_changes_without_changing_its_size_is_seen(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for word in ("one", "two"):
        assert said(client, "cat /all/a", files={"a": word}) == [word]
        assert said(client, f"echo {word}", "FROM busybox\n") == [word], "the Dockerfile is a file of the same size, too"


def test_odd_files_arrive_as_they_are(client: Client, tmp_path: Path) -> None:
    names = ["-dash", "back\\slash", "br[ack]", "new\nline", 'q"uote', "sp ace", "star*", "tab\t", "é"]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("sp ace")
    (tmp_path / "lost").symlink_to("nowhere")
    os.link(tmp_path / "sp ace", tmp_path / "hard")
    (tmp_path / "suid").write_text("s")
    (tmp_path / "suid").chmod(0o4755)
    (tmp_path / "none").write_text("n")
    (tmp_path / "none").chmod(0)
    (tmp_path / "folder").mkdir(0o700)
    (tmp_path / "empty").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        found = said(
            client,
            "cd /all && ls -d none folder hard empty -l | cut -c1-10 && readlink link && readlink lost"
            " && test ! -e socket && ls -l suid && cat ./*slash ./*ack* ./new* ./q* ./sp* ./sta* ./tab* ./é | md5sum && ls | wc -l",
            context=tmp_path,
        )
    assert found[:4] == ["-rw-r--r--", "drwx------", "-rw-r--r--", "----------"]
    assert found[4:6] == ["sp ace", "nowhere"]
    assert found[6].startswith(("-rwsr-xr-x", "-rwxr-xr-x")), "Podman takes the bit away"
    assert found[-1] == str(len(names) + 7)


def test_a_context_that_is_a_link_and_one_that_is_empty(client: Client, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert said(client, "ls -A /all | wc -l", context=tmp_path / "real") == ["0"]
    (tmp_path / "real" / "a").write_text("A")
    assert said(client, "cat /all/a", context=tmp_path / "link") == ["A"]


def test_links_are_followed_however_many_there_are(client: Client, tmp_path: Path) -> None:
    needs_sessions(client)
    (tmp_path / "links").mkdir()
    (tmp_path / "to").mkdir()
    for number in range(300):
        (tmp_path / "to" / str(number)).write_text("x")
        (tmp_path / "links" / str(number)).symlink_to(f"../to/{number}")
    # A folder of them would arrive as links.
    assert said(client, "cat /x/* | wc -c", "FROM busybox\nCOPY links/1* links/2* /x/\n", context=tmp_path) == ["222"]


@pytest.mark.parametrize("links", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b/x", "b": "a/y"}, {"a": "../../../etc/passwd"}])
def test_links_that_lead_nowhere_end_the_build(client: Client, tmp_path: Path, links: dict[str, str]) -> None:
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    with pytest.raises(BuildError) as caught:
        build(client, "FROM busybox\nCOPY a /x\n", context=tmp_path)
    assert "://" not in caught.value.message
    if client.version().get("Components", [{}])[0].get("Name") == "Podman Engine":
        return  # it refuses the archive, without a word
    words = "is there; is it a link" if "passwd" in links["a"] else "leads back to itself"
    assert words in str(caught.value.hint)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_stay_out(client: Client, tmp_path: Path) -> None:
    os.mknod(tmp_path / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (tmp_path / "a").write_text("A")
    assert said(client, "ls /all", context=tmp_path) == ["a"]


def test_names_that_are_not_utf8_arrive_or_are_refused(client: Client, tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff", "wb") as file:
        file.write(b"odd")
    refused = None
    try:
        assert said(client, "cat /all/*", context=tmp_path) == ["odd"]
    except ContextError as error:
        refused = error
    assert refused is None or "not UTF-8" in refused.message
    assert refused is None or ".dockerignore" in str(refused.hint)
    (tmp_path / ".dockerignore").write_text("?\n.dockerignore\n")
    assert said(client, "ls -A /all | wc -l", context=tmp_path) == ["0"]


# What changes while it is sent


@pytest.fixture
def then(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets something happen once the engine was told of the context, and before it asks for a file."""

    def hook(happen: Callable[[], object]) -> None:
        told = Tally.told

        def hooked(*arguments: Any) -> None:
            told(*arguments)
            happen()

        monkeypatch.setattr(Tally, "told", hooked)

    return hook


def _replaced(path: Path, make: Callable[[Path], object]) -> Callable[[], None]:
    def replace() -> None:
        path.unlink()
        make(path)

    return replace


_CHANGES: dict[str, tuple[Callable[[Path], Callable[[], object]], str]] = {
    "gone": (lambda path: path.unlink, "went away"),
    "a folder": (lambda path: _replaced(path, Path.mkdir), "became something else"),
    "a pipe": (lambda path: _replaced(path, os.mkfifo), "became something else"),
    "a link": (lambda path: _replaced(path, lambda p: p.symlink_to("/etc/passwd")), "became something else"),
    "shorter": (lambda path: lambda: os.truncate(path, 1), "became shorter"),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_a_file_that_changes_before_its_turn(
    client: Client, tmp_path: Path, then: Callable[[Callable[[], object]], None], change: str
) -> None:
    needs_sessions(client)
    (tmp_path / "29").write_bytes(os.urandom(100))
    make, words = _CHANGES[change]
    then(make(tmp_path / "29"))
    before = {*os.listdir("/proc/self/fd")} if os.path.exists("/proc/self/fd") else set()
    with pytest.raises(ContextError, match=words) as caught:
        build(client, context=tmp_path)
    assert "29" in caught.value.message
    assert caught.value.hint
    kept = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in {*os.listdir("/proc/self/fd")} - before
        if os.path.lexists(f"/proc/self/fd/{fd}")
    ]
    assert not [path for path in kept if path.startswith(str(tmp_path))]


def test_the_reason_is_told_whichever_call_the_engine_tells_of(
    client: Client, tmp_path: Path, then: Callable[[Callable[[], object]], None]
) -> None:
    """Engine 20.10 asks for two folders at once, and at times tells of the one that it cancelled for the other's sake."""
    needs_sessions(client)
    then(lambda: (tmp_path / "29").unlink(missing_ok=True))
    for _ in range(5):
        (tmp_path / "29").write_bytes(os.urandom(100))
        with pytest.raises(ContextError, match="'29' of the build context went away"):
            build(client, context=tmp_path)


def test_of_a_file_that_grows_what_was_told_is_sent(
    client: Client, tmp_path: Path, then: Callable[[Callable[[], object]], None]
) -> None:
    needs_sessions(client)
    (tmp_path / "log").write_bytes(os.urandom(200_000))

    def grow() -> None:
        with (tmp_path / "log").open("ab") as file:
            file.write(b"more")

    then(grow)
    assert said(client, "wc -c < /all/log", context=tmp_path) == ["200000"]
