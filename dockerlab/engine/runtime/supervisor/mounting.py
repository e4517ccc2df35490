"""What is shown in a container besides its tree: /proc, /sys, a small /dev, and what the plan binds."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress

from dockerlab.engine.rootfs import recorded
from dockerlab.engine.rootfs.mount_points import MOUNT_POINT
from dockerlab.engine.runtime.mounts import DEVICES, checked
from dockerlab.engine.runtime.plan import Mount, Plan
from dockerlab.engine.runtime.supervisor.answers import error
from dockerlab.engine.runtime.supervisor.folders import Area, Folder
from dockerlab.engine.runtime.supervisor.members import Member, Members
from dockerlab.engine.runtime.supervisor.view import View

_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
_STANDARD = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})


def build(view: View, plan: Plan, me: Member, scratch: bytes) -> None:
    """Mounts everything; mount points that are not there are made. scratch: for what has no source. Raises OSError."""
    _Builder(view, me, scratch).build(plan)


class _Builder:
    def __init__(self, view: View, me: Member, scratch: bytes) -> None:
        self._view, self._me, self._scratch = view, me, scratch

    def build(self, plan: Plan) -> None:
        self._mount(b"/proc", b"/proc", kind="proc", ours=True)
        self._mount(b"/sys", b"/sys", kind="sys", readonly=True, ours=True)
        self._dev()
        self._mount(b"/.dockerenv", self._empty_file(b"dockerenv"), is_file=True, ours=True)
        for number, mount in enumerate(sorted(plan.mounts, key=lambda mount: mount.target.rstrip("/").count("/"))):
            target, source = os.fsencode(os.path.normpath(mount.target)), os.path.realpath(mount.source)
            if mount.kind == "tmpfs":
                source = os.fsdecode(self._empty(b"tmpfs-%d" % number, mount))
            is_file = not os.path.isdir(source)
            try:
                self._mount(target, os.fsencode(source), readonly=mount.readonly, is_file=is_file, ours=mount.target in _STANDARD)
            except OSError as failure:
                if not failure.errno:
                    raise
                raise OSError(f"mount destination {mount.target}: {os.strerror(failure.errno).lower()}") from failure
            except RecursionError as failure:
                raise OSError(f"mount destination {mount.target[:200]}…: file name too long") from failure
        if plan.readonly:
            self._view.seal()

    def _empty(self, name: bytes, mount: Mount | None = None) -> bytes:
        host = self._scratch + b"/" + name
        with suppress(FileExistsError):
            os.mkdir(host, 0o700)
        mode = int(mount.options.get("mode") or "1777", 8) if mount else 0o1777
        recorded.write(host, recorded.Recorded(0, 0, mode & 0o7777), is_directory=True)
        return host

    def _empty_file(self, name: bytes) -> bytes:
        host = self._scratch + b"/" + name
        os.close(os.open(host, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o755))
        return host

    def _dev(self) -> None:
        devices = [os.fsencode(name) for name in (*DEVICES, "ptmx") if os.path.exists("/dev/" + name)]
        self._mount(b"/dev", self._scratch + b"/dev", ours=True, make=lambda: self._fill_dev(devices))
        dev = self._view.folder(b"/dev", self._me)
        for name in devices:
            # In a container, which a pod is, /dev/ptmx is a link to pts/ptmx.
            self._view.mount(dev, name, os.path.realpath(b"/dev/" + name), is_file=True)
        if os.path.isdir("/dev/pts"):
            self._view.mount(dev, b"pts", b"/dev/pts")
        self._view.mount(dev, b"shm", self._scratch + b"/shm", make=lambda: self._empty(b"shm"))

    def _fill_dev(self, devices: list[bytes]) -> None:
        """What /dev shows besides what is mounted there, and the mount points for when it is listed."""
        host = self._empty(b"dev")
        recorded.write(host, recorded.Recorded(0, 0, 0o755), is_directory=True)
        for name in devices:
            os.close(os.open(host + b"/" + name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        for name in (b"pts", b"shm", b"mqueue"):
            with suppress(FileExistsError):
                os.mkdir(host + b"/" + name, 0o700)
        for link, target in _LINKS.items():
            with suppress(FileExistsError):
                os.symlink(target, host + b"/" + os.fsencode(link))

    def _mount(
        self, target: bytes, source: bytes, *, kind: str = "bind", readonly: bool = False, is_file: bool = False, ours: bool = False,
        make: Callable[[], object] | None = None,
    ) -> None:  # fmt: skip
        folder, name = self._point(target, is_file, ours)
        if not ours:
            checked(os.fsdecode(target), os.fsdecode(folder.guest + b"/" + name))
        self._view.mount(folder, name, source, kind=kind, readonly=readonly, is_file=is_file, make=make)

    def _point(self, target: bytes, is_file: bool, ours: bool) -> tuple[Folder, bytes]:
        """The directory that a mount point is in, and its name there; made if need be."""
        head = target.rpartition(b"/")[0]
        if head:
            self._folder(head, ours)
        folder, name, _, found = self._view.locate(target, self._me)
        if found is None:
            self._view.own(folder, self._me)
            host = folder.host + name
            if is_file:
                os.close(os.open(host, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            else:
                os.mkdir(host, 0o755)
            if ours:
                os.setxattr(host, MOUNT_POINT, b"1")
            return folder, name
        if stat.S_ISDIR(found.st_mode) == is_file and not stat.S_ISCHR(found.st_mode):
            raise error(errno.ENOTDIR if stat.S_ISREG(found.st_mode) else errno.EISDIR)
        if name:
            return folder, name
        head, _, name = folder.guest.rpartition(b"/")
        if not name:
            checked(os.fsdecode(target), "/")
        return self._view.folder(head, self._me), name

    def _folder(self, path: bytes, ours: bool) -> None:
        try:
            self._view.folder(path, self._me)
        except FileNotFoundError:
            folder, name = self._point(path, False, ours)
            if not os.path.isdir(folder.host + name):
                raise


def made_up(view: View, members: Members, hostname: Callable[[], bytes]) -> Mapping[bytes, Callable[[bytes], bytes]]:
    """Files of /proc whose true content would be the host's: by name, or by path."""
    return {
        b"mounts": lambda host: _mounts(view),
        b"mountinfo": lambda host: _mountinfo(view),
        b"status": lambda host: _status(members, host),
        b"/proc/sys/kernel/hostname": lambda host: hostname() + b"\n",
    }


class Processes:
    """What stands for /proc when it is listed: a directory with the container's processes, besides what else is there."""

    def __init__(self, host: bytes, members: Members) -> None:
        self._host, self._members = host, members
        self._ready = False

    def update(self) -> bytes:
        """Where it is, up to date."""
        if not self._ready:
            self._make()
            self._ready = True
        wanted = {b"%d" % pid for pid in self._members.pids()}
        listed = {name for name in os.listdir(self._host) if name.isdigit()}
        for name in wanted - listed:
            os.mkdir(self._host + b"/" + name)
        for name in listed - wanted:
            os.rmdir(self._host + b"/" + name)
        return self._host

    def _make(self) -> None:
        with suppress(FileExistsError):
            os.mkdir(self._host, 0o755)
        for entry in os.scandir(b"/proc"):
            host = self._host + b"/" + entry.name
            with suppress(FileExistsError):
                if entry.is_symlink():
                    os.symlink(b"-", host)  # only its name and kind are seen
                elif not entry.is_dir():
                    os.close(os.open(host, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                elif not entry.name.isdigit():
                    os.mkdir(host)


def _status(members: Members, host: bytes) -> bytes:
    """/proc/PID/status with who the process pretends to be."""
    with open(host, "rb") as file:
        lines = file.read().split(b"\n")
    member = members.of(int(host.split(b"/")[2]))
    if member is None:
        return b"\n".join(lines)
    identity = member.identity
    said = {
        b"Uid": b"\t".join(b"%d" % uid for uid in identity.uids),
        b"Gid": b"\t".join(b"%d" % gid for gid in identity.gids),
        b"Groups": b" ".join(b"%d" % gid for gid in identity.groups) + b" ",
        b"Umask": b"%04o" % member.umask,
        b"TracerPid": b"0",
    }
    names = [line.partition(b":")[0] for line in lines]
    return b"\n".join(name + b":\t" + said[name] if name in said else line for name, line in zip(names, lines, strict=True))


def _shown(view: View) -> list[tuple[bytes, bytes, bytes]]:
    """device, mount point, type."""
    kinds = {"proc": (b"proc", b"proc"), "sys": (b"sysfs", b"sysfs")}
    rows = [(b"overlay", b"/", b"overlay")]
    for area in view.mounts():
        device, kind = kinds.get(area.kind, (b"/dev/dockerlab", b"ext4"))
        if not area.host.startswith(b"/dev/") or area.guest == b"/dev/pts":
            rows.append((device, area.guest.replace(b" ", b"\\040"), b"devpts" if area.guest == b"/dev/pts" else kind))
    return rows


def _options(view: View, guest: bytes) -> bytes:
    areas: dict[bytes, Area] = {area.guest or b"/": area for area in view.mounts()}
    area = areas.get(guest)
    readonly = area.readonly if area else view.is_sealed
    return b"ro,nosuid,nodev" if readonly else b"rw,nosuid,nodev"


def _mounts(view: View) -> bytes:
    return b"".join(b"%s %s %s %s 0 0\n" % (device, guest, kind, _options(view, guest)) for device, guest, kind in _shown(view))


def _mountinfo(view: View) -> bytes:
    lines = []
    for number, (device, guest, kind) in enumerate(_shown(view)):
        parent = 100 if number else 1
        lines.append(
            b"%d %d 0:%d / %s %s - %s %s rw\n" % (100 + number, parent, 50 + number, guest, _options(view, guest), kind, device)
        )
    return b"".join(lines)
