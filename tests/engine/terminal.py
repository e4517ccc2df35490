"""A terminal with a command in it: what a person at a keyboard has, and `docker run -it` wants."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from types import TracebackType

SECONDS = 20
_TELL_AGAIN = 1.0
_WHERE = b"\x1b[6n"  # busybox's shell asks its terminal for the cursor's place, and waits for the answer


class Terminal:
    """Starts a command on a terminal of its own. A context manager: at its end the command is gone."""

    def __init__(self, argv: list[str], env: dict[str, str], rows: int = 33, columns: int = 101) -> None:
        self.screen = b""
        self._end, inner = pty.openpty()
        self._resize(rows, columns)
        try:
            self._process = subprocess.Popen(argv, stdin=inner, stdout=inner, stderr=inner, env=env | {"TERM": "dumb"})
        finally:
            os.close(inner)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def send(self, text: str) -> None:
        os.write(self._end, text.encode())

    def expect(self, text: str, again: str = "") -> bytes:
        """Waits until `text` is shown, and gives what came up to its end. What comes after it is kept for the next call.

        again: typed again as long as nothing comes.
        """
        deadline = time.monotonic() + SECONDS
        while (place := self.screen.find(text.encode())) < 0:
            if not self._read(min(_TELL_AGAIN, deadline - time.monotonic())):
                assert time.monotonic() < deadline, f"{text!r} does not come: {self.screen!r}"
                assert self._process.poll() is None, f"{text!r} does not come, the command has ended: {self.screen!r}"
                # docker does not hear of a size that changes while it still sets the first one.
                self._process.send_signal(signal.SIGWINCH)
                self.send(again)
        place += len(text.encode())
        shown, self.screen = self.screen[:place], self.screen[place:]
        return shown

    def resize(self, rows: int, columns: int) -> None:
        self._resize(rows, columns)
        # The command has no controlling terminal, so that the kernel does not tell it.
        self._process.send_signal(signal.SIGWINCH)

    def wait(self) -> int:
        """Reads to the end, and gives the command's exit code."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(SECONDS)

    def _resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self, seconds: float) -> bool:
        """Whether something came before the time was over or the command ended."""
        if seconds <= 0 or not select.select([self._end], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._end, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux reports that nobody has the other end any more
                raise
            return False
        self.screen += data
        if _WHERE in self.screen:
            self.screen = self.screen.replace(_WHERE, b"")
            os.write(self._end, b"\x1b[1;1R")
        return bool(data)
