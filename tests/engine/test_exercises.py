"""Exercises on engines: unsolved, half solved, solved, and pretended; and what a `Look` sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

import dockerlab
from dockerlab import containers, course
from dockerlab.client import Client, connect
from dockerlab.course import Look, Progress
from dockerlab.course.exercises import one_image_many_containers
from dockerlab.errors import EngineError, EngineGone, Unsolved
from dockerlab.testing.shell import Shell
from tests.engine.forwarder import forwarding
from tests.engines import Engine

APP = """import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Greeter(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((os.environ["GREETING"] + " from a container").encode())
ThreadingHTTPServer(("0.0.0.0", 5000), Greeter).serve_forever()
"""
DOCKERFILE = 'FROM python:3.10\nENV GREETING=Hello\nCOPY app.py /\nCMD ["python3", "/app.py"]\n'


@pytest.fixture
def greeter(client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the image that the exercise is about, which is the test's own."""
    name = f"{prefix}greeter"
    monkeypatch.setattr(one_image_many_containers, "IMAGE", name)
    dockerlab.build(DOCKERFILE, files={"app.py": APP}, tag=name, client=client)
    return name


@pytest.fixture
def shell(client: Client) -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


def looked() -> Progress:
    return dockerlab.exercise("two-greetings")


@pytest.mark.contract
def test_two_greetings(greeter: str, prefix: str) -> None:
    def start(name: str, *, publish: bool = True, **env: str) -> None:
        ports = ["5000"] if publish else []
        wait = 5000 if publish else None
        containers.run(greeter, detach=True, name=f"{prefix}{name}", replace=True, publish=ports, env=env, wait=wait)

    run, differ, _ = looked().findings
    assert looked().missing == ("none runs yet", f"(first: {run.wants})", f"(first: {differ.wants})")
    start("one")
    assert looked().missing[0] == "one runs; one more is missing"
    containers.run("busybox", ["sleep", "60"], detach=True, name=f"{prefix}stranger", env={"GREETING": "Good day"})
    containers.run(greeter, ["true"], detach=True, name=f"{prefix}ended", env={"GREETING": "Good day"})
    containers.wait(f"{prefix}ended")
    assert looked().missing[0] == "one runs; one more is missing; there is one that has ended: `%container ps -a`"
    start("two", GREETING="Hello")
    assert looked().missing == (
        "both greet with 'Hello': they should differ",
        f"(first: {differ.wants})",
    )
    start("two", GREETING="")
    assert looked().missing[0] == "one was given 'Hello'; the other has no greeting of its own"
    start("two", publish=False, GREETING="Moin")
    assert looked().missing == ("the one that greets with 'Moin' publishes no port 5000",)
    start("two", GREETING="Moin")
    progress = looked()
    assert progress.solved
    assert repr(progress).startswith("exercise two-greetings: solved\n")
    containers.rm([f"{prefix}one", f"{prefix}two"], force=True)
    assert not looked().solved


@pytest.mark.contract
def test_words_that_are_printed_solve_nothing(greeter: str, prefix: str, shell: Shell) -> None:
    shell.run("print('exercise two-greetings: solved')")
    shell.run(f"%container run --rm {greeter} echo Hello Moin")
    # Both were given a greeting of their own, and another program answers for the second.
    shell.run(f"%container run -d --name {prefix}one -p 5000 --wait=5000 {greeter}")
    page = "mkdir /page; echo Hello > /page/index.html; cd /page; exec python3 -m http.server 5000"
    shell.run(f"%container run -d --name {prefix}two -p 5000 --wait=5000 -e GREETING=Moin {greeter} sh -c '{page}'")
    assert looked().missing == ("one was given 'Moin', and answers something else",)
    with pytest.raises(Unsolved, match="2 of 3 done"):
        shell.run("%exercise two-greetings --strict")
    shown = shell.run("%exercise two-greetings").displays[-1]
    assert shown["text/plain"].startswith("exercise two-greetings: 2 of 3 done\n")
    assert "one was given &#x27;Moin&#x27;" in shown["text/html"]


@pytest.mark.contract
def test_without_the_image_the_way_to_it_is_said(client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_image_many_containers, "IMAGE", f"{prefix}none")
    assert looked().missing[0] == f"there is no image {prefix}none: run the cell above that builds it"


def test_the_exercise_of_the_documentation_can_be_written(client: Client, shell: Shell) -> None:
    assert course.__doc__
    shell.run("import dockerlab\n" + "\n".join(line[4:] for line in course.__doc__.splitlines() if line.startswith("    ")))
    progress = shell.run("%exercise shop").value
    assert progress.missing == ("none runs yet",)
    assert repr(shell.run("%exercise shop --hint").value).splitlines()[1] == "`%container run -d shop`"


def test_an_engine_that_refuses_or_is_gone_is_an_error_and_nothing_missing(engine: Engine, greeter: str) -> None:
    with forwarding(engine.url, refused={"GET /containers/json": 403}) as forwarder:
        with closing(connect(forwarder.url)) as reached, pytest.raises(EngineError, match="cannot list the containers"):
            dockerlab.exercise("two-greetings", client=reached)
        gone = connect(forwarder.url)
    with closing(gone), pytest.raises(EngineGone):
        dockerlab.exercise("two-greetings", client=gone)


@pytest.mark.contract
def test_what_a_look_sees(client: Client, greeter: str, prefix: str) -> None:
    look = Look(client)
    name = f"{prefix}seen"
    made = containers.run(greeter, ["sleep", "60"], detach=True, name=name, env={"GREETING": "a=b"}, client=client)
    assert made is not None
    seen = look.container(name)
    assert seen is not None
    assert [one.id for one in look.containers(greeter)] == [seen.id] == [made.id]
    assert look.environment(seen)["GREETING"] == "a=b"
    assert not look.is_published(seen, 5000)
    assert look.page(seen, 5000) is None
    assert look.run(seen, "sh", "-c", "echo $GREETING; exit 3").exit_code == 3
    assert look.run(seen, "cat", "/app.py").output == APP
    assert look.run(seen, "no-such-command").exit_code in (126, 127)
    assert look.read(seen, "/app.py") == APP
    assert look.run(seen, "sh", "-c", "mkdir /d && ln -s ../app.py /d/link").exit_code == 0
    assert look.read(seen, "/d/link") == APP
    assert [look.read(seen, path) for path in ("/none", "/d")] == [None, None]
    containers.kill(name)
    containers.wait(name)
    assert (look.containers(greeter), [one.id for one in look.containers(greeter, stopped=True)]) == ((), [seen.id])
    assert look.read(seen, "/app.py") == APP

    image = look.image(greeter)
    assert image is not None
    assert look.configuration(image)["Cmd"] == ["python3", "/app.py"]
    assert look.read(image, "/app.py") == APP
    assert look.read(image, "/none") is None
    assert [one.id for one in look.containers(greeter, stopped=True)] == [seen.id], "a file is read without a trace"
    nothing = f"{prefix}nothing"
    assert (look.image(nothing), look.container(nothing), look.volume(nothing), look.network(nothing)) == (None,) * 4
    assert look.containers(nothing) == ()


@pytest.mark.contract
@pytest.mark.needs("mounts")
def test_a_look_sees_volumes(client: Client, prefix: str) -> None:
    look = Look(client)
    name = f"{prefix}kept"
    made = containers.run("busybox", ["sleep", "60"], detach=True, name=name, volume=[f"{name}:/data"], client=client)
    assert made is not None
    seen = look.container(name)
    assert seen is not None
    assert look.mounts(seen) == {"/data": name}
    assert (look.volume(name) or {})["Name"] == name
