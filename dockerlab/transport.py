"""How docker-py reaches an engine: by itself for sockets, pipes and tcp; here what differs.

- *TLS* to an engine goes by the engine's own certificates (DOCKER_CERT_PATH, a docker context). REQUESTS_CA_BUNDLE, by which a company
  says whom to trust elsewhere, would take their place in docker-py; here it counts only where there are none.
- *ssh* is the `ssh` command with `docker system dial-stdio` at the other end, as with `docker` itself: with its configuration, known
  hosts and agent. Our end is a socket, so that all that works on the engine's own socket works here (one side's end, a connection that
  is taken over, a time limit, an interrupt), and connections are kept for the next request. docker-py's own way needs paramiko and has
  none of these; it remains for Windows, where no program can be given a socket.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import docker
import urllib3
from docker.constants import DEFAULT_MAX_POOL_SIZE
from docker.tls import TLSConfig
from docker.transport import UnixHTTPAdapter

from dockerlab import ledger
from dockerlab.errors import printable

_SSH: Final = "ssh://"
_AS_A_SOCKET: Final = "unix:///ssh"  # what docker-py is told of the address
_END_SECONDS: Final = 2
_TOLD_SECONDS: Final = 5
_SAID: Final = 4096  # bytes of what `ssh` complains of


class API(docker.APIClient):
    """docker-py's requests to the engine at an address."""

    def __init__(self, url: str, *, tls: TLSConfig | None, timeout: Any) -> None:
        self._address = url
        self._ssh = _Adapter(ssh_command(url), timeout) if url.startswith(_SSH) and sys.platform != "win32" else None
        super().__init__(
            base_url=_AS_A_SOCKET if self._ssh else url, version="auto", timeout=timeout, tls=tls or False, use_ssh_client=True
        )

    def get_adapter(self, url: str) -> Any:
        """See `requests.Session`."""
        return self._ssh or super().get_adapter(url)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """See `requests.Session`: where something is known of whom to trust, the environment is not asked."""
        verify = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, verify, cert)

    def send(self, request: Any, **how: Any) -> Any:
        """See `requests.Session`: what a request makes is written down, if somebody asks for it."""
        response = super().send(request, **how)
        if ledger.is_kept() and response.ok:
            self.note(*ledger.made(request.method, request.url, request.body, response.json))
        return response

    def note(self, *made: ledger.Entry | None) -> None:
        """Writes down what was made on this engine by other ways, if somebody asks for it."""
        ledger.note(self._address, *filter(None, made))

    def close(self) -> None:
        """Ends all connections that wait for a request."""
        super().close()
        if self._ssh:
            self._ssh.close()


class SSHError(ConnectionError):
    """What `ssh` says of a connection that it did not get: its lines, of which the last says it shortest."""


def ssh_command(url: str) -> list[str]:
    """The command that leads to the engine of `ssh://user@host:port`, or to the one at the socket `ssh://host/path` there.

    Raises ValueError for an address that is none.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]  # in its own case: it may be an alias
    if not host or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("not of the form ssh://user@host:port")
    who = ["-l", parts.username] if parts.username else []
    where = ["-p", str(parts.port)] if parts.port else []
    at = ["--host", f"unix://{parts.path}"] if parts.path.strip("/") else []
    # A notebook has nobody who could be asked for a password.
    quiet = ["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-T"]
    return ["ssh", *quiet, *who, *where, "--", host, shlex.join(["docker", *at, "system", "dial-stdio"])]


@lru_cache
def ssh_host(url: str) -> str | None:
    """The host's name or address by which programs other than `ssh` reach it: an alias of ssh's configuration says nothing to them.

    None where `ssh` does not tell; it connects to nothing for that.
    """
    try:
        *command, _, host, _ = ssh_command(url)
        told = subprocess.run(
            [*command, "-G", "--", host],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_TOLD_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return next((line.partition(" ")[2].strip() for line in told.stdout.splitlines() if line.startswith("hostname ")), None)


class _Socket(socket.socket):
    """Our end of a command's input and output; the command ends with it."""

    process: subprocess.Popen[bytes]
    _end: weakref.finalize[Any, Any]

    @classmethod
    def to(cls, command: Sequence[str]) -> _Socket:
        near, far = socket.socketpair()
        with far:
            sock = cls(near.family, near.type, near.proto, near.detach())
            environ = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}  # of Python's surroundings
            try:
                # An interrupt is for us.
                sock.process = subprocess.Popen(
                    command, stdin=far.fileno(), stdout=far.fileno(), stderr=subprocess.PIPE, env=environ, start_new_session=True
                )
            except OSError as error:
                sock.close()
                raise SSHError(f"the `{command[0]}` command cannot be run: {error.strerror}") from None
        sock._end = weakref.finalize(sock, _end, sock.process)
        return sock

    def complaint(self) -> str:
        """What a command that has closed its output says of it."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        assert self.process.stderr
        # Another process, a master of its connections, may hold it open.
        os.set_blocking(self.process.stderr.fileno(), False)
        with suppress(OSError):
            return printable(os.read(self.process.stderr.fileno(), _SAID).decode("utf-8", "replace").strip())
        return ""

    def _real_close(self) -> None:  # when the last file that reads from it is closed, too
        super()._real_close()  # type: ignore[misc]
        if end := getattr(self, "_end", None):
            end()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stderr
    process.stderr.close()


class _Connection(urllib3.connection.HTTPConnection):
    """One run of the command."""

    def __init__(self, command: Sequence[str], timeout: Any) -> None:
        super().__init__("localhost", timeout=timeout)
        self._command = command

    def connect(self) -> None:
        self.sock = _Socket.to(self._command)

    def getresponse(self) -> Any:
        sock: Any = self.sock
        sock.settimeout(self.timeout)
        first = b""
        with suppress(ConnectionResetError):  # it ended without reading the request
            first = sock.recv(1, socket.MSG_PEEK)
        if not first:
            said = sock.complaint()
            self.close()
            raise SSHError(said or "the connection was closed at the other end")
        return super().getresponse()


class _Pool(urllib3.HTTPConnectionPool):
    """Connections that are kept for the next request."""

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=DEFAULT_MAX_POOL_SIZE)  # several threads may ask at once
        self._command = command

    def _new_conn(self) -> Any:
        return _Connection(self._command, self.timeout.connect_timeout)


class _Adapter(UnixHTTPAdapter):
    """As docker-py's for a socket, with one pool for all addresses."""

    def __init__(self, command: Sequence[str], timeout: Any) -> None:
        super().__init__(_AS_A_SOCKET, timeout)
        self._pool = _Pool(command, timeout)

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        return self._pool

    def close(self) -> None:
        super().close()
        self._pool.close()
