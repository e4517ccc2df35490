"""`python -m tests.embedded.small_engine`: an engine without containers, for tests of the process.

`… start` forks it, `… start PID FOLDER` for an owner, `… --ready FD` leaves it behind and reports, without either it is in the foreground.

SMALL_ENGINE in the environment: "broken" cannot be opened, "crashes" ends in an error nobody foresaw, "no pidfd" has a kernel without
them, a number is how many containers run until they are stopped.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

from dockerlab.engine import control
from dockerlab.engine.__main__ import serve_and_report
from dockerlab.engine.home import Home, find
from dockerlab.engine.http.types import Answer, Request, Response, Route
from dockerlab.engine.owner import Owner
from dockerlab.errors import DockerlabError, EngineError

PROGRAM = (sys.executable, "-P", "-m", "tests.embedded.small_engine")


class SmallEngine:
    """Writes down what is done to it."""

    def __init__(self, home: Home) -> None:
        told = os.environ.get("SMALL_ENGINE", "")
        if told == "broken":
            raise EngineError("the small engine is broken", hint="Mend it.")
        if told == "crashes":
            raise ZeroDivisionError("unforeseen")
        self._count = int(told) if told.isdecimal() else 0
        self._notes = home.root / "notes"

    def running(self) -> int:
        return self._count

    def stop(self, seconds: float) -> None:
        self._note("stop")
        self._count = 0

    def close(self) -> None:
        self._note("close")

    def _note(self, text: str) -> None:
        with self._notes.open("a") as file:
            file.write(f"{text}\n")


def notes(root: Path) -> list[str]:
    path = root / "notes"
    return path.read_text().split() if path.exists() else []


def _ping(engine: Any, request: Request) -> Response:
    return Answer("OK")


def _list(engine: SmallEngine, request: Request) -> Response:
    return Answer([{"Names": [f"/c{number}"]} for number in range(engine.running())])


ROUTES = (Route("GET", "/_ping", _ping), Route("GET", "/containers/json", _list))


def serve(descriptor: int | None, owner: Owner | None = None) -> None:
    if os.environ.get("SMALL_ENGINE") == "no pidfd":
        os.pidfd_open = _no_such_call
    serve_and_report(descriptor, SmallEngine, lambda: ROUTES, owner)


def _no_such_call(pid: int, flags: int = 0) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def main(words: list[str]) -> int:
    try:
        if words[:1] == ["start"]:
            owner = Owner.of(int(words[1]), Path(words[2])) if words[1:] else None
            instance, is_new = control.start(find(os.environ), control.forked(lambda descriptor: serve(descriptor, owner)))
            print(instance.pid, is_new)
        else:
            serve(int(words[1]) if words else None)
    except DockerlabError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
