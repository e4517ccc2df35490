"""Mount points that dockerlab itself makes in a container: no change of the container's, as they are none with Docker.

Those of every container (/proc, /etc/hosts) are a layer below the image's on the namespaces rung; in a tree they are made among the
container's files, with an attribute that tells them apart. The targets of volumes are changes, with Docker too.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MOUNT_POINT = b"user.dockerlab.mountpoint"
_DIRECTORIES = ("dev", "etc", "proc", "sys")
_FILES = {"etc/hostname": 0o644, "etc/hosts": 0o644, "etc/resolv.conf": 0o644, ".dockerenv": 0o755}
_LINKS = {"etc/mtab": "/proc/mounts"}


def lay(folder: Path) -> None:
    """Makes the layer, if it is not there or not whole: the files of Docker's own, by which programs know that they are in a container."""
    for path in (folder, *(folder / name for name in _DIRECTORIES)):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.chmod(0o755)
    for name, mode in _FILES.items():
        (folder / name).touch()
        (folder / name).chmod(mode)
    for name, target in _LINKS.items():
        with suppress(FileExistsError):
            (folder / name).symlink_to(target)


def is_mount_point(path: bytes) -> bool:
    """Whether a file or directory of a tree was made to be mounted on."""
    try:
        os.getxattr(path, MOUNT_POINT, follow_symlinks=False)
    except OSError:
        return False  # it has none, or cannot have any
    return True
