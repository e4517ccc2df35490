"""Runs a client's own tests against several engines and compares: what passes on the first must pass on the others.

    compare(Suite(...), sys.argv[1:])

The engines are those of the command line (`name=unix:///path …`, the reference first), else those that `make engines` started: Docker
Engine 28 and our own. Packages go into an environment of their own below build/. For each engine there is one line of counts, then
each test that passes on the reference and not there. Exit code 1 for a difference that neither `Suite.exceptions` nor `Suite.chances` gives
a reason for, and for an exception that no test needs any more.

The tests are not ours: they remove and prune what they find on an engine. Give no engine that somebody else uses.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import venv
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dockerlab import standins
from dockerlab.client import Client
from tests.engines import MAIN, Engine, find

BUILD = Path(__file__).resolve().parents[2] / "build" / "conformance"
HERE = Path(__file__).resolve().parent
SECONDS = 900
REGISTRY = "conformance-registry"
_CONFIG = """version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}
http: {addr: ":5000"}
"""
_DOCKERFILE = """FROM python:3.10
COPY docker-registry /bin/registry
COPY config.yml /etc/docker/registry/
EXPOSE 5000
CMD ["/bin/registry", "serve", "/etc/docker/registry/config.yml"]
"""


@dataclass(frozen=True)
class Suite:
    """name: a package on PyPI. requirements: what pip installs. tests: of its source distribution, or files
    of this folder (from_source).

    tags: names that the tests use → the stand-in that they are given; that named REGISTRY is made of Debian's docker-registry, where it
    is installed. exceptions: a test, or the beginning of its name, or `ENGINE ` and that → the reason why it need not pass. chances: the
    same for tests that pass or fail by chance.
    """

    name: str
    version: str
    requirements: tuple[str, ...]
    tests: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    from_source: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    exceptions: Mapping[str, str] = field(default_factory=dict)
    chances: Mapping[str, str] = field(default_factory=dict)


def engines(named: Sequence[str]) -> tuple[Engine, ...]:
    """The engines to compare, the reference first. Raises SystemExit where there are fewer than two."""
    found = find(os.environ | ({"DOCKERLAB_TEST_ENGINES": " ".join(named)} if named else {}))
    if not named:
        found = tuple(engine for engine in found if engine.name == MAIN or engine.name.startswith("embedded"))
    if len(found) < 2:
        raise SystemExit("two engines are needed to compare: `make engines`, or name=unix:///path for each")
    return found


def compare(suite: Suite, named: Sequence[str]) -> int:
    """Runs it everywhere and prints what differs. Gives the exit code."""
    python, folder = _prepare(suite)
    reference, *others = engines(named)
    results = {engine.name: _run(suite, engine, python, folder) for engine in (reference, *others)}
    for name, found in results.items():
        counts = Counter(found.values())
        print(
            f"{name:16}",
            ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped") if counts[outcome]),
        )
    passing = [test for test, outcome in results[reference.name].items() if outcome == "passed"]
    differing = {name: sorted(test for test in passing if found.get(test) != "passed") for name, found in results.items()}
    rules = {**suite.exceptions, **suite.chances}
    used: set[str] = set()
    unexplained = 0
    for name, tests in differing.items():
        for test in tests:
            rule = next((rule for rule in rules if f"{name} {test}".startswith(rule) or test.startswith(rule)), None)
            used |= {rule} if rule else set()
            unexplained += rule is None
            print(f"{name}: {test}: {results[name].get(test, 'missing')}: {rules[rule] if rule else 'NOT EXPLAINED'}")
    stale = sorted(rule for rule in set(suite.exceptions) - used if " " not in rule or rule.partition(" ")[0] in results)
    for rule in stale:
        print(f"not needed any more: {rule}: {suite.exceptions[rule]}")
    print(f"{unexplained} differences without a reason")
    return 1 if unexplained or stale else 0


def _prepare(suite: Suite) -> tuple[Path, Path]:
    """The environment's Python, and the folder of the tests. What is there already is kept."""
    folder = BUILD / suite.name
    python, stamp = folder / "venv" / "bin" / "python", folder / "installed.json"
    wanted = [suite.version, *suite.requirements]
    if not stamp.exists() or json.loads(stamp.read_text()) != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder / "venv", with_pip=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", f"{suite.name}=={suite.version}", *suite.requirements], check=True)
        if suite.from_source:
            source = ["download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), f"{suite.name}=={suite.version}"]
            subprocess.run([*pip, *source], check=True)
            with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
                for member in archive:
                    # Below the one folder of its name and version. Python 3.11.2 has no filters yet; links and devices are left out.
                    if (member.isfile() or member.isdir()) and ".." not in Path(member.name).parts:
                        archive.extract(member, folder)
            # What is tested is what is installed.
            shutil.rmtree(folder / f"{suite.name}-{suite.version}" / suite.name, ignore_errors=True)
        stamp.write_text(json.dumps(wanted))
    if suite.from_source:
        return python, folder / f"{suite.name}-{suite.version}"
    for name in suite.tests:
        shutil.copy(HERE / name, folder)  # away from this project's own conftest.py, whose imports are not there
    return python, folder


def _run(suite: Suite, engine: Engine, python: Path, folder: Path) -> dict[str, str]:
    """Test → passed, failed or skipped."""
    report = BUILD / suite.name / f"{engine.name}.xml"
    home = BUILD / suite.name / "home"
    home.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    with engine.configured() as client:
        standins.prepare("busybox", "python:3.10", client=client)
        if REGISTRY in suite.tags.values():
            _make_registry(client)
        with report.with_suffix(".log").open("wb") as log:
            subprocess.run(
                [str(python), "-m", "pytest", *suite.tests, "-o", "addopts=", "-p", "no:cacheprovider", "-p", "tags", "--timeout", "60",
                 "--junit-xml", str(report), *suite.arguments],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=SECONDS, check=False,
                env={**os.environ, **suite.environment, "HOME": str(home), "DOCKER_CONFIG": str(home), "PYTHONPATH": str(HERE / "plugins"),
                     "CONFORMANCE_TAGS": json.dumps(dict(suite.tags)), "PATH": f"{python.parent}:{os.environ['PATH']}"},
            )  # fmt: skip
    if not report.exists():
        raise SystemExit(f"{engine.name}: pytest did not run: {report.with_suffix('.log')}")
    return {f"{case.get('classname')}.{case.get('name')}": _outcome(case) for case in ElementTree.parse(report).iter("testcase")}


def _make_registry(client: Client) -> None:
    """A stand-in for the image of a registry. Raises SystemExit where Debian's docker-registry is not installed."""
    program = shutil.which("docker-registry")
    if not program:
        raise SystemExit("docker-registry is missing: apt-get install docker-registry, or `make engines`")
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(program, "docker-registry")
        for name, text in (("config.yml", _CONFIG), ("Dockerfile", _DOCKERFILE)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=REGISTRY, rm=True, forcerm=True)


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"
