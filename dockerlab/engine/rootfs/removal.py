"""Removes a container's or a layer's files, whatever modes they have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def remove(path: Path | str) -> None:
    """Removes a directory with all that is in it, also where modes forbid it. Nothing there is no error."""

    def mend(function: Callable[..., Any], name: str, failure: tuple[type[BaseException], BaseException, Any]) -> None:
        if isinstance(failure[1], FileNotFoundError):
            return
        if not isinstance(failure[1], PermissionError):
            raise failure[1]
        for folder in (os.path.dirname(name), name):
            if os.path.isdir(folder) and not os.path.islink(folder):
                os.chmod(folder, 0o700)
        if os.path.isdir(name) and not os.path.islink(name):
            shutil.rmtree(name, onerror=mend)
        else:
            function(name)

    shutil.rmtree(path, onerror=mend)
