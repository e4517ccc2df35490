"""A small registry of images, for the stand-in for `registry:2` on a machine without Debian's docker-registry. Python's library alone.

    python registry_server.py [FOLDER [PORT]]

Serves what a push and a pull need of the distribution specification (github.com/opencontainers/distribution-spec): blobs, uploaded whole or
in pieces, and manifests by tag and by digest. What is stored has the digest that it was sent as, else it is refused. Anybody may push:
it is for one machine. In its folder lie `blobs/HEX` and, for each repository, `repositories/NAME/tags/TAG` and `…/manifests/HEX`.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import parse_qs, urlsplit

_NAME: Final = r"(?P<name>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
_DIGEST: Final = r"sha256:[0-9a-f]{64}"
_ROUTES: Final = {
    "base": re.compile(r"/v2/?"),
    "catalog": re.compile(r"/v2/_catalog"),
    "tags": re.compile(rf"/v2/{_NAME}/tags/list"),
    "start": re.compile(rf"/v2/{_NAME}/blobs/uploads/"),
    "upload": re.compile(rf"/v2/{_NAME}/blobs/uploads/(?P<upload>[0-9a-f]{{32}})"),
    "blob": re.compile(rf"/v2/{_NAME}/blobs/(?P<digest>{_DIGEST})"),
    "manifest": re.compile(rf"/v2/{_NAME}/manifests/(?P<which>{_DIGEST}|[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})", re.ASCII),
}
_PIECE: Final = 1 << 18
_PATIENCE: Final = 64  # pieces that are read of what was refused
_LONGEST_MANIFEST: Final = 4 << 20
_LONGEST_NAME: Final = 255  # of a repository, as docker-registry has it; a file's name is no longer either


class Refusal(Exception):
    """An error of the specification: its code, and the status that goes with it."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Registry(ThreadingHTTPServer):
    """folder: where it keeps what it has."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], folder: Path) -> None:
        super().__init__(address, Handler)
        self.folder = folder
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        for name in ("blobs", "uploads", "repositories"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def taken(self, upload: str) -> Iterator[None]:
        """An upload for one request: another that writes on, while this one compares the digest, would change a blob. Raises Refusal."""
        with self._lock:
            if upload in self._taken:
                raise Refusal(HTTPStatus.CONFLICT, "BLOB_UPLOAD_INVALID", "another request writes to this upload")
            self._taken.add(upload)
        try:
            yield
        finally:
            with self._lock:
                self._taken.remove(upload)

    def blob(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.removeprefix("sha256:")

    def keep(self, draft: Path, digest: str) -> None:
        """Makes a draft the blob of that digest. Raises Refusal if it is another."""
        with draft.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if found != digest:
            draft.unlink()
            raise Refusal(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", f"these bytes have the digest {found}, not {digest}")
        os.replace(draft, self.blob(digest))

    def tags(self, name: str) -> Path:
        return self.folder / "repositories" / name / "_tags"

    def kinds(self, name: str) -> Path:
        """The digests of a repository's manifests; in each file its media type."""
        return self.folder / "repositories" / name / "_manifests"

    def resolved(self, name: str, which: str) -> tuple[str, str]:
        """Digest and media type of a manifest, by tag or by digest. Raises Refusal."""
        tag = self.tags(name) / which
        digest = which if which.startswith("sha256:") else tag.read_text() if tag.is_file() else ""
        kind = self.kinds(name) / digest.removeprefix("sha256:")
        if not digest or not kind.is_file():
            raise Refusal(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", f"manifest unknown: {name}:{which}")
        return digest, kind.read_text()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Registry

    def handle_one_request(self) -> None:
        # Who begins with TLS is told in plain HTTP: some clients go on without TLS for these words alone.
        if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
            self.connection.recv(1 << 16)
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            self.close_connection = True
        else:
            super().handle_one_request()

    def answer(self) -> None:
        self._is_read = not self.headers.get("Content-Length", "0").strip("0") and "Transfer-Encoding" not in self.headers
        self._body = self._pieces()
        address = urlsplit(self.path)
        self._query = {key: values[0] for key, values in parse_qs(address.query).items()}
        try:
            for route, pattern in _ROUTES.items():
                if match := pattern.fullmatch(address.path):
                    method = "get" if self.command == "HEAD" else self.command.lower()
                    act = getattr(self, f"{method}_{route}", None)
                    if act is None:
                        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", "the operation is unsupported")
                    groups = match.groupdict()
                    if len(groups.get("name", "")) > _LONGEST_NAME:
                        raise Refusal(HTTPStatus.BAD_REQUEST, "NAME_INVALID", "the name is too long")
                    with self.server.taken(groups["upload"]) if "upload" in groups else contextlib.nullcontext():
                        act(**groups)
                    # What was sent along and not asked for would be taken for the next request.
                    self.close_connection |= not self._is_read
                    return
            raise Refusal(HTTPStatus.NOT_FOUND, "NAME_INVALID", f"there is nothing at {address.path}")
        except Refusal as refusal:
            error = {"code": refusal.code, "message": refusal.message, "detail": None}
            headers = {"Content_Type": "application/json"}
            # Who still sends hears the answer only when that is read.
            with contextlib.suppress(Refusal):
                for _ in itertools.islice(self._body, _PATIENCE):
                    continue
            self.say(refusal.status, _json({"errors": [error]}), **headers | self._end())

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = answer

    def _end(self) -> dict[str, str]:
        """The header that ends the connection, where it cannot go on."""
        return {} if self._is_read else {"Connection": "close"}

    def say(self, status: HTTPStatus, data: bytes | Path = b"", **headers: Any) -> None:
        """Answers. headers: with `_` for `-`."""
        self.send_response(status)
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        fixed = {"Docker-Distribution-Api-Version": "registry/2.0"} | ({} if status == 204 else {"Content-Length": size})
        for name, value in (fixed | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(data, Path):
            with data.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, _PIECE)
        else:
            self.wfile.write(data)

    def _pieces(self) -> Iterator[bytes]:
        """What was sent along. May be read on by another who holds it; once it failed there is no more."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := _size(self.rfile.readline(64).partition(b";")[0], 16):
                yield from self._exactly(size)
                self.rfile.readline(4)
            self.rfile.readline(4)
        else:
            yield from self._exactly(_size(self.headers.get("Content-Length") or "0", 10))
        self._is_read = True

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size > 0:
            piece = self.rfile.read(min(size, _PIECE))
            if not piece:
                raise Refusal(HTTPStatus.BAD_REQUEST, "SIZE_INVALID", "the connection broke off")
            size -= len(piece)
            yield piece

    def _into(self, file: IO[bytes]) -> None:
        """What was sent is appended. Raises Refusal where it cannot be kept; the file is then as it was."""
        before = file.seek(0, os.SEEK_END)
        for piece in self._body:
            try:
                rest = memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:
                file.truncate(before)
                reason = f"it cannot be kept: {error.strerror or error}"
                raise Refusal(HTTPStatus.INSUFFICIENT_STORAGE, "UNKNOWN", reason) from error

    # What there is

    def get_base(self) -> None:
        self.say(HTTPStatus.OK, b"{}", Content_Type="application/json")

    def get_catalog(self) -> None:
        root = self.server.folder / "repositories"
        names = sorted(str(path.parent.relative_to(root)) for path in root.rglob("_tags"))
        self.say(HTTPStatus.OK, _json({"repositories": names}), Content_Type="application/json")

    def get_tags(self, name: str) -> None:
        folder = self.server.tags(name)
        if not folder.is_dir():
            raise Refusal(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", f"repository name not known to registry: {name}")
        tags = sorted(path.name for path in folder.iterdir())
        self.say(HTTPStatus.OK, _json({"name": name, "tags": tags}), Content_Type="application/json")

    # Blobs

    def get_blob(self, name: str, digest: str) -> None:
        path = self.server.blob(digest)
        if not path.is_file():
            raise Refusal(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", f"blob unknown to registry: {digest}")
        self.say(HTTPStatus.OK, path, Content_Type="application/octet-stream", Docker_Content_Digest=digest)

    def post_start(self, name: str) -> None:
        if (mount := self._query.get("mount", "")) and re.fullmatch(_DIGEST, mount) and self.server.blob(mount).is_file():
            return self._stored(name, mount)
        upload = uuid.uuid4().hex
        try:
            with self._draft(upload, "xb") as file:
                self._into(file)
        except BaseException:
            # Who sent it does not know where it is, and cannot go on.
            (self.server.folder / "uploads" / upload).unlink(missing_ok=True)
            raise
        if digest := self._query.get("digest"):
            return self._finish(name, upload, digest)
        return self._uploading(HTTPStatus.ACCEPTED, name, upload)

    def get_upload(self, name: str, upload: str) -> None:
        self._uploading(HTTPStatus.NO_CONTENT, name, upload)

    def patch_upload(self, name: str, upload: str) -> None:
        with self._draft(upload, "r+b") as file:
            start = re.match(r"(\d+)-", self.headers.get("Content-Range", ""))
            if start and int(start[1]) != file.seek(0, os.SEEK_END):
                raise Refusal(
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", "a piece is missing before this one"
                )
            self._into(file)
        self._uploading(HTTPStatus.ACCEPTED, name, upload)

    def put_upload(self, name: str, upload: str) -> None:
        with self._draft(upload, "ab") as file:
            self._into(file)
        self._finish(name, upload, self._query.get("digest", ""))

    def delete_upload(self, name: str, upload: str) -> None:
        self._draft(upload, "r+b").close()
        (self.server.folder / "uploads" / upload).unlink()
        self.say(HTTPStatus.NO_CONTENT)

    def _draft(self, upload: str, mode: str) -> IO[Any]:
        path = self.server.folder / "uploads" / upload
        if mode != "xb" and not path.is_file():
            raise Refusal(HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return path.open(mode, buffering=0)  # what cannot be written is known at once

    def _uploading(self, status: HTTPStatus, name: str, upload: str) -> None:
        with self._draft(upload, "rb") as file:
            end = file.seek(0, os.SEEK_END)
        place = f"/v2/{name}/blobs/uploads/{upload}"
        self.say(status, Location=place, Range=f"0-{max(end - 1, 0)}", Docker_Upload_UUID=upload)

    def _finish(self, name: str, upload: str, digest: str) -> None:
        if not re.fullmatch(_DIGEST, digest):
            raise Refusal(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", "there is no digest of SHA-256")
        self.server.keep(self.server.folder / "uploads" / upload, digest)
        self._stored(name, digest)

    def _stored(self, name: str, digest: str) -> None:
        self.say(HTTPStatus.CREATED, Location=f"/v2/{name}/blobs/{digest}", Docker_Content_Digest=digest)

    # Manifests

    def get_manifest(self, name: str, which: str) -> None:
        digest, kind = self.server.resolved(name, which)
        self.say(HTTPStatus.OK, self.server.blob(digest), Content_Type=kind, Docker_Content_Digest=digest)

    def put_manifest(self, name: str, which: str) -> None:
        sent = bytearray()
        for piece in self._body:
            sent += piece
            if len(sent) > _LONGEST_MANIFEST:
                raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "SIZE_INVALID", "the manifest is too long")
        data = bytes(sent)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if which.startswith("sha256:") and which != digest:
            raise Refusal(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", f"these bytes have the digest {digest}, not {which}")
        for needed in _needed(data):
            if not self.server.blob(needed).is_file():
                raise Refusal(HTTPStatus.NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {needed}")
        self._keep(data, self.server.blob(digest))
        for folder in (self.server.tags(name), self.server.kinds(name)):
            folder.mkdir(parents=True, exist_ok=True)
        kind = self.headers.get("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        self._keep(kind.encode(), self.server.kinds(name) / digest.removeprefix("sha256:"))
        if which != digest:
            self._keep(digest.encode(), self.server.tags(name) / which)
        self.say(HTTPStatus.CREATED, Location=f"/v2/{name}/manifests/{digest}", Docker_Content_Digest=digest)

    def _keep(self, data: bytes, path: Path) -> None:
        """A small file, all of it or as it was before. Raises Refusal."""
        draft = self.server.folder / "uploads" / uuid.uuid4().hex
        try:
            draft.write_bytes(data)
            os.replace(draft, path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            reason = f"it cannot be kept: {error.strerror or error}"
            raise Refusal(HTTPStatus.INSUFFICIENT_STORAGE, "UNKNOWN", reason) from error


def _json(value: object) -> bytes:
    """Written as docker-registry writes it."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _size(text: str | bytes, base: int) -> int:
    """Of a header or a chunk. Raises Refusal."""
    try:
        return int(text, base)
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "SIZE_INVALID", "a size is not a number") from error


def _needed(data: bytes) -> list[str]:
    """What a manifest, or an index of manifests, names. Raises Refusal for what is neither."""
    try:
        manifest = json.loads(data)
        parts = [manifest["config"], *manifest["layers"]] if "layers" in manifest else manifest["manifests"]
        digests = [str(part["digest"]) for part in parts if not part.get("urls")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", "it is not a manifest") from error
    if not all(re.fullmatch(_DIGEST, digest) for digest in digests):
        raise Refusal(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", "its digests are not of SHA-256")
    return digests


def main(folder: str = "/var/lib/registry", port: str = "5000") -> None:
    with Registry(("", int(port)), Path(folder)) as server:
        print(f"a stand-in for a registry listens on port {server.server_port}: anybody may push", file=sys.stderr, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
