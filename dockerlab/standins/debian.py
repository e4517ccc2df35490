"""The stand-in for `debian`: the essential packages of this machine's Debian, apt, and all that they need, with dpkg's records of them.

So `apt-get install` goes on from there, as in the official image. Left out is what that image's slim variant leaves out: manuals,
documentation (licences are kept) and translations. Of /etc only what these packages own is taken. The users are Debian's own, and the
package source is Debian's, whichever mirror this machine uses.
"""

from __future__ import annotations

import os
import platform
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from dockerlab.errors import DockerlabError
from dockerlab.standins import machine, packages
from dockerlab.standins.archives import Layer, Recipe
from dockerlab.standins.packages import Package
from dockerlab.standins.tree import Tree

NAME = "debian:latest"

_BESIDES = ("apt", "ca-certificates", "mawk")
_LEFT_OUT = re.compile(r"/usr/share/(?:man|info|groff|lintian|linda|locale|doc-base|bug)(?:/|$)|/usr/share/doc/.*(?<!/copyright)$")
_ALTERNATIVES = Path("/etc/alternatives")
_MASTERS = Path("/usr/share/base-passwd")
_APT_USER = "_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\n"
_TEMPLATES = Path("/usr/share/pam")
# What libpam-runtime puts into its templates of /etc/pam.d/common-*, as it is installed: passwords, and nothing else.
_LOGINS = {
    ("auth", "primary"): "auth\t[success=1 default=ignore]\tpam_unix.so nullok",
    ("account", "primary"): "account\t[success=1 new_authtok_reqd=done default=ignore]\tpam_unix.so",
    ("password", "primary"): "password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt",
    ("session", "primary"): "session\t[default=1]\t\t\tpam_permit.so",
    ("session", "additional"): "session\trequired\tpam_unix.so",
}
_SOURCES = """\
deb http://deb.debian.org/debian {codename} main
deb http://deb.debian.org/debian {codename}-updates main
deb http://deb.debian.org/debian-security {codename}-security main
"""


def is_possible() -> bool:
    """Whether this machine is a Debian."""
    return _os_release().get("ID") == "debian" and (packages.DATABASE / "status").is_file()


def recipe() -> Recipe:
    """Raises DockerlabError where this machine is no Debian."""
    if not is_possible():
        raise DockerlabError(
            f"no stand-in for debian can be made: this machine runs {machine.distribution()}",
            hint="Pull the real image (`%image pull debian`), or use the stand-in for busybox.",
        )
    there = packages.installed()
    chosen = packages.closure(there, [*(name for name, package in there.items() if package.is_essential), *_BESIDES])
    tree = Tree()
    for path in ("/boot", "/dev", "/home", "/media", "/mnt", "/opt", "/proc", "/run", "/srv", "/sys", "/usr/local/bin"):
        tree.directory(path)
    tree.directory("/root", 0o700)
    tree.directory("/tmp", 0o1777)
    for package in chosen.values():
        _add_files(tree, package)
    _add_links(tree)
    _add_records(tree, chosen)
    _add_system(tree)
    holds = f"{len(chosen)} packages of {machine.distribution()}, apt among them"
    return Recipe(
        name=NAME,
        architecture=machine.architecture(),
        env={"PATH": machine.PATH},
        command=("bash",),
        labels=machine.labels("debian", holds),
        steps=(Layer(tree, f"dockerlab stand-in: {holds}"), 'CMD ["bash"]'),
    )


def _add_files(tree: Tree, package: Package) -> None:
    for listed in packages.files(package):
        path = packages.merged(listed)
        if _LEFT_OUT.match(path):
            continue
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue  # this machine is a slim one, or the package's files are not ours to see
        if stat.S_ISLNK(mode):
            tree.link(path, os.readlink(path))
        elif stat.S_ISDIR(mode):
            tree.directory(path, stat.S_IMODE(mode))
        elif stat.S_ISREG(mode) and os.access(path, os.R_OK):
            tree.file(path, Path(path), stat.S_IMODE(mode))


def _add_links(tree: Tree) -> None:
    """The links that are made when packages are installed, and that no package owns: /bin, and the alternatives."""
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        top = Path("/", name)
        if top.is_symlink() and Path(os.readlink(top).strip("/")).as_posix() in tree.entries:
            tree.link(f"/{name}", os.readlink(top))
    for alternative in sorted(_ALTERNATIVES.iterdir()) if _ALTERNATIVES.is_dir() else []:
        if alternative.is_symlink() and packages.merged(os.readlink(alternative)) in tree:
            tree.link(str(alternative), os.readlink(alternative))
            for folder in ("/usr/bin", "/usr/sbin"):
                link = Path(folder, alternative.name)
                if link.is_symlink() and os.readlink(link) == str(alternative):
                    tree.link(str(link), str(alternative))


def _add_records(tree: Tree, chosen: Mapping[str, Package]) -> None:
    status = "\n\n".join(package.stanza for package in chosen.values())
    tree.file("/var/lib/dpkg/status", f"{status}\n\n".encode())
    tree.file("/var/lib/dpkg/available", b"")
    for package in chosen.values():
        for record in packages.records(package):
            tree.copy(f"/var/lib/dpkg/info/{record.name}", record)
    for name in ("alternatives", "parts", "triggers", "updates"):
        tree.directory(f"/var/lib/dpkg/{name}")
    tree.file("/var/lib/dpkg/info/format", b"1\n")


def _add_system(tree: Tree) -> None:
    users = (_MASTERS / "passwd.master").read_text(encoding="utf-8").replace(":*:", ":x:")
    groups = (_MASTERS / "group.master").read_text(encoding="utf-8").replace(":*:", ":x:")
    users += "" if "_apt:" in users else _APT_USER
    tree.file("/etc/passwd", users.encode())
    tree.file("/etc/group", groups.encode())
    # Nobody has a password. The days count from 1970; 10957 is the tree's own time.
    tree.file("/etc/shadow", "".join(f"{_first(line)}:*:10957:0:99999:7:::\n" for line in users.splitlines()).encode(), 0o640)
    tree.file("/etc/gshadow", "".join(f"{_first(line)}:*::\n" for line in groups.splitlines()).encode(), 0o640)
    tree.file("/etc/apt/sources.list", _SOURCES.format(codename=_os_release().get("VERSION_CODENAME", "stable")).encode())
    tree.file("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n")
    for template in _TEMPLATES.glob("common-*[!s]"):
        text = template.read_text(encoding="utf-8")
        done = re.sub(r"^\$([a-z]+)\w*_([a-z]+)$", lambda found: _LOGINS.get((found[1], found[2]), ""), text, flags=re.MULTILINE)
        tree.file(f"/etc/pam.d/{template.name}", done.encode())
    bundle = machine.certificates()
    if bundle:
        tree.file(machine.CERTIFICATES, bundle.resolve())
        tree.file("/etc/ca-certificates.conf", b"# Nothing is added to the bundle that is there.\n")
    tree.link("/var/run", "/run")
    tree.link("/etc/os-release", "../usr/lib/os-release")
    tree.file("/usr/lib/os-release", machine.os_release("debian"))


def _first(line: str) -> str:
    return line.partition(":")[0]


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
