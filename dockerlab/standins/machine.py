"""What stand-ins are made of: this machine's commands, certificates and names, and whether it can make any."""

from __future__ import annotations

import os
import platform
import shutil
import ssl
import sys
from pathlib import Path

from dockerlab.errors import DockerlabError
from dockerlab.standins.libraries import add_libraries, closure, is_program
from dockerlab.standins.tree import Tree

# The commands of POSIX and GNU coreutils, and the usual ones around them: what is here is taken.
_COMMANDS = """
    sh bash arch awk b2sum base32 base64 basename cat chgrp chmod chown cksum clear cmp comm cp cut date dd df diff dir dirname du
    echo env expand expr factor false find fmt fold free grep groups gzip head hostid hostname id install join kill less ln logname
    ls md5sum mkdir mkfifo mknod mktemp more mount mountpoint mv nice nl nohup nproc numfmt od paste pathchk pgrep pinky pkill
    pr printenv printf ps pwd readlink realpath renice rm rmdir sed seq setsid sha1sum sha224sum sha256sum sha384sum sha512sum shred
    shuf sleep sort split stat stdbuf stty sum sync tac tail tar tee test timeout top touch tr true truncate tsort tty umount uname
    unexpand uniq unlink uptime users vdir wc which who whoami xargs yes
    groupadd groupdel groupmod useradd userdel usermod
"""
_ACCOUNTS = b"UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nUSERGROUPS_ENAB yes\n"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "ppc64le": "ppc64le", "s390x": "s390x",
                  "riscv64": "riscv64"}  # fmt: skip

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_CERTIFICATE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CERTIFICATE_PLACES = (CERTIFICATES, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require_linux() -> None:
    """Raises DockerlabError where this machine's files cannot make an image for Linux."""
    if sys.platform != "linux":
        raise DockerlabError(
            f"stand-ins are made from a Linux machine's own files, and this machine runs {platform.system() or sys.platform}",
            hint="Pull the real image (`%image pull python:3.10`), or connect to an engine that has it: `%engine use …`.",
        )
    if platform.libc_ver()[0] != "glibc":
        raise DockerlabError(
            "stand-ins are made only on a Linux with the GNU C library",
            hint="Pull the real image (`%image pull python:3.10`), or connect to an engine that has it: `%engine use …`.",
        )


def architecture() -> str:
    """This machine's architecture as images name it: `amd64`, `arm64`."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def distribution() -> str:
    """This machine's distribution, for people: `Debian GNU/Linux 12 (bookworm)`."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"


def static_busybox() -> Path | None:
    """A statically linked busybox on PATH (Debian's busybox-static), or None."""
    found = shutil.which("busybox")
    if found is None:
        return None
    path = Path(found).resolve()
    return path if is_program(path) and not closure([path]) else None


def certificates() -> Path | None:
    """The certificate authorities that this machine trusts, in one file, or None."""
    named = [os.environ.get(name) for name in _CERTIFICATE_VARIABLES]
    places = [*named, ssl.get_default_verify_paths().cafile, *_CERTIFICATE_PLACES]
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


def add_system(tree: Tree, stand_in_for: str) -> None:
    """The directories and the files below /etc that every image has; its os-release says what it is."""
    for path in (
        "/dev",
        "/home",
        "/proc",
        "/sys",
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/var/lib",
        "/var/log",
    ):
        tree.directory(path)
    tree.directory("/root", 0o700)
    tree.directory("/tmp", 0o1777)
    tree.directory("/var/tmp", 0o1777)
    tree.link("/bin", "usr/bin")
    tree.link("/sbin", "usr/sbin")
    tree.directory("/run")
    tree.link("/var/run", "/run")
    tree.file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n")
    tree.file("/etc/group", b"root:x:0:\ntty:x:5:\nnogroup:x:65534:\n")
    tree.file("/etc/shells", b"/bin/sh\n")
    tree.file("/etc/login.defs", _ACCOUNTS)
    tree.file("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    tree.file("/etc/os-release", os_release(stand_in_for))


def os_release(stand_in_for: str) -> bytes:
    """What the image says it is."""
    lines = ['NAME="dockerlab stand-in"', "ID=dockerlab-stand-in", f'PRETTY_NAME="dockerlab stand-in for {stand_in_for}"']
    return "\n".join([*lines, ""]).encode()


def add_commands(tree: Tree) -> int:
    """The shell and the usual commands of this machine, with the libraries that they need. Gives how many there are."""
    programs: dict[str, Path] = {}
    for name in _COMMANDS.split():
        found = shutil.which(name, path=f"{os.environ.get('PATH', PATH)}:{PATH}")
        if found and is_program(Path(found)):
            programs[name] = Path(found).resolve()
    if "sh" not in programs:
        raise DockerlabError("no stand-in can be made: this machine has no `sh` that is a program")
    for name, path in programs.items():
        # A command that is a link to a program with another name (sh to dash) stays a link.
        tree.file(f"/usr/bin/{path.name}", path, 0o755)
        if name != path.name:
            tree.link(f"/usr/bin/{name}", path.name)
    add_libraries(tree, programs.values())
    return len(programs)


def labels(stand_in_for: str, holds: str) -> dict[str, str]:
    """The labels that tell a stand-in from the real image. An image built on it inherits them: the name tells those apart."""
    return {"dockerlab.stand-in": "true", "dockerlab.stand-in.for": stand_in_for, "dockerlab.stand-in.holds": holds}
