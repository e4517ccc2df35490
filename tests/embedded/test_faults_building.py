"""Builds that are broken off, starved and fed with lies: the engine killed at any moment of a build, a pull, a push; clients that leave;
contexts, Dockerfiles, images and commands that mean no good; many at once. What fails says so, and nothing is left of it."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dockerlab import standins
from tests.embedded.archives import Made, layer, packed
from tests.embedded.builds import Built, Files, build, building, context, read
from tests.embedded.registries import docker_registry, put
from tests.embedded.rungs import OwnEngine, eventually, resident
from tests.embedded.serving import Reply, Talk

POINTS = 8  # at which the engine is killed, on each rung
GROWTH = 30  # megabytes that an engine may grow by what is no leak


@pytest.fixture
def own(rung: OwnEngine) -> Iterator[OwnEngine]:
    """Nothing may be left."""
    before = len(rung.said())
    yield rung
    rung.revive()
    nothing_left(rung)
    assert "Traceback" not in rung.said()[before:], rung.said()[before:][-3000:]


def nothing_left(own: OwnEngine) -> None:
    own.clear()
    eventually(lambda: not own.leftovers(), f"left: {own.leftovers()}")


def post(own: OwnEngine, body: bytes, headers: dict[str, str] | None = None, **query: str) -> Reply:
    """A build whose body is as it is."""
    with Talk(own.home.socket) as talk:
        talk.sock.settimeout(60)
        sent = headers or {"Content-Type": "application/x-tar"}
        return talk.ask("POST", f"/build?{urllib.parse.urlencode(query)}", body, sent)


def archive(*entries: tuple[str, dict[str, Any]]) -> bytes:
    """A tar of anything; `data` is its content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, more in entries:
            info, data = tarfile.TarInfo(name), more.get("data", b"")
            info.size = len(data)
            for key, value in more.items():
                setattr(info, key, value) if key != "data" else None
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def failure(reply: Reply) -> str:
    """What a build that failed says."""
    if reply.status != 200:
        assert reply.status >= 400
        return str(reply.json()["message"])
    last = json.loads(reply.body.splitlines()[-1])
    assert "errorDetail" in last, reply.body[-500:]
    return str(last["error"])


# Killed

INNER = archive(*((f"d{number % 7}/f{number}", {"data": os.urandom(3000)}) for number in range(60)))
FILES = {f"many/{number}": os.urandom(2000) for number in range(80)} | {"inner.tar": INNER}
EVERYTHING = """
FROM busybox AS one
RUN for i in 1 2 3; do echo $i > /file$i; sleep 0.05; done
COPY many /many
FROM busybox AS two
RUN --mount=type=cache,target=/cache,id=killed,sharing=locked echo x >> /cache/log; sleep 0.1; cp /cache/log /log
ADD inner.tar /inner
FROM busybox
COPY --from=one / /one/
RUN --mount=type=bind,from=two,target=/two --mount=type=bind,source=many,target=/m <<EOF
#!/bin/sh
cp -r /two/inner /copied; ls /m > /listed
EOF
COPY --from=two /log /log
"""


def killed(own: OwnEngine, work: Callable[[], object], delay: float) -> None:
    """Kills the engine that long after `work` has begun, and starts the next."""
    thread = threading.Thread(target=broken_off, args=(work,))
    thread.start()
    time.sleep(delay)
    own.kill()
    own.start()
    thread.join(30)
    assert not thread.is_alive()
    eventually(lambda: not own.client.get("/containers/json", all=1), "a step's container is still there")
    nothing_left(own)


def broken_off(work: Callable[[], object]) -> None:
    with suppress(OSError, ValueError, AssertionError, IndexError):
        work()


def whole(own: OwnEngine) -> set[str]:
    """The ids of all images, each of which can be read."""
    found = {image["Id"] for image in own.client.get("/images/json", all=1)}
    for one in found:
        own.client.get(f"/images/{one}/json")
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_random_points_of_a_build(own: OwnEngine) -> None:
    rng, started = random.Random(4), time.monotonic()
    assert build(own.client, EVERYTHING, FILES, nocache=True).image
    took = time.monotonic() - started
    for _ in range(POINTS):
        own.client.post("/images/prune")
        delay = rng.uniform(0, took)
        killed(own, partial(build, own.client, EVERYTHING, FILES, tag="killed:1", nocache=rng.random() < 0.5), delay)
        whole(own)
    assert not own.check()
    built = build(own.client, EVERYTHING, FILES, tag="killed:1")
    files = Files(own.client, built.image)
    assert files.contents["one/many/7"] == FILES["many/7"]
    assert len([name for name in files.entries if name.startswith("copied/d")]) == 7 + 60
    assert len(files.text("listed").split()) == 80
    assert set(files.text("log").split()) == {"x"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


IMAGE = Made([layer(("f", os.urandom(4 << 20), {})), layer(("g", os.urandom(6 << 20), {}))], [])


def pull(own: OwnEngine, address: str) -> Reply:
    return own.client.post("/images/create", fromImage=f"{address}/app", tag="1")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_random_points_of_a_pull_and_of_a_push(own: OwnEngine, registry: str) -> None:
    put(registry, "app", "1", IMAGE)
    rng, started = random.Random(5), time.monotonic()
    assert b'"error"' not in pull(own, registry).body
    took = time.monotonic() - started
    assert own.client.ask("DELETE", f"/images/{registry}/app:1").status == 200
    before = whole(own)
    for _ in range(POINTS // 2):
        killed(own, lambda: pull(own, registry), rng.uniform(0, took))
        assert len(whole(own) - before) <= 1
        own.client.ask("DELETE", f"/images/{registry}/app:1")
    assert b'"error"' not in pull(own, registry).body
    for number in range(POINTS // 2):
        assert own.client.post(f"/images/{registry}/app:1/tag", repo=f"{registry}/pushed{number}", tag="1").status == 201
        push = partial(own.client.post, f"/images/{registry}/pushed{number}/push", tag="1")
        killed(own, push, rng.uniform(0, took))
        assert b'"error"' not in push().body
        own.client.ask("DELETE", f"/images/{registry}/pushed{number}:1")
    assert not own.check()


# Clients that leave


def left_while_uploading(own: OwnEngine) -> None:
    body = context({"Dockerfile": "FROM busybox\n", "big": bytes(1 << 20)})
    with Talk(own.home.socket) as talk:
        talk.send(f"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n")
        talk.send(body[: len(body) // 2])


def left_while_stages_wait(own: OwnEngine) -> None:
    stages = "".join(f"FROM busybox AS s{number}\nRUN sleep 600\n" for number in range(5))
    copies = "".join(f"COPY --from=s{number} /bin/true /{number}\n" for number in range(5))
    left_once(own, f"{stages}FROM busybox\n{copies}", b"Running in")


def left_in_the_middle_of_output(own: OwnEngine) -> None:
    left_once(own, "FROM busybox\nRUN yes 'a line of forty bytes, more or less, yes'\n", b"forty")


def left_while_a_cache_is_locked(own: OwnEngine) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c,id=left,sharing=locked echo {0} begun; sleep 600\n"
    with building(own.client, text.format("first"), nocache=True) as holder:
        until(holder, b"first begun")
        left_once(own, text.format("second"), b"Step 2/2")


def left_while_pulling(own: OwnEngine) -> None:
    """From a registry that never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        left_once(own, f"FROM 127.0.0.1:{silent.getsockname()[1]}/app:1\n", b"Step 1/1")


def left_once(own: OwnEngine, dockerfile: str, said: bytes) -> None:
    with building(own.client, dockerfile, nocache=True) as talk:
        until(talk, said)


def until(talk: Talk, said: bytes) -> None:
    assert talk.head().status == 200
    while said not in talk.chunk():
        pass


LEAVING = [
    left_while_uploading,
    left_while_stages_wait,
    left_in_the_middle_of_output,
    left_while_a_cache_is_locked,
    left_while_pulling,
]


@pytest.mark.parametrize("leave", LEAVING)
def test_a_client_that_leaves_leaves_nothing(own: OwnEngine, leave: Callable[[OwnEngine], None]) -> None:
    leave(own)
    eventually(lambda: not own.client.get("/containers/json", all=1), "its container runs on")
    eventually(lambda: not [*own.home.tmp.iterdir()], "a temporary file is left")
    eventually(lambda: own.client.post("/build/prune").status == 200)
    assert build(own.client, "FROM busybox\nRUN --mount=type=cache,target=/c,id=left,sharing=locked true\n", nocache=True).image


def test_a_hundred_broken_builds_leave_no_thread_and_no_descriptor(own: OwnEngine) -> None:
    def broken(number: int) -> None:
        if number % 4 == 0:
            left_while_uploading(own)
        elif number % 4 == 1:
            left_once(own, "FROM busybox\nCOPY . /\nRUN sleep 600\n", b"Step")
        elif number % 4 == 2:
            assert build(own.client, "FROM busybox\nCOPY nofile /\n").error
        else:
            assert post(own, b"garbage").status == 500

    def rest() -> tuple[int, int]:
        eventually(lambda: not own.client.get("/containers/json", all=1))
        eventually(lambda: not own.leftovers(), f"left: {own.leftovers()}")
        return own.counts()

    for number in range(12):
        broken(number)
    before = rest()
    for number in range(100):
        broken(number)
    eventually(lambda: all(now <= then + 2 for now, then in zip(rest(), before, strict=True)), f"{before} became {own.counts()}")


# Hostile contexts

COPY = b"FROM busybox\nCOPY . /context\n"
DOCKERFILE: tuple[str, dict[str, Any]] = ("Dockerfile", {"data": COPY})
GOOD = context({"Dockerfile": "FROM busybox\nCOPY f /f\n", "f": b"x" * 100_000})
BODIES = {
    "garbage": (os.urandom(100_000), "invalid tar header"),
    "empty": (b"", "Cannot locate specified Dockerfile"),
    "cut": (GOOD[:50_000], "unexpected EOF"),
    "cut in a header": (GOOD[:1700], "unexpected EOF"),
    "compressed and cut": (gzip.compress(GOOD)[:60], "unexpected EOF"),
    "..": (archive(DOCKERFILE, ("../../../../../../../tmp/evil", {"data": b"x"})), "lies outside"),
    "hard link to the host": (archive(DOCKERFILE, ("l", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})), "no such file"),
    "a long name": (archive(DOCKERFILE, ("n" * 4096, {"data": b"x"})), "file name too long"),
    "a Dockerfile on the host": (
        archive(("Dockerfile", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})),
        "Cannot locate specified Dockerfile",
    ),
    "a pipe as Dockerfile": (archive(("Dockerfile", {"type": tarfile.FIFOTYPE})), "Cannot locate specified Dockerfile"),
    "a name of layers": (archive(DOCKERFILE, (".wh..wh..opq", {})), "cannot be in an image"),
    "a file below a file": (archive(DOCKERFILE, ("a", {"data": b"x"}), ("a/b", {"data": b"x"})), "not a directory"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_context_that_is_none_or_not_safe(own: OwnEngine, name: str) -> None:
    body, text = BODIES[name]
    before = whole(own)
    assert text in failure(post(own, body))
    assert len(whole(own) - before) == 0
    assert not Path("/tmp/evil").exists()


def test_what_an_encoding_claims_does_not_count(own: OwnEngine) -> None:
    """As with Docker: what it is can be seen."""
    assert b"Successfully built" in post(own, GOOD, {"Content-Type": "application/x-tar", "Content-Encoding": "gzip"}).body


def test_links_and_devices_of_a_context_stay_in_the_image(own: OwnEngine) -> None:
    body = archive(
        DOCKERFILE,
        ("/tmp/evil", {"data": b"absolute"}),
        ("passwd", {"type": tarfile.SYMTYPE, "linkname": "../../../../../../etc/passwd"}),
        ("out", {"type": tarfile.SYMTYPE, "linkname": "/tmp"}),
        ("out/evil2", {"data": b"through a link"}),
        ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
        ("disk", {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0}),
    )
    reply = post(own, body, t="links:1")
    assert b"Successfully tagged" in reply.body, reply.body
    files = Files(own.client, "links:1")
    assert files.entries["context/passwd"].issym()
    assert files.contents["context/tmp/evil"] == b"absolute"
    assert files.contents["context/tmp/evil2"] == b"through a link"
    assert not Path("/tmp/evil").exists()
    assert not Path("/tmp/evil2").exists()


def test_an_archive_that_is_a_bomb(own: OwnEngine, tmp_path: Path) -> None:
    """More than there is room for, in a few megabytes: refused before the disk is full, in the body and as what ADD unpacks."""
    free = os.statvfs(own.home.root)
    size = free.f_bavail * free.f_frsize + (1 << 40)
    head = tarfile.TarInfo("zeros")
    head.size = size
    zeros = gzip.compress(head.tobuf(tarfile.GNU_FORMAT) + bytes(64 << 20))  # it only claims to be that long
    assert failure(post(own, zeros))
    assert failure(post(own, archive(("Dockerfile", {"data": b"FROM busybox\nADD bomb /\n"}), ("bomb", {"data": zeros}))))


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (archive(("../../../../tmp/evil", {"data": b"x"})), "lies outside"),
        (archive(("l", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})), "no such file"),
        (INNER[:40_000], "unexpected EOF"),
        (gzip.compress(INNER)[:5000], "unexpected EOF"),
    ],
)
def test_an_archive_that_add_will_not_unpack(own: OwnEngine, inner: bytes, text: str) -> None:
    built = build(own.client, "FROM busybox\nADD a /target/\n", {"a": inner}, nocache=True)
    assert text in built.error
    assert not Path("/tmp/evil").exists()


def test_a_stage_whose_links_lead_out(own: OwnEngine, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "secret").write_text("of the host")
    text = f"FROM busybox AS a\nRUN ln -s {tmp_path} /l; ln -s ../../../../../..{tmp_path}/secret /s; ln -s / /root-link\nFROM busybox\n"
    assert "not found" in build(own.client, f"{text}COPY --from=a /l/secret /x\n").error
    assert "not found" in build(own.client, f"{text}COPY --from=a /s /x\n").error
    assert "not found" in build(own.client, f"{text}RUN --mount=type=bind,from=a,source=/l/secret,target=/x cat /x\n").error
    assert "not found" in build(own.client, f"{text}COPY --from=a /root-link{tmp_path}/secret /x\n").error
    # The other way round: what is copied through a link of the target stays in the image.
    built = build(own.client, f"FROM busybox\nRUN ln -s {tmp_path} /l\nCOPY f /l/new\n", {"f": "x"})
    assert Files(own.client, built.image).text(f"{tmp_path}/new".lstrip("/")) == "x"
    assert not (tmp_path / "new").exists()


# Hostile Dockerfiles


@pytest.mark.parametrize(
    ("dockerfile", "text"),
    [
        ("FROM busybox\n#" + "x" * 17_000_000, "longer than 16 MiB"),
        ("FROM busybox\n" + "ENV A=1\n" * 10_000 + "RUM\n", "line 10002: unknown instruction: RUM"),
        ("FROM busybox\nENV A=" + "${a:-" * 20_000 + "x" + "}" * 20_000, "substitutions in one another"),
        ("FROM busybox\nENV A=xxxxxxxxxxxxxxxx\n" + "ENV A=$A$A\n" * 20, "more than 1048576 characters"),
        ("FROM busybox\nRUN true " + "x" * 5_000_000, "argument list too long"),
        ("FROM busybox\nWORKDIR /" + "x" * 300 + "\nRUN true", "file name too long"),
        ("FROM busybox\nRUN --mount=type=tmpfs,target=/" + "x/" * 2100 + " true", "file name too long"),
        ("FROM busybox\nRUN --mount=type=cache,target=/a\0b true", "null byte"),
    ],
    ids=lambda value: value[:30] if "\n" not in value else "",
)
def test_a_dockerfile_that_is_too_much(own: OwnEngine, dockerfile: str, text: str) -> None:
    before = resident(own.pid)
    assert text in build(own.client, dockerfile).error
    assert resident(own.pid) - before < 10 * GROWTH


def test_a_dockerfile_of_ten_megabytes_and_one_of_many_stages(own: OwnEngine) -> None:
    assert build(own.client, "FROM busybox\n#" + "x" * 10_000_000 + "\nENV A=1\n").image
    stages = "".join(f"FROM s{number} AS s{number + 1}\nENV A{number % 5}=1\n" for number in range(60))
    assert len(build(own.client, f"FROM busybox AS s0\n{stages}", target="s60").steps) == 121


WEIRD = {"": "x", "A=B": "y", "\0": "z", "\ud800": "\ud800", "A": "\ud800 \x1b[31m <b>'\"$(id)"}


def test_arguments_labels_and_names_of_caches_that_are_weird(own: OwnEngine) -> None:
    text = "FROM busybox\nARG A\nENV E=$A\nLABEL l=$A\nRUN --mount=type=cache,id=$A,target=/c true\nCOPY f /$A/f\nWORKDIR /$A\n"
    labels = {"</script>": '{"a": "<b>"}\n\0', "": "empty", "\ud800": "\ud800"}
    built = build(own.client, text, {"f": "x"}, buildargs=WEIRD, labels=labels)
    found = own.client.get(f"/images/{built.image}/json")["Config"]
    assert found["Labels"]["</script>"] == labels["</script>"]
    assert found["Labels"]["l"] == "\ufffd \x1b[31m <b>'\"$(id)"
    assert "not consumed" in built.log
    assert "NUL" in build(own.client, text, {"f": "x"}, buildargs={"A": "a\0b"}).error
    assert "null byte" in build(own.client, "FROM busybox\nARG A\nCOPY f /$A\n", {"f": "x"}, buildargs={"A": "a\0b"}).error


@pytest.mark.parametrize("epoch", ["-1", "1e9", "\u0663", "253402300800", "9" * 30])
def test_a_time_that_is_none(own: OwnEngine, epoch: str) -> None:
    assert "invalid SOURCE_DATE_EPOCH" in build(own.client, "FROM busybox\n", buildargs={"SOURCE_DATE_EPOCH": epoch}).error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("buildargs", {"A": 1}),
        ("buildargs", "{"),
        ("buildargs", "[" * 20_000),
        ("labels", ["a"]),
        ("cachefrom", "nonsense"),
        ("cachefrom", {"a": 1}),
        ("tag", "UPPER:::"),
        ("dockerfile", "../../etc/passwd"),
        ("dockerfile", "a\0b"),
        ("target", "\0"),
        ("remote", "file:///etc/passwd"),
        ("remote", "git://--upload-pack=touch /tmp/evil"),
        ("ulimits", [1, None]),
        ("extrahosts", "a,,b"),
        ("memory", "9" * 30),
        ("cpusetcpus", "99-x"),
        ("networkmode", "container:nope"),
    ],
)
def test_a_request_that_makes_no_sense(own: OwnEngine, name: str, value: Any) -> None:
    assert build(own.client, "FROM busybox\nRUN true\n", nocache=True, **{name: value}).error


def test_cache_from_what_is_none(own: OwnEngine) -> None:
    names = ["", "::::", "x" * 3000, "a@sha256:zz", "../..", "\0", "\ud800", "busybox"]
    assert build(own.client, "FROM busybox\nENV Z=1\n", cachefrom=names).image


def test_many_names(own: OwnEngine) -> None:
    names = [("t", f"many:{number}") for number in range(40)]
    with Talk(own.home.socket) as talk:
        reply = talk.ask("POST", f"/build?{urllib.parse.urlencode(names)}", context({"Dockerfile": "FROM busybox\nENV T=1\n"}))
    assert reply.body.count(b"Successfully tagged many:") == 40
    assert len(own.client.get("/images/many:39/json")["RepoTags"]) == 40


# Hostile images


def hostile(own: OwnEngine, name: str, config: dict[str, Any]) -> bytes:
    """Loads busybox with another configuration; what was said."""
    with standins.archive("busybox") as source, tarfile.open(fileobj=source) as tar:
        content = {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]
    (manifest,) = json.loads(content["manifest.json"])
    whole = json.loads(content[manifest["Config"]])
    whole["config"] = {**whole["config"], **config}
    told = [{"Config": "c.json", "RepoTags": [name], "Layers": manifest["Layers"]}]
    files = {name: content[name] for name in manifest["Layers"]}
    files |= {"c.json": json.dumps(whole).encode(), "manifest.json": json.dumps(told).encode()}
    return own.client.ask("POST", "/images/load", packed(files)).body


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("RUN true", ""),
        ([["RUN true"]], ""),
        ([None], ""),
        (["ENV A=" + "x" * 2_000_000], "argument list too long"),
        (["ONBUILD RUN true"], "Chaining ONBUILD"),
        (["FROM busybox"], "FROM isn't allowed as an ONBUILD trigger"),
        (["\0\ud800 garbage"], "unknown instruction"),
        (["COPY --from=0 / /"], "cannot copy from stage"),
        (["RUN true\nRUN true"], "single expression"),
        ([""], "empty"),
        (["RUN exit 7"], "non-zero code: 7"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_image_whose_triggers_are_wrong(own: OwnEngine, value: Any, text: str) -> None:
    said = hostile(own, "trigger:1", {"OnBuild": value})
    if not text:
        assert b"config is not valid: OnBuild" in said
        return
    assert text in build(own.client, "FROM trigger:1\nRUN true\n").error
    assert own.client.ask("DELETE", "/images/trigger:1").status == 200


def test_an_image_whose_configuration_is_odd(own: OwnEngine) -> None:
    config = {"Env": ["=x", "A", "\ud800=1"], "WorkingDir": "../../x", "Labels": {"dockerlab.build": "step"}}
    assert b"Loaded" in hostile(own, "odd:1", config)
    assert build(own.client, "FROM odd:1\nLABEL a=b\nWORKDIR sub\n").image
    # A container of it is no step of a build, whatever it says: the next engine leaves it alone.
    made = own.client.create("true", Image="odd:1")
    own.kill()
    own.start()
    assert own.client.inspect(made)["State"]["Status"] == "created"


# Hostile mounts


@pytest.mark.parametrize("kind", ["bind", "cache", "tmpfs"])
@pytest.mark.parametrize("target", ["/", "../..", "/proc", "/proc/1", "/proc/self/fd", "/root-link", "/proc-link", "/.dockerenv"])
def test_a_mount_where_none_may_be(own: OwnEngine, kind: str, target: str) -> None:
    """What is mounted over the root would show the host's at `/..`."""
    text = f"FROM busybox\nRUN ln -s ../.. /root-link; ln -s /proc /proc-link\nRUN --mount=type={kind},target={target} ls /..\n"
    built = build(own.client, text)
    assert "mount" in built.error or "exists" in built.error
    assert built.error.count("mount destination") <= 1
    if target == "/root-link":
        assert "leads to /, where nothing can be mounted" in built.error


def test_a_volume_of_an_image_that_would_lie_over_the_root(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nRUN ln -s / /l\nVOLUME /l\n")
    reply = own.client.post("/containers/create", {"Image": built.image, "Cmd": ["ls", "/.."]})
    if reply.status == 201:
        reply = own.client.post(f"/containers/{reply.json()['Id']}/start")
    assert reply.status >= 400
    assert "where nothing can be mounted" in reply.json()["message"]


def test_a_mount_through_a_link_stays_in_the_image(own: OwnEngine, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    text = f"FROM busybox\nRUN mkdir -p {tmp_path}; ln -s {tmp_path} /l\n"
    text += f"RUN --mount=type=cache,target=/l/in touch /l/in/x; ls {tmp_path}/in\n"
    built = build(own.client, text)
    assert "\nx\n" in built.log
    assert not [*tmp_path.iterdir()]
    assert not [name for name in Files(own.client, built.image).entries if name.endswith("/in")]


def test_a_command_that_puts_a_link_in_the_place_of_a_mount_removes_nothing_of_the_host(own: OwnEngine, tmp_path: Path) -> None:
    """What the engine made for something to be mounted at is removed after the command, wherever it leads."""
    tmp_path.chmod(0o777)
    os.chown(tmp_path, own.uid, own.uid)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    swap = f"mv /deep/in /deep/old; ln -s {tmp_path} /deep/in"
    assert build(own.client, f"FROM busybox\nRUN --mount=type=bind,target=/deep/in/folder {swap}\n").log
    assert build(own.client, f"FROM busybox\nRUN --mount=type=bind,source=f,target=/deep/in/file {swap}\n", {"f": "x"}).log
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_caches_that_are_locked_twice_and_crosswise(own: OwnEngine) -> None:
    mount = "--mount=type=cache,target=/{0},id={1},sharing=locked"
    twice = f"FROM busybox\nRUN {mount.format('a', 'x')} {mount.format('b', 'x')} touch /a/1; ls /b\n"
    assert "\n1\n" in build(own.client, twice).log
    one, two = mount.format("a", "x"), mount.format("b", "y")
    stages = f"FROM busybox AS s1\nRUN {one} {two} sleep 0.2\nFROM busybox AS s2\nRUN {two} {one} sleep 0.2\n"
    copies = "FROM busybox\nCOPY --from=s1 /bin/true /1\nCOPY --from=s2 /bin/true /2\n"
    for _ in range(3):
        assert build(own.client, stages + copies, nocache=True).image


def test_a_cache_that_is_deep(own: OwnEngine) -> None:
    depth = 200 if "supervised" in str(own.environment) else 1200  # there every step down costs as much as all before it
    deep = f"i=0; while [ $i -lt {depth} ]; do mkdir d && cd d; i=$((i+1)); done; touch end"
    assert build(own.client, f"FROM busybox\nRUN --mount=type=cache,target=/c cd /c; {deep}\n").image
    assert own.client.get("/system/df")
    assert own.client.post("/build/prune").json()["CachesDeleted"]


# Hostile commands


def test_a_command_that_prints_without_end_while_nobody_reads(own: OwnEngine) -> None:
    before = resident(own.pid)
    with building(own.client, "FROM busybox\nRUN yes 'a line of forty bytes, more or less, yes'\n", nocache=True) as talk:
        until(talk, b"forty")
        for _ in range(10):
            time.sleep(0.1)
            assert resident(own.pid) - before < 2 * GROWTH
            assert own.client.get("/info")["ContainersRunning"] == 1
    eventually(lambda: not own.client.get("/containers/json", all=1), "its container runs on")


def test_what_a_command_prints_may_be_anything(own: OwnEngine) -> None:
    text = r"""FROM busybox
RUN printf 'a\377\376b\033[31m\0\r\n'; head -c 300000 /dev/zero | tr '\0' x; echo; printf '\303'; sleep 0.1; printf '\244'
"""
    built = build(own.client, text)
    assert "a\ufffd\ufffdb\x1b[31m\0\r\n" in built.log
    assert "x" * 1000 in built.log
    assert built.log.count("x") >= 300_000
    assert "\u00e4" in built.log


def test_a_command_whose_children_outlive_it(own: OwnEngine) -> None:
    children = "for i in 1 2 3; do (setsid sleep 1234 &) ; sleep 1234 & done"
    assert build(own.client, f"FROM busybox\nRUN {children} >/dev/null 2>&1; echo done\n", nocache=True).image
    with ThreadPoolExecutor(1) as pool:  # they hold its output, too
        assert pool.submit(build, own.client, f"FROM busybox\nRUN {children}; echo done\n", nocache=True).result(60).image
    eventually(lambda: not [said for said in own.ours().values() if "1234" in said], "a child runs on")


# Many at once


def test_builds_with_the_same_steps_at_once(own: OwnEngine) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c echo same > /f\nCOPY f /g\nENV A=1\nRUN cat /f /g\n"
    with ThreadPoolExecutor(10) as pool:
        builds = [pool.submit(build, own.client, text, {"f": "x\n"}, tag=f"same:{number}") for number in range(10)]
        found = [one.result(120) for one in builds]
    assert all(one.image for one in found)
    for number in range(10):
        assert Files(own.client, f"same:{number}").text("f") == "same\n"


def test_builds_while_everything_is_pruned_and_their_base_removed(own: OwnEngine) -> None:
    assert build(own.client, "FROM busybox\nRUN echo base > /base\n", tag="base:1").image
    is_over = threading.Event()

    def prune() -> None:
        while not is_over.is_set():
            own.client.post("/containers/prune")
            own.client.post("/images/prune", filters={"dangling": ["false"], "label!": ["keep"]})
            own.client.post("/build/prune")
            own.client.ask("DELETE", "/images/base:1", force=1)

    text = "FROM busybox AS b\nLABEL keep=1\nRUN echo {0} > /f; sleep 0.2\nFROM busybox\nLABEL keep=1\nCOPY --from=b /f /f\nRUN cat /f\n"
    holder = "FROM base:1\nRUN sleep 0.5; cat /base\nRUN cat /base\n"
    assert b"Loaded" in hostile(own, "busybox:latest", {"Labels": {"keep": "1"}})
    with ThreadPoolExecutor(5) as pool:
        held = pool.submit(build, own.client, holder)
        time.sleep(0.2)
        pruning = pool.submit(prune)
        try:
            found: list[Built] = [*pool.map(lambda number: build(own.client, text.format(number), nocache=True), range(4))]
        finally:
            is_over.set()
        pruning.result(60)
        built = held.result(60)
    assert not [one.error for one in found if one.error]
    # Its base may have been removed before it began.
    assert "\nbase\n" in built.log or "No such image" in built.error or "dial tcp" in built.error or "pull" in built.error


def test_a_read_of_the_stream_in_pieces_is_whole(own: OwnEngine) -> None:
    with building(own.client, "FROM busybox\nRUN seq 1 20000\n", nocache=True) as talk:
        lines = read(talk).log.split("\n")
    assert [line for line in lines if line.isdecimal()] == [str(number) for number in range(1, 20001)]
