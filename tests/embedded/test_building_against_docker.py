"""COPY and ADD in one build on a real engine with BuildKit, and here: layer by layer the same files, modes, owners, contents.

Skips where there is no such engine. Times are left out: what Docker makes itself is as old as the build.
"""

from __future__ import annotations

import gzip
import http.client
import io
import json
import re
import socket
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.embedded.archives import File
from tests.embedded.building import FILES, benches, dated, listed
from tests.embedded.test_building_adding import TREE
from tests.engines import Engine

# `#` is a folder of each case's own, filled with IN_IT.
CASES = (
    "COPY a.txt /#/to/deep/f",
    "COPY a.txt /#/d",
    "COPY a.txt /#/d/f",
    "COPY a.txt /#/sl/new",
    "COPY a.txt /#/sl",
    "COPY a.txt /#/dang/new",
    "COPY a.txt /#/dang",
    "COPY a.txt /#/sf",
    "COPY dir /#/to",
    "COPY dir /#/d",
    "COPY dir /#/sl/",
    "COPY links /#/",
    "COPY merge /#/d",
    "COPY --chown=7:8 merge /#/d",
    "COPY ln lnd hd /#/to/",
    "COPY hd/1 hd/2 /#/to/",
    "COPY p/* /#/t/",
    "COPY p/sl/* /#/t/",
    "COPY */*.txt [[]x] ?.md nope* /#/t/",
    'COPY ["s p", "/#/t/"]',
    "COPY --chown=7:8 dir /#/to/deep",
    "COPY --chown=joe:staff dir /#/d",
    "COPY --chown=:staff a.txt /#/n/",
    "COPY --chmod=751 dir /#/to/deep",
    "COPY --chmod=01777 a.txt /#/to/",
    "COPY --chmod=u+x,go-r,g=u dir /#/to",
    "COPY --exclude=sub --exclude=l dir /#/t",
    "COPY --exclude=* --exclude=!sub/z.md dir /#/t",
    "COPY --exclude=**/*.md dir /#/t/",
    "COPY <<EOF <<-G /#/here/\nhello\nEOF\n\ttab\nG",
    "ADD tree.tar /#/u/",
    "ADD tree.tgz a.txt /#/u/",
    "ADD --chown=3:4 --chmod=777 tree.tar /#/d",
    "ADD --unpack=false tree.tar /#/u/",
    "ADD place.tar /#/",
    "ADD inner.tar /#/u/",
)
IN_IT: list[File] = [
    ("d", None, {"mode": 0o711, "uid": 9, "gid": 9}),
    ("d/f", b"old", {}),
    ("d/dd", None, {}),
    ("d/dd/q", b"q", {}),
    ("file", b"file", {}),
    ("sl", "d", {}),
    ("dang", "nowhere/there", {}),
    ("sf", "file", {}),
]
BASE = dated(
    ("etc/passwd", b"root:x:0:0::/:/bin/sh\njoe:x:70:71::/:/bin/sh\n", {}),
    ("etc/group", b"root:x:0:\njoe:x:71:joe\nstaff:x:50:\n", {}),
    *((f"c{number}/{name}", content, fields) for number in range(len(CASES)) for name, content, fields in IN_IT),
    *((f"c{number}", None, {}) for number in range(len(CASES))),
)
CONTEXT: list[File] = [
    *(
        (name, content, {key: value for key, value in fields.items() if key not in ("uid", "gid")})
        for name, content, fields in FILES
    ),
    ("base.tar", BASE, {}),
    ("tree.tar", TREE, {}),
    ("tree.tgz", gzip.compress(TREE, mtime=0), {}),
    ("place.tar", dated(("sl/new", b"N", {}), ("sf", b"replaced", {}), ("d", None, {"mode": 0o700, "uid": 3})), {}),
    ("inner.tar", dated(("s", "/etc", {}), ("s/x", b"E", {}), ("d/dup", b"1", {}), ("d/dup", b"22", {})), {}),
]


class Connection(http.client.HTTPConnection):
    """To an engine's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def ask(engine: Engine, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    assert engine.url
    connection = Connection(engine.url.removeprefix("unix://"))
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-tar"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def layers(engine: Engine) -> Iterator[list[list[str]]]:
    """What BuildKit makes of the cases, a layer each."""
    if not engine.url or not engine.url.startswith("unix://"):
        pytest.skip("needs an engine on a socket")
    lines = [case.replace("#", f"c{number}") for number, case in enumerate(CASES)]
    dockerfile = "\n".join(["FROM scratch", "ADD base.tar /", *lines, ""])
    tag = f"dockerlab-copies-{time.time_ns()}"
    data = dated(("Dockerfile", dockerfile.encode(), {}), *CONTEXT)
    status, said = ask(engine, "POST", f"/build?version=2&t={quote(tag)}", data)
    messages: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines() if line.startswith(b"{")]
    if status != 200 or not any("moby.buildkit.trace" in str(message.get("id")) for message in messages):
        pytest.skip("this engine has no BuildKit that takes an archive")
    errors = [message["error"] for message in messages if "error" in message]
    assert not errors
    try:
        status, archive = ask(engine, "GET", f"/images/{tag}/get")
        assert status == 200
        yield _layers(archive)
    finally:
        ask(engine, "DELETE", f"/images/{tag}?force=1")


def _layers(archive: bytes) -> list[list[str]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        return [listed(tar.extractfile(name).read()) for name in manifest["Layers"]]  # type: ignore[union-attr]


def test_layer_by_layer(layers: list[list[str]], tmp_path: Path) -> None:
    assert len(layers) == len(CASES) + 1
    with benches(tmp_path) as make:
        bench = make(CONTEXT, BASE)
        ours = {case: bench.copy(case.replace("#", f"c{number}")) for number, case in enumerate(CASES)}
    assert sum(map(len, ours.values())) > 150
    theirs = {case: [line for line in layer if ".wh." not in line] for case, layer in zip(CASES, layers[1:], strict=True)}
    assert {case: plain(lines) for case, lines in ours.items()} == {case: plain(lines) for case, lines in theirs.items()}


def plain(lines: list[str]) -> list[str]:
    """Without the folders of the cases themselves, in the order of names."""
    return sorted(line for line in lines if not re.match(r"c\d+/ ", line))
