"""What an instruction changes of an image's configuration, in the words of the configuration: `EXPOSE 5000` → `ExposedPorts 5000`. Pure.

The names are those that `docker inspect` shows under Config. Values stand in the instruction already, and may be secret: of variables and
labels only the names are repeated.
"""

from __future__ import annotations

import re
from typing import Final

_FIELDS: Final = {
    "CMD": "Cmd",
    "ENTRYPOINT": "Entrypoint",
    "ENV": "Env",
    "EXPOSE": "ExposedPorts",
    "HEALTHCHECK": "Healthcheck",
    "LABEL": "Labels",
    "MAINTAINER": "Author",
    "ONBUILD": "OnBuild",
    "SHELL": "Shell",
    "STOPSIGNAL": "StopSignal",
    "USER": "User",
    "VOLUME": "Volumes",
    "WORKDIR": "WorkingDir",
}
_SHOWN: Final = ("EXPOSE", "STOPSIGNAL", "USER", "WORKDIR")
_PAIR: Final = re.compile(r"""((?:[^\s=\\"']|\\.|"[^"]*"|'[^']*')+)=(?:[^\s\\"']|\\.|"(?:[^"\\]|\\.)*"|'[^']*')*""")
_PATH: Final = re.compile(r'[^\s\[\],"]+')
_NAMED: Final = 3


def change(instruction: str) -> str:
    """Of an instruction on one line; "" for one that changes no configuration."""
    word, _, rest = instruction.partition(" ")
    keyword, rest = word.upper(), rest.strip()
    if keyword == "ARG":
        return "nothing: for the build alone"
    if keyword not in _FIELDS:
        return ""
    if keyword in ("ENV", "LABEL"):
        return f"{_FIELDS[keyword]} {_names(rest)}".rstrip()
    if keyword == "VOLUME":
        return f"{_FIELDS[keyword]} {' '.join(_PATH.findall(rest))}".rstrip()
    return f"{_FIELDS[keyword]} {rest}".rstrip() if keyword in _SHOWN else _FIELDS[keyword]


def _names(pairs: str) -> str:
    """`A=1 B="two words"` → `A, B`; of the old form `A 1` → `A`."""
    if not _PAIR.match(pairs):
        return pairs.partition(" ")[0]
    names = [name.strip("\"'") for name in _PAIR.findall(pairs)]
    return ", ".join(names[:_NAMED]) + (f", {len(names) - _NAMED} more" if len(names) > _NAMED else "")
