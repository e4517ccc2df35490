"""What differs between x86-64 and arm64: numbers of system calls, registers, struct stat. Pure.

linux: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h; struct user_regs_struct, struct user_pt_regs.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_X86 = (
    "open 2 stat 4 fstat 5 lstat 6 ioctl 16 access 21 connect 42 sendto 44 bind 49 getsockname 51 getpeername 52 clone 56 fork 57 "
    "vfork 58 execve 59 kill 62 uname 63 fcntl 72 truncate 76 getcwd 79 chdir 80 rename 82 mkdir 83 rmdir 84 creat 85 link 86 unlink 87 "
    "symlink 88 readlink 89 chmod 90 fchmod 91 chown 92 fchown 93 lchown 94 umask 95 ptrace 101 getuid 102 syslog 103 getgid 104 "
    "setuid 105 setgid 106 geteuid 107 getegid 108 setreuid 113 setregid 114 getgroups 115 setgroups 116 setresuid 117 "
    "getresuid 118 setresgid 119 getresgid 120 setfsuid 122 setfsgid 123 capget 125 capset 126 rt_sigqueueinfo 129 utime 132 "
    "mknod 133 uselib 134 ustat 136 statfs 137 fstatfs 138 setpriority 141 sched_setparam 142 sched_setscheduler 144 "
    "pivot_root 155 prctl 157 chroot 161 acct 163 settimeofday 164 mount 165 umount2 166 swapon 167 swapoff 168 reboot 169 "
    "sethostname 170 setdomainname 171 iopl 172 ioperm 173 init_module 175 delete_module 176 quotactl 179 setxattr 188 "
    "lsetxattr 189 fsetxattr 190 getxattr 191 lgetxattr 192 fgetxattr 193 listxattr 194 llistxattr 195 flistxattr 196 "
    "removexattr 197 lremovexattr 198 fremovexattr 199 tkill 200 sched_setaffinity 203 clock_settime 227 tgkill 234 utimes 235 "
    "kexec_load 246 add_key 248 request_key 249 keyctl 250 ioprio_set 251 inotify_add_watch 254 migrate_pages 256 openat 257 "
    "mkdirat 258 mknodat 259 fchownat 260 futimesat 261 newfstatat 262 unlinkat 263 renameat 264 linkat 265 symlinkat 266 "
    "readlinkat 267 fchmodat 268 faccessat 269 unshare 272 move_pages 279 utimensat 280 rt_tgsigqueueinfo 297 perf_event_open 298 "
    "fanotify_mark 301 prlimit64 302 name_to_handle_at 303 open_by_handle_at 304 setns 308 process_vm_readv 310 "
    "process_vm_writev 311 kcmp 312 finit_module 313 sched_setattr 314 renameat2 316 seccomp 317 kexec_file_load 320 bpf 321 "
    "execveat 322 userfaultfd 323 statx 332"
)
_ARM = (
    "setxattr 5 lsetxattr 6 fsetxattr 7 getxattr 8 lgetxattr 9 fgetxattr 10 listxattr 11 llistxattr 12 flistxattr 13 "
    "removexattr 14 lremovexattr 15 fremovexattr 16 getcwd 17 fcntl 25 inotify_add_watch 27 ioctl 29 ioprio_set 30 mknodat 33 "
    "mkdirat 34 unlinkat 35 symlinkat 36 linkat 37 renameat 38 umount2 39 mount 40 pivot_root 41 statfs 43 fstatfs 44 truncate 45 "
    "faccessat 48 chdir 49 chroot 51 fchmod 52 fchmodat 53 fchownat 54 fchown 55 openat 56 quotactl 60 readlinkat 78 "
    "newfstatat 79 fstat 80 utimensat 88 acct 89 capget 90 capset 91 unshare 97 kexec_load 104 init_module 105 delete_module 106 "
    "clock_settime 112 syslog 116 ptrace 117 sched_setparam 118 sched_setscheduler 119 sched_setaffinity 122 kill 129 tkill 130 "
    "tgkill 131 rt_sigqueueinfo 138 setpriority 140 reboot 142 setregid 143 setgid 144 setreuid 145 setuid 146 setresuid 147 "
    "getresuid 148 setresgid 149 getresgid 150 setfsuid 151 setfsgid 152 getgroups 158 setgroups 159 uname 160 sethostname 161 "
    "setdomainname 162 umask 166 prctl 167 settimeofday 170 getuid 174 geteuid 175 getgid 176 getegid 177 bind 200 connect 203 "
    "getsockname 204 getpeername 205 sendto 206 add_key 217 request_key 218 keyctl 219 clone 220 execve 221 swapon 224 "
    "swapoff 225 migrate_pages 238 move_pages 239 rt_tgsigqueueinfo 240 perf_event_open 241 prlimit64 261 fanotify_mark 263 "
    "name_to_handle_at 264 open_by_handle_at 265 setns 268 process_vm_readv 270 process_vm_writev 271 kcmp 272 finit_module 273 "
    "sched_setattr 274 renameat2 276 seccomp 277 bpf 280 execveat 281 userfaultfd 282 statx 291 kexec_file_load 294"
)
_BOTH = (
    "pidfd_send_signal 424 io_uring_setup 425 io_uring_enter 426 io_uring_register 427 open_tree 428 move_mount 429 fsopen 430 "
    "fsconfig 431 fsmount 432 fspick 433 pidfd_open 434 clone3 435 openat2 437 pidfd_getfd 438 faccessat2 439 mount_setattr 442 "
    "quotactl_fd 443 fchmodat2 452"
)


@dataclass(frozen=True)
class Machine:
    """An architecture.

    numbers: of system calls. registers: how many 64-bit ones PTRACE_GETREGSET gives; then the indexes of the call's number, its
    result, the stack pointer, and its six arguments. number_apart: the call's number is changed through a register set of its own.
    stat: struct stat's layout, in the order of `stat_fields`. elf: e_machine. audit: the AUDIT_ARCH of seccomp_data.
    """

    name: str
    audit: int
    elf: int
    numbers: Mapping[str, int]
    registers: int
    number: int
    result: int
    stack: int
    arguments: tuple[int, ...]
    number_apart: bool
    stat: struct.Struct
    wide_links: bool


def _table(*texts: str) -> dict[str, int]:
    words = " ".join(texts).split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


X86_64 = Machine(
    name="x86_64",
    audit=0xC000003E,
    elf=62,
    numbers=_table(_X86, _BOTH),
    registers=27,
    number=15,
    result=10,
    stack=19,
    arguments=(14, 13, 12, 7, 9, 8),
    number_apart=False,
    stat=struct.Struct("=QQQIII4xQqqq6q24x"),
    wide_links=True,
)
ARM64 = Machine(
    name="aarch64",
    audit=0xC00000B7,
    elf=183,
    numbers=_table(_ARM, _BOTH),
    registers=34,
    number=8,
    result=0,
    stack=31,
    arguments=(0, 1, 2, 3, 4, 5),
    number_apart=True,
    stat=struct.Struct("=QQIIIIQ8xqi4xq6q8x"),
    wide_links=False,
)


def this_machine() -> Machine:
    """The architecture that this runs on. Raises OSError where it is neither of the two."""
    for machine in (X86_64, ARM64):
        if machine.name == os.uname().machine:
            return machine
    raise OSError(errno.ENOSYS, f"no system call numbers for {os.uname().machine}")


def pack_stat(machine: Machine, values: Sequence[int]) -> bytes:
    """struct stat of: dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks, and atime, mtime, ctime as seconds and
    nanoseconds."""
    dev, ino, mode, nlink, *rest = values
    if machine.wide_links:
        return machine.stat.pack(dev, ino, nlink, mode, *rest)
    return machine.stat.pack(dev, ino, mode, nlink, *rest)
