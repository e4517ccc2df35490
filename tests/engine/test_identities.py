"""Who a process is, after it has asked to be somebody else: the same on every engine, also on one whose root has a single id."""

from __future__ import annotations

import pytest

from dockerlab import builds, images, standins
from dockerlab.client import Client
from dockerlab.standins import debian
from tests.engine.leftovers import label

pytestmark = pytest.mark.contract

PYTHON = """
import os, sys
def refused(call, *ids):
    try:
        call(*ids)
    except PermissionError:
        return True
    return False
os.setgroups([5, 6]); os.setresgid(33, 33, 33); os.setresuid(33, 34, 35)
print(os.getresuid(), os.getresgid(), os.getgroups())
print(refused(os.setuid, 0), refused(os.setgid, 0), refused(os.setgroups, [0]), refused(os.setresuid, 33, 0, 35))
os.setresuid(35, 33, -1)
print(os.getresuid(), os.getuid(), os.geteuid(), os.getgid(), os.getegid(), flush=True)
if not os.fork():
    if not os.fork():
        print(os.getresuid(), flush=True)
    os._exit(0)
os.wait()
__import__("time").sleep(0.3)
os.execv(sys.executable, [sys.executable, "-c", "import os; print(os.getuid(), os.getgid(), os.getgroups())"])
"""
SAID = """(33, 34, 35) (33, 33, 33) [5, 6]
True True True True
(35, 33, 35) 35 33 33 33
(35, 33, 35)
35 33 [5, 6]
"""
# What apt downloads it downloads as a user of its own, and looks whether it is that user. The repository is a folder.
APT = """set -e
mkdir -p /p/DEBIAN /p/srv /repo
printf 'Package: lab\\nVersion: 1\\nArchitecture: all\\nMaintainer: lab\\nDescription: lab\\n' >/p/DEBIAN/control
echo data >/p/srv/data
dpkg-deb -b /p /repo/lab.deb >/dev/null
cd /repo
dpkg-deb -f lab.deb >Packages
echo "Filename: ./lab.deb" >>Packages
echo "Size: $(stat -c %s lab.deb)" >>Packages
echo "SHA256: $(sha256sum lab.deb | cut -c1-64)" >>Packages
rm -f /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] copy:/repo ./' >/etc/apt/sources.list
apt-get -qq update && apt-get -qq install lab >/dev/null
cat /srv/data
useradd -m bob && su bob -c 'id -un; cd; pwd'
"""


def test_ids_that_a_process_asks_for_are_its_own_from_then_on(client: Client, prefix: str) -> None:
    said = client.containers.run("python:3.10", ["python", "-c", PYTHON], labels=label(prefix), remove=True)
    assert said.decode() == SAID


@pytest.mark.slow
@pytest.mark.skipif(not debian.is_possible(), reason="the stand-in for debian is made on a Debian")
def test_apt_gets_a_package_and_a_user_is_made(client: Client, prefix: str) -> None:
    standins.prepare("debian", client=client)
    container = client.containers.run("debian", ["sh", "-c", APT], labels=label(prefix), detach=True)
    assert container.wait()["StatusCode"] == 0, container.logs().decode()
    assert container.logs(stderr=False).decode().splitlines()[-3:] == ["data", "bob", "/home/bob"]


@pytest.mark.slow
@pytest.mark.skipif(not debian.is_possible(), reason="the stand-in for debian is made on a Debian")
def test_the_same_in_the_steps_of_a_build(client: Client, prefix: str) -> None:
    standins.prepare("debian", client=client)
    text = "FROM debian\nCOPY lab.sh /\nRUN sh -e /lab.sh\nRUN chown bob: /srv/data\n"
    text += "USER bob\nWORKDIR /home/bob\nRUN id -un; cat /srv/data\n"
    image = builds.build(text, files={"lab.sh": APT}, tag=f"{prefix}apt", no_cache=True, client=client)
    try:
        assert image.build
        outputs = {step.line: step.output for step in image.build.steps}
        assert outputs[3][-3:] == ("data", "bob", "/home/bob")
        assert outputs[7] == ("bob", "data")
        said = client.containers.run(
            image.name, ["sh", "-c", "id -un; pwd; echo written > mine && cat mine"], labels=label(prefix), remove=True
        )
        assert said.decode().split() == ["bob", "/home/bob", "written"]
    finally:
        images.rm(image.name, force=True, client=client)
