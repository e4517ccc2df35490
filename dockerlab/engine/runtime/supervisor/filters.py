"""The seccomp filter of a supervised container: which calls the supervisor answers, which it changes, which are refused. Pure.

A call that is not named is the kernel's own business. Calls of a foreign instruction set, and those that are newer than this file and
could name a path, do not exist (ENOSYS): the C library falls back.
"""

from __future__ import annotations

import errno
import struct

from dockerlab.engine.runtime.bpf import ALLOW, ERRNO, TRACE, USER_NOTIF
from dockerlab.engine.runtime.supervisor.machine import Machine

O_PATH = 0o10000000


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Answered by the supervisor, the frequent ones first.
ANSWERED = _names(
    "openat newfstatat fstat stat lstat open statx readlink access faccessat faccessat2 readlinkat getcwd creat "
    "getuid geteuid getgid getegid umask unlink unlinkat mkdir mkdirat rmdir rename renameat renameat2 link linkat symlink symlinkat "
    "mknod mknodat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat truncate utime utimes futimesat utimensat statfs "
    "setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr "
    "setuid setgid setreuid setregid setresuid setresgid getresuid getresgid getgroups setgroups setfsuid setfsgid capget capset "
    "uname sethostname setdomainname kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open process_vm_readv process_vm_writev "
    "setpriority ioprio_set"
)

# Answered where they are about another process than the caller: their first argument is not 0.
ABOUT_OTHERS = _names("prlimit64 sched_setaffinity sched_setscheduler sched_setparam sched_setattr migrate_pages move_pages")

# Answered where there are tasks enough; clone only with flags that are not refused.
FORKS = _names("clone fork vfork")

# Done by the kernel, with other arguments.
TRACED = _names("execve execveat chdir bind connect getsockname getpeername inotify_add_watch")

_FORBIDDEN = _names(
    "mount umount2 pivot_root chroot unshare setns ptrace swapon swapoff reboot iopl ioperm init_module finit_module delete_module "
    "kexec_load kexec_file_load acct settimeofday clock_settime syslog bpf perf_event_open kcmp quotactl quotactl_fd open_by_handle_at "
    "name_to_handle_at userfaultfd pidfd_getfd fanotify_mark uselib ustat add_key request_key keyctl"
)
# Without clone3, glibc uses clone, whose flags a filter can read.
_ABSENT = _names(
    "clone3 openat2 io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr"
)
REFUSED = {**dict.fromkeys(_FORBIDDEN, errno.EPERM), **dict.fromkeys(_ABSENT, errno.ENOSYS)}

_NEWEST_KNOWN = 452
_HARMLESS_NEWER = (453, 454, 455, 456, 462)  # map_shadow_stack, futex_*, mseal
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; and CLONE_UNTRACED: who is not traced outlives the supervisor.
_CLONE_REFUSED = 0x7E020000 | 0x00800000
# What can be done to a file that is open for reading only, as those of images are. FS_IOC_SETFLAGS, its 32-bit form, FSSETXATTR,
# ENABLE_VERITY, SET_ENCRYPTION_POLICY, EXT4_IOC_SETVERSION; F_SETLEASE, which keeps others from opening.
_IOCTLS_REFUSED = (0x40086602, 0x40046602, 0x401C5820, 0x40806685, 0x800C6613, 0x40086604)
_FCNTLS_REFUSED = (1024,)
_PRCTL_DUMPABLE, _PRCTL_CAPBSET_DROP, _PRCTL_SECUREBITS, _PRCTL_AMBIENT = 4, 24, 28, 47

_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16


def program(machine: Machine) -> bytes:
    """The filter as classic BPF, for `kernel.seccomp`."""
    numbers = machine.numbers
    lines = [_line(_LOAD, _ARCHITECTURE), _line(_EQUAL, machine.audit, 1, 0), _refuse(errno.ENOSYS), _line(_LOAD, _NUMBER)]
    # An open of a path only (O_PATH) cannot be handed over: the process makes it itself.
    for name, flags in (("openat", 2), ("open", 1)):
        if name in numbers:
            lines += _block(
                numbers[name], _argument(flags), _line(_ANY_BIT, O_PATH, 0, 1), _line(_RETURN, TRACE), _line(_RETURN, USER_NOTIF)
            )
    for name in ANSWERED:
        if name in numbers and name not in ("open", "openat"):
            lines += _block(numbers[name], _line(_RETURN, USER_NOTIF))
    for name in ABOUT_OTHERS:
        lines += _block(numbers[name], _argument(0), _line(_EQUAL, 0, 0, 1), _line(_RETURN, ALLOW), _line(_RETURN, USER_NOTIF))
    for name in TRACED:
        lines += _block(numbers[name], _line(_RETURN, TRACE))
    for name, number in REFUSED.items():
        if name in numbers:
            lines += _block(numbers[name], _refuse(number))
    lines += _block(
        numbers["clone"], _argument(0), _line(_ANY_BIT, _CLONE_REFUSED, 0, 1), _refuse(errno.EPERM), _line(_RETURN, USER_NOTIF)
    )
    for name in FORKS:
        if name in numbers and name != "clone":
            lines += _block(numbers[name], _line(_RETURN, USER_NOTIF))
    # With an address, both halves of whose pointer are not null.
    address = (_argument(4), _line(_EQUAL, 0, 0, 2), _argument(4, high=True), _line(_EQUAL, 0, 1, 0), _line(_RETURN, TRACE))
    lines += _block(numbers["sendto"], *address, _line(_RETURN, ALLOW))
    # A process that is not dumpable could not be read any more; capabilities there are none. Both succeed without being done.
    options = (_PRCTL_DUMPABLE, _PRCTL_CAPBSET_DROP, _PRCTL_SECUREBITS, _PRCTL_AMBIENT)
    for name, index, values, answer in (
        ("prctl", 0, options, 0),
        ("ioctl", 1, _IOCTLS_REFUSED, errno.EOPNOTSUPP),
        ("fcntl", 1, _FCNTLS_REFUSED, errno.EINVAL),
    ):
        tests = [_line(_EQUAL, value, len(values) - place, 0) for place, value in enumerate(values)]
        lines += _block(numbers[name], _argument(index), *tests, _line(_RETURN, ALLOW), _refuse(answer))
    for number in _HARMLESS_NEWER:
        lines += _block(number, _line(_RETURN, ALLOW))
    return b"".join([*lines, _line(_GREATER, _NEWEST_KNOWN, 0, 1), _refuse(errno.ENOSYS), _line(_RETURN, ALLOW)])


def _block(number: int, *body: bytes) -> list[bytes]:
    return [_line(_EQUAL, number, 0, len(body)), *body]


def _argument(index: int, *, high: bool = False) -> bytes:
    return _line(_LOAD, _ARGUMENTS + 8 * index + (4 if high else 0))


def _refuse(number: int) -> bytes:
    return _line(_RETURN, ERRNO | number)


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
