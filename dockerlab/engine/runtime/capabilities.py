"""Which capabilities(7) a container's processes have, by the names of `docker run --cap-add` and `--cap-drop`. Pure."""

from __future__ import annotations

from collections.abc import Collection

ALL = "ALL"
# In the kernel's order: a name's place is its number.
NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    *("CHECKPOINT_RESTORE"),
)
EVERY = frozenset(range(len(NAMES)))
SETUID = NAMES.index("SETUID")
# Docker's.
DEFAULT = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
DEFAULT_NAMES = frozenset(NAMES[number] for number in DEFAULT)


def plain(name: str) -> str:
    """ "cap_net_raw", "NET_RAW" → "NET_RAW"."""
    return name.upper().removeprefix("CAP_")


def kept(most: frozenset[int], add: Collection[str], drop: Collection[str]) -> frozenset[int]:
    """Of `most`, what is left. What is added comes back after `drop` took all, but nothing that is not in `most`."""
    added, dropped = _numbers(add), _numbers(drop)
    if ALL in map(plain, add):
        return most - dropped
    return (most & added) | (most - dropped)


def _numbers(names: Collection[str]) -> frozenset[int]:
    found = {plain(name) for name in names}
    return EVERY if ALL in found else frozenset(number for number, name in enumerate(NAMES) if name in found)
