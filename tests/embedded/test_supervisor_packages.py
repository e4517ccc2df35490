"""A Debian in a supervised container: what installers do as a root that is none."""

from __future__ import annotations

import os

import pytest

from dockerlab.standins import debian
from tests.embedded.supervised import SOMEBODY, box, image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not debian.is_possible(), reason="the stand-in for debian is made on a Debian"),
]

# A package whose script makes a user and gives it what it installed; apt-get installs it without a network.
_INSTALL = """
mkdir -p /p/DEBIAN /p/srv/lab && echo data > /p/srv/lab/data && cd /
printf 'Package: lab\\nVersion: 1\\nArchitecture: all\\nMaintainer: lab\\nDescription: lab\\n' > /p/DEBIAN/control
printf '#!/bin/sh\\nset -e\\nuseradd -r -m lab\\nchown -R lab:lab /srv/lab\\nchmod 2750 /srv/lab\\n' > /p/DEBIAN/postinst
chmod 755 /p/DEBIAN/postinst && dpkg-deb -b /p /lab.deb && apt-get install -y /lab.deb
"""


def test_apt_installs_and_removes_a_package_with_a_user_of_its_own() -> None:
    with box(SOMEBODY if os.geteuid() == 0 else os.geteuid()) as home:
        container = home.container(home.prepare(image("debian")))
        ran = container.sh(_INSTALL)
        assert ran.code == 0, ran.out + ran.err
        assert container.sh("stat -c '%U:%G %a' /srv/lab; su lab -s /bin/sh -c 'id -un; cat /srv/lab/data'").out == (
            "lab:lab 2750\nlab\ndata\n"
        )
        assert "Permission denied" in container.sh("su nobody -s /bin/sh -c 'cat /srv/lab/data'").err
        ran = container.sh(
            "echo lab:secret | chpasswd && grep -c '^lab:[$]y' /etc/shadow; apt-get purge -y lab; ls /srv; dpkg -s lab"
        )
        assert ran.out.startswith("1\n"), ran.err
        assert "package 'lab' is not installed" in ran.err
        container.remove()
