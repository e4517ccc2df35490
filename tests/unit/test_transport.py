"""How an engine is reached by ssh: the command, and what is said where it fails."""

from __future__ import annotations

import shlex
import shutil
import socket
import sys
from types import SimpleNamespace

import pytest

from dockerlab import hijacking
from dockerlab.client import connect
from dockerlab.errors import NoEngine
from dockerlab.transport import ssh_command


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("ssh://far", "-- far 'docker system dial-stdio'"),
        ("ssh://me@Alias", "-l me -- Alias 'docker system dial-stdio'"),
        ("ssh://me@far:2222/", "-l me -p 2222 -- far 'docker system dial-stdio'"),
        ("ssh://[::1]:22", "-p 22 -- ::1 'docker system dial-stdio'"),
        ("ssh://far/run/user/1/docker.sock", "-- far 'docker --host unix:///run/user/1/docker.sock system dial-stdio'"),
        ("ssh://far/a b;c", """-- far 'docker --host '"'"'unix:///a b;c'"'"' system dial-stdio'"""),
        ("ssh://-oProxyCommand=x", "-- -oProxyCommand=x 'docker system dial-stdio'"),
    ],
)
def test_the_command(url: str, command: str) -> None:
    assert shlex.join(ssh_command(url)) == f"ssh -o BatchMode=yes -o LogLevel=ERROR -T {command}"


@pytest.mark.parametrize("url", ["ssh://", "ssh://me:word@far", "ssh://far:port", "ssh://far?x=1"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"not of the form|Port could not"):
        ssh_command(url)
    with pytest.raises(NoEngine):
        connect(url)


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("ssh"), reason="there is no ssh on this machine")
def test_what_ssh_says_is_told() -> None:
    with pytest.raises(NoEngine) as caught:
        connect("ssh://me@127.0.0.1:1")
    assert (
        "ssh failed: nothing listens at port 1 of that host: ssh: connect to host 127.0.0.1 port 1: Connection refused"
        in caught.value.evidence[0]
    )
    assert "`ssh -o BatchMode=yes -o LogLevel=ERROR -T -l me -p 1 -- 127.0.0.1 'docker version'`" in str(caught.value.hint)


@pytest.mark.skipif(sys.platform == "win32", reason="docker-py's own way is taken there")
def test_where_there_is_no_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoEngine) as caught:
        connect("ssh://far")
    assert "the `ssh` command cannot be run: No such file or directory" in caught.value.evidence[0]


def test_whether_there_is_something_to_read_is_not_asked_of_a_socket_that_is_none() -> None:
    """docker-py's own way, on Windows: a program's input and output, and a socket that is never connected."""

    class Program(socket.socket):
        proc = SimpleNamespace()

    with Program() as program:
        assert not hijacking.is_readable(SimpleNamespace(sock=program))
    near, far = socket.socketpair()
    with near:
        assert not hijacking.is_readable(SimpleNamespace(sock=near))
        far.close()
        assert hijacking.is_readable(SimpleNamespace(sock=near)), "its end"
