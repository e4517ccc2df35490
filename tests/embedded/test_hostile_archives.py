"""Archives that nobody should send, through the API, on overlays and lazy trees: refused with words or put right, nothing outside."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import struct
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.embedded.archives import File, Made, digest, layer, packed
from tests.embedded.rungs import OwnEngine, engine, eventually
from tests.embedded.serving import Reply

GIGABYTE = 1 << 30
BOMB = 256 << 20
MEMORY = 200 << 20  # of the engine, whatever it is sent


@pytest.fixture(scope="module", params=["root", "supervised"])
def own(request: pytest.FixtureRequest) -> Iterator[OwnEngine]:
    with engine(request.param) as own:
        own.client.wait(own.client.run("true"))  # what an engine makes with its first container is there
        own.clear()
        yield own


@pytest.fixture(autouse=True)
def nothing_outside(own: OwnEngine) -> Iterator[None]:
    """After a test the engine answers as before, holds no more than before, and nothing is where it should not be."""
    outside = own.home.root.parent
    (outside / "victim").mkdir(exist_ok=True)
    (outside / "victim" / "file").write_bytes(b"untouched")
    (outside / "victim").chmod(0o777)
    eventually(lambda: not os.listdir(own.home.tmp), "something is left from before")
    before = _places(own)
    yield
    assert (outside / "victim" / "file").read_bytes() == b"untouched"
    assert os.listdir(outside / "victim") == ["file"]
    for one in own.client.get("/containers/json", all=1):
        assert own.client.ask("DELETE", f"/containers/{one['Id']}", force=1).status == 204
    for image in own.client.get("/images/json"):
        if image["RepoTags"] != ["busybox:latest"]:
            assert own.client.ask("DELETE", f"/images/{image['Id']}", force=1).status == 200
    eventually(lambda: _places(own) == before, "something is where it should not be, or gone")
    assert not [path for path in (Path("/evil"), Path("/tmp/evil"), Path("/etc/evil"), outside / "evil") if os.path.lexists(path)]
    status = Path(f"/proc/{own.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s*(\d+)", status)
    assert found
    assert int(found[1]) << 10 < MEMORY


def _places(own: OwnEngine) -> list[str]:
    """Directories of the engine with what is in them, but for what belongs to images and containers that are there."""
    root = own.home.root
    folders = [root.parent, root, *(path for path in root.iterdir() if path.is_dir() and path.name not in ("exec", "networks"))]
    found = (path for folder in folders for path in folder.iterdir() if path.name not in ("exec", "victim"))
    return sorted(str(path.relative_to(root.parent)) for path in found)


def said(reply: Reply) -> str:
    """What an error says; "" for none. There is no other answer."""
    text = reply.body.decode("utf-8", "replace")
    if reply.status >= 400:
        assert list(json.loads(text)) == ["message"]
        assert "Error:" not in text, "an error that nobody foresaw"
        return str(json.loads(text)["message"])
    last = json.loads(text.splitlines()[-1]) if text else {}
    return str(last.get("error", ""))


def outcome(own: OwnEngine, *layers: bytes) -> str:
    """Loads an image of these layers, and makes a container of it; what the first error says, "" for none."""
    if error := said(own.client.post("/images/load", packed(Made(layers, ["hostile:1"]).docker()))):
        return error
    return said(own.client.post("/containers/create", {"Image": "hostile:1", "Cmd": ["true"]}, name="hostile"))


def file(own: OwnEngine, path: str) -> bytes | None:
    """A file of the container, None where there is none."""
    reply = own.client.ask("GET", "/containers/hostile/archive", path=path)
    if reply.status != 200:
        return None
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as tar:
        member = tar.next()
        found = tar.extractfile(member) if member else None
        return found.read() if found else None


def link(target: str) -> Mapping[str, Any]:
    return {"type": tarfile.LNKTYPE, "linkname": target}


def header(name: bytes = b"evil", size: bytes = b"00000000003\0", kind: bytes = b"0") -> bytes:
    """A header by hand, with a valid sum."""
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size.ljust(12, b"\0") + b"00000000000\0" + b" " * 8 + kind
    block = block.ljust(257, b"\0") + b"ustar\x0000"
    block = block.ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def pax(records: bytes) -> bytes:
    size = b"%011o\0" % len(records)
    return header(b"pax", size, b"x") + records.ljust(-(-len(records) // 512) * 512, b"\0")


OUTSIDE = "lies outside its root"
INVALID = "archive/tar: invalid tar header"
REFUSED: dict[str, tuple[bytes, str]] = {
    "climbs": (layer(("../evil", b"x", {})), OUTSIDE),
    "climbs in the middle": (layer(("a/../../../evil", b"x", {})), OUTSIDE),
    "links to outside": (layer(("evil", b"", link("../../victim/file"))), OUTSIDE),
    "links to the host": (layer(("evil", b"", link("/etc/hostname"))), "which is not there"),
    "links through a link": (layer(("l", "/etc", {}), ("evil", b"", link("l/hostname"))), "which is not there"),
    "a whiteout of its parent": (layer(("a/.wh...", b"", {})), "would remove what is not its own"),
    "a whiteout of itself": (layer((".wh..", b"", {})), "would remove what is not its own"),
    "a whiteout of nothing": (layer((".wh.", b"", {})), "would remove what is not its own"),
    "a name of 4 kB": (layer(("e" * 4000, b"x", {})), "file name too long"),
    "a path of 8 kB": (layer((("e" * 200 + "/") * 40 + "f", b"x", {})), "file name too long"),
    "an absurd size": (pax(b"32 size=999999999999999999999999\n") + header() + bytes(2048), INVALID),
    "a record that is longer than its header": (pax(b"99999 path=evil\n") + header() + bytes(2048), INVALID),
    "a negative size": (header(size=b"\xff" * 12) + bytes(2048), INVALID),
    "a sum that is wrong": (header()[:140] + b"x" + header()[141:] + bytes(2048), INVALID),
    "more than is there": (header(size=b"77777777777\0") + bytes(2048), "unexpected EOF"),
    "cut off": (layer(("f", b"x" * 5000, {}))[:3000], "unexpected EOF"),
    "no tar": (b"x" * 4096, INVALID),
}


@pytest.mark.parametrize("case", REFUSED)
def test_layers_that_are_refused(own: OwnEngine, case: str) -> None:
    data, text = REFUSED[case]
    assert text in outcome(own, data)
    # What only shows when files are made is refused then.
    late = text in ("which is not there", "file name too long")
    assert said(own.client.post("/images/create", data, fromSrc="-", repo="hostile")).endswith("" if late else text)
    # A container that is there is asked to take it, too: if it does, then in its own root.
    own.client.create("true", name="taker")
    reply = own.client.ask("PUT", "/containers/taker/archive", data, path="/")
    assert reply.status in (200, 400, 500), reply.body
    assert "Error:" not in reply.body.decode()


ACCEPTED: dict[str, list[File]] = {
    "absolute": [("/evil", b"x", {})],
    "through a link": [("l", "{victim}", {}), ("l/evil", b"x", {})],
    "through a relative link": [("a", None, {}), ("a/l", "../../../../../../../../..{victim}", {}), ("a/l/evil", b"x", {})],
    "twice": [("evil", b"1", {}), ("evil", None, {}), ("evil", "{victim}/file", {}), ("evil", b"x", {"mode": 0o777})],
    "devices": [("sda", b"", {"type": tarfile.BLKTYPE, "devmajor": 8}), ("zero", b"", {"type": tarfile.CHRTYPE})],
    "a whiteout through a link": [("l", "{victim}", {}), ("l/.wh.file", b"", {}), ("l/.wh..wh..opq", b"", {})],
    "a deep directory": [("d/" * 1100 + "f", b"x", {})],
}


def _filled(own: OwnEngine, files: list[File]) -> bytes:
    victim = str(own.home.root.parent / "victim")
    return layer(*((name, data.replace("{victim}", victim) if isinstance(data, str) else data, more) for name, data, more in files))


@pytest.mark.parametrize("case", ACCEPTED)
def test_layers_that_stay_inside(own: OwnEngine, case: str) -> None:
    assert outcome(own, _filled(own, ACCEPTED[case])) == ""
    if case in ("absolute", "twice"):
        assert file(own, "/evil") == b"x"
    exported = own.client.ask("GET", "/containers/hostile/export")
    with tarfile.open(fileobj=io.BytesIO(exported.body)) as tar:
        assert case != "a deep directory" or "d/" * 1100 + "f" in tar.getnames()


def test_a_link_that_an_earlier_layer_planted(own: OwnEngine) -> None:
    below = _filled(own, [("l", "{victim}", {}), ("d", None, {}), ("d/l", "{victim}", {})])
    above = layer(("l/evil", b"x", {}), ("d/l/evil", b"x", {}), ("d/l/.wh.file", b"", {}))
    assert outcome(own, below, above) == ""
    assert file(own, "/l/evil") == b"x"


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb(own: OwnEngine, kind: str) -> None:
    """Zeros a thousandfold: read in constant memory, and kept as it came."""
    claimed = header(b"zeros", b"%011o\0" % BOMB)
    zeros = bytes(16 << 20)
    compress = gzip.compress if kind == "gzip" else zstandard.ZstdCompressor().compress
    bomb = compress(claimed) + compress(zeros) * (BOMB // len(zeros)) + compress(bytes(1024))
    whole = Made([b"not known"], ["hostile:1"], {"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}, packed=[bomb])
    assert len(bomb) < BOMB // 900
    assert said(own.client.post("/images/load", packed(whole.docker()))).startswith("invalid diffID for layer 0: expected")
    # The archive itself may be one.
    more = header(b"member", b"%011o\0" % (GIGABYTE * 7))
    assert "unexpected EOF" in said(own.client.post("/images/load", compress(more) + compress(zeros)))


def documents(**changes: bytes) -> bytes:
    """An archive of an image whose documents are not as they should be."""
    members = Made([layer(("f", b"x", {}))], ["hostile:1"]).docker()
    return packed(members | {name.replace("_", "."): data for name, data in changes.items()})


def manifest(**changes: object) -> bytes:
    return json.dumps([{"Config": "config.json", "RepoTags": ["hostile:1"], "Layers": ["0/layer.tar"], **changes}]).encode()


def config(**changes: object) -> bytes:
    return json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, **changes}).encode()


DEEP = b"[" * 200_000 + b"]" * 200_000
DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "a manifest that is huge": (documents(manifest_json=b"[" + b" " * (9 << 20) + b"]"), "too long"),
    "a manifest that is deep": (documents(manifest_json=DEEP), "is not JSON"),
    "a manifest that is none": (documents(manifest_json=b"{}"), "not a list"),
    "a config outside": (documents(manifest_json=manifest(Config="../../etc/passwd")), OUTSIDE),
    "a config of the host": (documents(manifest_json=manifest(Config="/etc/passwd")), "is missing"),
    "a layer outside": (documents(manifest_json=manifest(Layers=["../../../etc/shadow"])), OUTSIDE),
    "a layer of the host": (documents(manifest_json=manifest(Layers=["/etc/shadow"])), "is missing"),
    "layers that are numbers": (documents(manifest_json=manifest(Layers=[1])), "not valid"),
    "a name that is none": (documents(manifest_json=manifest(RepoTags=["../../evil"])), "invalid reference format"),
    "a config that is deep": (documents(config_json=DEEP), "is not JSON"),
    "a config that is a list": (documents(config_json=b"[]"), "is not a JSON object"),
    "a config with a command that is none": (documents(config_json=config(config={"Cmd": {"a": 1}})), "not valid: Cmd"),
    "a config with history that is none": (documents(config_json=config(history=[1])), "not valid: history"),
    "layers that are no digests": (documents(config_json=config(rootfs={"diff_ids": ["../evil"]})), "rootfs.diff_ids"),
    "layers without end": (documents(config_json=config(rootfs={"diff_ids": [digest(b"")] * 200})), "max depth exceeded"),
    "an index with digests that are paths": (
        packed({"index.json": b'{"manifests": [{"digest": "sha256:../../../../etc/passwd"}]}'}),
        "a manifest is missing",
    ),
    "an index in itself": (packed({"index.json": b'{"manifests": [{"digest": 1}]}'}), "a manifest is missing"),
    "no documents": (packed({"f": b""}), "neither manifest.json nor index.json"),
    "nothing": (b"", "neither manifest.json nor index.json"),
    "links that go round": (
        layer(("manifest.json", "a", {}), ("a", "manifest.json", {})), "neither manifest.json nor index.json"
    ),
    "a link to the host": (layer(("manifest.json", "/etc/passwd", {})), "neither manifest.json nor index.json"),
    "many files": (layer(*((f"f{n}", b"", {}) for n in range(20_001))), "more than 20000 files"),
}  # fmt: skip


@pytest.mark.parametrize("case", DOCUMENTS)
def test_documents_that_are_refused(own: OwnEngine, case: str) -> None:
    data, text = DOCUMENTS[case]
    assert text in said(own.client.post("/images/load", data))


def test_what_a_container_is_asked_to_take(own: OwnEngine) -> None:
    own.client.create("true", name="taker")
    links = _filled(own, [("l", "{victim}", {}), ("l2", "../../../../../..{victim}/file", {})])
    assert own.client.ask("PUT", "/containers/taker/archive", links, path="/").status == 200
    for path in ("/l", "/l/", "/l/../l"):
        own.client.ask("PUT", "/containers/taker/archive", layer(("evil", b"x", {}), ("file", b"x", {})), path=path)
    for data in (layer(("l/evil", b"x", {})), layer(("l2", b"x", {"mode": 0o777})), layer(("h", b"", link("l2")), ("h", b"x", {}))):
        own.client.ask("PUT", "/containers/taker/archive", data, path="/")
    # A header that claims a gigabyte of itself is not read into memory.
    claim = header(b"pax", b"%011o\0" % GIGABYTE, b"x") + bytes(1 << 20)
    reply = own.client.ask("PUT", "/containers/taker/archive", claim, path="/")
    assert reply.status >= 400, reply.body


def test_numbers_in_base_256(own: OwnEngine) -> None:
    sizes = [struct.pack(">BxxxQ", 0x80, size) for size in (1 << 62, (1 << 63) - 1)]
    for size in sizes:
        assert outcome(own, header(size=size) + bytes(1024)) in ("unexpected EOF", INVALID)
