"""Results that are files of this machine, and no image (`--output`), on real engines: a folder, an archive, and what goes wrong."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import builds
from dockerlab.client import Client
from dockerlab.errors import BuildError, ContextError, UsageError

pytestmark = pytest.mark.contract

LABEL = {"dockerlab-test": "output"}
NONCE = os.urandom(8).hex()  # engines keep what another run made
# What every engine can make, the pod too; of every kind that a folder can have.
TREE = """FROM busybox AS made
RUN mkdir -p /t/sub/deep /t/gone && cd /t && echo {nonce} >f && chmod 0750 f && ln f hard && ln -s f soft && ln -s /no/where far \\
 && echo x >sub/deep/x && touch -d @1000000000 f sub/deep && dd if=/dev/zero of=holes bs=1 count=0 seek=3000000 2>/dev/null \\
 && echo end >>holes && touch 'hä' 'a b' "$(printf 'odd\\nname')" .hidden && echo y >gone/y && echo z >gone-too
RUN rm -rf /t/gone /t/gone-too && chmod 0500 /t/sub
FROM scratch
COPY --from=made /t /
"""
# The pipe is not copied: the builder of Engine 20.10 leaves pipes behind. No owner is given by a command: not every engine can.
OWNED = """FROM busybox
RUN mkdir -p /t/d && mkfifo /t/fifo && chmod 1777 /t/d && touch /t/set && chmod 4755 /t/set # {nonce}
COPY --chown=1000:1001 --chmod=0750 mine /t/
COPY --chown=1000:1001 --chmod=0 shut /t/
"""
OWN = {"mine": "mine", "shut": "secret"}


@pytest.fixture(autouse=True)
def no_image_is_left(client: Client) -> Iterator[None]:
    yield
    for image in client.api.images(filters={"label": "dockerlab-test=output"}):
        client.api.remove_image(image["Id"], force=True)


@pytest.fixture(autouse=True)
def what_it_has(client: Client, has_sessions: bool) -> None:
    if not has_sessions:
        with pytest.raises(UsageError, match="--output needs BuildKit"):
            builds.export("FROM scratch\n", "out", client=client)
        pytest.skip("the engine has no sessions")


def export(client: Client, text: str, output: str, **options: Any) -> dockerlab.Build:
    return builds.export(text.replace("{nonce}", NONCE), output, client=client, label=LABEL, **options)


def test_a_folder(client: Client, prefix: str, tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    record = export(client, TREE, str(out), tag=f"{prefix}image:1")
    assert (record.outcome, record.image_id) == ("done", None)
    assert f"{prefix}image:1" not in [tag for image in client.images.list() for tag in image.tags], "files are no image"
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [".hidden", "a b", "f", "far", "hard", "holes", "hä", "odd\nname", "soft", "sub"]
    )
    file = (out / "f").stat()
    assert (len((out / "f").read_text()), stat.S_IMODE(file.st_mode), file.st_mtime) == (17, 0o750, 1_000_000_000)
    assert (out / "hard").stat().st_ino == file.st_ino
    assert (os.readlink(out / "soft"), os.readlink(out / "far")) == ("f", "/no/where")
    assert stat.S_IMODE((out / "sub").stat().st_mode) == 0o500
    assert (out / "sub" / "deep" / "x").read_text() == "x\n"
    assert (out / "sub" / "deep").stat().st_mtime == 1_000_000_000
    assert (out / "holes").read_bytes() == bytes(3_000_000) + b"end\n"


def test_an_archive(client: Client, tmp_path: Path) -> None:
    """Of files whose owner and mode nobody may have here."""
    export(client, OWNED, f"type=tar,dest={tmp_path / 'out.tar'}", files=OWN)
    with tarfile.open(tmp_path / "out.tar") as tar:
        found = {info.name: info for info in tar}
        file = tar.extractfile("t/shut")
        assert file
        assert file.read() == b"secret"
    shown = {name: (info.uid, info.gid, oct(info.mode), info.type) for name, info in found.items() if name.startswith("t/")}
    assert shown == {
        "t/d": (0, 0, "0o1777", tarfile.DIRTYPE),
        "t/fifo": (0, 0, "0o644", tarfile.FIFOTYPE),
        "t/mine": (1000, 1001, "0o750", tarfile.REGTYPE),
        "t/set": (0, 0, "0o4755", tarfile.REGTYPE),
        "t/shut": (1000, 1001, "0o0", tarfile.REGTYPE),
    }


def test_an_archive_is_what_a_folder_is(client: Client, tmp_path: Path) -> None:
    export(client, TREE, str(tmp_path / "out"))
    export(client, TREE, f"type=tar,dest={tmp_path / 'out.tar'}")
    with tarfile.open(tmp_path / "out.tar") as tar:
        named = {info.name.strip("/"): info for info in tar}
        assert {*named} == {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*")}
        assert (named["hard"].type, named["hard"].linkname) == (tarfile.LNKTYPE, "f")
        assert (named["soft"].type, named["soft"].linkname) == (tarfile.SYMTYPE, "f")
        file = tar.extractfile("holes")
        assert file
        assert file.read() == (tmp_path / "out" / "holes").read_bytes()


def test_a_program_of_the_context_and_of_a_target(client: Client, tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    text = "FROM scratch AS other\nCOPY no /\nFROM scratch AS wanted\nCOPY program /bin/\nFROM busybox\nRUN false\n"
    export(client, text, str(tmp_path), files={"program": data}, target="wanted")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["bin", "bin/program"]
    assert (tmp_path / "bin" / "program").read_bytes() == data


def test_a_build_that_fails_writes_nothing(client: Client, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    for output in (f"{tmp_path / 'out'}", f"type=tar,dest={tmp_path / 'there'}"):
        with pytest.raises(BuildError, match="line 2"):
            export(client, "FROM busybox\nRUN exit 3 # {nonce}\n", output)
    assert {path.name: path.is_file() and path.read_text() for path in tmp_path.iterdir()} == {"there": "old"}


def test_a_result_that_cannot_be_written(client: Client, tmp_path: Path) -> None:
    """A pipe in it, or a file where the folder should be: an error of ours, and the engine goes on."""
    (tmp_path / "file").write_text("old")
    with pytest.raises(ContextError, match="'t/fifo' is a fifo, which is not made in a folder"):
        export(client, OWNED, str(tmp_path / "out"), files=OWN)
    with pytest.raises(ContextError, match="cannot write the build's result"):
        export(client, TREE, str(tmp_path / "file"))
    assert [*(tmp_path / "out").iterdir()] == []
    export(client, TREE, str(tmp_path / "out"))


def test_what_is_built_for_the_cache_alone_and_what_is_taken_of_it(client: Client, tmp_path: Path) -> None:
    export(client, TREE, "type=cacheonly")
    record = export(client, "FROM busybox AS b\nRUN true # {nonce}\nFROM scratch\nCOPY --from=b /bin/sh /\n", str(tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sh"]
    assert record.image_id is None


def test_an_output_that_not_every_engine_has(client: Client, tmp_path: Path) -> None:
    """An image as an archive: with containerd's image store."""
    output = f"type=oci,dest={tmp_path / 'out.tar'}"
    if "io.containerd.snapshotter" in str(client.info().get("DriverStatus")):
        export(client, TREE, output)
        with tarfile.open(tmp_path / "out.tar") as tar:
            assert "oci-layout" in tar.getnames()
        return
    with pytest.raises(UsageError, match=r"this engine cannot write --output type=oci"):
        export(client, TREE, output)
    assert [*tmp_path.iterdir()] == []


def test_what_is_listed_is_results_and_no_steps(client: Client, tmp_path: Path) -> None:
    nonce = os.urandom(8).hex()
    label = f"dockerlab-listed={nonce}"
    text = (
        f"FROM busybox AS made\nLABEL {label}\nRUN echo {nonce} > /made\n"
        f"FROM busybox\nLABEL {label}\nCOPY --from=made /made /copied\nENV A=1\n"
    )

    def listed() -> list[tuple[str, list[str]]]:
        found = client.api.images(filters={"label": label})
        return [(image["Id"], [tag for tag in image["RepoTags"] or [] if "<none>" not in tag]) for image in found]

    builds.export(text, str(tmp_path / "out"), client=client)
    assert (tmp_path / "out" / "copied").read_text() == f"{nonce}\n"
    assert listed() == []
    with pytest.raises(BuildError):
        builds.build(f"{text}RUN exit 3\n", client=client)
    assert listed() == []
    name = f"listed-{nonce}:1"
    try:
        result = builds.build(text, tag=name, client=client)  # of cached steps alone
        assert listed() == [(result.id, [name])]
        other = builds.build(text.replace("A=1", "A=2"), tag=name, client=client)
        # containerd's image store lets go of an image with its last name.
        is_kept = "snapshotter" not in str(client.info()["DriverStatus"])
        assert {*({(result.id, False)} if is_kept else ()), (other.id, True)} == {(id, bool(tags)) for id, tags in listed()}
    finally:
        for id, _ in listed():
            client.api.remove_image(id, force=True)
    assert listed() == []
