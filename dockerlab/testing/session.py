"""What `pytest --dockerlab` does: nbval's settings, an engine for the run, and the removal of what was made.

- *nbval* compares with our sanitiser's rules (with the user's own, --nbval-sanitize-with, after them) and runs kernels of this Python.
  A cell that was saved without having been run fails, since there is nothing to compare with. Displays are static; what a display that
  was live has left empty in the saved notebook, the progress of a pull, does not count.
- The *engine* is the one that kernels, children and tests find, by the environment alone. "embedded" has its data and its socket in a
  temporary folder; should pytest be killed, it ends, and the folder goes. "configured" is left as it was, also then: see
  `dockerlab.testing.runs`.
- SIGTERM interrupts the run, as Ctrl-C does.
- What is remembered of builds (`dockerlab.builds.memory`) is the run's own, so that the reasons of steps are the same on every run.

With pytest-xdist the engine is one for all workers: the process that hands out the tests starts it and cleans up.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from dockerlab import embedded, ledger, standins
from dockerlab.client import Client, connect
from dockerlab.errors import DockerlabError
from dockerlab.notebook import live
from dockerlab.testing import aftermath, runs, sanitiser

_LONGEST = 60  # characters of a temporary folder's path in which a socket still has its place
_UNRUN = "It was saved without having been run, so that there is nothing to compare with. Run all cells, and save the notebook."


class Session:
    """One run of pytest. A plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self._option = config.option
        self._is_worker = hasattr(config, "workerinput")
        self._stack = ExitStack()
        self._end = ExitStack()  # what is done to the engine, while the environment still names it
        self._engine = ""
        self._said: list[str] = []
        if not self._is_worker:
            self._folder = Path(self._temporary())
            self._set_nbval()

    def _temporary(self) -> str:
        short = tempfile.gettempdir() if len(tempfile.gettempdir()) <= _LONGEST else "/tmp"
        if self._option.dockerlab_keep:
            return tempfile.mkdtemp(prefix="dockerlab-", dir=short)
        return self._stack.enter_context(tempfile.TemporaryDirectory(prefix="dockerlab-", dir=short))

    def _set_nbval(self) -> None:
        option = self._option
        if not hasattr(option, "nbval"):
            return  # it is not installed; tests of other kinds need none of it
        if not option.nbval_kernel_name:
            option.nbval_current_env = True
        rules = sanitiser.PATH
        if own := option.nbval_sanitize_with or option.sanitize_with:
            rules = self._folder / "sanitise.cfg"
            text = f"{sanitiser.PATH.read_text(encoding='utf-8')}\n{Path(own).read_text(encoding='utf-8')}"
            rules.write_text(text, encoding="utf-8")
        option.nbval_sanitize_with, option.sanitize_with = str(rules), None

    @pytest.hookimpl(tryfirst=True)  # before xdist starts its workers, which take over the environment
    def pytest_sessionstart(self) -> None:
        if self._is_worker or self._option.collectonly:
            return
        self._heed()
        try:
            self._begin()
        except DockerlabError as error:
            self._close()
            raise pytest.UsageError("--dockerlab: " + "\n".join(error.lines())) from error

    def _heed(self) -> None:
        """Has SIGTERM end the run as Ctrl-C does; a second one ends this process."""
        if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return

        def interrupt(number: int, frame: object) -> None:
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt(signal.Signals(number).name)

        signal.signal(signal.SIGTERM, interrupt)
        self._stack.callback(signal.signal, signal.SIGTERM, signal.SIG_DFL)

    def _begin(self) -> None:
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DOCKERLAB_STATIC", "1")
        option = self._option
        if option.dockerlab_engine != "configured":
            client = self._embedded(patch)
        elif option.dockerlab_keep and not option.dockerlab_prepare:
            self._engine = "configured engine, as it is"
            return
        else:
            client = self._end.enter_context(closing(connect()))
            if not option.dockerlab_keep:
                self._watch(client, patch)
        for name in option.dockerlab_prepare:
            standins.prepare(name, client=client)
        self._engine = f"{option.dockerlab_engine or 'embedded'} engine at {client.endpoint}"

    def _watch(self, client: Client, patch: pytest.MonkeyPatch) -> None:
        """Writes down what is made on an engine that others use, too."""
        run, swept = runs.begin(client, runs.place_of(os.environ, sys.platform, client.endpoint.url))
        # It learns of our end by that of its input: when what it would do is done.
        self._end.push(aftermath.watch(run.folder, self._folder, os.environ))
        self._end.callback(lambda: self._report(run.end(client), "this run"))
        self._report(swept, "a run that was killed")
        patch.setenv("XDG_STATE_HOME", str(self._folder / "state"))
        patch.setenv(ledger.VARIABLE, str(run.made))

    def _report(self, swept: runs.Swept, whose: str) -> None:
        if swept.cleaned.removed:
            self._said.append(f"what {whose} had left was removed: {', '.join(swept.cleaned.removed)}")
        if swept.others and whose == "this run":
            self._said.append("its images, tags and volumes go with the last run on this engine: another one goes on")
        self._said += [f"still there: {why}" for why in swept.cleaned.kept]

    def _embedded(self, patch: pytest.MonkeyPatch) -> Client:
        patch.setenv("XDG_STATE_HOME", str(self._folder / "state"))
        patch.setenv("DOCKERLAB_ENGINE_ROOT", str(self._folder / "engine"))
        patch.setenv("DOCKERLAB_ENGINE_RUNTIME", str(self._folder / "run"))
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
            patch.delenv(name, raising=False)
        if self._option.dockerlab_keep:
            self._said.append(f"kept: DOCKERLAB_ENGINE_RUNTIME={self._folder}/run DOCKERLAB_ENGINE_ROOT={self._folder}/engine")
        else:
            self._end.callback(self._stop)
        url = embedded.start(folder=None if self._option.dockerlab_keep else str(self._folder))
        client = self._end.enter_context(closing(connect(url)))
        patch.setenv("DOCKER_HOST", client.endpoint.url)
        return client

    def _stop(self) -> None:
        done = embedded.run(["stop"])
        if done.returncode:
            self._said += done.stderr.splitlines()

    def pytest_report_header(self) -> str | None:
        return f"dockerlab: {self._engine}" if self._engine else None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for cell in filter(None, map(_cell, items)):
            cell.outputs = [output for output in cell.outputs if output.get("data") != live.NOTHING]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        yield
        if (cell := _cell(item)) is not None and cell.execution_count is None:
            of_nbval: Any = item
            of_nbval.raise_cell_error(_UNRUN)

    @pytest.hookimpl(trylast=True)  # when kernels and workers have ended
    def pytest_sessionfinish(self) -> None:
        try:
            self._end.close()
        except DockerlabError as error:
            self._said += error.lines()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._said:
            terminalreporter.write_line(f"dockerlab: {line}")

    def pytest_unconfigure(self) -> None:
        self._close()

    def _close(self) -> None:
        """Without the environment it would be the user's engine that is stopped: that goes last."""
        with self._stack:
            self._end.close()


def _cell(item: pytest.Item) -> Any:
    """The notebook's cell that a test of nbval stands for, or None."""
    return item.cell if type(item).__module__.startswith("nbval.") and hasattr(item, "cell") else None
