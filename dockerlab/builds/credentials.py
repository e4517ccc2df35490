"""Credentials of registries for an engine that asks while it builds.

    credentials = Credentials.found(os.environ)
    Session(client, {**credentials.services, …}, …)

Only `Credentials` is served, so that the engine itself fetches tokens with them. A helper runs beside the session's thread, which looks
again each time the engine says something.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from typing import Final

from dockerlab import credentials as room
from dockerlab.builds.session import Begin, Exchange, Metadata, Service
from dockerlab.wire.protobuf import decode, encode
from dockerlab.wire.services import CREDENTIALS, CredentialsRequest, CredentialsResponse

_LOOK: Final = 2.0  # seconds that the session's thread waits for a helper at a time


class Credentials(room.Credentials):
    """They, served by a session."""

    @property
    def services(self) -> Mapping[str, Begin]:
        """For the session: a method's path → what serves it."""
        return {CREDENTIALS: self.begin}

    def begin(self, exchange: Exchange, metadata: Metadata) -> Service:
        """Serves Auth/Credentials."""
        return _Asked(self, exchange)


class _Asked:
    """One call."""

    def __init__(self, credentials: Credentials, exchange: Exchange) -> None:
        self._credentials, self._exchange = credentials, exchange
        self._host = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._input: bytes | None = None
        self._until = 0.0

    def received(self, message: bytes) -> None:
        self._host = decode(CredentialsRequest, message).host
        answer = self._credentials.known(self._host)
        if answer is None and not self._start():
            answer = self._credentials.filed(self._host)
        if answer is not None:
            self._finish(answer)
        else:
            self._look(_LOOK)

    def ended(self) -> None:
        """See `Service`."""

    def more(self) -> bool:
        if self._process is not None:
            self._look(0.01)
        return False

    def close(self) -> None:
        """The call is over."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> bool:
        """Starts a helper. Whether it runs."""
        self._process = self._credentials.started(self._host)
        self._input = room.key(self._host)
        self._until = time.monotonic() + room.SECONDS
        return self._process is not None

    def _look(self, seconds: float) -> None:
        """Whether the helper has answered."""
        assert self._process is not None, "it was started"
        try:
            output, _ = self._process.communicate(self._input, timeout=seconds)
        except subprocess.TimeoutExpired:
            self._input = None  # communicate takes it once
            if time.monotonic() < self._until:
                return
            self.close()
            self._credentials.late(self._host)
            self._finish(self._credentials.filed(self._host))
            return
        code = self._process.returncode
        self._process = None
        self._finish(self._credentials.told(self._host, code, output))

    def _finish(self, answer: CredentialsResponse) -> None:
        self._exchange.send(encode(answer))
        self._exchange.finish()
