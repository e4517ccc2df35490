"""Where a command's output goes, and what its exit code means."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable

from dockerlab.errors import CommandError
from dockerlab.wire.multiplex import STDERR, STDOUT

Output = Callable[[int, bytes], None]

_MEANINGS = {
    125: "By convention the container tool itself failed, not the command.",
    126: "The command was found, but cannot be executed: is it a directory, not executable, or made for another platform?",
    127: "The command was not found: check its spelling, and that the image has it.",
    130: "It was interrupted (SIGINT).",
    137: "It was killed (SIGKILL): by `kill`, by a stop that took too long, or because memory ran out.",
    139: "It crashed (SIGSEGV): a bug in the program, or made for another platform.",
    143: "It was asked to end (SIGTERM), as `stop` does.",
}


class Console:
    """The default: the notebook's output, or the terminal's. Bytes that are not UTF-8 are shown as replacement characters."""

    def __init__(self) -> None:
        self._decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (STDOUT, STDERR)}

    def __call__(self, stream: int, data: bytes) -> None:
        self._write(stream, self._decoders[stream].decode(data))

    def finish(self) -> None:
        """Writes what a character that was cut off has left."""
        for stream, decoder in self._decoders.items():
            self._write(stream, decoder.decode(b"", final=True))

    def _write(self, stream: int, text: str) -> None:
        if not text:
            return
        target = sys.stderr if stream == STDERR else sys.stdout
        encoding = getattr(target, "encoding", None) or "utf-8"
        target.write(text.encode(encoding, "replace").decode(encoding))
        target.flush()


def failure(exit_code: int, image: str, hint: str | None = None) -> CommandError:
    """The error for a command that ended with a non-zero exit code. image: what it ran in, for the message."""
    place = f"in {image}" if image else "in the container"
    return CommandError(
        f"the command {place} ended with exit code {exit_code}", exit_code=exit_code, hint=hint or _MEANINGS.get(exit_code)
    )
