"""Streams of bytes, chunk after chunk: compressed, decompressed, verified. Constant memory, whatever the compressed bytes claim."""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Final, Protocol

from dockerlab.errors import EngineError
from dockerlab.wire.tar import Readable

CHUNK: Final = 1 << 18
_MEMORY: Final = 128 << 20  # what a decompressor may use

_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Chunked(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes], close: Callable[[], object] | None) -> None:
        super().__init__()
        self._chunks, self._on_close = chunks, close
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed and self._on_close:
            self._on_close()
        super().close()


def readable(chunks: Iterable[bytes], close: Callable[[], object] | None = None) -> BinaryIO:
    """Chunks as a file to read from. close: called when the file is closed."""
    return io.BufferedReader(_Chunked(iter(chunks), close), CHUNK)


def chunks(stream: Readable, size: int = CHUNK) -> Iterator[bytes]:
    """A file as chunks."""
    while chunk := stream.read(size):
        yield chunk


def gathered(source: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks in larger ones, where they are small, as a pipe's are."""
    pieces: list[bytes] = []
    held = 0
    for chunk in source:
        pieces.append(chunk)
        held += len(chunk)
        if held >= CHUNK:
            yield b"".join(pieces) if len(pieces) > 1 else chunk
            pieces, held = [], 0
    if pieces:
        yield b"".join(pieces)


def hashed(source: Iterable[bytes], hash_: _Hash) -> Iterator[bytes]:
    """Passes chunks on, and through a hash."""
    for chunk in source:
        hash_.update(chunk)
        yield chunk


def verified(source: Iterable[bytes], digest: str, what: str) -> Iterator[bytes]:
    """Passes chunks on. At the end raises EngineError if they are not those of `digest`."""
    if not digest.startswith("sha256:"):
        raise EngineError(f"{what}: digests of this kind are not supported: {digest.partition(':')[0]}")
    hash_ = hashlib.sha256()
    yield from hashed(source, hash_)
    if hash_.hexdigest() != digest.removeprefix("sha256:"):
        raise EngineError(
            f"{what} is damaged: its bytes are not those of its digest",
            evidence=[f"expected {digest}", f"found    sha256:{hash_.hexdigest()}"],
            hint="`dockerlab engine check --repair` removes what is damaged; load the image again after that.",
        )


def compression(start: bytes) -> str:
    """How bytes that begin so are compressed: "gzip", "zstd", "xz", "bzip2", or ""."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def decompressed(source: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks, decompressed if they are compressed. Reads to the end of the source. Raises EngineError for damaged ones."""
    chunks = iter(source)
    start = b""
    while len(start) < 6 and (chunk := next(chunks, None)) is not None:
        start += chunk
    whole = _before(start, chunks)
    match compression(start):
        case "gzip":
            return _members(whole, lambda: _Gzip(), "gzip")
        case "zstd":
            return _zstd(whole)
        case "xz":
            return _members(whole, lambda: _Limited(lzma.LZMADecompressor(memlimit=_MEMORY)), "xz")
        case "bzip2":
            return _members(whole, lambda: _Limited(bz2.BZ2Decompressor()), "bzip2")
    return whole


COMPRESSIONS: Final = ("gzip", "zstd")


def compressed(source: Iterable[bytes], kind: str) -> Iterator[bytes]:
    """Chunks, compressed as one of `COMPRESSIONS`; "" leaves them as they are. The same bytes for the same chunks."""
    if not kind:
        yield from source
        return
    if kind == "zstd":
        import zstandard

        compressor: Any = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    else:
        compressor = zlib.compressobj(level=3, wbits=31)  # twice as fast as usual, a few per cent longer
    for chunk in source:
        if piece := compressor.compress(chunk):
            yield piece
    yield compressor.flush()


def _before(start: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if start:
        yield start
    yield from rest


class _Gzip:
    def __init__(self) -> None:
        self.inner = zlib.decompressobj(31)

    def feed(self, data: bytes) -> bytes:
        return self.inner.decompress(self.inner.unconsumed_tail + data, CHUNK)

    @property
    def hungry(self) -> bool:
        return not self.inner.unconsumed_tail


class _Limited:
    def __init__(self, inner: lzma.LZMADecompressor | bz2.BZ2Decompressor) -> None:
        self.inner = inner

    def feed(self, data: bytes) -> bytes:
        return self.inner.decompress(data, CHUNK)

    @property
    def hungry(self) -> bool:
        return self.inner.needs_input


def _members(source: Iterator[bytes], new: Callable[[], _Gzip | _Limited], name: str) -> Iterator[bytes]:
    """One compressed stream after the other, as these formats allow; zeros after the last are padding."""
    decompressor = new()
    fresh = True
    try:
        for chunk in source:
            data = chunk
            while True:
                if fresh:
                    data = data.lstrip(b"\0") if decompressor.inner.eof else data
                    if not data:
                        break
                    decompressor, fresh = new(), False
                output = decompressor.feed(data)
                data = b""
                if output:
                    yield output
                if decompressor.inner.eof:
                    data, fresh = decompressor.inner.unused_data, True
                elif decompressor.hungry and len(output) < CHUNK:
                    break
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise EngineError(f"the archive is damaged: {name}: {error}") from error
    if not decompressor.inner.eof:
        raise EngineError("unexpected EOF", hint="The archive is not whole.")


def _zstd(source: Iterator[bytes]) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError as error:
        raise EngineError("the archive is compressed with zstd", hint="Install the package `zstandard`.") from error
    with readable(source) as compressed:
        reader = zstandard.ZstdDecompressor(max_window_size=_MEMORY).stream_reader(compressed, read_across_frames=True)
        try:
            while chunk := reader.read(CHUNK):
                yield chunk
        except zstandard.ZstdError as error:
            raise EngineError(f"the archive is damaged: zstd: {error}") from error
