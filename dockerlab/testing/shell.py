"""An IPython shell without a kernel, for trying magics in a test.

    with Shell() as shell:
        result = shell.run("%container run --rm busybox echo hello")
        assert result.stdout == "hello\\n"

A cell runs as in a notebook: with its displays, its output and its value; an error in it is raised. There is one shell at a time,
since IPython has one in a process.
"""

from __future__ import annotations

import atexit
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from IPython.core.completer import provisionalcompleter
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config


class _ValueHook(DisplayHook):
    """Displays the value of a cell beside its other displays, as a notebook does."""

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        shell: Any = self.shell
        shell.display_pub.publish(format_dict, md_dict)


class _NotebookShell(InteractiveShell):
    """What our magics take for a notebook's shell: one that has a kernel."""

    kernel = None


@dataclass(frozen=True)
class Result:
    """What a cell gave. value: of its last expression. displays: MIME bundles in their last state, that of the value at the end."""

    value: Any
    stdout: str
    stderr: str
    displays: tuple[dict[str, Any], ...]


class Shell:
    """A shell with dockerlab loaded. A context manager; `close` ends it, too.

    Raises MultipleInstanceError where IPython runs already.
    """

    def __init__(self) -> None:
        self._main = sys.modules["__main__"]
        config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
        self.shell: InteractiveShell = _NotebookShell.instance(
            config=config, displayhook_class=_ValueHook, display_pub_class=CapturingDisplayPublisher
        )
        self.run("%load_ext dockerlab")

    @property
    def namespace(self) -> dict[str, Any]:
        """The variables of its cells."""
        names: dict[str, Any] = self.shell.user_ns
        return names

    def run(self, source: str) -> Result:
        """Runs a cell. Raises what the cell raises."""
        publisher: Any = self.shell.display_pub
        publisher.outputs = []
        with capture_output(display=False) as captured:
            done = self.shell.run_cell(source)
        done.raise_error()
        return Result(done.result, captured.stdout, captured.stderr, tuple(_final(publisher.outputs)))

    def complete(self, source: str) -> list[str]:
        """What <TAB> offers at the end of `source`."""
        with provisionalcompleter():
            return [found.text for found in self.shell.Completer.completions(source, len(source))]

    def close(self) -> None:
        """Ends it and its connections. IPython by itself would keep both until the process ends."""
        self.run("%unload_ext dockerlab")
        atexit.unregister(self.shell.atexit_operations)
        self.shell.atexit_operations()
        _NotebookShell.clear_instance()
        sys.modules["__main__"] = self._main

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _final(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The bundles as they are seen when the cell has ended: an update takes the place of what it updates."""
    seen: dict[object, dict[str, Any]] = {}
    for number, output in enumerate(outputs):
        key = (output.get("transient") or {}).get("display_id") or number
        if key in seen or not output.get("update"):
            seen[key] = output["data"]
    return list(seen.values())
