"""Engines for the tests, and how many tests ran on which.

A test that asks for `client` (or `engine`) runs on the main engine; marked `contract`, on every engine. `tests/engine/conftest.py`
sees to it that all of `tests/engine` does, and that nothing is left behind.

Where several processes share a run (`make test`), the tests on the main engine are one process's, one after another; so are those on
dockerlab's own engines, those on all others, and those of one file.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, cast

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling, Scheduling  # type: ignore[import-untyped]

from dockerlab import standins
from dockerlab.client import Client, connect
from dockerlab.errors import NoEngine
from tests.engines import MAIN, MISSING, Engine, find

BASES = ("busybox", "python:3.10")
NO_ENGINE = "none"
TWIN = "engine28-containerd"
LOWEST, RUNGS = "embedded-pod", ("embedded", "embedded-user")  # of dockerlab's own engine: as Binder has it, and those above
_ABOUT_IMAGES = re.compile(
    "api|append|bases|build|checks|debugging|docker_py$|explor|frontends|identities|image|layer|pipeline|reasons|session|sharing|standins"
)
_ENGINES = pytest.StashKey[tuple[Engine, ...]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shared-engines",
        action="store_true",
        help="somebody else uses the engines meanwhile: do not fail a test for containers that appear while it runs",
    )
    parser.addoption(
        "--everywhere",
        action="store_true",
        help="every test on every engine: else notebooks run on the main one, and alike engines share what does not tell them apart",
    )


# How long an example takes says nothing on a machine with other work.
hypothesis.settings.register_profile("dockerlab", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("dockerlab")


def pytest_configure() -> None:
    # A shell starts what it runs in the background with interrupts ignored; there are tests that interrupt themselves and others.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" not in metafunc.fixturenames:
        return
    engines = _engines(metafunc.config)
    wanted = engines if metafunc.definition.get_closest_marker("contract") else engines[:1]
    names = [engine.name for engine in wanted] or [NO_ENGINE]
    metafunc.parametrize("engine", wanted or [None], ids=names, indirect=True, scope="session")


def _engines(config: pytest.Config) -> tuple[Engine, ...]:
    """Looked for once a run, and only if a collected test wants one."""
    if _ENGINES not in config.stash:
        try:
            config.stash[_ENGINES] = find(os.environ)
        except NoEngine as error:
            raise pytest.UsageError("DOCKERLAB_TEST_ENGINES: " + "\n".join(error.lines())) from error
    return config.stash[_ENGINES]


@pytest.fixture(scope="session", autouse=True)
def nothing_is_remembered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept of builds goes into a folder of this run, and not into the developer's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine under test, with the base images that the tests use. Where no engine is, the test is skipped."""
    engine = cast("Engine | None", request.param)
    if engine is None:
        pytest.skip(MISSING)
    with engine.configured() as client:
        standins.prepare(*BASES, client=client)
    return engine


@pytest.fixture(scope="session")
def _connected(engine: Engine) -> Iterator[Client]:
    """One for all tests: to ask for its version is a good part of what a test takes."""
    with engine.chosen():
        client = connect()
    with closing(client):
        yield client


@pytest.fixture
def client(engine: Engine, _connected: Client) -> Iterator[Client]:
    """A client to the engine under test, which is also the one that `connect()` finds, here and in child processes."""
    with engine.chosen():
        yield _connected


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    elsewhere = set()
    for item in items:
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        engine = parameters.get("engine")
        item.user_properties.append(("engine", engine.name if isinstance(engine, Engine) else NO_ENGINE))
        if isinstance(engine, Engine) and not _is_run(item, engine):
            elsewhere.add(item)
    if elsewhere and not config.getoption("everywhere"):
        config.hook.pytest_deselected(items=list(elsewhere))
        items[:] = [item for item in items if item not in elsewhere]


def _is_run(item: pytest.Item, engine: Engine) -> bool:
    """Whether each run has it on that engine, too.

    The main one's twin differs from it in where its images are; the rungs of dockerlab's own engine in how containers run.
    """
    if item.get_closest_marker("everywhere"):
        return False
    if engine.is_main:
        return True
    is_about_images = bool(_ABOUT_IMAGES.search(item.path.stem))
    if engine.name == TWIN and not is_about_images:
        return False
    if engine.name in RUNGS and is_about_images and any(other.name == LOWEST for other in _engines(item.config)):
        return False
    return item.get_closest_marker("notebooks") is None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return _Lanes(config, log)


class _Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Which tests are one process's: those of engines that are alike; else those of a file. The largest lane comes first."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        first = test.partition("[")[2].rstrip("]")  # among a test's parameters the engine comes first
        on = [engine for engine in _engines(self.config) if f"{first}-".startswith(f"{engine.name}-")]
        if not on:
            return file
        engine = on[-1]  # of two names that begin alike the longer one comes later
        return "main engine" if engine.is_main else "own engines" if engine.name.startswith("embedded") else "other engines"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """The last lines: tests, and notebook cells that nbval compared, by engine."""
    yield
    tests: defaultdict[str, Counter[str]] = defaultdict(Counter)
    cells: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed"):
        for report in terminalreporter.stats.get(outcome, []):
            properties = dict(getattr(report, "user_properties", ()))
            name = properties.get("engine", NO_ENGINE)
            tests[name][outcome] += 1
            cells[name] += properties.get("cells", 0)
    names = sorted(tests, key=lambda name: (name == NO_ENGINE, name != MAIN, name))
    terminalreporter.ensure_newline()
    line = ", ".join(" ".join([name, *(f"{n} {outcome}" for outcome, n in tests[name].items())]) for name in names)
    terminalreporter.write_line(f"engines: {line or 'no test ran'}")
    if any(cells.values()):
        terminalreporter.write_line("notebook cells: " + ", ".join(f"{name} {cells[name]}" for name in names if cells[name]))
    if any(MISSING in str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(f"engines: {MISSING}")
