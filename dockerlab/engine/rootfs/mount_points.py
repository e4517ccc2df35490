"""Mount points that dockerlab itself makes in a container (/proc, /etc/hosts, the targets of volumes): told apart by an attribute.

They are no change of the container's, as they are none with Docker, which makes them in a layer of their own.
"""

from __future__ import annotations

import os
from contextlib import suppress

MOUNT_POINT = b"user.dockerlab.mountpoint"


def mark(path: bytes | str) -> None:
    """Marks a file or directory that was made to be mounted on; where attributes cannot be had, it counts as a change."""
    with suppress(OSError):
        os.setxattr(path, MOUNT_POINT, b"1")


def is_mount_point(path: bytes) -> bool:
    """Whether a file or directory was made to be mounted on."""
    try:
        os.getxattr(path, MOUNT_POINT, follow_symlinks=False)
    except OSError:
        return False  # it has none, or cannot have any
    return True
