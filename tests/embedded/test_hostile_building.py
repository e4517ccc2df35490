"""What a client may send to be built and means no good: contexts and archives, Dockerfiles, requests, images to build on.
It is refused by name or does no harm: nothing of the host is read or written, and nothing is left."""

from __future__ import annotations

import gzip
import os
import tarfile
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.builds import GROWTH, INNER, Files, archive, build, context, failure, hostile, post, whole
from tests.embedded.rungs import OwnEngine, resident
from tests.embedded.serving import Talk


@pytest.fixture
def own(revived: OwnEngine) -> OwnEngine:
    """Nothing may be left."""
    return revived


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
