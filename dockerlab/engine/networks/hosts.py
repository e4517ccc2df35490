"""A container's /etc/hosts and /etc/resolv.conf: how names are found without a name server of ours. Pure, but for the last two functions.

Docker's engine has a DNS server for user networks. Here all there is to know is written into /etc/hosts: a container finds itself, the
other running containers of its user networks by name, alias, hostname and short id, what it links to, and what `--add-host` says.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockerlab.engine.home import write_all
from dockerlab.errors import UsageError

HOST_GATEWAY = "host-gateway"

LOCALHOST = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""

_NO_RESOLV_CONF = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


@dataclass(frozen=True)
class Line:
    """An address and the names that it has."""

    address: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.address}\t{' '.join(self.names)}\n"


def hosts(own: Line | None, others: Iterable[str] = (), extra: Sequence[str] = (), gateway: str = "") -> str:
    """The file's content. own: the container's address and names. others: lines. extra: "name:address" of `--add-host`."""
    added = [Line(gateway if address == HOST_GATEWAY else address, (name,)) for name, address in map(_split, extra)]
    return LOCALHOST + "".join([*(str(line) for line in (*added, *([own] if own else []))), *others])


def check_extra_hosts(extra: Iterable[str]) -> None:
    """Raises UsageError for what is no "name:address", as Docker does."""
    for entry in extra:
        name, address = _split(entry)
        if not name or not address:
            raise UsageError(f'bad format for add-host: "{entry}"')
        if address != HOST_GATEWAY:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise UsageError(f'invalid IP address in add-host: "{address}"') from None


def _split(entry: str) -> tuple[str, str]:
    name, _, address = entry.partition("=" if "=" in entry.partition(":")[0] else ":")
    return name, address.removeprefix("[").removesuffix("]")


def resolv_conf(of_host: str | None, servers: Sequence[str] = (), search: Sequence[str] = (), options: Sequence[str] = ()) -> str:
    """The host's file (None: it has none) with `--dns`, `--dns-search` ("." for none) and `--dns-option` in place of its own lines."""
    for server in servers:
        try:
            ipaddress.ip_address(server)
        except ValueError:
            raise UsageError(f'bad nameserver address {server}: ParseAddr("{server}"): unable to parse IP') from None
    kept = _NO_RESOLV_CONF if of_host is None else of_host
    replaced = {"nameserver": bool(servers), "search": bool(search), "domain": bool(search), "options": bool(options)}
    lines = [line for line in kept.splitlines() if not replaced.get((line.split() or [""])[0], False)]
    lines += [f"nameserver {server}" for server in servers]
    if search and list(search) != ["."]:
        lines.append(f"search {' '.join(search)}")
    if options:
        lines.append(f"options {' '.join(options)}")
    return "".join(f"{line}\n" for line in lines)


def merged(current: str, before: str, after: str) -> str:
    """`current`, which was `before` until somebody in the container may have edited it, brought to `after`; edits are kept."""
    if current == before:
        return after
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    kept = [line for line in current.splitlines(keepends=True) if line in new or line not in old]
    if kept and not kept[-1].endswith("\n"):
        kept[-1] += "\n"
    return "".join([*kept, *(line for line in new if line not in kept and line not in old)])


def write(path: Path, text: str) -> None:
    """Writes one of a container's files, by the system calls that it takes and no other: its start waits for three. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(fd, text.encode(errors="surrogateescape"))
    finally:
        os.close(fd)


def rewrite(path: Path, before: str, after: str) -> None:
    """Brings a hosts file from `before` to `after` in place: it is mounted into the container, and a new file would not be seen.

    Raises OSError; FileNotFoundError where the container has gone.
    """
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(fd, "r+b", buffering=0) as file:
        current = file.read().decode("utf-8", "surrogateescape")
        content = merged(current, before, after)
        if content != current:
            raw = content.encode("utf-8", "surrogateescape")
            os.pwrite(fd, raw, 0)
            file.truncate(len(raw))
