"""`hadolint`, another linter, asked where it is installed: its JSON → findings. Where it is not, or fails, nothing is said.

It takes its settings from `.hadolint.yaml` of the working directory and from comments of the Dockerfile, as on a command line.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final, cast

from dockerlab.dockerfile.checks import Finding, Kind

_COMMAND: Final = ("--no-fail", "--no-color", "--format", "json", "-")
_SECONDS: Final = 30
_MOST: Final = 1000
_KINDS: Final = ("error", "warning", "info", "style")
_OWN: Final = re.compile(r"DL[0-9]{4}")
_SHELL: Final = re.compile(r"SC[0-9]{4}")


def findings(text: str) -> tuple[Finding, ...]:
    """What it says of a Dockerfile."""
    program = shutil.which("hadolint")
    if program is None:
        return ()
    try:
        done = subprocess.run([program, *_COMMAND], input=text.encode(), capture_output=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parsed(done.stdout)


def parsed(data: bytes) -> tuple[Finding, ...]:
    """Its answer read: [{"line": 1, "code": "DL3006", "level": "warning", "message": "…", …}, …]. What is none counts for nothing."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return ()
    return tuple(_all(said[:_MOST])) if isinstance(said, list) else ()


def _all(said: list[object]) -> Iterator[Finding]:
    for one in said:
        if not isinstance(one, dict):
            continue
        line, code, message, level = (one.get(name) for name in ("line", "code", "message", "level"))
        # A true is an int, too.
        if type(line) is int and isinstance(code, str) and isinstance(message, str) and level in _KINDS:
            yield Finding(code, cast(Kind, level), message, (line,) if line > 0 else (), _url(code), source="hadolint")


def _url(code: str) -> str:
    if _OWN.fullmatch(code):
        return f"https://github.com/hadolint/hadolint/wiki/{code}"
    return f"https://www.shellcheck.net/wiki/{code}" if _SHELL.fullmatch(code) else ""
