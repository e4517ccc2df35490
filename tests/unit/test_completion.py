"""What <TAB> offers, without an engine: verbs, flags and files are there; names are a fake engine's."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from IPython.core.completer import CompletionContext

from dockerlab.client import Client
from dockerlab.errors import NoEngine
from dockerlab.notebook import names as names_module
from dockerlab.notebook.completion import answer_at, complete
from dockerlab.notebook.names import Names
from dockerlab.notebook.session import Session

IMAGES = ["app:1", "app:latest", "busybox:latest", "localhost:5000/tool:2"]
CONTAINERS = {"web": True, "worker": True, "done": False}


class FakeNames:
    """What an engine has, known at once."""

    def images(self) -> list[str]:
        return IMAGES

    def containers(self, which: str = "all") -> list[str]:
        return [name for name, runs in CONTAINERS.items() if which == "all" or runs == (which == "running")]


@pytest.fixture
def session() -> Session:
    return cast(Session, SimpleNamespace(names=FakeNames(), files={"app.py": b"", "src/x.py": b""}, namespace={}))


def offered(session: Session, text: str) -> list[str]:
    """What is offered at the `|`."""
    above, _, below = text.partition("|")
    line = above.count("\n")
    answer = answer_at(session, (above + below).split("\n"), line, len(above.split("\n")[-1]))
    assert above.endswith(answer.fragment)
    return [name for name, _ in answer.choices]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # verbs
        ("%container st|", "stop start stats"),
        ("%%container ex|", "exec"),
        ("c = %container ren|", "rename"),
        ("x[0], y.z = %container ren|", "rename"),
        ("x = 1\n  %container ren|\ny = 2", "rename"),
        ("%engine u|", "use"),
        ("%context |", "ls show rm clear add"),
        ("%container nope |", ""),
        ("%container|", ""),
        ("%containers ru|", ""),
        ("print('%container ru|", ""),
        ("%exercise two-g|", "two-greetings"),
        ("%exercise two-greetings --|", "--help --hint --strict"),
        # flags: the long ones, and with a dash typed all; what is given already is left out unless it repeats
        ("%container rm -|", "-f --force -h --help --show-command"),
        ("%container run --n|", "--name --network"),
        ("%container run --name x --n|", "--network"),
        ("%container run -d --det|", ""),
        ("%container run -p 1 --pu|", "--publish"),
        ("%container run -dp 80 --det|", ""),
        ("%container run busybox --n|", ""),
        ("%container run -- --n|", ""),
        ("%container run --t|", ""),
        # images and containers
        ("%container run -d a|", "app:1 app"),
        ("%container run app:|", "app:1 app:latest"),
        ("%container run localhost:5000/|", "localhost:5000/tool:2"),
        ("%container run --name a|", ""),
        ("%container run -dp a|", ""),
        ("%container run -p8080 b|", "busybox"),
        ("%container run --wait b|", "busybox"),
        ("%container run busybox b|", ""),
        ("%container run 'b|", ""),
        ("%container rm w|", "web worker"),
        ("%container rm -f done w|", "web worker"),
        ("%container stop d|", ""),
        ("%container start |", "done --help --show-command"),
        ("%container rename web w|", ""),
        ("%container cp w|", "web: worker:"),
        ("%container cp web:/x w|", "web: worker:"),
        # files, contexts, stages
        ("%context rm a|", "app.py"),
        ("%context show app.py |", "--help"),
        ("%%context s|", "src/x.py"),
        ("%engine use def|", "default"),
        ("%engine |", "use ls doctor picture"),
        ("%%dockerfile --target b|\nFROM a AS base\nFROM base AS built\n", "base built"),
        ("%%dockerfile --target=b|\nFROM a AS base\n", "base"),
        ("%%dockerfile --no-cache-filter b|\nFROM a AS base\n", "base"),
        ("%%dockerfile --no|\nFROM busybox", "--no-cache --no-cache-filter"),
        # a Dockerfile's body
        ("%%dockerfile\nF|", "FROM"),
        ("%%dockerfile\nFROM x\nCO|", "COPY"),
        ("\n%%dockerfile\nFROM x\nco|", "copy"),
        ("%%dockerfile\nFROM x\n  EX|\nRUN y", "EXPOSE"),
        ("%%dockerfile\nFROM x\nRUN a \\\n  F|", ""),
        ("%%dockerfile\nFROM x\nRUN a \\\n\n# comment\n  F|", ""),
        ("%%dockerfile\nFROM x\nRUN <<EOF\nF|", ""),
        ("%%dockerfile\nFROM x\nRUN <<EOF\nls\nEOF\nEX|", "EXPOSE"),
        ("%%dockerfile\nFROM x\nRUN F|", ""),
        ("%%dockerfile\n# F|", ""),
        ("%%dockerfile\nFROM a|", "app:1 app"),
        ("%%dockerfile\nFROM --platform=linux/amd64 a|", "app:1 app"),
        ("%%dockerfile\nFROM a AS base\nFROM b|", "base busybox"),
        ("%%dockerfile\nFROM a AS base\nCOPY --from=|", "base"),
        ("%%dockerfile\nFROM a AS base\nCOPY --link --from=b|", "base"),
        ("%%dockerfile\nFROM a AS base\nRUN --mount=type=bind,from=b|", "base"),
        # what is not ours
        ("%%context app.py\nF|", ""),
        ("%%container run busybox\nF|", ""),
        ("%%time\n%container ren|", "rename"),
    ],
)
def test_offers(session: Session, text: str, expected: str) -> None:
    assert offered(session, text) == expected.split()


def test_without_a_dash_names_come_first_and_only_long_flags_follow(session: Session) -> None:
    assert offered(session, "%container exec |")[:3] == ["web", "worker", "--detach"]
    assert not [flag for flag in offered(session, "%container exec |") if flag.startswith("-") and not flag.startswith("--")]


def test_our_own_engine_is_offered_where_it_runs(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert "embedded" in offered(session, "%engine use |")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "embedded" not in offered(session, "%engine use |")


def test_all_instructions_are_offered_on_an_empty_line(session: Session) -> None:
    assert {"FROM", "RUN", "HEALTHCHECK"} <= set(offered(session, "%%dockerfile\n|"))


def test_paths_on_disk(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    for name in ("settings.env", ".hidden", "src/with space.py", "src/main.py"):
        (tmp_path / name).touch()
    assert offered(session, "%container run --env-file s|") == ["settings.env", "src/"]
    assert offered(session, "%container run --env-file=src/|") == ["src/main.py"]
    assert offered(session, "%%dockerfile --context s|") == ["src/"]
    assert offered(session, "%context add .h|") == [".hidden"]
    assert offered(session, "%context add nowhere/|") == []


def test_other_matchers_are_silent_where_we_have_an_answer(session: Session) -> None:
    def result(text: str) -> dict[str, Any]:
        return complete(session, CompletionContext(token="", full_text=text, cursor_position=len(text), cursor_line=0, limit=None))

    found = result("%container run localhost:5000/t")
    assert (found["suppress"], found["ordered"], found["matched_fragment"]) == (True, True, "localhost:5000/t")
    assert [(c.text, c.type) for c in found["completions"]] == [("localhost:5000/tool:2", "image")]
    assert result("%container run zzz")["suppress"] is False


class FakeEngine:
    """Answers GET as docker-py's API client does, when `ready` is set."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.asked: list[str] = []
        self.answers: dict[str, list[dict[str, Any]]] = {
            "/images/json": [{"RepoTags": ["docker.io/library/busybox:latest", "<none>:<none>"]}, {"RepoTags": None}],
            "/containers/json": [{"Names": ["/web/alias", "/web"], "State": "running"}, {"Names": ["/old"], "State": "exited"}],
        }
        self.api = self

    def _url(self, path: str) -> str:
        return path

    def _get(self, path: str, **request: Any) -> str:
        assert request["timeout"]
        self.asked.append(path)
        self.ready.wait(10)
        return path

    def _result(self, path: str, json: bool) -> list[dict[str, Any]]:
        return self.answers[path]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    fake = FakeEngine()
    fake.ready.set()
    monkeypatch.setattr(names_module, "PATIENCE_SECONDS", 0.1)
    yield fake
    fake.ready.set()


def names_of(fake: FakeEngine) -> Names:
    return Names(cast("Callable[[], Client]", lambda: fake))


def test_names_are_asked_once_in_a_while(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    names = names_of(fake)
    assert [names.images() for _ in range(3)] == [["busybox:latest"]] * 3
    assert names.containers() == ["web", "old"]
    assert (names.containers("running"), names.containers("stopped")) == (["web"], ["old"])
    assert fake.asked == ["/images/json", "/containers/json"]
    monkeypatch.setattr(names_module, "FRESH_SECONDS", 0.0)
    names.images()
    assert fake.asked[2:] == ["/images/json"]


def test_an_engine_that_hangs_does_not_hang_the_page(fake: FakeEngine) -> None:
    fake.ready.clear()
    names = names_of(fake)
    started = time.monotonic()
    assert [names.images() for _ in range(20)] == [[]] * 20
    assert time.monotonic() - started < 1
    assert len(fake.asked) == 1
    fake.ready.set()
    deadline = time.monotonic() + 5
    while not names.images() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert names.images() == ["busybox:latest"]


def test_what_was_known_is_offered_while_an_answer_is_awaited(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    names = names_of(fake)
    assert names.images() == ["busybox:latest"]
    monkeypatch.setattr(names_module, "FRESH_SECONDS", 0.0)
    fake.ready.clear()
    assert names.images() == ["busybox:latest"]


def test_an_engine_that_is_not_there_has_no_names() -> None:
    def connect() -> Client:
        raise NoEngine("no Docker engine answers")

    assert Names(connect).images() == []
    assert Names(connect).containers() == []
