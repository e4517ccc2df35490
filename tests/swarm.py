"""Three engines for a Swarm, each a machine by itself: `with machines() as three`.

An engine has namespaces of its own for processes, mounts, network and host name, so that a signal to its first process is a power cut,
and all that it started and mounted is gone with it. Their network is a bridge in a namespace of its own, which no other engine's
firewall rules see; one cable leads from it to this machine, so that tests reach published ports.

What is left when the block ends, however it ends, is nothing. When this process is killed, the engines die with it (PDEATHSIG); only
their folder in the temporary directory remains.

The program is Engine 28's, from the root that `tests/engines.sh up engine28` made. Nothing here touches an engine that runs there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dockerlab.client import Client, connect
from dockerlab.errors import NoEngine

ROOT = Path(os.environ.get("DOCKERLAB_ENGINES_STATE", "/var/lib/dockerlab-engines")) / "engine28-root"
_NETWORKS = "198.18"  # the block for tests of networks between machines (RFC 2544)
_START = 60.0  # seconds

# The first process of a namespace: waits for its end of a cable, which is then its network.
_SWITCH = """
ip link add bridge type bridge && ip link set bridge up && ip link set lo up
echo up
exec sleep infinity
"""

# $1: the root, $2: the folder for its socket, $3: the host name, $4: the address, $5: its control group. Its data are in memory: what is
# killed has left nothing, and nothing waits for a disk.
_ENGINE = """
set -e
hostname "$3"
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip link set lo up
ip addr add "$4/24" dev eth0
ip link set eth0 up
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p data run/here .host
mount -t tmpfs tmpfs data
mount --bind "$2" run/here
pivot_root . .host
cd /
umount -l /.host
exec dockerd --data-root /data --exec-root /run/docker --pidfile /run/docker.pid --cgroup-parent "$5" -H unix:///run/here/engine.sock
"""


def missing() -> str | None:
    """What keeps this machine from running them, or None."""
    if os.name != "posix" or os.geteuid() != 0:
        return "a Swarm of three engines needs root"
    if not (ROOT / ".complete").exists():
        return "a Swarm of three engines needs Engine 28's root: tests/engines.sh up engine28"
    absent = [name for name in ("ip", "nsenter", "unshare", "setpriv") if shutil.which(name) is None]
    return f"a Swarm of three engines needs {', '.join(absent)}" if absent else None


def has_ipvs() -> bool:
    """Whether this kernel has virtual IPs, which the routing mesh is made of."""
    with suppress(FileNotFoundError, subprocess.CalledProcessError):
        subprocess.run(["modprobe", "ip_vs"], check=True, capture_output=True)
    return Path("/proc/net/ip_vs").exists()


@dataclass
class Machine:
    """name: its host name, which is its node's name. address: where the others and this machine reach it. folder: its socket and log."""

    name: str
    address: str
    folder: Path
    cgroup: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """What `connect()` takes."""
        return f"unix://{self.folder}/engine.sock"

    def start(self, switch: int, end: str) -> None:
        """Starts the engine and plugs it in. switch: the first process of the bridge's namespace. end: the cable's name there."""
        log = self.folder / "engine.log"
        with log.open("ab") as output:
            self.process = _in_namespaces(
                ["--mount", "--pid", "--uts", "--ipc", "--net"],
                ["bash", "-c", _ENGINE, "engine", str(ROOT), str(self.folder), self.name, self.address, self.cgroup],
                output.fileno(),
            )
        _cable(switch, end, _first(self.process))

    def wait(self) -> None:
        """Until it answers. Raises AssertionError with the end of its log."""
        end = time.monotonic() + _START
        while True:
            with suppress(NoEngine), closing(connect(self.url)):
                return
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError("".join((self.folder / "engine.log").read_text(errors="replace").splitlines(True)[-30:]))
            time.sleep(0.1)

    def kill(self) -> None:
        """As a power cut does: the engine, its containers and its network are gone at once."""
        if self.process is not None:
            _kill(self.process)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client to it."""
        with closing(connect(self.url)) as client:
            yield client


@contextmanager
def machines(count: int = 3) -> Iterator[list[Machine]]:
    """So many engines that reach one another, none in a Swarm yet."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="dockerlab-swarm-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=False)
        switch = _in_namespaces(["--net"], ["bash", "-c", _SWITCH], subprocess.PIPE)
        stack.callback(_kill, switch)
        assert switch.stdout is not None
        assert switch.stdout.readline() == b"up\n"
        first = _first(switch)
        cable, network = f"dlabsw{os.getpid()}", _free_network()
        _run("ip", "link", "add", cable, "type", "veth", "peer", "name", "here", "netns", str(first))
        stack.callback(_unplug, cable)
        _run("ip", "addr", "add", f"{network}.254/24", "dev", cable)
        _run("ip", "link", "set", cable, "up")
        _plugged(first, "here")
        there = []
        for number in range(1, count + 1):
            name = f"machine{number}"
            (folder / name).mkdir()
            machine = Machine(name, f"{network}.{number}", folder / name, f"dlabswarm{os.getpid()}-{number}")
            stack.callback(_forget_cgroups, machine.cgroup)
            stack.callback(machine.kill)
            machine.start(first, f"port{number}")
            there.append(machine)
        for machine in there:
            machine.wait()
        yield there


def _in_namespaces(kinds: list[str], command: list[str], output: int) -> subprocess.Popen[bytes]:
    """Runs a command that dies with this process, and all of its namespace with it."""
    died = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--fork", "--kill-child", "--propagation", "private", *kinds, "--"]
    if "--mount" not in kinds:
        died = [word for word in died if word not in ("--propagation", "private")]
    return subprocess.Popen([*died, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)


def _first(process: subprocess.Popen[bytes]) -> int:
    """The first process in the namespaces: unshare's child."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + _START
    while time.monotonic() < end:
        assert process.poll() is None, "unshare failed"
        # Before the setpriv has become unshare, which has forked, there is none.
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise AssertionError("unshare did not start its command")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends unshare, whose child gets a KILL then; waits for the child too, so that its mounts and sockets are gone."""
    children: list[str] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    handles = []
    for child in children:
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(int(child)))
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    process.wait(_START)
    for handle in handles:
        os.close(handle)
    if process.stdout is not None:
        process.stdout.close()


def _cable(switch: int, end: str, machine: int) -> None:
    _inside(switch, "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", str(machine))
    _plugged(switch, end)


def _plugged(switch: int, end: str) -> None:
    _inside(switch, "link", "set", end, "master", "bridge", "up")


def _unplug(cable: str) -> None:
    # It goes with the bridge's namespace, a moment after it.
    subprocess.run(["ip", "link", "del", cable], check=False, capture_output=True)


def _free_network() -> str:
    """The first three numbers of addresses that nobody here has: other runs of tests may be under way."""
    there = _run("ip", "-4", "-o", "addr")
    numbers = range(os.getpid() % 256, os.getpid() % 256 + 256)
    return next(network for n in numbers if f" {(network := f'{_NETWORKS}.{n % 256}')}." not in there)


def _inside(process: int, *words: str) -> None:
    _run("nsenter", "-t", str(process), "-n", "ip", *words)


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _forget_cgroups(name: str) -> None:
    """The folders of control groups that a killed engine left, which are empty now."""
    for root in Path("/sys/fs/cgroup").glob(f"**/{name}"):
        for folder, _, _ in os.walk(root, topdown=False):
            os.rmdir(folder)
