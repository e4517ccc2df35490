"""What `/build` does not pass on, on real engines: named contexts, stages anew, caches to write; and who has none of it says why."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import dockerlab
from dockerlab import Build, hijacking
from dockerlab.builds import reading, sending
from dockerlab.builds.tally import Sent
from dockerlab.client import Client
from dockerlab.errors import BuildError, ContextError, EngineGone, UsageError
from dockerlab.testing.shell import Shell
from dockerlab.wire.trace import Lint
from tests.embedded.registries import docker_registry
from tests.engine.built import cache, configuration, forget

pytestmark = pytest.mark.contract

TAG = "dockerlab-test-contexts"
LIB = "FROM busybox\nCOPY --from=lib / /lib/\n"
STAGES = "FROM busybox AS one\nRUN echo one-{0}\nFROM busybox\nRUN echo two-{0}\nCOPY --from=one /bin/busybox /b\n"
WORK = ("FROM", "RUN", "COPY")
SECRET = "canary-5d20"


@pytest.fixture(autouse=True)
def no_image_is_left(client: Client) -> Iterator[None]:
    yield
    for image in client.api.images(filters={"label": "dockerlab-test=contexts"}):
        client.api.remove_image(image["Id"], force=True)


@pytest.fixture
def contexts(own_api: str) -> None:
    if own_api != "contexts":
        pytest.skip("the engine has no named contexts")


@pytest.fixture
def api(own_api: str) -> None:
    if own_api == "nothing":
        pytest.skip("the engine has no Control/Solve")


@pytest.fixture
def unique() -> str:
    return os.urandom(8).hex()


@pytest.fixture
def lib(tmp_path: Path, unique: str) -> Path:
    """A folder."""
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "a").write_text(unique)
    return folder


def build(client: Client, dockerfile: str, **options: Any) -> Build:
    record = dockerlab.build(dockerfile, client=client, label={"dockerlab-test": "contexts"}, **options).build
    assert record is not None
    return record


def said(record: Build) -> list[str]:
    return [line for step in record.steps if step.line for line in step.output]


def states(record: Build) -> dict[int, str]:
    return {step.line: step.state for step in record.steps if step.line and step.keyword in WORK}


def why(record: Build) -> dict[int, tuple[str, str]]:
    return {reason.line: (reason.kind, reason.sentence) for reason in record.reasons}


# Named contexts


@pytest.mark.usefixtures("contexts")
def test_a_folder(client: Client, lib: Path, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (lib / "left.log").write_text("out")
    (lib / ".dockerignore").write_text("*.log\n")
    monkeypatch.chdir(lib.parent)
    text = f"{LIB}RUN ls /lib && cat /lib/a\nRUN --mount=from=lib,target=/mounted cat /mounted/a; ls /mounted\n"
    record = build(client, text, build_contexts=["lib=./lib"])
    assert said(record) == ["a", unique, f"{unique}a"]
    assert (record.builder, record.context.files) == ("buildkit", 0)
    size = len(unique) + len("*.log\n")
    assert record.context.named == {"lib": Sent(2, size, 2, size, (("a", len(unique)), (".dockerignore", 6)))}
    assert states(record) == {1: "cached", 2: "done", 3: "done", 4: "done"}


@pytest.mark.usefixtures("contexts")
def test_beside_the_builds_own_with_secrets(client: Client, lib: Path, tmp_path: Path, unique: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a").write_text(f"own {unique}")
    text = f"{LIB}COPY a /a\nRUN --mount=type=secret,id=s cat /a /lib/a; wc -c < /run/secrets/s\n"
    record = build(client, text, context=tmp_path / "own", build_contexts={"lib": lib}, secret={"s": SECRET})
    assert said(record) == [f"own {unique}{unique}{len(SECRET)}"]
    assert record.context.largest == (("a", 20),)
    assert record.context.named["lib"].largest == (("a", len(unique)),)


@pytest.mark.usefixtures("contexts")
def test_a_warning_of_one_that_is_too_big_comes_before_it_is_sent(
    client: Client, lib: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: set[str] = set()
    early: list[str] = []
    reading_ = reading.opened

    def opened(found: Any) -> Any:
        if found.size > 1 << 30 and not any(found.path.split("/")[0] in text for text in told):
            early.append(found.path)
        return reading_(found)

    monkeypatch.setattr(sending, "opened", opened)
    for place in (lib / "data", tmp_path / "own" / "models"):
        place.mkdir(parents=True)
        with (place / "big").open("wb") as file:
            file.truncate(4 << 30)
    reports: list[Build] = []

    def sized(record: Build) -> list[Lint]:
        return [lint for lint in record.warnings if not lint.text.startswith("BaseNotPinned: ")]

    def interrupt(record: Build) -> None:
        reports.append(record)
        told.update(lint.text for lint in sized(record))
        if len(told) == 2:
            raise KeyboardInterrupt

    text = "FROM busybox\nCOPY --from=lib data /data\nCOPY models /models\n"
    with pytest.raises(KeyboardInterrupt):
        build(client, text, context=tmp_path / "own", build_contexts={"lib": lib}, progress=interrupt)
    own, named = sorted(sized(reports[-1]), key=lambda lint: "lib" in lint.text)
    assert own.text == "The build context has 4.3 GB: models/ 4.3 GB"
    assert named.text == "The build context lib has 4.3 GB: data/ 4.3 GB"
    assert "image.build.context.named['lib']" in named.detail[0]
    assert reports[-1].context.named["lib"].size == 4 << 30
    assert not early


@pytest.mark.usefixtures("contexts")
def test_folders_of_one_name_are_not_taken_for_each_other(client: Client, lib: Path, tmp_path: Path, unique: str) -> None:
    twin = tmp_path / "twin"
    twin.mkdir()
    (twin / "a").write_text(unique[::-1])
    moment = (lib / "a").stat().st_mtime_ns
    os.utime(twin / "a", ns=(moment, moment))
    for folder, text in ((lib, unique), (twin, unique[::-1])):
        record = build(client, f"{LIB}RUN cat /lib/a; echo {os.urandom(8).hex()}\n", build_contexts={"lib": folder})
        assert said(record)[0].startswith(text)


@pytest.mark.usefixtures("contexts")
def test_from_a_folder(client: Client, lib: Path, unique: str) -> None:
    text = f"FROM lib AS l\nENV A=1\nCOPY --from=busybox / /\nRUN cat /a; echo {unique}\nFROM busybox\nCOPY --from=l /a /a\n"
    record = build(client, text, build_contexts={"lib": lib})
    assert said(record) == [unique * 2]
    assert states(record) == {1: "cached", 3: "done", 4: "done", 5: "cached", 6: "done"}


@pytest.mark.usefixtures("contexts")
def test_from_an_image(client: Client, unique: str) -> None:
    """It may stand for one that there is nowhere."""
    text = f"FROM nowhere:1\nRUN echo {unique}\n"
    record = build(client, text, build_contexts=["nowhere:1=docker-image://busybox"])
    assert said(record) == [unique]
    assert states(record)[2] == "done"


@pytest.mark.usefixtures("contexts")
def test_in_the_place_of_a_stage(client: Client, lib: Path, unique: str) -> None:
    text = f"FROM busybox AS zero\nRUN exit 9\nFROM zero AS lib\nRUN exit 9\n{LIB}RUN cat /lib/a; echo {unique}\n"
    record = build(client, text, build_contexts={"lib": lib})
    assert said(record) == [unique * 2]
    assert {line: state for line, state in states(record).items() if line < 5} == dict.fromkeys((1, 2, 3, 4), "waiting")


@pytest.mark.usefixtures("contexts")
def test_files_out_of_one(client: Client, lib: Path, tmp_path: Path) -> None:
    dockerlab.export("FROM scratch\nCOPY --from=lib / /x/\n", str(tmp_path / "out"), client=client, build_contexts={"lib": lib})
    assert (tmp_path / "out" / "x" / "a").read_bytes() == (lib / "a").read_bytes()


@pytest.mark.usefixtures("contexts")
def test_why_steps_ran(client: Client, lib: Path, unique: str) -> None:
    text = f"{LIB}RUN cat /lib/a; echo {unique}\n"

    def again(what: Any) -> dict[int, tuple[str, str]]:
        return why(build(client, text, tag=TAG, build_contexts={"lib": what}))

    assert {kind for kind, _ in again(lib).values()} <= {"first", "instruction"}
    assert again(lib) == {}
    (lib / "a").write_text(f"other {unique}")
    assert again(lib) == {
        2: ("files", "1 file of context lib changed: a (modified)"),
        3: ("step", "because line 2 ran: COPY --from=lib / /lib/"),
    }
    (lib / "b").write_text(unique)
    (lib / "a").touch()
    assert again(lib)[2] == ("files", "1 file of context lib changed: b (added)")
    shutil.copytree(lib, copy := lib.parent / "copy")
    assert again(copy) == {}, "another folder with the same files"
    (lib / "b").write_text(f"other {unique}")
    assert again(lib)[2] == ("files", "1 file of context lib changed: b (modified)")
    assert again(f"docker-image://{TAG}")[2] == ("argument", "the value of --build-context lib changed")


@pytest.mark.usefixtures("contexts")
def test_failures(client: Client, lib: Path, unique: str) -> None:
    given: dict[str, Any] = {"build_contexts": {"lib": lib, "base": f"docker-image://gone{unique}"}}
    with pytest.raises(BuildError, match="line 2: the command ended with exit code 3") as failed:
        build(client, f"FROM busybox\nRUN echo {unique}; exit 3\n", **given)
    assert (failed.value.exit_code, failed.value.log) == (3, unique)
    with pytest.raises(BuildError, match="line 2: COPY finds no 'gone'"):
        build(client, "FROM busybox\nCOPY --from=lib /gone /\n", **given)
    with pytest.raises(UsageError, match=f"--build-context 'base': the engine cannot get the image 'gone{unique}:latest'"):
        build(client, "FROM base\nRUN true\n", **given)
    with pytest.raises(UsageError, match="--build-context 'src': the engine can do nothing with its address"):
        build(client, "FROM busybox\nCOPY --from=src / /\n", build_contexts={"src": "http://127.0.0.1:1/a.tar"})
    # A context that nobody names is not looked at.
    build(client, "FROM busybox\n", **given)


@pytest.mark.usefixtures("contexts")
def test_a_password_in_an_address_is_not_shown(client: Client, unique: str) -> None:
    snapshots: list[Build] = []
    address = f"http://user:{SECRET}@127.0.0.1:1/{unique}.git"
    with pytest.raises((BuildError, UsageError)) as failed:
        build(client, "FROM busybox\nCOPY --from=src / /\n", build_contexts={"src": address}, progress=snapshots.append)
    told = "\n".join(step.text for record in snapshots for step in record.steps)
    assert "http://user:***@127.0.0.1" in told, "the engine says it"
    assert SECRET not in told + "\n".join(failed.value.lines())
    assert not isinstance(failed.value, BuildError) or SECRET not in repr(failed.value.asked)


@pytest.mark.usefixtures("contexts")
def test_a_file_that_goes_away(client: Client, lib: Path, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(found: Any) -> Any:
        if found.path == "a":
            raise ContextError("a is gone")
        return reading.opened(found)

    monkeypatch.setattr(sending, "opened", gone)
    with pytest.raises(ContextError, match="a is gone"):
        build(client, f"{LIB}RUN echo {unique}\n", build_contexts={"lib": lib})


@pytest.mark.usefixtures("contexts")
def test_a_magic(client: Client, lib: Path, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lib.parent)
    cell = f"%%dockerfile --build-context lib=lib --label dockerlab-test=contexts\n{LIB}RUN cat /lib/a; echo {unique}\n"
    with Shell() as shell:
        assert said(shell.run(cell).value.build) == [unique * 2]
        with pytest.raises(UsageError, match="give NAME=WHAT"):
            shell.run("%%dockerfile --build-context lib\nFROM busybox\n")


# Stages anew, caches


@pytest.mark.usefixtures("api")
def test_a_stage_anew(client: Client, unique: str) -> None:
    text = STAGES.format(unique)
    build(client, text, tag=TAG)
    record = build(client, text, tag=TAG, no_cache_filter="One")
    assert states(record) == {1: "cached", 2: "done", 3: "cached", 4: "cached", 5: "cached"}
    assert why(record) == {2: ("no-cache", "--no-cache-filter")}
    with pytest.raises(UsageError, match="no such stage"):
        build(client, text, no_cache_filter="three")


@pytest.mark.usefixtures("api")
def test_an_inline_cache_is_in_the_image_and_is_taken_from_it(client: Client, tmp_path: Path, unique: str) -> None:
    text = f"FROM busybox\nRUN echo {unique} > /x\n"
    with docker_registry(tmp_path) as address:
        name = f"{address}/app:1"
        assert states(build(client, text, tag=name, cache_to="type=inline"))[2] == "done"
        assert "moby.buildkit.cache.v0" in configuration(client, name)
        assert '"error"' not in client.api.push(name)
        client.api.remove_image(name, force=True)
        forget(client, unique)
        assert states(build(client, text, tag=TAG, cache_from=name))[2] == "cached"
    client.api.remove_image(TAG, force=True)
    forget(client, unique)
    assert states(build(client, text, tag=TAG))[2] == "done", "it was nowhere else"
    assert "moby.buildkit.cache.v0" not in configuration(client, TAG)
    build(client, text, tag=TAG, build_arg={"BUILDKIT_INLINE_CACHE": "1"})
    assert "moby.buildkit.cache.v0" in configuration(client, TAG), "/build knows it as an argument"


@pytest.mark.usefixtures("api")
def test_a_cache_in_a_registry(client: Client, tmp_path: Path, unique: str) -> None:
    """With the containerd image store; other engines say that they have none."""
    text = f"FROM busybox\nRUN echo {unique} > /x\n"
    with docker_registry(tmp_path) as address:
        options = {"cache_to": f"type=registry,ref={address}/cache:1"}
        if not any("containerd" in str(one) for one in client.info()["DriverStatus"]):
            with pytest.raises(UsageError, match="this engine cannot write --cache-to type=registry"):
                build(client, text, **options)
            return
        build(client, text, **options)
        forget(client, unique)
        assert states(build(client, text, cache_from=f"{address}/cache:1"))[2] == "cached"


@pytest.mark.usefixtures("api")
def test_a_failure_whose_reason_is_long(client: Client, unique: str) -> None:
    """The Dockerfile comes back with it."""
    padding = "".join(f"# {number} {os.urandom(30).hex()}\n" for number in range(1500))
    with pytest.raises(BuildError, match="line 1502: the command ended with exit code 4"):
        build(client, f"FROM busybox\n{padding}RUN echo {unique}; exit 4\n", cache_to="type=inline")


@pytest.mark.usefixtures("api")
def test_an_interrupt_stops_the_build_in_the_engine(client: Client, unique: str) -> None:
    reports = []

    def interrupt(record: Build) -> None:
        reports.append(record)
        if record.outcome == "running" and said(record):
            assert any(entry["InUse"] for entry in cache(client, unique))
            raise KeyboardInterrupt

    text = f"FROM busybox AS one\nRUN echo {unique}; sleep 300\n"
    with pytest.raises(KeyboardInterrupt):
        build(client, text, no_cache_filter="one", progress=interrupt)
    assert reports[-1].outcome == "interrupted"
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]
    # What runs holds what it works on.
    deadline = time.monotonic() + 20
    while any(entry["InUse"] for entry in cache(client, unique)):
        assert time.monotonic() < deadline, "the step goes on in the engine"
        time.sleep(0.1)


@pytest.mark.usefixtures("api")
def test_a_connection_that_breaks_off(client: Client, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: dict[str, Any] = {}

    def upgraded(client: Client, path: str, **options: Any) -> Any:
        opened[path], read = really(client, path, **options)
        return opened[path], read

    def cut(record: Build) -> None:
        if said(record):
            hijacking.end(opened["/grpc"])

    really = hijacking.upgraded
    monkeypatch.setattr(hijacking, "upgraded", upgraded)
    with pytest.raises(EngineGone):
        build(client, f"FROM busybox AS one\nRUN echo {unique}; sleep 300\n", no_cache_filter="one", progress=cut)


# Where there is none of it


@pytest.mark.parametrize("flag", ["--build-context", "--no-cache-filter", "--cache-to"])
def test_it_is_refused_with_the_reason(client: Client, own_api: str, lib: Path, flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"--build-context": {"build_contexts": {"lib": lib}}, "--no-cache-filter": {"no_cache_filter": "one"}}
    options = cast("dict[str, Any]", given.get(flag, {"cache_to": "type=inline"}))
    if own_api == "nothing":
        with pytest.raises(UsageError, match=f"{flag} needs BuildKit's own API") as caught:
            build(client, "FROM busybox AS one\n", **options)
        assert "Docker Engine" in str(caught.value.hint)
    elif own_api == "api" and flag == "--build-context":
        with pytest.raises(UsageError, match="this engine's own BuildKit has no named contexts") as caught:
            build(client, "FROM busybox AS one\n", **options)
        assert "Docker Engine 23.0" in str(caught.value.hint)
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    with pytest.raises(UsageError, match=f"{flag} needs BuildKit's own API .*: DOCKER_BUILDKIT=0 asks for the classic builder"):
        build(client, "FROM busybox AS one\n", **options)
