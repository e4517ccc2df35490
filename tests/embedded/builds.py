"""Builds on an engine, by its API: a Dockerfile and files in, what was told and the image out; also bodies and images that lie.

built = build(own.client, "FROM busybox\\nRUN true\\n", {"a.txt": "x"}, tag="a:1")
built.image, built.steps, built.log, built.error
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from dockerlab import standins
from tests.embedded.archives import packed
from tests.embedded.containing import Client
from tests.embedded.rungs import OwnEngine, eventually
from tests.embedded.serving import Reply, Talk

GROWTH = 30  # megabytes that an engine may grow by what is no leak
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)


@dataclass(frozen=True)
class Built:
    """messages: all of the stream."""

    messages: tuple[dict[str, Any], ...]
    status: int = 200
    refusal: str = ""

    @property
    def log(self) -> str:
        return "".join(message.get("stream", "") for message in self.messages)

    @property
    def error(self) -> str:
        return next((message["error"] for message in self.messages if "error" in message), self.refusal)

    @property
    def image(self) -> str:
        """Its id. Fails where there is none."""
        assert not self.error, self.error
        ids = [message["aux"]["ID"] for message in self.messages if "aux" in message]
        return str(ids[-1])

    @property
    def steps(self) -> list[str]:
        """The instructions that were told."""
        found = (_STEP.fullmatch(message.get("stream", "")) for message in self.messages)
        return [match[3] for match in found if match]

    @property
    def cached(self) -> int:
        """How many steps the cache had."""
        return self.log.count(" ---> Using cache\n")

    @property
    def containers(self) -> list[str]:
        """The short ids of those that ran its commands."""
        return re.findall(r"Running in ([0-9a-f]{12})", self.log)


def context(files: Mapping[str, str | bytes | tuple[str | bytes, int]]) -> bytes:
    """A tar of files; a value may come with a mode."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, value in files.items():
            data, mode = value if isinstance(value, tuple) else (value, 0o644)
            data = data.encode() if isinstance(data, str) else data
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


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


# What ADD unpacks.
INNER = archive(*((f"d{number % 7}/f{number}", {"data": os.urandom(3000)}) for number in range(60)))


def build(client: Client, dockerfile: str, files: Mapping[str, Any] | None = None, /, **query: Any) -> Built:
    """query: of POST /build; what is no text is sent as JSON. `tag` is t."""
    with building(client, dockerfile, files, **query) as talk:
        return read(talk)


@contextmanager
def building(client: Client, dockerfile: str, files: Mapping[str, Any] | None = None, /, **query: Any) -> Iterator[Talk]:
    """The connection of a build that has been asked for."""
    asked = {
        ("t" if name == "tag" else name): value if isinstance(value, str) else json.dumps(value) for name, value in query.items()
    }
    body = context({"Dockerfile": dockerfile, **(files or {})})
    path = f"/build?{urllib.parse.urlencode(asked)}"
    with Talk(client.path) as talk:
        talk.sock.settimeout(120)
        talk.send(f"POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\nContent-Length: {len(body)}\r\n\r\n")
        with suppress(BrokenPipeError):  # a refusal may come before all is sent, and can be read nevertheless
            talk.send(body)
        yield talk


def read(talk: Talk) -> Built:
    """The answer to the end."""
    reply = talk.reply()
    if reply.status != 200:
        return Built((), reply.status, str(reply.json()["message"]))
    return Built(tuple(json.loads(line) for line in reply.body.splitlines()))


def post(own: OwnEngine, body: bytes, headers: dict[str, str] | None = None, **query: str) -> Reply:
    """A build whose body is as it is."""
    with Talk(own.home.socket) as talk:
        talk.sock.settimeout(60)
        sent = headers or {"Content-Type": "application/x-tar"}
        return talk.ask("POST", f"/build?{urllib.parse.urlencode(query)}", body, sent)


def failure(reply: Reply) -> str:
    """What a build that failed says."""
    if reply.status != 200:
        assert reply.status >= 400
        return str(reply.json()["message"])
    last = json.loads(reply.body.splitlines()[-1])
    assert "errorDetail" in last, reply.body[-500:]
    return str(last["error"])


def until(talk: Talk, said: bytes) -> None:
    assert talk.head().status == 200
    while said not in talk.chunk():
        pass


@dataclass
class Files:
    """What a container of an image would see, by `docker export` of one that never runs."""

    client: Client
    image: str
    entries: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        made = self.client.post("/containers/create", {"Image": self.image, "Cmd": ["x"]}).json()["Id"]
        try:
            data = self.client.ask("GET", f"/containers/{made}/export").body
        finally:
            self.client.ask("DELETE", f"/containers/{made}", v=1)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                name = member.name.strip("/")
                self.entries[name] = member
                if member.isfile():
                    file = tar.extractfile(member)
                    assert file
                    self.contents[name] = file.read()

    def text(self, path: str) -> str:
        return self.contents[path].decode()


# What an engine has


def whole(own: OwnEngine) -> set[str]:
    """The ids of all images, each of which can be read."""
    found = {image["Id"] for image in own.client.get("/images/json", all=1)}
    for one in found:
        own.client.get(f"/images/{one}/json")
    return found


def nothing_left(own: OwnEngine) -> None:
    own.clear()
    eventually(lambda: not own.leftovers(), f"left: {own.leftovers()}")


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
