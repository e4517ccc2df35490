"""What becomes of a build's result other than an image in the engine (`--output`).

    output = Output.of("type=local,dest=out")        or "out", "-", "type=tar,dest=out.tar", "type=image,push=true", "type=cacheonly"
    exporter = Exporter(output)
    Session(client, {**exporter.services, …}, …)     and POST /build?outputs={output.parameter}
    exporter.error                                   what could not be written, to be raised in place of the engine's words about it

A folder is written over (`dockerlab.builds.receiving`); an archive takes its file's place when all of it is there, so that a failed build
leaves what was there before.

Follows docker/buildx (util/buildflags/export.go, build/opt.go) and moby/buildkit (session/filesync). Pure but for the files that are
written.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Final

from dockerlab.builds.fields import cut, pairs
from dockerlab.builds.receiving import Receiving, unwritable
from dockerlab.builds.session import Begin, Exchange, Metadata, Service
from dockerlab.errors import ContextError, UsageError
from dockerlab.wire.filesync import FIN, FINISHED, STAT, Packet, packet
from dockerlab.wire.protobuf import MalformedError, decode
from dockerlab.wire.services import FILE_SEND, BytesMessage

FLAG: Final = "--output"
STREAM: Final = "-"

_EXAMPLE: Final = "type=local,dest=out"
_FOLDER: Final = "local"
_ARCHIVES: Final = ("tar", "oci", "docker")
_IMAGES: Final = ("image", "moby", "registry")
_NOTHING: Final = "cacheonly"
_TYPES: Final = (_FOLDER, *_ARCHIVES, "image", "registry", _NOTHING)
_TRUE: Final = ("1", "t", "true")


@dataclass(frozen=True)
class Output:
    """type: the engine's exporter. attributes: for it. destination: a folder or a file on this machine, "-" a stream, "" none."""

    type: str = "image"
    attributes: Mapping[str, str] = field(default_factory=dict)
    destination: str = ""

    @classmethod
    def of(cls, text: str) -> Output:
        """Of a text of `--output`. Raises UsageError."""
        fields = cut(FLAG, text, _EXAMPLE)
        if text == STREAM:
            return cls("tar", destination=STREAM)
        if fields == [text] and not text.startswith("type="):
            return cls(_FOLDER, destination=os.path.expanduser(text))
        attributes = dict(pairs(FLAG, text, _EXAMPLE))
        kind = attributes.pop("type", "")
        destination = attributes.pop("dest", "")
        if kind == "registry":
            kind, attributes = "image", {**attributes, "push": "true"}
        return cls(kind, attributes, os.path.expanduser(destination)).checked()

    def checked(self) -> Output:
        """Itself. Raises UsageError for what cannot be."""
        if not self.type:
            raise UsageError(f"{FLAG} has no type", hint=f"For example: {FLAG} {_EXAMPLE}")
        if self.type not in (*_TYPES, *_IMAGES):
            raise UsageError(f"{FLAG}: there is no type '{self.type}'; there are {', '.join(_TYPES)}")
        if self.type in (_FOLDER, "tar", "oci") and not self.destination:
            raise UsageError(f"{FLAG} type={self.type} needs dest=…", hint=f"For example: {FLAG} type={self.type},dest=out")
        if self.destination and self.type in (*_IMAGES, _NOTHING):
            raise UsageError(f"{FLAG} type={self.type} takes no dest; nothing is written to this machine")
        if self.attributes.get("push-by-digest", "").lower() in _TRUE:
            raise UsageError(f"{FLAG}: push-by-digest is not there yet", hint="Push with a tag: push=true, and -t NAME.")
        if self.type == _FOLDER and self.destination == STREAM:
            raise UsageError(f"{FLAG}: a folder cannot be written to a stream", hint=f"An archive can: {FLAG} -")
        return self

    @property
    def is_image(self) -> bool:
        """Whether the result is an image in the engine, as without the flag; it may be pushed, too."""
        return self.type in _IMAGES or (self.type == "docker" and not self.destination)

    @property
    def is_pushed(self) -> bool:
        """Whether the image is to be pushed once it is built, by who builds: engines pass over it. That needs a tag."""
        return self.is_image and self.attributes.get("push", "").lower() in _TRUE

    @property
    def parameter(self) -> str | None:
        """For `outputs` of POST /build; None where that is to be left out: the result is an image, as always."""
        attributes = {key: value for key, value in self.attributes.items() if key != "push"}
        if self.is_image and not attributes:
            return None
        # Engines document "cacheonly", and fail: 'exporter "" could not be found'. So it is a folder of which no file is asked for.
        kind = "moby" if self.is_image else _FOLDER if self.type == _NOTHING else self.type
        return json.dumps([{"Type": kind, "Attrs": attributes}])

    def refusal(self, said: str) -> UsageError | None:
        """The error for an engine that says it has no such exporter; None where it says something else."""
        if f'exporter "{self.type}" could not be found' not in said:
            return None
        return UsageError(
            f"this engine cannot write {FLAG} type={self.type}",
            evidence=[f"the engine says: {said}"],
            hint="Build it with a tag (-t NAME) and save that: `docker save -o FILE NAME`. Its files alone: type=tar, type=local.",
        )


class Exporter:
    """Writes what the engine sends. stream: where "-" leads to.

    Used by the session's thread; `error` is to be read when it is over. Raises UsageError for a "-" that leads nowhere.
    """

    def __init__(self, output: Output, stream: IO[bytes] | None = None) -> None:
        if output.destination == STREAM and stream is None:
            raise UsageError(
                f"{FLAG} {STREAM} writes an archive to standard output, which a notebook cannot show",
                hint=f"Write it to a file: {FLAG} type={output.type},dest=out.tar",
            )
        self._output, self._stream = output, stream
        self.error: ContextError | None = None

    @property
    def services(self) -> Mapping[str, Begin]:
        """For the session: a method's path → what serves it. Nothing where nothing is written to this machine."""
        return {FILE_SEND: self.begin} if self._output.destination or self._output.type == _NOTHING else {}

    def begin(self, exchange: Exchange, metadata: Metadata) -> Service:
        """Serves FileSend/DiffCopy."""
        if self._output.type == _NOTHING:
            return _Ignoring(exchange)
        if self._output.type == _FOLDER:
            return self._noted(lambda: Receiving(exchange, self._output.destination, self._failed))
        return self._noted(lambda: _Archive(exchange, self._output.destination, self._stream, self._failed))

    def _noted(self, begun: Callable[[], Service]) -> Service:
        try:
            return begun()
        except ContextError as error:
            self._failed(error)
            raise

    def _failed(self, error: ContextError) -> None:
        self.error = self.error or error


class _Ignoring:
    """One call: a folder of which nothing is wanted."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def received(self, message: bytes) -> None:
        got = packet(message)
        if got == Packet(STAT):
            self._exchange.send(FINISHED)
        elif got.type == FIN:
            self._exchange.finish()

    def ended(self) -> None:
        self._exchange.finish()

    def more(self) -> bool:
        return False


class _Archive:
    """One call: an archive's bytes."""

    def __init__(self, exchange: Exchange, path: str, stream: IO[bytes] | None, failed: Callable[[ContextError], object]) -> None:
        self._exchange, self._failed = exchange, failed
        self._path, self._temporary = path, ""
        if stream is not None and path == STREAM:
            self._file = stream
            return
        try:
            self._path = os.path.realpath(path)  # a link remains, and leads to the new file
            if _is_device(self._path):
                self._file = _opened(self._path, "wb")
            else:
                self._temporary = os.path.join(os.path.dirname(self._path), f".dockerlab-{secrets.token_hex(8)}")
                self._file = _opened(self._temporary, "xb")
        except OSError as error:
            raise unwritable(path, error) from error

    def received(self, message: bytes) -> None:
        try:
            self._file.write(decode(BytesMessage, message).data)
        except (OSError, MalformedError) as error:
            self._fail(error)

    def ended(self) -> None:
        try:
            self._file.flush()
            if self._path != STREAM:
                self._file.close()
            if self._temporary:
                with suppress(FileNotFoundError):
                    os.chmod(self._temporary, os.stat(self._path).st_mode & 0o777)
                os.replace(self._temporary, self._path)
                self._temporary = ""
        except OSError as error:
            self._fail(error)
        self._exchange.finish()

    def more(self) -> bool:
        return False

    def close(self) -> None:
        """The call is over, and not by its end."""
        if self._path != STREAM:
            with suppress(OSError):
                self._file.close()
        if self._temporary:
            with suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = ""

    def _fail(self, error: Exception) -> None:
        self.close()
        found = unwritable(self._path, error)
        self._failed(found)
        raise found from error


def _opened(path: str, mode: str) -> IO[bytes]:
    return open(path, mode)


def _is_device(path: str) -> bool:
    """Whether there is something that is to be written to, and not replaced. Raises OSError for what is neither that nor a file."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode) and not stat.S_ISCHR(mode):
        raise FileExistsError(None, "there is something that is no file")
    return stat.S_ISCHR(mode)
