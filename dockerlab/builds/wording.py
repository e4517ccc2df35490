"""What builders say of one thing in many ways, in one: without what only the engine knows (ids, its folders, the layers of its code). Pure.

Seen on BuildKit in Docker Engine 20.10 and 28.
"""

from __future__ import annotations

import re
from typing import Final

from dockerlab import reference
from dockerlab.errors import InvalidReference

_WRAPPING: Final = re.compile(
    r"^(?:failed to solve(?: with frontend [\w.]+)?: |rpc error: code = \w+ desc = |failed to create LLB definition: "
    r"|failed to (?:load|compute) cache key: |failed to calculate checksum of ref(?: \S+)?: )+"
)
_PROCESS: Final = re.compile(
    r'^(?:process ".*?" did not complete successfully|executor failed running \[.*?\]): (?!exit code)', re.DOTALL
)
_FOLDER: Final = re.compile(r"/\S*?/(?:merged|rootfs|buildkit-mount\d+)(?=/)")
_FLAG: Final = re.compile(r"\bUnknown flag: -*(?=\w)", re.IGNORECASE)


def plain(said: str) -> str:
    """What an engine says, without the layers through which it came."""
    said = _WRAPPING.sub("", said.strip())
    said = _PROCESS.sub("", said)
    return _FLAG.sub("unknown flag: --", _FOLDER.sub("", said))


def canonical(image: str) -> str:
    """An image's whole reference; of what is none: itself."""
    try:
        return reference.parse(image.removeprefix("docker-image://")).canonical
    except InvalidReference:
        return image
