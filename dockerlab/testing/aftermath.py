"""`python -m dockerlab.testing.aftermath RUN TEMPORARY`: waits for the end of a run's process, and cleans up if that was killed.

RUN: the folder of `runs.Run`. TEMPORARY: another folder that goes with it. The end of the process is that of the input, which it alone
holds; nothing is written there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from dockerlab import embedded, ledger
from dockerlab.client import connect
from dockerlab.testing import runs


def watch(folder: Path, temporary: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts the process for a run of this one. environ: names the engine. It ends as its input is closed."""
    variables = embedded.with_this_package({name: value for name, value in environ.items() if name != ledger.VARIABLE})
    command = [sys.executable, "-P", "-m", "dockerlab.testing.aftermath", str(folder), str(temporary)]
    # In a session of its own: what ends a whole group of processes ends the run, and is to be cleaned up after.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=variables, cwd=folder.anchor,
        start_new_session=True,
    )  # fmt: skip


def main(folder: Path, temporary: Path) -> None:
    """Waits, and cleans up. Raises DockerlabError, OSError: the next run tries again."""
    sys.stdin.buffer.read()
    if folder.exists():
        with closing(connect()) as client:
            runs.bury(client, folder)
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
