"""A container's mount namespace: its layers as one overlay, what it binds, /proc, /sys and /dev. Runs in the container's first process.

Order matters: the root is pivoted first, so that every path of the container, symbolic links and all, resolves inside it and no image
can point a mount or a new directory at the host. The old root stays reachable by its file descriptor alone, as the working directory
that sources are relative to, and is detached in the end.

Everything is `nodev` but the few devices that are bound from the host: as root, a device node that an image brings, or that a container
makes, opens nothing. Layout of /dev and the masked paths: the OCI runtime specification, `config-linux.md`, and Docker's defaults.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from dockerlab.engine.rootfs import Root
from dockerlab.engine.runtime import kernel
from dockerlab.engine.runtime.kernel import (
    CLONE_NEWNS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
)
from dockerlab.engine.runtime.plan import Mount, Plan

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
_MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/proc/acpi")
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
# What may be mounted below /proc, as with Docker. Anything else would hide what is read there while a container is made, or be it.
OF_PROC = (
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "net/dev",
    "sys/kernel/ns_last_pid",
)
_PAGE = 4096
# statvfs(3) names them otherwise than mount(2): flags that a user namespace may not take away when it mounts again.
_KEPT = {os.ST_NOSUID: MS_NOSUID, os.ST_NODEV: MS_NODEV, os.ST_NOEXEC: MS_NOEXEC, os.ST_NOATIME: 1024, os.ST_NODIRATIME: 2048,
         os.ST_RELATIME: kernel.MS_RELATIME, os.ST_RDONLY: MS_RDONLY}  # fmt: skip


def build(plan: Plan, *, is_root: bool, own_pids: bool) -> None:
    """Moves this process into a mount namespace of its own with the container's files at `/`. Raises OSError."""
    # Resolved while the host's links still lead to the host's files.
    mounts = [(mount, os.path.realpath(mount.source)) for mount in _by_depth(plan.mounts)]
    kernel.unshare(CLONE_NEWNS)
    kernel.mount("", "/", flags=MS_REC | MS_PRIVATE)
    old = os.open("/", os.O_PATH | os.O_DIRECTORY)
    os.umask(0o022)
    _mount_root(plan.root)
    kernel.pivot_root(".", ".")
    os.fchdir(old)
    _mount_proc(is_root=is_root, own_pids=own_pids)
    _mount_sys(is_root=is_root)
    _mount_dev(plan.shm_size)
    for mount, source in mounts:
        _mount_one(mount, source)
    if plan.readonly:
        remount_readonly("/")
    if is_root:
        _mask()
    kernel.umount(".")
    os.close(old)
    os.chdir("/")
    # What lies over a root is found at `/..`: there must be nothing.
    if not os.path.samestat(os.stat("/.."), os.stat("/")):
        raise OSError("something is mounted over the container's root")


def overlay_options(root: Root) -> tuple[str, str]:
    """The directory to be in, and the mount options with paths relative to it. Raises OSError where they are too long.

    Without an index, which some kernels have by default: it would refuse a restart whose predecessor's mount is just being taken down.
    """
    base = os.path.commonpath([*root.lowers, root.upper, root.work])
    lowers = ":".join(_escaped(os.path.relpath(lower, base)) for lower in root.lowers)
    upper, work = (_escaped(os.path.relpath(path, base)) for path in (root.upper, root.work))
    options = f"lowerdir={lowers},upperdir={upper},workdir={work},userxattr,index=off"
    if len(os.fsencode(options)) >= _PAGE:
        raise OSError(f"an image of {len(root.lowers)} layers is more than one overlay mount takes")
    return base, options


def remount_readonly(target: str) -> None:
    """Makes the mount at `target` read-only in this namespace."""
    flags = os.statvfs(target).f_flag
    kept = sum(flag for bit, flag in _KEPT.items() if flags & bit)
    kernel.mount("", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _by_depth(mounts: Sequence[Mount]) -> list[Mount]:
    """What is mounted over something else comes later."""
    return sorted(mounts, key=lambda mount: os.path.normpath(mount.target).count("/") if mount.target != "/" else 0)


def _mount_root(root: Root) -> None:
    """Mounts the overlay and goes there."""
    base, options = overlay_options(root)
    os.chdir(base)
    # On top of its own working directory, which nobody else looks into: it needs no directory more.
    kernel.mount("overlay", root.work, "overlay", MS_NODEV, options)
    os.chdir(root.work)


def _mount_proc(*, is_root: bool, own_pids: bool) -> None:
    _make("/proc")
    if own_pids:
        kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    else:
        kernel.mount("proc", "/proc", flags=MS_BIND | (0 if is_root else MS_REC))


def _mount_sys(*, is_root: bool) -> None:
    _make("/sys")
    # Without what is mounted below it, where that is allowed: root must not find the host's cgroups there.
    kernel.mount("sys", "/sys", flags=MS_BIND | (0 if is_root else MS_REC))
    remount_readonly("/sys")


def _mount_dev(shm_size: int) -> None:
    _make("/dev")
    kernel.mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=65536k")
    for name in DEVICES:
        if os.path.exists(f"dev/{name}"):
            _touch(f"/dev/{name}")
            kernel.mount(f"dev/{name}", f"/dev/{name}", flags=MS_BIND)
    for name, target in _LINKS.items():
        os.symlink(target, f"/dev/{name}")
    os.mkdir("/dev/pts", 0o755)
    kernel.mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", "/dev/ptmx")
    os.mkdir("/dev/shm", 0o1777)
    kernel.mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"mode=1777,size={shm_size}")
    os.mkdir("/dev/mqueue", 0o1777)
    with suppress(OSError):  # a kernel without POSIX message queues, or another IPC namespace's
        kernel.mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def checked(target: str, real: str) -> str:
    """A mount's target, once the image's links are followed. Raises OSError where nothing may be mounted.

    What is mounted at `/` would lie over the old root, which would then stay, and be found at `/..`: the host's files.
    """
    if real == "/":
        raise OSError(f"mount destination {target} leads to /, where nothing can be mounted")
    if len(os.fsencode(real)) >= _PAGE:
        raise OSError(f"mount destination {target[:200]}…: file name too long")
    below = os.path.relpath(real, "/proc")
    if below.split("/")[0] != ".." and below not in OF_PROC:
        raise OSError(f"mount destination {target}: {real} cannot be mounted because it is inside /proc")
    return real


def _mount_one(mount: Mount, source: str) -> None:
    target = checked(mount.target, os.path.realpath(mount.target))
    if mount.kind == "tmpfs":
        _make(target)
        options = {"mode": "1777"} | dict(mount.options)
        flags = MS_NOSUID | MS_NODEV | (0 if "exec" in options else MS_NOEXEC) | (MS_RDONLY if mount.readonly else 0)
        data = ",".join(f"{name}={value}" for name, value in options.items() if name in ("size", "mode"))
        kernel.mount("tmpfs", target, "tmpfs", flags, data)
        return
    relative = source.lstrip("/") or "."
    if os.path.isdir(relative):
        _make(target)
    elif not os.path.lexists(target):
        _make(os.path.dirname(target))
        _touch(target)
    kernel.mount(relative, target, flags=MS_BIND | MS_REC)
    if mount.readonly:
        remount_readonly(target)


def _mask() -> None:
    for path in _READONLY:
        if os.path.exists(path):
            kernel.mount(path, path, flags=MS_BIND | MS_REC)
            remount_readonly(path)
    for path in _MASKED:
        if os.path.isdir(path):
            kernel.mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        elif os.path.exists(path):
            kernel.mount("/dev/null", path, flags=MS_BIND)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o644))


def _make(path: str) -> None:
    """A directory to be mounted on, with those above it; what is there already stays as it is."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for one in reversed(missing):
        os.mkdir(one, 0o755)
