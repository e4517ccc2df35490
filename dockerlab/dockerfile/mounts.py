"""`RUN --mount=…`: what a command sees besides the image's files. Pure; BuildKit's instructions/commands_runmount.go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Mount:
    """type: what is mounted at target. from_, source: where it comes from ("": the build context, or an empty cache). id: of a cache,
    a secret, or an ssh agent. read_only: bind is unless `rw`. sharing: of a cache. size: bytes of a tmpfs, 0 for no limit.

    mode, uid, gid: of a cache's folder or a secret's file, None where not given. required: a secret that is missing is an error. env:
    a secret's variable.
    """

    type: Literal["bind", "cache", "tmpfs", "secret", "ssh"] = "bind"
    target: str = ""
    from_: str = ""
    source: str = ""
    id: str = ""
    read_only: bool = False
    sharing: Literal["shared", "private", "locked"] = "shared"
    size: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    required: bool = False
    env: str = ""
