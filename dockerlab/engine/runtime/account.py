"""Who a process runs as: what `--user` or USER says, looked up in the container's own /etc/passwd and /etc/group. Pure.

Same rules and texts as Docker's (moby/sys/user `GetExecUser`): a number need not be listed; a name must be; without a group the user's own
one from passwd, and the groups that list the user as a member; with one, that group alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dockerlab.errors import EngineError

_HIGHEST = 2**31 - 1


@dataclass(frozen=True)
class Account:
    """uid, gid: real and effective. groups: supplementary, its own included. home: "/" where passwd does not list the user."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


def resolve(user: str, passwd: str, group: str, more_groups: Sequence[str] = ()) -> Account:
    """user: "", "name", "uid", each with ":group" or ":gid". more_groups: names or numbers (`--group-add`). Raises EngineError."""
    name, _, group_name = user.partition(":")
    entry = _passwd_entry(name or "0", passwd)
    if entry is None:
        if not name or name.isdigit():
            uid = int(name or 0)
            if uid > _HIGHEST:
                raise EngineError("uids and gids must be in range 0-2147483647", status=400)
            entry = ("", uid, 0, "/")
        else:
            raise EngineError(f"unable to find user {name}: no matching entries in passwd file", status=400)
    found, uid, gid, home = entry
    groups: tuple[int, ...] = ()
    if group_name:
        gid = _gid(group_name, group)
    else:
        groups = tuple(g for _, g, members in _groups(group) if found and found in members)
    added = tuple(_gid(g, group) for g in more_groups)
    # Its own one, too: who is among a group's members by any way is to have no less than the kernel would give by itself.
    return Account(uid, gid, tuple(dict.fromkeys((gid, *groups, *added))), home or "/")


def _passwd_entry(name: str, passwd: str) -> tuple[str, int, int, str] | None:
    number = int(name) if name.isdigit() else None
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) < 6 or not fields[2].isdigit() or not fields[3].isdigit():
            continue
        if fields[0] == name or (number is not None and int(fields[2]) == number):
            return fields[0], int(fields[2]), int(fields[3]), fields[5]
    return None


def _groups(group: str) -> Iterator[tuple[str, int, list[str]]]:
    for line in group.splitlines():
        fields = line.split(":")
        if len(fields) >= 3 and fields[2].isdigit():
            yield fields[0], int(fields[2]), fields[3].split(",") if len(fields) > 3 else []


def _gid(name: str, group: str) -> int:
    for found, gid, _ in _groups(group):
        if found == name or (name.isdigit() and gid == int(name)):
            return gid
    if not name.isdigit():
        raise EngineError(f"unable to find group {name}: no matching entries in group file", status=400)
    if int(name) > _HIGHEST:
        raise EngineError("uids and gids must be in range 0-2147483647", status=400)
    return int(name)
