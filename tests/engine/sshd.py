"""A real sshd on loopback, by which an engine is reached as `ssh://` reaches one: with keys of its own, and nothing of the machine's.

    with serving(engine.url, folder) as server:        puts first in PATH an `ssh` that knows the server, as ~/.ssh/config would
        connect(server.url)

What it runs is the machine's `docker`, told which engine it speaks to.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_PRIVILEGES = Path("/run/sshd")  # where sshd wants to be as root


@dataclass(frozen=True)
class Server:
    """url: of the engine behind it. process: the sshd that listens."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def connections(self) -> int:
        """How many there are."""
        return len(self._children())

    def cut(self) -> None:
        """Breaks off all of them."""
        for child in self._children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def _children(self) -> list[int]:
        found = subprocess.run(["pgrep", "--parent", str(self.process.pid)], capture_output=True, check=False)
        return [int(pid) for pid in found.stdout.split()]


@contextmanager
def serving(url: str | None, folder: Path) -> Iterator[Server]:
    """Serves until the block ends. Skips the test where it cannot be done."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    ssh = shutil.which("ssh")
    if not sshd or not ssh or not shutil.which("docker"):
        pytest.skip("there is no sshd on this machine, or no ssh, or no docker command: apt-get install openssh-server")
    if os.geteuid() == 0:
        _PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
    folder.mkdir(parents=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nPidFile none\n"
        f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\n"
        f"SetEnv DOCKER_HOST={url} PATH={os.environ['PATH']}\n"
    )
    (folder / "config").write_text(f"IdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {folder}/config "$@"\n')
    (folder / "bin" / "ssh").chmod(0o755)
    log = folder / "log"
    with log.open("wb") as said, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}/bin", prepend=os.pathsep)
        process = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "sshd_config"], stderr=said)
        try:
            deadline = time.monotonic() + 20
            while "Server listening" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield Server(f"ssh://{getpass.getuser()}@127.0.0.1:{port}", process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
